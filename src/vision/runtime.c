#include "vision/runtime.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vision/runtime_private.h"
#include "base/banned.h"

/* Older libraries serve older tables, which are beginnings of the newest: everything used here stands since the oldest. */
enum { OLDEST_API = 11 };

struct Model {
    Runtime *runtime;
    OrtSession *session;
    OrtMemoryInfo *memory;
    char *input_name, *output_name; /* malloc */
    int64_t input_shape[MODEL_RANK_MAX], output_shape[MODEL_RANK_MAX];
    int input_rank, output_rank;
};

/* ---- the library ---- */

/* ../lib/libonnxruntime.so beside the running program. */
static bool path_beside_program(char *out, size_t size) {
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    *slash = '\0';
    return (size_t)snprintf(slash, size - (size_t)(slash - out), "/../lib/libonnxruntime.so") < size - (size_t)(slash - out);
}

static void *open_library(void) {
    char beside[PATH_MAX];
    const char *named = getenv("PICTOGRAPH_ONNXRUNTIME");
    if (named && *named) return dlopen(named, RTLD_NOW | RTLD_LOCAL); /* a wrong setting must not be papered over */
    const char *const places[] = {path_beside_program(beside, sizeof beside) ? beside : NULL, PICTOGRAPH_ONNXRUNTIME_DEFAULT,
                                  "libonnxruntime.so", "libonnxruntime.so.1"};
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof places / sizeof *places; i++)
        if (places[i] && (places[i][0] != '/' || file_exists(places[i]))) library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

Status runtime_open(Runtime **out, Error *err) {
    Runtime *r = xcalloc(1, sizeof *r);
    Status status = STATUS_OK;
    const OrtApiBase *(*get_base)(void) = NULL;
    r->library = open_library();
    if (!r->library) {
        status = error_set(err, STATUS_MODEL_UNAVAILABLE, "ONNX Runtime is not installed (%s)", dlerror());
        goto out;
    }
    *(void **)&get_base = dlsym(r->library, "OrtGetApiBase");
    r->base = get_base ? get_base() : NULL;
    for (unsigned version = ORT_API_VERSION; r->base && !r->api && version >= OLDEST_API; version--) r->api = r->base->GetApi(version);
    if (!r->api) status = error_set(err, STATUS_MODEL_UNAVAILABLE, "The library found is no ONNX Runtime of a known version");
out:
    if (status != STATUS_OK) runtime_close(r);
    else *out = r;
    return status;
}

void runtime_close(Runtime *runtime) {
    if (!runtime) return;
    if (runtime->env) runtime->api->ReleaseEnv(runtime->env);
    /* The library stays mapped: its threads and exit handlers outlive any point at which it could be unloaded. */
    free(runtime);
}

const char *runtime_version(const Runtime *runtime) { return runtime->base->GetVersionString(); }

Status runtime_check(const Runtime *r, OrtStatus *status, const char *path, Error *err) {
    if (!status) return STATUS_OK;
    const char *text = r->api->GetErrorMessage(status), *cut = path ? strstr(text, path) : NULL;
    if (cut) error_set(err, STATUS_MODEL_UNAVAILABLE, "The model does not run: %.*s%s", (int)(cut - text), text, cut + strlen(path));
    else error_set(err, STATUS_MODEL_UNAVAILABLE, "The model does not run: %s", text);
    r->api->ReleaseStatus(status);
    return STATUS_MODEL_UNAVAILABLE;
}

/* ---- loading ---- */

Status runtime_session(Runtime *r, const char *path, int threads, OrtSession **out, OrtMemoryInfo **memory, Error *err) {
    const OrtApi *api = r->api;
    OrtSessionOptions *options = NULL;
    Status status = r->env ? STATUS_OK : runtime_check(r, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "pictograph", &r->env), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, api->CreateSessionOptions(&options), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, api->SetIntraOpNumThreads(options, threads), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, api->SetInterOpNumThreads(options, 1), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL), NULL, err);
    /* between two images the cores belong to others */
    if (status == STATUS_OK) status = runtime_check(r, api->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, api->CreateSession(r->env, path, options, out), path, err);
    if (status == STATUS_OK) status = runtime_check(r, api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory), NULL, err);
    if (options) api->ReleaseSessionOptions(options);
    return status;
}

