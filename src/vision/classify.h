/* Classify: which words a picture shows, by a model that describes (description.h). Asked for by name, or for any that the model knows.
 *
 * A name means a word of the model as words.h says, an object before a scene. The answer gives the word of each name, null where it means none,
 * and the words of at least the wanted sureness, surest first, at most top_k.
 */
#pragma once
#include "base/json.h"
#include "vision/description.h"

enum { CLASSIFY_WORDS_MAX = 200, CLASSIFY_TOP_MAX = 100 };

typedef struct ClassifyQuestion {
    const char *names[CLASSIFY_WORDS_MAX]; /* borrowed from the parameters */
    size_t count;                          /* 0: any word */
    double threshold;
    size_t top_k;
} ClassifyQuestion;

/* Of the method "classify" of vision.h. STATUS_VALIDATION_ERROR names what is wrong. */
Status classify_read(ClassifyQuestion *out, yyjson_val *params, Error *err);
/* The members words and found. */
void classify_write(JsonWriter *w, const Description *description, const ClassifyQuestion *question, Arena *arena);
