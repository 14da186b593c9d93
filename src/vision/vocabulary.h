/* Vocabulary: the words that describe pictures. They are few and fixed, so that a user can learn them and an index can hold them.
 *
 * Objects and scenes are groups of the 1,000 ImageNet classes of the describing model, in plain words: a word's probability is the sum over
 * its classes. A class may stand behind several words ("tabby" is a cat and an animal) and some stand behind none. Attributes are measured
 * on the pixels (attributes.h). docs/search.md lists all of them; a test compares.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { VOCABULARY_CLASSES = 1000 };

typedef struct VocabularyWord {
    const char *word;
    const char *classes; /* numbers and ranges of ImageNet classes, "281-285,383"; NULL for attributes */
} VocabularyWord;

/* Each ended by a row of NULL. */
extern const VocabularyWord VOCABULARY_OBJECTS[];
extern const VocabularyWord VOCABULARY_SCENES[];
extern const VocabularyWord VOCABULARY_ATTRIBUTES[];

/* Sum of the probabilities of a word's classes. */
double vocabulary_probability(const VocabularyWord *word, const float probabilities[VOCABULARY_CLASSES]);
/* True when the class stands behind the word. */
bool vocabulary_has_class(const VocabularyWord *word, int class_index);
