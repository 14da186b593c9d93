/* Fields as such, Content-Length and Host. */
#include "server/http/head.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

#include "base/banned.h"

/* A length or an encoding, and more. */
static bool is_glued(const char *name, size_t size) {
    return (size > 14 && strncasecmp(name, "Content-Length", 14) == 0) || (size > 17 && strncasecmp(name, "Transfer-Encoding", 17) == 0);
}

bool head_field_is_sound(const char *name, size_t name_size, const char *value, size_t value_size) {
    for (size_t i = 0; i < name_size; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("!#$%&'*+-.^_`|~", name[i])) return false;
    for (size_t i = 0; i < value_size; i++)
        if (value[i] == '\r' || value[i] == '\n' || value[i] == '\0') return false;
    return name_size > 0 && !is_glued(name, name_size);
}

int64_t head_content_length(const char *text) {
    int64_t value;
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && text[digits] == '\0' && text_to_int(text, &value) ? value : -1;
}

bool head_host_is_plain(const char *host) {
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
    size_t length = host ? strlen(host) : 0;
    return length > 0 && length <= 255 && strspn(host, ALLOWED) == length;
}
