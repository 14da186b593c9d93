#include "vision/vision.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "vision/bpe.h"
#include "vision/classify.h"
#include "vision/describer.h"
#include "vision/detector.h"
#include "vision/find.h"
#include "vision/prompt.h"
#include "vision/wire.h"
#include "vision/vocabulary.h"
#include "worker/sandbox.h"
#include "base/banned.h"

#define SCENE_CACHE_BYTES ((size_t)256 << 20)
enum { CPU_SECONDS = 120, MODEL_CPU_SECONDS = 1200, THREADS_MAX = 2, DETECTIONS_MAX = 10000, TOKENS_SHOWN = 1024, OBJECTS_MAX = 8, SCENES_MAX = 6 };

struct Vision {
    Runtime *runtime; /* NULL: see failure */
    int threads;
    Error failure;
    char engine[64];
    DetectorCache *detectors; /* NULL without a runtime */
    SceneCache *scenes;
    FoundCache *found;
    Describer *describer; /* the last one asked for; NULL: none yet */
    OperatorModels *operator_models;
};

Vision *vision_new(void) {
    Vision *v = xcalloc(1, sizeof *v);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    v->scenes = scene_cache_new(SCENE_CACHE_BYTES);
    v->found = found_cache_new();
    v->threads = cores < THREADS_MAX ? 1 : THREADS_MAX;
    if (runtime_open(&v->runtime, &v->failure) == STATUS_OK) {
        v->detectors = detector_cache_new(v->runtime);
        log_format(v->engine, sizeof v->engine, "onnxruntime %s cpu", runtime_version(v->runtime));
    }
    v->operator_models = operator_models_new(v->runtime, v->failure.message, v->threads);
    return v;
}

void vision_free(Vision *vision) {
    if (!vision) return;
    detector_cache_free(vision->detectors);
    describer_close(vision->describer);
    operator_models_free(vision->operator_models);
    runtime_close(vision->runtime);
    scene_cache_free(vision->scenes);
    found_cache_free(vision->found);
    free(vision);
}

/* ---- parameters ---- */

static Status get_detector(Vision *v, yyjson_val *params, Detector **out, Error *err) {
    const char *path = json_get_string(params, "model_path", NULL);
    if (!path) return error_set(err, STATUS_VALIDATION_ERROR, "'model_path' is missing");
    if (!v->runtime) return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s", v->failure.message);
    double threads;
    Status status = wire_number(params, "threads", v->threads, 1, THREADS_MAX, &threads, err);
    if (status != STATUS_OK) return status;
    sandbox_limit_cpu(CPU_SECONDS);
    return detector_cache_get(v->detectors, path, (int)threads, out, err);
}

/* ---- models ---- */

static Status model_info(WorkerCall *call, void *context, Error *err) {
    Detector *d = NULL;
    JsonWriter *w = call->result;
    Status status = get_detector(context, call->params, &d, err);
    if (status != STATUS_OK) return status;
    json_begin_object(w);
    json_key(w, "class_names");
    json_begin_array(w);
    for (int i = 0; i < d->class_count; i++) json_string(w, d->class_names[i]);
    json_end_array(w);
    json_key(w, "image_size");
    json_begin_array(w);
    json_int(w, d->height);
    json_int(w, d->width);
    json_end_array(w);
    json_field_string(w, "architecture", d->architecture);
    json_field_string(w, "layout", d->layout);
    json_end_object(w);
    return STATUS_OK;
}

static Status detect_params(yyjson_val *params, const char **path, DetectOptions *out, Error *err) {
    double maximum;
    *out = DETECT_DEFAULTS;
    Status status = wire_picture(params, path, err);
    if (status == STATUS_OK)
        status = wire_number(params, "confidence_threshold", out->confidence_threshold, 0, 1, &out->confidence_threshold, err);
    if (status == STATUS_OK && yyjson_obj_get(params, "nms_threshold"))
        status = wire_number(params, "nms_threshold", 0, 0, 1, &out->nms_threshold, err);
    if (status == STATUS_OK)
        status = wire_number(params, "max_detections", (double)out->max_detections, 1, DETECTIONS_MAX, &maximum, err);
    if (status == STATUS_OK) out->max_detections = (size_t)maximum;
    return status;
}

