/* Small questions about text. All text is UTF-8, NUL-terminated unless a length is passed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

bool text_equal(const char *a, const char *b); /* NULL equals only NULL */
bool text_starts_with(const char *text, const char *prefix);
bool text_ends_with(const char *text, const char *suffix);
bool text_equal_ignoring_case(const char *a, const char *b); /* ASCII letters only */
/* True when the bytes are well-formed UTF-8: no surrogates, no overlong forms. */
bool text_is_utf8(const char *text, size_t size);
/* UTF-8 of a code point up to U+10FFFF: 1 to 4 bytes, no NUL after them. */
int text_put_letter(uint32_t code, char out[4]);
/* Makes a '?' of each byte that belongs to no well-formed sequence, as where "%.100s" cut one. Returns text. */
char *text_mend_utf8(char *text);
/* Code points in well-formed UTF-8; the unit of the contract's minLength and maxLength. */
size_t text_length(const char *text);
/* Nothing but white space, or empty. White space is what either ECMA-262 or Unicode counts as such: readers of the contract's
 * patterns go by the one or the other. */
bool text_is_blank(const char *text);
/* Where the text begins behind leading white space; *size is its bytes without trailing white space. */
const char *text_trimmed(const char *text, size_t *size);
/* The text without white space at its ends: a copy in the arena where something trails it, else a part of the text itself. */
const char *text_trim(Arena *arena, const char *text);
bool text_is_ascii(const char *text);
/* Whole-string number parsers: false on rubbish, trailing bytes or overflow. */
bool text_to_int(const char *text, int64_t *out);
bool text_to_number(const char *text, double *out);
/* FNV-1a */
uint64_t text_hash(const char *text, size_t size);
/* Names in the order that people expect: by Unicode code point, as strcmp; for qsort over const char *. */
int text_compare(const void *a, const void *b);
