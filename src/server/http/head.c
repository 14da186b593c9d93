/* Content-Length and Host. */
#include "server/http/head.h"

#include <string.h>

#include "base/text.h"

#include "base/banned.h"

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
