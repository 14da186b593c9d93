#include "vision/prompt.h"

#include <math.h>

#include "base/clock.h"
#include "vision/segment.h"
#include "vision/wire.h"
#include "base/banned.h"

enum { POINTS_MAX = 1000 };

/* A prompt being answered. */
typedef struct Prompt {
    WorkerCall *call;
    ModelTask task;
    double start, threshold;
    PromptPicture picture;
    SamPrompt asked;
    Arena *arena;
    Segmentation answer;
    const char *engine;
    bool cached;
} Prompt;

/* ---- what is asked ---- */

static Status read_points(Prompt *p, Error *err) {
    yyjson_val *list = yyjson_obj_get(p->call->params, "points"), *item;
    size_t i, count, positive = 0;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > POINTS_MAX)
        return error_set(err, STATUS_VALIDATION_ERROR, "'points' must be a list of at most %d points", POINTS_MAX);
    PromptPoint *points = arena_new_array(p->arena, PromptPoint, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) {
        points[i] = (PromptPoint){json_get_number(item, "x", NAN), json_get_number(item, "y", NAN), json_get_int(item, "label", 1) != 0};
        if (!isfinite(points[i].x) || !isfinite(points[i].y))
            return error_set(err, STATUS_VALIDATION_ERROR, "points[%zu] must have numbers x and y", i);
        positive += points[i].foreground;
    }
    p->asked.points = points;
    p->asked.point_count = yyjson_arr_size(list);
    return positive ? STATUS_OK : error_set(err, STATUS_VALIDATION_ERROR, "At least one point must have label 1");
}

static bool read_box(yyjson_val *value, Box *out) {
    *out = (Box){json_get_number(value, "x", NAN), json_get_number(value, "y", NAN), json_get_number(value, "w", NAN),
                 json_get_number(value, "h", NAN)};
    return isfinite(out->x) && isfinite(out->y) && isfinite(out->w) && isfinite(out->h) && out->w > 0 && out->h > 0;
}

static Status read_boxes(Prompt *p, Error *err) {
    yyjson_val *list = yyjson_obj_get(p->call->params, "negative_boxes"), *item;
    Box *box = arena_new(p->arena, Box), *negative = arena_new_array(p->arena, Box, yyjson_arr_size(list) + 1);
    size_t i, count;
    if (!read_box(yyjson_obj_get(p->call->params, "box"), box))
        return error_set(err, STATUS_VALIDATION_ERROR, "'box' must have numbers x, y, and positive w and h");
    if (list && (!yyjson_is_arr(list) || yyjson_arr_size(list) > POINTS_MAX))
        return error_set(err, STATUS_VALIDATION_ERROR, "'negative_boxes' must be a list of at most %d boxes", POINTS_MAX);
    yyjson_arr_foreach(list, i, count, item) if (!read_box(item, &negative[i]))
        return error_set(err, STATUS_VALIDATION_ERROR, "negative_boxes[%zu] must have numbers x, y, and positive w and h", i);
    p->asked.box = box;
    p->asked.without = negative;
    p->asked.without_count = yyjson_arr_size(list);
    return STATUS_OK;
}

static Status read_params(Prompt *p, Error *err) {
    yyjson_val *params = p->call->params;
    Status status = wire_number(params, "threshold", 0, 0, 1, &p->threshold, err);
    if (status == STATUS_OK) status = wire_picture(params, &p->picture.path, err);
    if (status != STATUS_OK) return status;
    p->picture.key = json_get_string(params, "image_key", p->picture.path);
    p->picture.models = json_get_string(params, "models_path", NULL);
    return p->task == TASK_BOX ? read_boxes(p, err) : read_points(p, err);
}

/* ---- who answers ---- */

static Status answer_by_segmenter(Prompt *p, Prompter *prompter, Error *err) {
    const Scene *scene = NULL;
    bool fresh = false;
    const SamPrompt *asked = &p->asked;
    Status status = scene_cache_get(prompter->scenes, p->picture.key, p->picture.path, &scene, &fresh, err);
    if (status != STATUS_OK) return status;
    if (asked->box) segment_box(p->arena, scene, *asked->box, asked->without, asked->without_count, &p->answer);
    else segment_points(p->arena, scene, asked->points, asked->point_count, &p->answer);
    p->engine = BUILT_IN_SEGMENTER;
    p->cached = !fresh;
    return STATUS_OK;
}

static Status answer_by_model(Prompt *p, Prompter *prompter, OperatorModel *model, Error *err) {
    const EncodedImage *image = NULL;
    p->engine = model->engine;
    Status status = operator_models_image(prompter->models, model, p->picture.key, p->picture.path, &image, &p->cached, err);
    return status == STATUS_OK ? sam_segment(model->sam, image, p->arena, &p->asked, &p->answer, err) : status;
}

static Status answer(Prompt *p, Prompter *prompter, Error *err) {
    OperatorModel *model = NULL;
    Status status = operator_models_for(prompter->models, p->picture.models, p->task, &model, err);
    if (status != STATUS_OK) return status;
    return model ? answer_by_model(p, prompter, model, err) : answer_by_segmenter(p, prompter, err);
}

Status prompt_box(Prompter *prompter, const PromptPicture *picture, Arena *arena, Box box, Segmentation *out, const char **engine, Error *err) {
    Prompt p = {.task = TASK_BOX, .picture = *picture, .asked = {.box = &box}, .arena = arena};
    Status status = answer(&p, prompter, err);
    *out = p.answer;
    *engine = p.engine;
    return status;
}

/* ---- the answer ---- */

static void write_found(JsonWriter *w, const Segmentation *s) {
    json_key(w, "polygons");
    json_begin_array(w);
    for (size_t i = 0; i < s->shape_count; i++) wire_polygon(w, &s->shapes[i].polygon);
    json_end_array(w);
    json_key(w, "bbox");
    json_begin_object(w);
    wire_box_members(w, s->box);
    json_end_object(w);
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
    json_field_bool(w, "cached", p->cached);
    json_field_number(w, "seconds", clock_monotonic() - p->start);
    json_field_string(w, "engine", p->engine);
    json_end_object(w);
}

Status prompt_answer(Prompter *prompter, ModelTask task, WorkerCall *call, Error *err) {
    Arena arena;
    Prompt p = {.call = call, .task = task, .start = clock_monotonic(), .arena = &arena};
    arena_init(&arena, SIZE_MAX);
    Status status = read_params(&p, err);
    if (status == STATUS_OK) status = answer(&p, prompter, err);
    if (status == STATUS_OK) write_answer(&p);
    arena_clear(&arena);
    return status;
}