static void write_detection(JsonWriter *w, const Detector *d, const Detection *found) {
    json_begin_object(w);
    json_field_int(w, "class", found->class_index);
    json_field_string(w, "name", d->class_names[found->class_index]);
    json_field_number(w, "x", found->box.x);
    json_field_number(w, "y", found->box.y);
    json_field_number(w, "w", found->box.w);
    json_field_number(w, "h", found->box.h);
    json_field_number(w, "confidence", found->confidence);
    json_end_object(w);
}

static Status detect_in(Detector *d, WorkerCall *call, const Vision *v, Arena *arena, Error *err) {
    const char *path;
    DetectOptions options;
    Picture picture;
    Detection *found = NULL;
    size_t count = 0;
    JsonWriter *w = call->result;
    double start = clock_monotonic();
    Status status = detect_params(call->params, &path, &options, err);
    if (status == STATUS_OK) status = picture_load(path, d->width, d->height, &picture, err);
    if (status != STATUS_OK) return status;
    status = detector_run(d, arena, &picture, options, &found, &count, err);
    if (status == STATUS_OK) {
        json_begin_object(w);
        json_key(w, "detections");
        json_begin_array(w);
        for (size_t i = 0; i < count; i++) write_detection(w, d, &found[i]);
        json_end_array(w);
        json_field_int(w, "width", picture.full_width);
        json_field_int(w, "height", picture.full_height);
        json_field_number(w, "seconds", clock_monotonic() - start);
        json_field_string(w, "engine", v->engine);
        json_end_object(w);
    }
    picture_clear(&picture);
    return status;
}

static Status detect(WorkerCall *call, void *context, Error *err) {
    Detector *d = NULL;
    Arena arena;
    Status status = get_detector(context, call->params, &d, err);
    if (status != STATUS_OK) return status;
    arena_init(&arena, SIZE_MAX);
    status = detect_in(d, call, context, &arena, err);
    arena_clear(&arena);
    return status;
}

static Status find(WorkerCall *call, void *context, Error *err) {
    Vision *v = context;
    Finder finder = {.prompter = {v->scenes, v->operator_models}, .cache = v->found};
    Status status = STATUS_OK;
    if (json_get_bool(call->params, "any_word", false)) {
        sandbox_limit_cpu(MODEL_CPU_SECONDS);
        status = operator_models_for(v->operator_models, json_get_string(call->params, "models_path", NULL), TASK_TEXT, &finder.model, err);
    }
    if (status == STATUS_OK && !finder.model) status = get_detector(v, call->params, &finder.detector, err);
    return status == STATUS_OK ? find_answer(&finder, call, err) : status;
}

/* The tokens of a phrase, for those who doubt a tokenizer. */
static Status tokens(WorkerCall *call, void *context, Error *err) {
    (void)context;
    int32_t found[TOKENS_SHOWN];
    Bpe *bpe = NULL;
    const char *path = json_get_string(call->params, "tokenizer_path", NULL), *phrase = json_get_string(call->params, "phrase", NULL);
    if (!path || !phrase) return error_set(err, STATUS_VALIDATION_ERROR, "'tokenizer_path' or 'phrase' is missing");
    sandbox_limit_cpu(CPU_SECONDS);
    Status status = bpe_open(&bpe, path, err);
    if (status != STATUS_OK) return status;
    size_t count = bpe_encode(bpe, phrase, found, TOKENS_SHOWN);
    bpe_free(bpe);
    json_begin_object(call->result);
    json_key(call->result, "tokens");
    json_begin_array(call->result);
    for (size_t i = 0; i < count; i++) json_int(call->result, found[i]);
    json_end_array(call->result);
    json_end_object(call->result);
    return STATUS_OK;
}

/* ---- descriptions ---- */

/* Who describes: an operator's model, or else the built-in one, opened from a path. */
typedef struct Describing {
    SiglipModel *siglip;  /* NULL: built_in */
    Describer *built_in;
    const char *model, *engine;
} Describing;

static Status get_built_in(Vision *v, const char *path, Describing *out, Error *err) {
    if (!path) return error_set(err, STATUS_MODEL_UNAVAILABLE, "No model that describes is there");
    if (!v->runtime) return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s", v->failure.message);
    if (v->describer && !describer_is(v->describer, path)) {
        describer_close(v->describer);
        v->describer = NULL;
    }
    Status status = v->describer ? STATUS_OK : describer_open(v->runtime, path, &v->describer, err);
    if (status == STATUS_OK) *out = (Describing){.built_in = v->describer, .model = describer_name(v->describer), .engine = v->engine};
    return status;
}

