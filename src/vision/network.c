#include "vision/network.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vision/runtime_private.h"
#include "base/banned.h"

struct NetworkSession {
    Runtime *runtime;
    OrtSession *session;
    OrtMemoryInfo *memory;
    Arena arena; /* names */
};

/* ---- kinds of numbers ---- */

static void float_to_int64(const float *from, void *to, size_t count) {
    for (size_t i = 0; i < count; i++) ((int64_t *)to)[i] = (int64_t)from[i];
}

static void float_to_int32(const float *from, void *to, size_t count) {
    for (size_t i = 0; i < count; i++) ((int32_t *)to)[i] = (int32_t)from[i];
}

static void float_to_bool(const float *from, void *to, size_t count) {
    for (size_t i = 0; i < count; i++) ((uint8_t *)to)[i] = from[i] != 0;
}

static void int64_to_float(const void *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (float)((const int64_t *)from)[i];
}

static void int32_to_float(const void *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (float)((const int32_t *)from)[i];
}

static void bool_to_float(const void *from, float *to, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (float)((const uint8_t *)from)[i];
}

static void copy_floats(const void *from, float *to, size_t count) { memcpy(to, from, count * sizeof *to); }

static const struct Element {
    int type; /* ONNXTensorElementDataType */
    size_t size;
    void (*fill)(const float *from, void *to, size_t count); /* NULL: the floats are used as they are */
    void (*read)(const void *from, float *to, size_t count);
} ELEMENTS[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizeof(float), NULL, copy_floats},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, sizeof(int64_t), float_to_int64, int64_to_float},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, sizeof(int32_t), float_to_int32, int32_to_float},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1, float_to_bool, bool_to_float},
};

static const struct Element *element_of(int type) {
    for (size_t i = 0; i < sizeof ELEMENTS / sizeof *ELEMENTS; i++)
        if (ELEMENTS[i].type == type) return &ELEMENTS[i];
    return NULL;
}

size_t tensor_count(const Tensor *tensor) {
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= (size_t)tensor->shape[i];
    return count;
}

/* ---- opening ---- */

static Status read_spec(const Runtime *r, OrtTypeInfo *type, TensorSpec *spec, Error *err) {
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    Status status = runtime_check(r, r->api->CastTypeInfoToTensorInfo(type, &tensor), NULL, err);
    if (status == STATUS_OK && !tensor) return error_set(err, STATUS_MODEL_UNAVAILABLE, "'%s' is no tensor", spec->name);
    if (status == STATUS_OK) status = runtime_check(r, r->api->GetTensorElementType(tensor, &element), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, r->api->GetDimensionsCount(tensor, &rank), NULL, err);
    if (status != STATUS_OK) return status;
    if (!element_of((int)element))
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "'%s' must be of 32-bit floats, 32- or 64-bit integers or booleans", spec->name);
    if (rank > MODEL_RANK_MAX) return error_set(err, STATUS_MODEL_UNAVAILABLE, "'%s' has %zu axes", spec->name, rank);
    spec->element = (int)element;
    spec->rank = (int)rank;
    return runtime_check(r, r->api->GetDimensions(tensor, spec->shape, rank), NULL, err);
}

/* How the library is asked about inputs, and about outputs. */
typedef struct Ends {
    const char *what;
    OrtStatus *(*count)(const OrtSession *, size_t *);
    OrtStatus *(*type)(const OrtSession *, size_t, OrtTypeInfo **);
    OrtStatus *(*name)(const OrtSession *, size_t, OrtAllocator *, char **);
} Ends;

static Status read_end(struct NetworkSession *s, const Ends *ends, size_t index, TensorSpec *spec, Error *err) {
    const OrtApi *api = s->runtime->api;
    OrtAllocator *allocator = NULL;
    OrtTypeInfo *type = NULL;
    char *name = NULL;
    Status status = runtime_check(s->runtime, api->GetAllocatorWithDefaultOptions(&allocator), NULL, err);
    if (status == STATUS_OK) status = runtime_check(s->runtime, ends->name(s->session, index, allocator, &name), NULL, err);
    if (status == STATUS_OK) status = runtime_check(s->runtime, ends->type(s->session, index, &type), NULL, err);
    if (status == STATUS_OK) {
        spec->name = arena_strdup(&s->arena, name);
        status = read_spec(s->runtime, type, spec, err);
    }
    if (type) api->ReleaseTypeInfo(type);
    if (name) allocator->Free(allocator, name);
    return status;
}

static Status read_ends(struct NetworkSession *s, const Ends *ends, TensorSpec *specs, int *count, Error *err) {
    size_t found = 0;
    Status status = runtime_check(s->runtime, ends->count(s->session, &found), NULL, err);
    if (status == STATUS_OK && found > NETWORK_ENDS_MAX)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "it has %zu %s; at most %d are known", found, ends->what, NETWORK_ENDS_MAX);
    for (size_t i = 0; status == STATUS_OK && i < found; i++) status = read_end(s, ends, i, &specs[i], err);
    *count = (int)found;
    return status;
}