static Status read_shape(const Runtime *r, OrtTypeInfo *type, int64_t shape[MODEL_RANK_MAX], int *rank, Error *err) {
    const OrtTensorTypeAndShapeInfo *tensor = NULL;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t count = 0;
    Status status = runtime_check(r, r->api->CastTypeInfoToTensorInfo(type, &tensor), NULL, err);
    if (status == STATUS_OK && !tensor) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's input or output is no tensor");
    if (status == STATUS_OK) status = runtime_check(r, r->api->GetTensorElementType(tensor, &element), NULL, err);
    if (status == STATUS_OK) status = runtime_check(r, r->api->GetDimensionsCount(tensor, &count), NULL, err);
    if (status != STATUS_OK) return status;
    if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || count > MODEL_RANK_MAX)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's input and output must be tensors of 32-bit floats");
    *rank = (int)count;
    return runtime_check(r, r->api->GetDimensions(tensor, shape, count), NULL, err);
}

typedef OrtStatus *(*TypeGetter)(const OrtSession *, size_t, OrtTypeInfo **);
typedef OrtStatus *(*NameGetter)(const OrtSession *, size_t, OrtAllocator *, char **);

static Status read_end(const Model *m, TypeGetter get_type, NameGetter get_name, char **name, int64_t *shape, int *rank, Error *err) {
    const OrtApi *api = m->runtime->api;
    OrtAllocator *allocator = NULL;
    OrtTypeInfo *type = NULL;
    char *text = NULL;
    Status status = runtime_check(m->runtime, api->GetAllocatorWithDefaultOptions(&allocator), NULL, err);
    if (status == STATUS_OK) status = runtime_check(m->runtime, get_name(m->session, 0, allocator, &text), NULL, err);
    if (status == STATUS_OK) status = runtime_check(m->runtime, get_type(m->session, 0, &type), NULL, err);
    if (status == STATUS_OK) status = read_shape(m->runtime, type, shape, rank, err);
    if (status == STATUS_OK) *name = xstrdup(text);
    if (type) api->ReleaseTypeInfo(type);
    if (text) allocator->Free(allocator, text);
    return status;
}

static Status read_ends(Model *m, Error *err) {
    const OrtApi *api = m->runtime->api;
    size_t inputs = 0, outputs = 0;
    Status status = runtime_check(m->runtime, api->SessionGetInputCount(m->session, &inputs), NULL, err);
    if (status == STATUS_OK) status = runtime_check(m->runtime, api->SessionGetOutputCount(m->session, &outputs), NULL, err);
    if (status == STATUS_OK && (inputs != 1 || outputs != 1))
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model has %zu inputs and %zu outputs instead of one of each", inputs, outputs);
    if (status == STATUS_OK)
        status = read_end(m, api->SessionGetInputTypeInfo, api->SessionGetInputName, &m->input_name, m->input_shape, &m->input_rank, err);
    if (status == STATUS_OK)
        status = read_end(m, api->SessionGetOutputTypeInfo, api->SessionGetOutputName, &m->output_name, m->output_shape, &m->output_rank, err);
    return status;
}

Status model_open(Runtime *runtime, const char *path, int threads, Model **out, Error *err) {
    Model *m = xcalloc(1, sizeof *m);
    m->runtime = runtime;
    Status status = runtime_session(runtime, path, threads, &m->session, &m->memory, err);
    if (status == STATUS_OK) status = read_ends(m, err);
    if (status != STATUS_OK) model_close(m);
    else *out = m;
    return status;
}

