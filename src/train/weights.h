/* Weights of a network by their official names: from a tensor file, and into the entries of one. */
#pragma once
#include "train/tensor_file.h"
#include "train/yolox.h"

/* Copies into weights (net->size floats) what the file has under official names with `prefix` before them. Class predictions of another
 * number of classes are left as they are and counted in *skipped; any other missing or misshapen tensor is STATUS_VALIDATION_ERROR. */
Status weights_read(const Yolox *net, float *weights, const TensorFile *file, const char *prefix, int *skipped, Error *err);
/* Fills entries for the tensors that lie before `limit` in the flat array; names live in the arena. Returns how many. */
size_t weights_entries(const Yolox *net, const float *weights, size_t limit, const char *prefix, TensorEntry *entries, Arena *arena);
