/* Description: what a picture looks like, as an embedding for comparing, and what it shows, as words. What every model that describes (describer.h,
 * siglip.h) hands on, and the steps that they share.
 */
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "vision/attributes.h"

enum { DESCRIPTION_PICTURE_SIDE = 512, EMBEDDING_MAX = 8192 };

/* A word, literal or the model's, and how sure a model is of it, 0 to 1. */
typedef struct SureWord {
    const char *word;
    double sureness;
} SureWord;

/* All words of a kind that a model knows; in the arena. */
typedef struct SureWords {
    SureWord *items;
    size_t count;
} SureWords;

typedef struct Description {
    const float *embedding; /* of length 1; in the arena */
    int dimensions;
    SureWords objects, scenes;
    double least; /* from which sureness on the model itself would say a word */
    const char *attributes[ATTRIBUTES_MAX];
    size_t attribute_count;
} Description;

/* A copy of length 1. STATUS_UNDECODABLE_MEDIA for a picture that has none, which is no picture. */
Status description_embed(const float *features, int count, Arena *arena, Description *out, Error *err);

/* The words of at least that sureness, surest first, equal ones in their order; at most `most`. Returns how many. */
size_t description_pick(const SureWord *words, size_t count, double least, SureWord *out, size_t most);
