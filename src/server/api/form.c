/* Forms: application/x-www-form-urlencoded (query strings too) and multipart/form-data, whole in memory. */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "server/api/decode.h"
#include "base/banned.h"

enum { MOST_FIELDS = 1000, LONGEST_BOUNDARY = 70 };

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *percent_decode(Arena *arena, const char *text, size_t size, bool plus, size_t *out_size) {
    char *out = arena_alloc(arena, size + 1);
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    if (!text_is_utf8(out, n)) return NULL;
    out[n] = '\0';
    if (out_size) *out_size = n;
    return out;
}

static Status add_urlencoded(Arena *arena, const char *text, size_t size, Form *out, Error *err) {
    const char *equals = memchr(text, '=', size);
    size_t name_size = equals ? (size_t)(equals - text) : size, decoded_size = 0, value_size = 0;
    char *name = percent_decode(arena, text, name_size, true, &decoded_size);
    char *value = equals ? percent_decode(arena, equals + 1, size - name_size - 1, true, &value_size) : arena_strdup(arena, "");
    if (!name || !value || strlen(name) != decoded_size)
        return error_set(err, STATUS_BAD_REQUEST, "A form field has a bad percent escape or is not UTF-8");
    FormField *field = &out->items[out->count++];
    field->name = name;
    yyjson_set_strn(&field->value, value, value_size);
    return STATUS_OK;
}

Status form_from_urlencoded(Arena *arena, const char *text, size_t size, Form *out, Error *err) {
    size_t most = 1;
    for (size_t i = 0; i < size; i++) most += text[i] == '&';
    if (most > MOST_FIELDS) return error_set(err, STATUS_BAD_REQUEST, "A form has at most %d fields", MOST_FIELDS);
    *out = (Form){.items = arena_new_array(arena, FormField, most)};
    for (const char *at = text, *end = text + size; at < end;) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop) stop = end;
        Status status = stop > at ? add_urlencoded(arena, at, (size_t)(stop - at), out, err) : STATUS_OK;
        if (status) return status;
        at = stop + 1;
    }
    return STATUS_OK;
}

/* Value of `key=` among the parameters of a header, quotes and escapes removed; NULL when absent. */
static char *header_parameter(Arena *arena, const char *header, const char *key) {
    size_t key_size = strlen(key);
    for (const char *p = strchr(header, ';'); p; p = strchr(p, ';')) {
        for (p++; *p == ' ' || *p == '\t';) p++;
        bool found = strncasecmp(p, key, key_size) == 0 && p[key_size] == '=';
        p += strcspn(p, "=;");
        if (*p != '=') continue;
        char *value = arena_alloc(arena, strlen(p) + 1), *to = value;
        if (*++p == '"') {
            for (p++; *p && *p != '"'; p++) {
                if (*p == '\\' && p[1]) p++;
                *to++ = *p;
            }
        } else {
            while (*p && !strchr("; \t", *p)) *to++ = *p++;
        }
        if (found) return value;
    }
    return NULL;
}

/* Reads the header lines of one part; *body is what follows the empty line. */
static Status read_part_headers(Arena *arena, const char *at, const char *end, FormField *field, const char **body, Error *err) {
    for (;;) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!stop) break;
        if (stop == at) {
            *body = at + 2;
            if (field->name) return STATUS_OK;
            break;
        }
        char *line = arena_strndup(arena, at, (size_t)(stop - at));
        if (strlen(line) != (size_t)(stop - at) || !text_is_utf8(line, strlen(line))) break; /* a NUL would end a name early */
        if (strncasecmp(line, "content-disposition:", 20) == 0) {
            field->name = header_parameter(arena, line, "name");
            field->file.file_name = header_parameter(arena, line, "filename");
        } else if (strncasecmp(line, "content-type:", 13) == 0) {
            const char *type = line + 13;
            while (*type == ' ') type++;
            field->file.content_type = type;
        }
        at = stop + 2;
    }
    return error_set(err, STATUS_BAD_REQUEST, "The multipart body has a malformed part");
}

static Status add_part(Arena *arena, const char *at, const char *end, Form *out, Error *err) {
    FormField *field = &out->items[out->count++];
    const char *body = NULL;
    Status status = read_part_headers(arena, at, end, field, &body, err);
    if (status) return status;
    size_t size = (size_t)(end - body);
    if (field->file.file_name) {
        field->file.data = body;
        field->file.size = size;
        yyjson_set_strn(&field->value, "", 0);
        return STATUS_OK;
    }
    if (!text_is_utf8(body, size)) return error_set(err, STATUS_BAD_REQUEST, "Form field %.100s is not UTF-8", field->name);
    char *text = arena_alloc(arena, size + 1);
    memcpy(text, body, size);
    yyjson_set_strn(&field->value, text, size);
    return STATUS_OK;
}

Status form_from_multipart(Arena *arena, const char *content_type, const char *body, size_t size, Form *out, Error *err) {
    const char *boundary = header_parameter(arena, content_type, "boundary");
    if (!boundary || !*boundary || strlen(boundary) > LONGEST_BOUNDARY)
        return error_set(err, STATUS_BAD_REQUEST, "The multipart body has no usable boundary");
    const char *mark = arena_printf(arena, "\r\n--%s", boundary), *end = body + size;
    size_t mark_size = strlen(mark);
    *out = (Form){.items = arena_new_array(arena, FormField, MOST_FIELDS)};
    /* The first delimiter may open the body, without the line break that belongs to the later ones. */
    bool opens = size >= mark_size - 2 && memcmp(body, mark + 2, mark_size - 2) == 0;
    const char *at = opens ? body + mark_size - 2 : memmem(body, size, mark, mark_size);
    if (at && !opens) at += mark_size;
    while (at && end - at >= 2 && memcmp(at, "--", 2) != 0) {
        if (memcmp(at, "\r\n", 2) != 0 || out->count == MOST_FIELDS) break;
        at += 2; /* this line break does not count as the one of the next delimiter */
        const char *stop = memmem(at, (size_t)(end - at), mark, mark_size);
        if (!stop) return error_set(err, STATUS_BAD_REQUEST, "The multipart body is cut short");
        Status status = add_part(arena, at, stop, out, err);
        if (status) return status;
        at = stop + mark_size;
    }
    bool closed = at && end - at >= 2 && memcmp(at, "--", 2) == 0;
    return closed ? STATUS_OK : error_set(err, STATUS_BAD_REQUEST, "The multipart body is malformed");
}
