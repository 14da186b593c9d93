#include "vision/vision.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "vision/describer.h"
#include "vision/detector.h"
#include "vision/find.h"
#include "vision/segment.h"
#include "vision/wire.h"
#include "vision/vocabulary.h"
#include "worker/sandbox.h"
#include "base/banned.h"

#define SCENE_CACHE_BYTES ((size_t)256 << 20)
#define SEGMENT_ENGINE "graph_cut"
enum { CPU_SECONDS = 120, THREADS_MAX = 2, POINTS_MAX = 1000, DETECTIONS_MAX = 10000 };

struct Vision {
    Runtime *runtime; /* NULL: see failure */
    Error failure;
    char engine[64];
    DetectorCache *detectors; /* NULL without a runtime */
    SceneCache *scenes;
    FoundCache *found;
    Describer *describer; /* the last one asked for; NULL: none yet */
};

Vision *vision_new(void) {
    Vision *v = xcalloc(1, sizeof *v);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    v->scenes = scene_cache_new(SCENE_CACHE_BYTES);
    v->found = found_cache_new();
    if (runtime_open(&v->runtime, &v->failure) == STATUS_OK) {
        v->detectors = detector_cache_new(v->runtime, cores < THREADS_MAX ? 1 : THREADS_MAX);
        log_format(v->engine, sizeof v->engine, "onnxruntime %s cpu", runtime_version(v->runtime));
    }
    return v;
}

void vision_free(Vision *vision) {
    if (!vision) return;
    detector_cache_free(vision->detectors);
    describer_close(vision->describer);
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
    sandbox_limit_cpu(CPU_SECONDS);
    return detector_cache_get(v->detectors, path, out, err);
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
    Detector *d = NULL;
    Status status = get_detector(v, call->params, &d, err);
    return status == STATUS_OK ? find_answer(&(Finder){d, v->scenes, v->found}, call, err) : status;
}

/* ---- descriptions ---- */

static Status get_describer(Vision *v, yyjson_val *params, Describer **out, Error *err) {
    const char *path = json_get_string(params, "model_path", NULL);
    if (!path) return error_set(err, STATUS_VALIDATION_ERROR, "'model_path' is missing");
    if (!v->runtime) return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s", v->failure.message);
    sandbox_limit_cpu(CPU_SECONDS);
    if (v->describer && !describer_is(v->describer, path)) {
        describer_close(v->describer);
        v->describer = NULL;
    }
    Status status = v->describer ? STATUS_OK : describer_open(v->runtime, path, &v->describer, err);
    *out = v->describer;
    return status;
}

static void write_words(JsonWriter *w, const char *key, const char *const *words, size_t count) {
    json_key(w, key);
    json_begin_array(w);
    for (size_t i = 0; i < count; i++) json_string(w, words[i]);
    json_end_array(w);
}

static void write_description(JsonWriter *w, const Description *d, Arena *arena) {
    size_t size = (size_t)d->dimensions * sizeof *d->embedding;
    char *text = arena_alloc(arena, HASH_BASE64_SIZE(size));
    hash_base64url(d->embedding, size, text);
    json_begin_object(w);
    json_field_string(w, "embedding", text);
    write_words(w, "objects", d->objects, d->object_count);
    write_words(w, "scenes", d->scenes, d->scene_count);
    write_words(w, "attributes", d->attributes, d->attribute_count);
}

