/* Words: which class of a detector a user means. "People" means person, "the wine glasses" wine glass, "automobile" car.
 *
 * A class is meant by its own name, by a plain synonym of the table here (for the everyday things that COCO names), or by the plural of either;
 * case, articles and the kind of gap between words do not matter. Nothing else is guessed: an unknown word means no class.
 */
#pragma once

enum { WORDS_MAX = 200 }; /* bytes of a phrase; longer ones mean nothing */

/* Index of the class, -1 when the phrase means none of them. */
int words_find(const char *const *class_names, int count, const char *phrase);