Status network_open(Runtime *runtime, const char *path, int64_t maximum_bytes, int threads, Network **out, Error *err) {
    const OrtApi *api = runtime->api;
    const Ends inputs = {"inputs", api->SessionGetInputCount, api->SessionGetInputTypeInfo, api->SessionGetInputName};
    const Ends outputs = {"outputs", api->SessionGetOutputCount, api->SessionGetOutputTypeInfo, api->SessionGetOutputName};
    int64_t bytes = file_size(path);
    if (bytes < 0) return error_set(err, STATUS_MODEL_UNAVAILABLE, "the file is missing");
    if (bytes > maximum_bytes)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "the file has %lld bytes; at most %lld are loaded", (long long)bytes, (long long)maximum_bytes);
    Network *n = xcalloc(1, sizeof *n);
    n->session = xcalloc(1, sizeof *n->session);
    n->session->runtime = runtime;
    arena_init(&n->session->arena, 1 << 20);
    Status status = runtime_session(runtime, path, threads, &n->session->session, &n->session->memory, err);
    if (status == STATUS_OK) status = read_ends(n->session, &inputs, n->inputs, &n->input_count, err);
    if (status == STATUS_OK) status = read_ends(n->session, &outputs, n->outputs, &n->output_count, err);
    if (status != STATUS_OK) network_close(n);
    else *out = n;
    return status;
}

void network_close(Network *network) {
    if (!network) return;
    struct NetworkSession *s = network->session;
    if (s->session) s->runtime->api->ReleaseSession(s->session);
    if (s->memory) s->runtime->api->ReleaseMemoryInfo(s->memory);
    arena_clear(&s->arena);
    free(s);
    free(network);
}

int network_find(const TensorSpec *specs, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(specs[i].name, name) == 0) return i;
    return -1;
}

const char *network_metadata(const Network *network, Arena *arena, const char *key) {
    return runtime_metadata(network->session->runtime, network->session->session, arena, key);
}

bool network_axis_fits(int64_t axis, int64_t size) { return axis < 0 || axis == size; }

/* ---- running ---- */

/* A value over the tensor's own numbers, or over converted ones in *scratch (malloc). */
static Status wrap(struct NetworkSession *s, const TensorSpec *spec, const Tensor *tensor, void **scratch, OrtValue **out, Error *err) {
    const struct Element *element = element_of(spec->element);
    size_t count = tensor_count(tensor);
    void *data = tensor->data;
    if (element->fill) {
        data = *scratch = xmalloc(count * element->size + 1);
        element->fill(tensor->data, data, count);
    }
    return runtime_check(s->runtime,
                         s->runtime->api->CreateTensorWithDataAsOrtValue(s->memory, data, count * element->size, tensor->shape, (size_t)tensor->rank,
                                                                         (ONNXTensorElementDataType)spec->element, out), NULL, err);
}

static Status read_value(struct NetworkSession *s, const TensorSpec *spec, OrtValue *value, Tensor *out, Error *err) {
    const OrtApi *api = s->runtime->api;
    OrtTensorTypeAndShapeInfo *info = NULL;
    void *data = NULL;
    size_t rank = 0;
    Status status = runtime_check(s->runtime, api->GetTensorMutableData(value, &data), NULL, err);
    if (status == STATUS_OK) status = runtime_check(s->runtime, api->GetTensorTypeAndShape(value, &info), NULL, err);
    if (status == STATUS_OK) status = runtime_check(s->runtime, api->GetDimensionsCount(info, &rank), NULL, err);
    if (status == STATUS_OK && rank > MODEL_RANK_MAX) status = error_set(err, STATUS_MODEL_UNAVAILABLE, "'%s' has %zu axes", spec->name, rank);
    if (status == STATUS_OK) status = runtime_check(s->runtime, api->GetDimensions(info, out->shape, rank), NULL, err);
    if (info) api->ReleaseTensorTypeAndShapeInfo(info);
    if (status != STATUS_OK) return status;
    out->rank = (int)rank;
    out->data = xmalloc(tensor_count(out) * sizeof *out->data + 1);
    element_of(spec->element)->read(data, out->data, tensor_count(out));
    return STATUS_OK;
}

Status network_run(Network *network, const Tensor *inputs, Tensor *outputs, Error *err) {
    struct NetworkSession *s = network->session;
    const OrtApi *api = s->runtime->api;
    OrtValue *in[NETWORK_ENDS_MAX] = {0}, *result[NETWORK_ENDS_MAX] = {0};
    void *scratch[NETWORK_ENDS_MAX] = {0};
    const char *in_names[NETWORK_ENDS_MAX], *out_names[NETWORK_ENDS_MAX];
    Status status = STATUS_OK;
    memset(outputs, 0, (size_t)network->output_count * sizeof *outputs);
    for (int i = 0; i < network->input_count; i++) {
        in_names[i] = network->inputs[i].name;
        if (status == STATUS_OK) status = wrap(s, &network->inputs[i], &inputs[i], &scratch[i], &in[i], err);
    }
    for (int i = 0; i < network->output_count; i++) out_names[i] = network->outputs[i].name;
    if (status == STATUS_OK)
        status = runtime_check(s->runtime, api->Run(s->session, NULL, in_names, (const OrtValue *const *)in, (size_t)network->input_count, out_names,
                                                    (size_t)network->output_count, result), NULL, err);
    for (int i = 0; status == STATUS_OK && i < network->output_count; i++) status = read_value(s, &network->outputs[i], result[i], &outputs[i], err);
    if (status != STATUS_OK) tensors_clear(outputs, network->output_count);
    for (int i = 0; i < network->input_count; i++) {
        if (in[i]) api->ReleaseValue(in[i]);
        free(scratch[i]);
    }
    for (int i = 0; i < network->output_count; i++)
        if (result[i]) api->ReleaseValue(result[i]);
    return status;
}

void tensors_clear(Tensor *tensors, int count) {
    for (int i = 0; i < count; i++) free(tensors[i].data);
    memset(tensors, 0, (size_t)count * sizeof *tensors);
}