static Status get_describing(Vision *v, yyjson_val *params, Describing *out, Error *err) {
    OperatorModel *model = NULL;
    sandbox_limit_cpu(CPU_SECONDS);
    Status status = operator_models_for(v->operator_models, json_get_string(params, "models_path", NULL), TASK_SEARCH, &model, err);
    if (status == STATUS_OK && !model) return get_built_in(v, json_get_string(params, "model_path", NULL), out, err);
    if (status == STATUS_OK) *out = (Describing){.siglip = model->siglip, .model = model->identity, .engine = model->engine};
    return status;
}

static Status run_describing(const Describing *by, Arena *arena, const char *path, Description *out, Error *err) {
    Picture picture;
    int side = by->siglip ? siglip_picture_side(by->siglip) : DESCRIPTION_PICTURE_SIDE;
    Status status = picture_load(path, side, side, &picture, err);
    if (status != STATUS_OK) return status;
    status = by->siglip ? siglip_describe(by->siglip, arena, &picture, out, err) : describer_run(by->built_in, arena, &picture, out, err);
    picture_clear(&picture);
    return status;
}

static void write_words(JsonWriter *w, const char *key, SureWords words, double least, size_t most) {
    SureWord picked[OBJECTS_MAX > SCENES_MAX ? OBJECTS_MAX : SCENES_MAX];
    size_t count = description_pick(words.items, words.count, least, picked, most);
    json_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < count; i++) json_string(w, picked[i].word);
    json_end_array(w);
}

static void write_description(JsonWriter *w, const Description *d, Arena *arena) {
    size_t size = (size_t)d->dimensions * sizeof *d->embedding;
    char *text = arena_alloc(arena, HASH_BASE64_SIZE(size));
    hash_base64url(d->embedding, size, text);
    json_field_string(w, "embedding", text);
    write_words(w, "objects", d->objects, d->least, OBJECTS_MAX);
    write_words(w, "scenes", d->scenes, d->least, SCENES_MAX);
    json_key(w, "attributes");
    json_begin_array(w);
    for (size_t i = 0; i < d->attribute_count; i++) json_string(w, d->attributes[i]);
    json_end_array(w);
}

/* Looks at the picture once, for a description of it or for what is asked about it. */
static Status look(Vision *v, WorkerCall *call, ClassifyQuestion *question, Error *err) {
    const char *path;
    Describing by = {0};
    Description description;
    Arena arena;
    double start = clock_monotonic();
    Status status = wire_picture(call->params, &path, err);
    if (status == STATUS_OK) status = get_describing(v, call->params, &by, err);
    if (status != STATUS_OK) return status;
    arena_init(&arena, 1 << 20);
    status = run_describing(&by, &arena, path, &description, err);
    if (status == STATUS_OK) {
        json_begin_object(call->result);
        if (question) classify_write(call->result, &description, question, &arena);
        else write_description(call->result, &description, &arena);
        json_field_string(call->result, "model", by.model);
        json_field_number(call->result, "seconds", clock_monotonic() - start);
        json_field_string(call->result, "engine", question && by.built_in ? by.model : by.engine);
        json_end_object(call->result);
    }
    arena_clear(&arena);
    return status;
}

static Status describe(WorkerCall *call, void *context, Error *err) { return look(context, call, NULL, err); }

static Status classify(WorkerCall *call, void *context, Error *err) {
    ClassifyQuestion question;
    Status status = classify_read(&question, call->params, err);
    return status == STATUS_OK ? look(context, call, &question, err) : status;
}

static void write_vocabulary(JsonWriter *w, const char *key, const VocabularyWord *words) {
    json_key(w, key);
    json_begin_array(w);
    for (; words->word; words++) json_string(w, words->word);
    json_end_array(w);
}

static Status vocabulary(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    json_begin_object(call->result);
    write_vocabulary(call->result, "objects", VOCABULARY_OBJECTS);
    write_vocabulary(call->result, "scenes", VOCABULARY_SCENES);
    write_vocabulary(call->result, "attributes", VOCABULARY_ATTRIBUTES);
    json_end_object(call->result);
    return STATUS_OK;
}

