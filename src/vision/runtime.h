/* Runtime: ONNX Runtime through its C API, opened with dlopen, so that a machine without it still serves everything else and a build with
 * CUDA is a matter of another library file. The only file that knows onnxruntime_c_api.h is runtime.c.
 *
 * The library is looked for in $PICTOGRAPH_ONNXRUNTIME (a file), then as ../lib/libonnxruntime.so beside the program, then where
 * tools/setup put it, then where the system's linker finds it.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef struct Runtime Runtime;
typedef struct Model Model;

enum { MODEL_RANK_MAX = 8 };

/* Loads the library and no more: no thread starts, so that the sandbox can be entered afterwards. STATUS_MODEL_UNAVAILABLE. */
Status runtime_open(Runtime **out, Error *err);
/* Models must be closed before. NULL is fine. */
void runtime_close(Runtime *runtime);
const char *runtime_version(const Runtime *runtime);

/* A model with one input and one output that are float tensors. threads: how many compute one call.
 * STATUS_MODEL_UNAVAILABLE: not there, no ONNX, or of another kind; the text does not show the path. */
Status model_open(Runtime *runtime, const char *path, int threads, Model **out, Error *err);
void model_close(Model *model);
/* Value of a metadata key, in the arena; NULL when the model has none. */
const char *model_metadata(const Model *model, Arena *arena, const char *key);
/* Shape of the input or output, -1 for free axes. Returns the rank (at most MODEL_RANK_MAX). */
int model_input_shape(const Model *model, int64_t shape[MODEL_RANK_MAX]);
int model_output_shape(const Model *model, int64_t shape[MODEL_RANK_MAX]);

/* What a run returned; floats in row-major order. */
typedef struct ModelOutput {
    const float *data;
    int64_t shape[MODEL_RANK_MAX];
    int rank;
    void *value; /* private: owns data */
} ModelOutput;

/* Runs on count floats of the given shape. Clear the output with model_output_clear. STATUS_MODEL_UNAVAILABLE when the model fails. */
Status model_run(Model *model, float *input, size_t count, const int64_t *shape, int rank, ModelOutput *out, Error *err);
void model_output_clear(Model *model, ModelOutput *output);
