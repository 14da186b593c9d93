/* Handlers of point, box and text prompts. Nothing is stored but the label, which a later save may add to the classes, and what it cost. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/auto_annotate/found.h"
#include "server/auto_annotate/text_engine.h"
#include "server/auto_annotate/vision_call.h"
#include "server/credits/credits.h"
#include "server/images/images.h"
#include "server/projects/projects.h"
#include "base/banned.h"

enum { SESSION_IDLE_MS = 1800 * 1000, FIRST_PROMPT = 3, FURTHER_PROMPT = 1, PROMPT_SECONDS = 60 }; /* limits.yaml auto_annotate, credits.charges */
#define SLUG "sam3_per_minute"

typedef struct Prompt {
    Request *rq;
    ProjectRecord project;
    ImageRecord image;
    const char *label, *label_type;
    int64_t credits;
    VisionCall call;
} Prompt;

static Status find_image(Prompt *p, const char *dataset_name, const char *filename) {
    Request *rq = p->rq;
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, dataset_name, &p->project, &rq->error);
    ImageRecord *bearers;
    size_t count = 0;
    if (status == STATUS_OK) status = image_find_by_name(request_db(rq), &rq->arena, p->project.id, filename, &bearers, &count, &rq->error);
    if (status != STATUS_OK) return status;
    if (count == 0) return request_fail(rq, STATUS_NOT_FOUND, "Image '%s' not found", filename);
    if (count > 1)
        return request_fail(rq, STATUS_AMBIGUOUS_FILENAME, "'%s' lies in %zu folders; give the full path, for example '%s%s%s'", filename, count, bearers[0].folder,
                            strcmp(bearers[0].folder, "/") == 0 ? "" : "/", bearers[0].filename);
    p->image = bearers[0];
    return STATUS_OK;
}

/* A place beyond the edge is a mistake, such as pixels of a scaled or turned copy: it is named before anything is charged. */
static void refuse_place(const Prompt *p, const char *outer, const char *index, const char *inner) {
    request_field_error(p->rq, "value_error", arena_printf(&p->rq->arena, "The image has %lld x %lld pixels", (long long)p->image.width, (long long)p->image.height), "body",
                        outer, index, inner, NULL);
}

static void check_points(const Prompt *p, const PromptPointArray *points, const char *name) {
    for (size_t i = 0; i < points->count; i++) {
        const double *at = points->items[i].items;
        const char *index = arena_printf(&p->rq->arena, "%zu", i);
        if (at[0] < 0 || at[0] > (double)p->image.width) refuse_place(p, name, index, "0");
        if (at[1] < 0 || at[1] > (double)p->image.height) refuse_place(p, name, index, "1");
    }
}

static Status check_place(const Prompt *p) {
    return p->rq->errors.count ? request_fail(p->rq, STATUS_VALIDATION_ERROR, "Outside of the image") : STATUS_OK;
}

/* Charge before work: 3 for the first prompt of a session on the image, 1 for the others. */
static Status charge(DbSession *tx, void *context, Error *err) {
    Prompt *p = context;
    const char *organization = p->rq->principal.organization_id;
    int64_t now = clock_now_ms(), last;
    Status status = db_read_int(tx, err, &last, 0, "SELECT last_prompt_at FROM prompt_sessions WHERE organization_id = $1 AND image_id = $2", DB_TEXT(organization),
                                DB_TEXT(p->image.id));
    int64_t amount = now - last < SESSION_IDLE_MS ? FURTHER_PROMPT : FIRST_PROMPT;
    if (status == STATUS_OK) status = credits_charge_amount(tx, p->rq, SLUG, amount, arena_printf(&p->rq->arena, "Prompt on %s", p->image.filename), err);
    if (status != STATUS_OK) return status;
    p->credits = amount;
    return db_exec(tx, err,
                   "INSERT INTO prompt_sessions (organization_id, image_id, last_prompt_at) VALUES ($1, $2, $3) "
                   "ON CONFLICT (organization_id, image_id) DO UPDATE SET last_prompt_at = excluded.last_prompt_at",
                   DB_TEXT(organization), DB_TEXT(p->image.id), DB_INT(now));
}

/* A session whose first prompt was not answered has not begun. */
static Status give_back(DbSession *tx, void *context, Error *err) {
    const Prompt *p = context;
    const char *organization = p->rq->principal.organization_id;
    Status status = credits_refund(tx, organization, "sam3_refund", p->credits, "The prompt could not be answered", err);
    if (status != STATUS_OK || p->credits != FIRST_PROMPT) return status;
    return db_exec(tx, err, "DELETE FROM prompt_sessions WHERE organization_id = $1 AND image_id = $2", DB_TEXT(organization), DB_TEXT(p->image.id));
}

static Status remember(DbSession *tx, void *context, Error *err) {
    Prompt *p = context;
    if (text_length(p->label) > CLASS_NAME_CHARACTERS) return STATUS_OK; /* no class may be called that */
    return project_remember_label(tx, &p->rq->arena, p->project.id, p->label, p->label_type, err);
}

