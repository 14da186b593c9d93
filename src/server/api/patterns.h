/* Patterns: the regular expressions of the contract's inputs, each matched by hand. Text is well-formed UTF-8. White space is
 * that of base/text.h.
 *
 * tools/apigen.py reads patterns.c to find the row for a pattern's text and stops at a pattern that has none.
 */
#pragma once
#include <stdbool.h>

typedef struct Pattern {
    const char *text; /* as the contract writes it */
    bool (*matches)(const char *text);
    bool folder;      /* a trailing slash is dropped once it matched (the root "/" stays) */
    const char *rule; /* for people: what a text that matches "should …" */
} Pattern;

extern const Pattern PATTERN_NON_BLANK;
extern const Pattern PATTERN_UNPADDED;
extern const Pattern PATTERN_PROJECT_NAME;
extern const Pattern PATTERN_EXPORT_NAME;
extern const Pattern PATTERN_VIRTUAL_PATH; /* and, as its description says, no segment "." or ".." */
extern const Pattern PATTERN_FILE_NAME;
extern const Pattern PATTERN_FOLDER_NAME;
extern const Pattern PATTERN_TOKEN_43;
extern const Pattern PATTERN_OBJECT_TOKEN;
extern const Pattern PATTERN_IDEMPOTENCY_KEY;
extern const Pattern PATTERN_EMAIL; /* format: email */
extern const Pattern PATTERN_COLOR; /* format: color */
