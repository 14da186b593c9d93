#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

bool text_equal(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

bool text_starts_with(const char *text, const char *prefix) { return strncmp(text, prefix, strlen(prefix)) == 0; }

bool text_ends_with(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

bool text_equal_ignoring_case(const char *a, const char *b) { return strcasecmp(a, b) == 0; }

/* Length of the sequence that starts at p, 0 when it is malformed. */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    if (p[0] < 0x80) return 1;
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
    if (p[0] == 0xED && p[1] > 0x9F) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;
    if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
    return n;
}

bool text_is_utf8(const char *text, size_t size) {
    for (size_t i = 0; i < size;) {
        size_t n = utf8_sequence((const unsigned char *)text + i, size - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

int text_put_letter(uint32_t code, char out[4]) {
    if (code < 0x80) return out[0] = (char)code, 1;
    if (code < 0x800) return out[0] = (char)(0xC0 | code >> 6), out[1] = (char)(0x80 | (code & 0x3F)), 2;
    if (code < 0x10000)
        return out[0] = (char)(0xE0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 0x3F)), out[2] = (char)(0x80 | (code & 0x3F)), 3;
    out[0] = (char)(0xF0 | code >> 18), out[1] = (char)(0x80 | (code >> 12 & 0x3F)), out[2] = (char)(0x80 | (code >> 6 & 0x3F)), out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

char *text_mend_utf8(char *text) {
    size_t size = strlen(text);
    for (size_t i = 0, n; i < size; i += n ? n : 1) {
        n = utf8_sequence((const unsigned char *)text + i, size - i);
        if (n == 0) text[i] = '?';
    }
    return text;
}

size_t text_length(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* White space at p: its length in bytes, 0 for anything else. */
static size_t space_at(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] == ' ' || (u[0] >= '\t' && u[0] <= '\r') || (u[0] >= 0x1C && u[0] <= 0x1F)) return 1;
    if (u[0] == 0xC2) return u[1] == 0xA0 || u[1] == 0x85 ? 2 : 0;          /* no-break space, next line */
    if (u[0] == 0xE1) return u[1] == 0x9A && u[2] == 0x80 ? 3 : 0;          /* ogham space mark */
    if (u[0] == 0xE3) return u[1] == 0x80 && u[2] == 0x80 ? 3 : 0;          /* ideographic space */
    if (u[0] == 0xEF) return u[1] == 0xBB && u[2] == 0xBF ? 3 : 0;          /* byte order mark */
    if (u[0] != 0xE2) return 0;
    if (u[1] == 0x81) return u[2] == 0x9F ? 3 : 0;                          /* medium mathematical space */
    if (u[1] != 0x80) return 0;
    return (u[2] >= 0x80 && u[2] <= 0x8A) || u[2] == 0xA8 || u[2] == 0xA9 || u[2] == 0xAF ? 3 : 0;
}

bool text_is_blank(const char *text) {
    for (size_t n; (n = space_at(text)) > 0;) text += n;
    return *text == '\0';
}

const char *text_trimmed(const char *text, size_t *size) {
    for (size_t n; (n = space_at(text)) > 0;) text += n;
    *size = 0;
    for (size_t i = 0, n; text[i]; i += n ? n : 1) {
        n = space_at(text + i);
        if (!n) *size = i + 1;
    }
    return text;
}

const char *text_trim(Arena *arena, const char *text) {
    size_t size;
    text = text_trimmed(text, &size);
    return text[size] ? arena_strndup(arena, text, size) : text;
}

bool text_is_ascii(const char *text) {
    while (*text && !(*text & 0x80)) text++;
    return *text == '\0';
}

bool text_to_int(const char *text, int64_t *out) {
    if (!text || !(isdigit((unsigned char)*text) || *text == '-')) return false;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end) return false;
    *out = value;
    return true;
}

bool text_to_number(const char *text, double *out) {
    if (!text || !*text || isspace((unsigned char)*text) || strpbrk(text, "xX")) return false; /* strtod takes 0x1 */
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) return false;
    *out = value;
    return true;
}

int text_compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

uint64_t text_hash(const char *text, size_t size) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash;
}