/* What was charged comes back when the server could not answer, to whoever's key was revoked meanwhile, too. */
static Status settle(Prompt *p, Status status) {
    Request *rq = p->rq;
    if (status == STATUS_OK || status_info(status)->http < 500) return status;
    if (db_write(rq->server->store, give_back, p, NULL) == STATUS_OK) p->credits = 0;
    return status;
}

/* Charges, and opens the call to the worker. */
static Status open_call(Prompt *p) {
    Status status = request_write(p->rq, charge, p);
    if (status == STATUS_OK) vision_call_begin(&p->call, p->rq->server, &p->rq->arena, &p->image);
    return status;
}

static Status ask(Prompt *p, const char *method, double seconds, yyjson_val **result) {
    return settle(p, vision_call_run(&p->call, method, seconds, NULL, NULL, result, &p->rq->error));
}

static void write_box(JsonWriter *w, const char *key, const BoundingBox *box) {
    if (key) json_key(w, key);
    json_begin_object(w);
    json_field_number(w, "x", box->x);
    json_field_number(w, "y", box->y);
    json_field_number(w, "w", box->w);
    json_field_number(w, "h", box->h);
    json_end_object(w);
}

static void write_point(JsonWriter *w, double x, double y, bool positive) {
    json_begin_object(w);
    json_field_number(w, "x", x);
    json_field_number(w, "y", y);
    json_field_int(w, "label", positive);
    json_end_object(w);
}

static Annotation suggestion(Prompt *p, AnnotationType type, double score) {
    char *id = arena_alloc(&p->rq->arena, UUID_SIZE);
    return (Annotation){.id = uuid_new(id), .name = p->label, .type = type, .confidence = score < 0 ? 0 : score > 1 ? 1 : score, .created_by = request_creator(p->rq)};
}

/* Which engine answered, for the reply. */
static const char *engine_of(const Prompt *p, yyjson_val *result) { return arena_strdup(&p->rq->arena, json_get_string(result, "engine", NULL)); }

/* The mask's outline as a polygon annotation, if something was found that scores high enough. */
static PromptStatus judge(Prompt *p, yyjson_val *result, double threshold, double *score, Annotation *polygon) {
    Polygon shape;
    *score = json_get_number(result, "score", 0);
    if (!json_get_bool(result, "found", false) || !vision_polygon(result, &p->rq->arena, &shape)) return PROMPT_STATUS_NO_DETECTION;
    if (*score < threshold) return PROMPT_STATUS_BELOW_THRESHOLD;
    *polygon = suggestion(p, ANNOTATION_POLYGON, *score);
    polygon->polygon = shape;
    annotation_fit_box(polygon);
    return PROMPT_STATUS_SUCCESS;
}

Status prompt_point(Request *rq, const PromptPointInput *in, PointPromptResult *out) {
    const PointPromptRequest *body = in->body;
    Prompt p = {.rq = rq, .label = body->name ? text_trim(&rq->arena, body->name) : "object", .label_type = "polygon"};
    AnnotationList *list = arena_new(&rq->arena, AnnotationList);
    Annotation *polygon = arena_new(&rq->arena, Annotation);
    yyjson_val *result = NULL;
    Status status = find_image(&p, body->dataset_name, body->image_filename);
    if (status == STATUS_OK) {
        if (body->x < 0 || body->x > (double)p.image.width) refuse_place(&p, "x", NULL, NULL);
        if (body->y < 0 || body->y > (double)p.image.height) refuse_place(&p, "y", NULL, NULL);
        check_points(&p, &body->positive_points, "positive_points");
        check_points(&p, &body->negative_points, "negative_points");
        status = check_place(&p);
    }
    if (status == STATUS_OK) status = open_call(&p);
    if (status != STATUS_OK) goto out;
    JsonWriter *w = &p.call.writer;
    json_key(w, "points");
    json_begin_array(w);
    write_point(w, body->x, body->y, true);
    for (size_t i = 0; i < body->positive_points.count; i++) write_point(w, body->positive_points.items[i].items[0], body->positive_points.items[i].items[1], true);
    for (size_t i = 0; i < body->negative_points.count; i++) write_point(w, body->negative_points.items[i].items[0], body->negative_points.items[i].items[1], false);
    json_end_array(w);
    status = ask(&p, "segment_point", PROMPT_SECONDS, &result);
    if (status != STATUS_OK) goto out;
    *out = (PointPromptResult){.annotations = list, .has_score = true, .has_inference_time = true, .inference_time = json_get_number(result, "seconds", 0),
                               .credits_charged = p.credits, .has_credits_charged = true, .image_id = p.image.id, .engine = engine_of(&p, result)};
    out->status = judge(&p, result, body->score_threshold, &out->score, polygon);
    out->has_score = out->status != PROMPT_STATUS_NO_DETECTION;
    if (out->status != PROMPT_STATUS_SUCCESS) goto out;
    annotation_list_append(&rq->arena, list, polygon);
    out->annotation = polygon;
    status = settle(&p, request_write(rq, remember, &p));
out:
    vision_call_end(&p.call);
    return status;
}

