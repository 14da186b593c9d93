/* Range and If-None-Match, RFC 9110 sections 13 and 14. */
#include "server/api/conditional.h"

#include <string.h>
#include <strings.h>

#include "base/banned.h"

static const char *skip_blanks(const char *p) { return p + strspn(p, " \t"); }

/* Reads digits at *p; false when there are none or the number does not fit. */
static bool read_digits(const char **p, int64_t *out) {
    const char *start = *p;
    int64_t value = 0;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        if (value > (INT64_MAX - 9) / 10) return false;
        value = value * 10 + (**p - '0');
    }
    *out = value;
    return *p > start;
}

ByteRange conditional_range(const char *text, int64_t size) {
    const ByteRange whole = {RANGE_WHOLE, 0, size}, outside = {RANGE_OUTSIDE, 0, 0};
    if (!text || strncasecmp(text, "bytes=", 6) != 0) return whole;
    const char *p = skip_blanks(text + 6);
    int64_t first = -1, last = -1;
    if (*p != '-' && !read_digits(&p, &first)) return whole;
    if (*p++ != '-') return whole;
    bool bounded = *p >= '0' && *p <= '9';
    if (bounded && !read_digits(&p, &last)) return whole;
    if (*skip_blanks(p) != '\0') return whole; /* another range, or rubbish */

    if (first < 0) { /* the last so many bytes */
        if (!bounded) return whole;
        if (last == 0 || size == 0) return outside;
        int64_t length = last < size ? last : size;
        return (ByteRange){RANGE_PART, size - length, length};
    }
    if (bounded && last < first) return whole;
    if (first >= size) return outside;
    if (!bounded || last >= size) last = size - 1;
    return (ByteRange){RANGE_PART, first, last - first + 1};
}

bool conditional_matches(const char *list, const char *etag) {
    if (!list || !etag) return false;
    size_t length = strlen(etag);
    for (const char *p = skip_blanks(list); *p; p = skip_blanks(p)) {
        if (*p == '*') return true;
        if (strncmp(p, "W/", 2) == 0) p += 2;
        if (strncmp(p, etag, length) == 0 && (p[length] == '\0' || strchr(", \t", p[length]))) return true;
        p += strcspn(p, ",");
        if (*p == ',') p++;
    }
    return false;
}
