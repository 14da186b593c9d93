/* Network: an ONNX model with named inputs and outputs, for the models that operators bring (runtime.h has the plain kind). What a file
 * declares is known before the first run, so that a role can refuse it by name.
 *
 * On this side every tensor is of floats; integers and booleans of the file are converted on the way in and out. 16-bit floats are refused.
 */
#pragma once
#include "vision/runtime.h"

enum { NETWORK_ENDS_MAX = 24 };

typedef struct TensorSpec {
    const char *name;
    int rank;
    int64_t shape[MODEL_RANK_MAX]; /* -1 for free axes */
    int element;                   /* private */
} TensorSpec;

typedef struct Tensor {
    float *data; /* row-major; whose it is depends on the function */
    int rank;
    int64_t shape[MODEL_RANK_MAX];
} Tensor;

typedef struct Network {
    TensorSpec inputs[NETWORK_ENDS_MAX], outputs[NETWORK_ENDS_MAX];
    int input_count, output_count;
    struct NetworkSession *session; /* private */
} Network;

/* STATUS_MODEL_UNAVAILABLE: not there, larger than `maximum_bytes`, no ONNX, or with tensors of kinds that are not known here. */
Status network_open(Runtime *runtime, const char *path, int64_t maximum_bytes, int threads, Network **out, Error *err);
void network_close(Network *network);
/* Index of an input or output, -1. */
int network_find(const TensorSpec *specs, int count, const char *name);
/* Value of a metadata key, in the arena; NULL when the file has none. */
const char *network_metadata(const Network *network, Arena *arena, const char *key);
/* An axis of a shape that a file declares admits a size: it is free, or it is that size. */
bool network_axis_fits(int64_t axis, int64_t size);
/* Numbers in a tensor of this shape. */
size_t tensor_count(const Tensor *tensor);

/* Runs on a tensor for every input, in the order of `inputs`, and fills one for every output; their data are malloc'd, the caller's. */
Status network_run(Network *network, const Tensor *inputs, Tensor *outputs, Error *err);
void tensors_clear(Tensor *tensors, int count);
