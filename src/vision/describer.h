/* Describer: what a picture looks like, as an embedding for comparing, and what it shows, as words of the vocabulary.
 *
 * The model is an ONNX file as tools/models/efficientnet_lite0.py writes it; its metadata are checked, nothing is guessed. The whole picture is
 * squeezed into the model's square: what stands at its edges counts too.
 */
#pragma once
#include "base/arena.h"
#include "vision/attributes.h"
#include "vision/picture.h"
#include "vision/runtime.h"

enum { DESCRIBER_PICTURE_SIDE = 512, OBJECTS_MAX = 8, SCENES_MAX = 6 };

typedef struct Describer Describer;

typedef struct Description {
    const float *embedding; /* of length 1; in the arena */
    int dimensions;
    /* words, surest first; literals */
    const char *objects[OBJECTS_MAX], *scenes[SCENES_MAX], *attributes[ATTRIBUTES_MAX];
    size_t object_count, scene_count, attribute_count;
} Description;

/* STATUS_MODEL_UNAVAILABLE says what is missing or unknown. */
Status describer_open(Runtime *runtime, const char *path, Describer **out, Error *err);
void describer_close(Describer *describer);
/* True when it was opened from that path. */
bool describer_is(const Describer *describer, const char *path);

/* The picture is best loaded to fit DESCRIBER_PICTURE_SIDE. */
Status describer_run(Describer *describer, Arena *arena, const Picture *picture, Description *out, Error *err);