void model_close(Model *model) {
    if (!model) return;
    if (model->session) model->runtime->api->ReleaseSession(model->session);
    if (model->memory) model->runtime->api->ReleaseMemoryInfo(model->memory);
    free(model->input_name);
    free(model->output_name);
    free(model);
}

const char *runtime_metadata(const Runtime *runtime, const OrtSession *session, Arena *arena, const char *key) {
    const OrtApi *api = runtime->api;
    OrtModelMetadata *metadata = NULL;
    OrtAllocator *allocator = NULL;
    char *value = NULL, *copy = NULL;
    Status status = runtime_check(runtime, api->SessionGetModelMetadata(session, &metadata), NULL, NULL);
    if (status == STATUS_OK) status = runtime_check(runtime, api->GetAllocatorWithDefaultOptions(&allocator), NULL, NULL);
    if (status == STATUS_OK) runtime_check(runtime, api->ModelMetadataLookupCustomMetadataMap(metadata, allocator, key, &value), NULL, NULL);
    if (value) {
        copy = arena_strdup(arena, value);
        allocator->Free(allocator, value);
    }
    if (metadata) api->ReleaseModelMetadata(metadata);
    return copy;
}

const char *model_metadata(const Model *model, Arena *arena, const char *key) { return runtime_metadata(model->runtime, model->session, arena, key); }

int model_input_shape(const Model *model, int64_t shape[MODEL_RANK_MAX]) {
    memcpy(shape, model->input_shape, sizeof model->input_shape);
    return model->input_rank;
}

int model_output_shape(const Model *model, int64_t shape[MODEL_RANK_MAX]) {
    memcpy(shape, model->output_shape, sizeof model->output_shape);
    return model->output_rank;
}

/* ---- running ---- */

static Status read_output(Model *m, OrtValue *value, ModelOutput *out, Error *err) {
    const OrtApi *api = m->runtime->api;
    OrtTensorTypeAndShapeInfo *info = NULL;
    void *data = NULL;
    size_t rank = 0;
    Status status = runtime_check(m->runtime, api->GetTensorMutableData(value, &data), NULL, err);
    if (status == STATUS_OK) status = runtime_check(m->runtime, api->GetTensorTypeAndShape(value, &info), NULL, err);
    if (status == STATUS_OK) status = runtime_check(m->runtime, api->GetDimensionsCount(info, &rank), NULL, err);
    if (status == STATUS_OK && rank > MODEL_RANK_MAX) status = error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's output has %zu axes", rank);
    if (status == STATUS_OK) status = runtime_check(m->runtime, api->GetDimensions(info, out->shape, rank), NULL, err);
    if (info) api->ReleaseTensorTypeAndShapeInfo(info);
    out->data = data;
    out->rank = (int)rank;
    return status;
}

Status model_run(Model *model, float *input, size_t count, const int64_t *shape, int rank, ModelOutput *out, Error *err) {
    const OrtApi *api = model->runtime->api;
    OrtValue *in = NULL, *result = NULL;
    const char *in_name = model->input_name, *out_name = model->output_name;
    *out = (ModelOutput){0};
    Status status = runtime_check(model->runtime, api->CreateTensorWithDataAsOrtValue(model->memory, input, count * sizeof *input, shape, (size_t)rank,
                                                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in), NULL, err);
    if (status == STATUS_OK) {
        const OrtValue *inputs[1] = {in};
        status = runtime_check(model->runtime, api->Run(model->session, NULL, &in_name, inputs, 1, &out_name, 1, &result), NULL, err);
    }
    out->value = result;
    if (status == STATUS_OK) status = read_output(model, result, out, err);
    if (status != STATUS_OK) model_output_clear(model, out);
    if (in) api->ReleaseValue(in);
    return status;
}

void model_output_clear(Model *model, ModelOutput *output) {
    if (output->value) model->runtime->api->ReleaseValue(output->value);
    *output = (ModelOutput){0};
}
