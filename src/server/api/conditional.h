/* Conditional: what Range and If-None-Match ask for. Pure functions over text. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef enum RangeKind {
    RANGE_WHOLE,   /* no range, or one that may be ignored: answer 200 with everything */
    RANGE_PART,    /* answer 206 with length bytes from first */
    RANGE_OUTSIDE, /* answer 416 */
} RangeKind;

typedef struct ByteRange {
    RangeKind kind;
    int64_t first;
    int64_t length;
} ByteRange;

/* A Range field's meaning for a body of size bytes. text may be NULL. Of several ranges none is taken: the whole is a valid answer. */
ByteRange conditional_range(const char *text, int64_t size);
/* Does an If-None-Match list hold this (quoted) entity tag, or is it "*"? Weak comparison. Either may be NULL. */
bool conditional_matches(const char *list, const char *etag);