Status prompt_box(Request *rq, const PromptBoxInput *in, PromptResult *out) {
    const BoxPromptRequest *body = in->body;
    Prompt p = {.rq = rq, .label = text_trim(&rq->arena, body->name), .label_type = body->return_polygon ? "polygon" : "bbox"};
    AnnotationList *list = arena_new(&rq->arena, AnnotationList);
    Annotation polygon;
    yyjson_val *result = NULL;
    const BoundingBox *box = &body->box;
    Status status = find_image(&p, body->dataset_name, body->image_filename);
    if (status == STATUS_OK) {
        if (box->x + box->w <= 0 || box->y + box->h <= 0 || box->x >= (double)p.image.width || box->y >= (double)p.image.height) refuse_place(&p, "box", NULL, NULL);
        status = check_place(&p);
    }
    if (status == STATUS_OK) status = open_call(&p);
    if (status != STATUS_OK) goto out;
    JsonWriter *w = &p.call.writer;
    write_box(w, "box", box);
    json_key(w, "negative_boxes");
    json_begin_array(w);
    for (size_t i = 0; i < body->negative_boxes.count; i++) write_box(w, NULL, &body->negative_boxes.items[i]);
    json_end_array(w);
    status = ask(&p, "segment_box", PROMPT_SECONDS, &result);
    if (status != STATUS_OK) goto out;
    *out = (PromptResult){.annotations = list, .has_inference_time = true, .inference_time = json_get_number(result, "seconds", 0), .credits_charged = p.credits,
                          .has_credits_charged = true, .image_id = p.image.id, .engine = engine_of(&p, result)};
    out->status = judge(&p, result, body->confidence_threshold, &out->score, &polygon);
    out->has_score = out->status != PROMPT_STATUS_NO_DETECTION;
    if (out->status != PROMPT_STATUS_SUCCESS) goto out;
    Annotation refined = suggestion(&p, ANNOTATION_BBOX, polygon.confidence);
    refined.bounding_box = polygon.bounding_box;
    annotation_list_append(&rq->arena, list, &refined);
    if (body->return_polygon) annotation_list_append(&rq->arena, list, &polygon);
    status = settle(&p, request_write(rq, remember, &p));
out:
    vision_call_end(&p.call);
    return status;
}

/* Nothing was found because the word means nothing here, or because no place scores high enough: the best score tells. */
static PromptStatus judge_words(yyjson_val *result, const AnnotationList *list, PromptResult *out) {
    yyjson_val *best = yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(result, "words")), "best");
    out->has_score = yyjson_is_num(best);
    out->score = yyjson_get_num(best);
    if (list->count) return PROMPT_STATUS_SUCCESS;
    return out->has_score ? PROMPT_STATUS_BELOW_THRESHOLD : PROMPT_STATUS_NO_DETECTION;
}

Status prompt_text(Request *rq, const PromptTextInput *in, PromptResult *out) {
    const TextPromptRequest *body = in->body;
    Prompt p = {.rq = rq, .label = text_trim(&rq->arena, body->text_prompt), .label_type = text_prompt_request_output_type_name(body->output_type)};
    Wanted wanted = {.label = p.label};
    TextEngine engine;
    AnnotationList *list = arena_new(&rq->arena, AnnotationList);
    yyjson_val *result = NULL;
    annotation_type_from_name(p.label_type, &wanted.type);
    Status status = find_image(&p, body->dataset_name, body->image_filename);
    if (status == STATUS_OK) status = text_engine_choose(&engine, rq->server, &rq->arena, &rq->error);
    if (status == STATUS_OK) status = open_call(&p);
    if (status != STATUS_OK) goto out;
    JsonWriter *w = &p.call.writer;
    text_engine_write(w, &engine);
    json_field_number(w, "confidence_threshold", body->confidence_threshold);
    json_field_int(w, "max_detections", body->max_detections);
    wanted_write(w, &wanted, 1);
    status = ask(&p, engine.method, engine.any_word ? engine.seconds : PROMPT_SECONDS, &result);
    if (status != STATUS_OK) goto out;
    found_append(list, &rq->arena, result, &wanted, 1, request_creator(rq));
    *out = (PromptResult){.annotations = list, .has_inference_time = true, .inference_time = json_get_number(result, "seconds", 0), .credits_charged = p.credits,
                          .has_credits_charged = true, .image_id = p.image.id, .engine = engine_of(&p, result)};
    out->status = judge_words(result, list, out);
    if (out->status == PROMPT_STATUS_SUCCESS) status = settle(&p, request_write(rq, remember, &p));
out:
    vision_call_end(&p.call);
    return status;
}