/* ---- prompts ---- */

static Status prompt(Vision *v, ModelTask task, WorkerCall *call, Error *err) {
    sandbox_limit_cpu(CPU_SECONDS);
    return prompt_answer(&(Prompter){v->scenes, v->operator_models}, task, call, err);
}

static Status segment_point_method(WorkerCall *call, void *context, Error *err) { return prompt(context, TASK_POINT, call, err); }
static Status segment_box_method(WorkerCall *call, void *context, Error *err) { return prompt(context, TASK_BOX, call, err); }

static Status models_method(WorkerCall *call, void *context, Error *err) {
    Vision *v = context;
    const char *folder = json_get_string(call->params, "models_path", NULL);
    if (!folder) return error_set(err, STATUS_VALIDATION_ERROR, "'models_path' is missing");
    sandbox_limit_cpu(CPU_SECONDS);
    json_begin_object(call->result);
    json_key(call->result, "models");
    operator_models_examine(v->operator_models, folder, call->result);
    json_end_object(call->result);
    return STATUS_OK;
}

/* One task: {engine, model, problem}, each null or a text. */
static void write_answerer(Vision *v, JsonWriter *w, const char *key, const char *folder, ModelTask task) {
    OperatorModel *model = NULL;
    Error failure;
    bool good = operator_models_choose(v->operator_models, folder, task, task == TASK_SEARCH, &model, &failure) == STATUS_OK;
    json_key(w, key);
    json_begin_object(w);
    json_field_string(w, "engine", good && model ? model->engine : NULL);
    json_field_string(w, "model", good && model ? model->identity : NULL);
    json_field_string(w, "problem", good ? NULL : failure.message);
    json_end_object(w);
}

static Status answerers(WorkerCall *call, void *context, Error *err) {
    const char *folder = json_get_string(call->params, "models_path", NULL);
    if (!folder) return error_set(err, STATUS_VALIDATION_ERROR, "'models_path' is missing");
    sandbox_limit_cpu(CPU_SECONDS);
    json_begin_object(call->result);
    write_answerer(context, call->result, "text", folder, TASK_TEXT);
    write_answerer(context, call->result, "search", folder, TASK_SEARCH);
    json_end_object(call->result);
    return STATUS_OK;
}

/* ---- status ---- */

static Status status_method(WorkerCall *call, void *context, Error *err) {
    (void)err;
    const Vision *v = context;
    JsonWriter *w = call->result;
    size_t bytes, encoded_bytes;
    int scenes = scene_cache_count(v->scenes, &bytes), encoded = operator_models_images(v->operator_models, &encoded_bytes);
    json_begin_object(w);
    json_key(w, "engines");
    json_begin_object(w);
    json_field_string(w, "point", BUILT_IN_SEGMENTER);
    json_field_string(w, "box", BUILT_IN_SEGMENTER);
    json_field_string(w, "text", NULL);
    json_field_string(w, "batch", v->runtime ? v->engine : NULL);
    json_end_object(w);
    json_key(w, "runtime");
    json_begin_object(w);
    json_field_bool(w, "available", v->runtime != NULL);
    json_field_string(w, "version", v->runtime ? runtime_version(v->runtime) : NULL);
    json_field_string(w, "reason", v->runtime ? NULL : v->failure.message);
    json_end_object(w);
    json_field_int(w, "models_loaded", v->runtime ? detector_cache_count(v->detectors) : 0);
    json_field_int(w, "images_cached", scenes);
    json_field_int(w, "image_bytes", (int64_t)bytes);
    json_field_int(w, "images_encoded", encoded);
    json_field_int(w, "encoded_bytes", (int64_t)encoded_bytes);
    json_end_object(w);
    return STATUS_OK;
}

const WorkerMethod VISION_METHODS[] = {{"answerers", answerers},
                                       {"classify", classify},
                                       {"describe", describe},
                                       {"detect", detect},
                                       {"find", find},
                                       {"model_info", model_info},
                                       {"models", models_method},
                                       {"segment_point", segment_point_method},
                                       {"segment_box", segment_box_method},
                                       {"status", status_method},
                                       {"tokens", tokens},
                                       {"vocabulary", vocabulary},
                                       {NULL, NULL}};
