/* Describer: the built-in description of a picture, in words of the vocabulary.
 *
 * The model is an ONNX file as tools/models/efficientnet_lite0.py writes it; its metadata are checked, nothing is guessed. The whole picture is
 * squeezed into the model's square: what stands at its edges counts too.
 */
#pragma once
#include "vision/description.h"
#include "vision/picture.h"
#include "vision/runtime.h"

typedef struct Describer Describer;

/* STATUS_MODEL_UNAVAILABLE says what is missing or unknown. */
Status describer_open(Runtime *runtime, const char *path, Describer **out, Error *err);
void describer_close(Describer *describer);
/* True when it was opened from that path. */
bool describer_is(const Describer *describer, const char *path);

/* The model's own name, which its vectors bear. */
const char *describer_name(const Describer *describer);

/* The picture is best loaded to fit DESCRIPTION_PICTURE_SIDE. */
Status describer_run(Describer *describer, Arena *arena, const Picture *picture, Description *out, Error *err);
