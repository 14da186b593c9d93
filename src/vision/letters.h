/* Letters: what a code point is to CLIP's tokenizer, and its small letter. Exact for ASCII, Latin, Greek and Cyrillic; elsewhere by blocks, so that a word
 * in another script stays one word.
 */
#pragma once
#include <stdint.h>

typedef enum LetterKind { LETTER_OTHER, LETTER_SPACE, LETTER_DIGIT, LETTER_LETTER } LetterKind;

LetterKind letter_kind(uint32_t code);
uint32_t letter_small(uint32_t code);

/* The code point at *p of UTF-8 text, and moves on behind it; a byte that begins none counts as U+FFFD. */
uint32_t letter_next(const char **p);
