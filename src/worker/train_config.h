/* The `config` of a training run: the one list of what it may say, by which the server refuses a request and pictograph-train reads RUN.json.
 *
 * epochs, batch_size, learning_rate, image_size (one number, rounded up to a multiple of 32), start_size (likewise; the input size of the first epochs,
 * which grows to image_size; equal to it for none of that), model_size ("nano" … "x"), precision ("float32", "bfloat16"), validation_fraction,
 * mosaic, mixup, horizontal_flip, vertical_flip (probabilities). The server takes seed, max_seconds and weights from it, too. Null is as good as
 * absent; unknown members are ignored, and the server says which.
 */
#pragma once
#include "base/field_errors.h"

enum { TRAIN_MAX_SECONDS = 7200 }; /* limits.yaml training.max_seconds */

typedef enum YoloxSize { YOLOX_NANO, YOLOX_TINY, YOLOX_S, YOLOX_M, YOLOX_L, YOLOX_X, YOLOX_SIZE_COUNT } YoloxSize;

/* "nano", "tiny", "s", "m", "l", "x". */
const char *yolox_size_name(YoloxSize size);
/* Takes those names, with or without "yolox-" or "yolox_" before; false when it is none of them. */
bool yolox_size_from_name(const char *name, YoloxSize *out);

/* Tells of each member with a value that no run takes, once. */
void train_config_check(yyjson_val *config, const FieldPath *path, FieldErrors *errors);
bool train_config_knows(const char *name);