static Status describe(WorkerCall *call, void *context, Error *err) {
    Vision *v = context;
    const char *path;
    Describer *d = NULL;
    Picture picture;
    Description description;
    Arena arena;
    double start = clock_monotonic();
    Status status = get_describer(v, call->params, &d, err);
    if (status == STATUS_OK) status = wire_picture(call->params, &path, err);
    if (status == STATUS_OK) status = picture_load(path, DESCRIBER_PICTURE_SIDE, DESCRIBER_PICTURE_SIDE, &picture, err);
    if (status != STATUS_OK) return status;
    arena_init(&arena, 1 << 20);
    status = describer_run(d, &arena, &picture, &description, err);
    picture_clear(&picture);
    if (status == STATUS_OK) {
        write_description(call->result, &description, &arena);
        json_field_number(call->result, "seconds", clock_monotonic() - start);
        json_field_string(call->result, "engine", v->engine);
        json_end_object(call->result);
    }
    arena_clear(&arena);
    return status;
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

/* A prompt being answered. */
typedef struct Prompt {
    WorkerCall *call;
    const Scene *scene;
    bool fresh;
    double start, threshold;
    Arena arena;
    Segmentation answer;
} Prompt;

static void write_box(JsonWriter *w, const char *key, Box box) {
    json_key(w, key);
    json_begin_object(w);
    wire_box_members(w, box);
    json_end_object(w);
}

static void write_found(JsonWriter *w, const Segmentation *s) {
    json_key(w, "polygons");
    json_begin_array(w);
    for (size_t i = 0; i < s->shape_count; i++) wire_polygon(w, &s->shapes[i].polygon);
    json_end_array(w);
    write_box(w, "bbox", s->box);
    json_field_number(w, "area", wire_rounded(s->area));
    json_key(w, "inside_point");
    wire_point(w, s->inside);
}

static void write_answer(const Prompt *p) {
    JsonWriter *w = p->call->result;
    bool found = p->answer.found && p->answer.score >= p->threshold;
    json_begin_object(w);
    json_field_bool(w, "found", found);
    json_field_number(w, "score", round(p->answer.score * 1e4) / 1e4);
    if (found) write_found(w, &p->answer);
    json_field_bool(w, "cached", !p->fresh);
    json_field_number(w, "seconds", clock_monotonic() - p->start);
    json_field_string(w, "engine", SEGMENT_ENGINE);
    json_end_object(w);
}

static Status open_scene(Prompt *p, Vision *v, Error *err) {
    const char *path;
    yyjson_val *params = p->call->params;
    Status status = wire_number(params, "threshold", 0, 0, 1, &p->threshold, err);
    if (status == STATUS_OK) status = wire_picture(params, &path, err);
    if (status != STATUS_OK) return status;
    sandbox_limit_cpu(CPU_SECONDS);
    return scene_cache_get(v->scenes, json_get_string(params, "image_key", path), path, &p->scene, &p->fresh, err);
}

static Status answer_points(Prompt *p, Error *err) {
    yyjson_val *list = yyjson_obj_get(p->call->params, "points"), *item;
    size_t i, count, positive = 0;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > POINTS_MAX)
        return error_set(err, STATUS_VALIDATION_ERROR, "'points' must be a list of at most %d points", POINTS_MAX);
    PromptPoint *points = arena_new_array(&p->arena, PromptPoint, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) {
        points[i] = (PromptPoint){json_get_number(item, "x", NAN), json_get_number(item, "y", NAN), json_get_int(item, "label", 1) != 0};
        if (!isfinite(points[i].x) || !isfinite(points[i].y))
            return error_set(err, STATUS_VALIDATION_ERROR, "points[%zu] must have numbers x and y", i);
        positive += points[i].foreground;
    }
    if (!positive) return error_set(err, STATUS_VALIDATION_ERROR, "At least one point must have label 1");
    segment_points(&p->arena, p->scene, points, yyjson_arr_size(list), &p->answer);
    return STATUS_OK;
}

static bool read_box(yyjson_val *value, Box *out) {
    *out = (Box){json_get_number(value, "x", NAN), json_get_number(value, "y", NAN), json_get_number(value, "w", NAN),
                 json_get_number(value, "h", NAN)};
    return isfinite(out->x) && isfinite(out->y) && isfinite(out->w) && isfinite(out->h) && out->w > 0 && out->h > 0;
}

static Status answer_box(Prompt *p, Error *err) {
    yyjson_val *list = yyjson_obj_get(p->call->params, "negative_boxes"), *item;
    Box box, *negative = arena_new_array(&p->arena, Box, yyjson_arr_size(list) + 1);
    size_t i, count;
    if (!read_box(yyjson_obj_get(p->call->params, "box"), &box))
        return error_set(err, STATUS_VALIDATION_ERROR, "'box' must have numbers x, y, and positive w and h");
    if (list && (!yyjson_is_arr(list) || yyjson_arr_size(list) > POINTS_MAX))
        return error_set(err, STATUS_VALIDATION_ERROR, "'negative_boxes' must be a list of at most %d boxes", POINTS_MAX);
    yyjson_arr_foreach(list, i, count, item) if (!read_box(item, &negative[i]))
        return error_set(err, STATUS_VALIDATION_ERROR, "negative_boxes[%zu] must have numbers x, y, and positive w and h", i);
    segment_box(&p->arena, p->scene, box, negative, yyjson_arr_size(list), &p->answer);
    return STATUS_OK;
}

static Status prompt(WorkerCall *call, Vision *v, Status (*answer)(Prompt *p, Error *err), Error *err) {
    Prompt p = {.call = call, .start = clock_monotonic()};
    arena_init(&p.arena, SIZE_MAX);
    Status status = open_scene(&p, v, err);
    if (status == STATUS_OK) status = answer(&p, err);
    if (status == STATUS_OK) write_answer(&p);
    arena_clear(&p.arena);
    return status;
}

static Status segment_point_method(WorkerCall *call, void *context, Error *err) { return prompt(call, context, answer_points, err); }
static Status segment_box_method(WorkerCall *call, void *context, Error *err) { return prompt(call, context, answer_box, err); }

/* ---- status ---- */

static Status status_method(WorkerCall *call, void *context, Error *err) {
    (void)err;
    const Vision *v = context;
    JsonWriter *w = call->result;
    size_t bytes;
    int scenes = scene_cache_count(v->scenes, &bytes);
    json_begin_object(w);
    json_key(w, "engines");
    json_begin_object(w);
    json_field_string(w, "point", SEGMENT_ENGINE);
    json_field_string(w, "box", SEGMENT_ENGINE);
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
    json_end_object(w);
    return STATUS_OK;
}

const WorkerMethod VISION_METHODS[] = {{"describe", describe},
                                       {"detect", detect},
                                       {"find", find},
                                       {"model_info", model_info},
                                       {"segment_point", segment_point_method},
                                       {"segment_box", segment_box_method},
                                       {"status", status_method},
                                       {"vocabulary", vocabulary},
                                       {NULL, NULL}};
