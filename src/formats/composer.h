/* Composer: the composed form (NFC) of UTF-8 names. A Mac writes "ü" as "u" and a mark, most others as one character; who compares names
 * from both compares their composed forms. libarchive has the tables. Not for use by two threads at once. */
#pragma once

typedef struct Composer Composer;
Composer *composer_new(void);
/* Valid until the next call. A name that has none (it is not UTF-8), and every name without a composer, is returned as it is. */
const char *composer_form(Composer *composer, const char *name);
void composer_free(Composer *composer); /* NULL is fine */
