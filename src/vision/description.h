/* Description: what a picture looks like, as an embedding for comparing, and what it shows, as words. What every model that describes (describer.h,
 * siglip.h) hands on, and the two steps that they share.
 */
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "vision/attributes.h"

enum { DESCRIPTION_PICTURE_SIDE = 512, OBJECTS_MAX = 8, SCENES_MAX = 6, EMBEDDING_MAX = 8192 };

typedef struct Description {
    const float *embedding; /* of length 1; in the arena */
    int dimensions;
    /* words, surest first; literals, or the model's */
    const char *objects[OBJECTS_MAX], *scenes[SCENES_MAX], *attributes[ATTRIBUTES_MAX];
    size_t object_count, scene_count, attribute_count;
} Description;

/* A copy of length 1. STATUS_UNDECODABLE_MEDIA for a picture that has none, which is no picture. */
Status description_embed(const float *features, int count, Arena *arena, Description *out, Error *err);

/* A word and how sure a model is of it, 0 to 1. */
typedef struct SureWord {
    const char *word;
    double sureness;
} SureWord;

/* The words of at least that sureness, surest first, equal ones in their order; at most `most` (up to OBJECTS_MAX). Returns how many. */
size_t description_pick(const SureWord *words, size_t count, double least, const char **out, size_t most);
