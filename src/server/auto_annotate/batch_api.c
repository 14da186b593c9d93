/* Handlers of batches: start, watch, cancel. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/auto_annotate/found.h"
#include "server/auto_annotate/text_engine.h"
#include "server/credits/credits.h"
#include "server/images/images.h"
#include "server/projects/projects.h"
#include "server/search/search.h"
#include "base/banned.h"

enum { FAILURES_SHOWN = 10000 }; /* limits.yaml auto_annotate.batch_images.max */

typedef struct Chosen {
    const char *id, *filename; /* id "" for a name that no image bears: a failure from the start */
} Chosen;

typedef struct NewBatch {
    Request *rq;
    const AutoAnnotateBatchRequest *body;
    ProjectRecord project;
    const char *id, *classes, *model_id; /* model_id NULL: by class names, or for tags */
    Chosen *images;
    size_t image_count, missing_count;
    bool model_is_ready, only_tags;
    int64_t credits;
    AutoAnnotateJob row;
} NewBatch;

/* ---- reading ---- */

static Status read_failures(DbSession *session, Arena *arena, AutoAnnotateJob *job, Error *err) {
    job->has_failures = true;
    job->failures.items = arena_new_array(arena, AutoAnnotateJobFailure, (size_t)job->failed_images);
    if (job->failed_images == 0) return STATUS_OK;
    DbRows rows = db_query(session, err, "SELECT image_filename, NULLIF(image_id, ''), reason FROM annotation_batch_images WHERE batch_id = $1 AND state = 'failed' ORDER BY position LIMIT $2",
                           DB_TEXT(job->job_id), DB_INT(FAILURES_SHOWN));
    while (job->failures.count < (size_t)job->failed_images && db_next(&rows))
        job->failures.items[job->failures.count++] = (AutoAnnotateJobFailure){.image_filename = db_text(&rows, 0, arena), .image_id = db_text(&rows, 1, arena),
                                                                              .reason = db_text(&rows, 2, arena)};
    return db_finish(&rows);
}

static Status load_job(DbSession *session, Arena *arena, const char *organization_id, const char *id, AutoAnnotateJob *out, Error *err) {
    DbRows rows = db_query(session, err,
                           "SELECT id, dataset_name, status, total_images, processed_images, failed_images, annotations_added, error_message, credits_reserved, "
                           "credits_charged, created_at, completed_at, engine FROM annotation_batches WHERE id = $1 AND organization_id = $2", DB_TEXT(id), DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found) {
        *out = (AutoAnnotateJob){
            .job_id = db_text(&rows, 0, arena), .dataset_name = db_text(&rows, 1, arena), .status = job_status_from_name(db_text_borrowed(&rows, 2)),
            .total_images = db_int(&rows, 3), .processed_images = db_int(&rows, 4), .failed_images = db_int(&rows, 5), .total_annotations_added = db_int(&rows, 6),
            .error_message = db_text(&rows, 7, arena), .estimated_credits = db_int(&rows, 8), .has_estimated_credits = true, .credits_charged = db_int(&rows, 9),
            .has_credits_charged = !db_is_null(&rows, 9), .created_at = db_int(&rows, 10), .has_created_at = true, .completed_at = db_int(&rows, 11),
            .has_completed_at = !db_is_null(&rows, 11), .engine = db_text(&rows, 12, arena),
        };
        int64_t done = out->processed_images + out->failed_images, percent = out->total_images ? done * 100 / out->total_images : 0;
        out->progress = out->status == JOB_STATUS_COMPLETED ? 100 : percent > 99 ? 99 : percent; /* 100 only when final */
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    return found ? read_failures(session, arena, out, err) : error_set(err, STATUS_NOT_FOUND, "Job not found");
}

Status get_auto_annotate_batch(Request *rq, const GetAutoAnnotateBatchInput *in, AutoAnnotateJob *out) {
    return load_job(request_db(rq), &rq->arena, rq->principal.organization_id, in->job_id, out, &rq->error);
}

/* ---- starting ---- */

static size_t count_tags(const BatchClassArray *classes) {
    size_t tags = 0;
    for (size_t i = 0; i < classes->count; i++) tags += classes->items[i].output_type == OUTPUT_TYPE_TAG;
    return tags;
}

/* What the engine does not give. */
static void check_classes(NewBatch *batch) {
    Request *rq = batch->rq;
    const BatchClassArray *classes = &batch->body->classes;
    const char *wrong = batch->only_tags ? "A classification model gives tags alone" : "Tags come from a classification model, and this is none";
    for (size_t i = 0; (batch->only_tags || batch->model_id) && i < classes->count; i++)
        if ((classes->items[i].output_type == OUTPUT_TYPE_TAG) != batch->only_tags)
            request_field_error(rq, "value_error", wrong, "body", "classes", arena_printf(&rq->arena, "%zu", i), "output_type", NULL);
    if (classes->count == 0 && !batch->only_tags) request_field_error(rq, "value_error", "May be empty only with a classification model", "body", "classes", NULL);
}

/* A model of this organization, or a public one. */
static Status load_model(NewBatch *batch, yyjson_doc **mapping) {
    Request *rq = batch->rq;
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT status, class_mapping FROM models WHERE id = $1 AND (organization_id = $2 OR visibility = 'public')",
                           DB_TEXT(batch->model_id), DB_TEXT(rq->principal.organization_id));
    bool found = db_next(&rows);
    batch->model_is_ready = found && text_equal(db_text_borrowed(&rows, 0), "ready");
    const char *text = found ? db_text(&rows, 1, &rq->arena) : NULL;
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!found) return request_not_found(rq, "Model");
    *mapping = text ? json_parse_in(&rq->arena, text, strlen(text), NULL) : NULL;
    return STATUS_OK;
}

static bool model_knows(yyjson_doc *mapping, const char *class_name) {
    yyjson_val *key, *name;
    size_t index, count;
    yyjson_obj_foreach(yyjson_doc_get_root(mapping), index, count, key, name) {
        if (text_equal(yyjson_get_str(name), class_name)) return true;
    }
    return false;
}

static Status check_model(NewBatch *batch) {
    Request *rq = batch->rq;
    yyjson_doc *mapping = NULL;
    Status status = load_model(batch, &mapping);
    for (size_t i = 0; status == STATUS_OK && batch->model_is_ready && i < batch->body->classes.count; i++) {
        const char *name = batch->body->classes.items[i].name;
        if (!model_knows(mapping, name))
            request_field_error(rq, "value_error", arena_printf(&rq->arena, "The model does not know the class '%s'", name), "body", "classes",
                                arena_printf(&rq->arena, "%zu", i), "name", NULL);
    }
    return status;
}

/* What is looked for by names, and the tags. */
static Status check_built_in(NewBatch *batch) {
    Request *rq = batch->rq;
    TextEngine engine;
    const char *classifier;
    size_t tags = count_tags(&batch->body->classes);
    Status status = batch->body->classes.count > tags ? text_engine_choose(&engine, rq->server, &rq->arena, &rq->error) : STATUS_OK;
    return status == STATUS_OK && (tags || batch->only_tags) ? search_classifier(rq->server, &rq->arena, &classifier, &rq->error) : status;
}

/* By a trained model; or by the class names and whatever answers text, and by the model that describes images for tags, which can be named, too. */
static Status check_engine(NewBatch *batch) {
    Request *rq = batch->rq;
    Error ignored = {0};
    const char *model = batch->body->model_id, *classifier = NULL;
    if (model && text_equal(model, "sam3")) model = NULL;
    if (model) search_classifier(rq->server, &rq->arena, &classifier, &ignored);
    batch->only_tags = classifier && text_equal(model, classifier);
    batch->model_id = batch->only_tags ? NULL : model;
    Status status = batch->model_id ? check_model(batch) : STATUS_OK;
    if (status == STATUS_OK) check_classes(batch);
    if (status == STATUS_OK && rq->errors.count) status = request_fail(rq, STATUS_VALIDATION_ERROR, "Some classes cannot be annotated");
    if (status == STATUS_OK && batch->model_id && !batch->model_is_ready) status = request_fail(rq, STATUS_MODEL_NOT_READY, "The model is not ready");
    return status == STATUS_OK && !batch->model_id ? check_built_in(batch) : status;
}

static void choose(NewBatch *batch, size_t *capacity, const char *id, const char *filename) {
    if (batch->image_count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 256;
        Chosen *more = arena_new_array(&batch->rq->arena, Chosen, *capacity);
        if (batch->image_count) memcpy(more, batch->images, batch->image_count * sizeof *more);
        batch->images = more;
    }
    batch->images[batch->image_count++] = (Chosen){id, filename};
}

/* All bearers of each name, each image once: a path and a base name may mean the same one. A name that nothing bears is a failure of the job, unless
 * no name is borne at all. The records that are read on the way go at once: a batch may name 10,000 images. */
static Status choose_images(NewBatch *batch) {
    Request *rq = batch->rq;
    const StringArray *names = &batch->body->image_filenames;
    size_t capacity = 0;
    StringMap seen, asked;
    Arena arena;
    Status status = STATUS_OK;
    string_map_init(&seen, &rq->arena);
    string_map_init(&asked, &rq->arena);
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; status == STATUS_OK && i < names->count; i++, arena_reset(&arena)) {
        ImageRecord *bearers = NULL;
        size_t count = 0;
        if (string_map_get_or_set(&asked, names->items[i], i) != i) continue;
        status = image_find_by_name(request_db(rq), &arena, batch->project.id, names->items[i], &bearers, &count, &rq->error);
        for (size_t b = 0; b < count; b++)
            if (string_map_get_or_set(&seen, bearers[b].id, batch->image_count) == batch->image_count)
                choose(batch, &capacity, arena_strdup(&rq->arena, bearers[b].id), arena_strdup(&rq->arena, bearers[b].filename));
        if (status == STATUS_OK && count == 0) {
            choose(batch, &capacity, "", names->items[i]);
            batch->missing_count++;
        }
    }
    arena_clear(&arena);
    if (status == STATUS_OK && batch->missing_count == batch->image_count) return request_fail(rq, STATUS_NOT_FOUND, "None of these images exists");
    return status;
}

static const char *classes_text(Arena *arena, const BatchClassArray *classes) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 64 << 20);
    json_writer_init(&w, &out);
    json_begin_array(&w);
    for (size_t i = 0; i < classes->count; i++) {
        json_begin_object(&w);
        json_field_string(&w, "name", classes->items[i].name);
        json_field_string(&w, "output_type", output_type_name(classes->items[i].output_type));
        json_end_object(&w);
    }
    json_end_array(&w);
    const char *text = arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

static Status insert_batch(DbSession *tx, void *context, Error *err) {
    NewBatch *batch = context;
    Request *rq = batch->rq;
    const char *organization = rq->principal.organization_id;
    ClassList classes = {0};
    for (size_t i = 0; i < batch->body->classes.count; i++) {
        const BatchClass *c = &batch->body->classes.items[i];
        if (c->output_type == OUTPUT_TYPE_TAG) continue;
        class_list_add(&rq->arena, &classes, c->name, output_type_name(c->output_type), NULL, "polygon");
    }
    Status status = credits_charge_amount(tx, rq, "sam3_per_minute", batch->credits, arena_printf(&rq->arena, "Batch of %zu images", batch->image_count - batch->missing_count), err);
    if (status == STATUS_OK) status = project_add_classes(tx, &rq->arena, batch->project.id, &classes, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO annotation_batches (id, organization_id, project_id, dataset_name, model_id, classes, confidence_threshold, total_images, failed_images, "
                         "credits_reserved, created_by, created_at, top_k) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                         DB_TEXT(batch->id), DB_TEXT(organization), DB_TEXT(batch->project.id), DB_TEXT(batch->project.name), DB_TEXT(batch->model_id),
                         DB_TEXT(batch->classes), DB_REAL(batch->body->confidence_threshold), DB_INT((int64_t)batch->image_count), DB_INT((int64_t)batch->missing_count), DB_INT(batch->credits),
                         DB_TEXT(request_creator(rq)), DB_INT(clock_now_ms()), DB_INT(batch->body->top_k));
    for (size_t i = 0; status == STATUS_OK && i < batch->image_count; i++) {
        bool missing = batch->images[i].id[0] == '\0';
        status = db_exec(tx, err, "INSERT INTO annotation_batch_images (batch_id, position, image_id, image_filename, state, reason) VALUES ($1, $2, $3, $4, $5, $6)",
                         DB_TEXT(batch->id), DB_INT((int64_t)i), DB_TEXT(batch->images[i].id), DB_TEXT(batch->images[i].filename), DB_TEXT(missing ? "failed" : "pending"),
                         DB_TEXT(missing ? "No image is called so" : NULL));
    }
    if (status == STATUS_OK)
        status = job_enqueue(tx, batch->id, BATCH_ANNOTATION_JOB.name, organization, batch->project.id, "{}", err);
    return status == STATUS_OK ? load_job(tx, &rq->arena, organization, batch->id, &batch->row, err) : status;
}

Status start_auto_annotate_batch(Request *rq, const StartAutoAnnotateBatchInput *in, AutoAnnotateJob *out) {
    NewBatch batch = {.rq = rq, .body = in->body, .id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE))};
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->body->dataset_name, &batch.project, &rq->error);
    if (status == STATUS_OK) status = check_engine(&batch);
    if (status == STATUS_OK) status = choose_images(&batch);
    if (status != STATUS_OK) return status;
    batch.classes = classes_text(&rq->arena, &in->body->classes);
    batch.credits = (int64_t)(batch.image_count - batch.missing_count);
    if (batch.credits < BATCH_MINIMUM_CREDITS) batch.credits = BATCH_MINIMUM_CREDITS;
    status = request_write(rq, insert_batch, &batch);
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    *out = batch.row;
    return STATUS_OK;
}

/* ---- cancelling ---- */

Status cancel_auto_annotate_batch(Request *rq, const CancelAutoAnnotateBatchInput *in, AutoAnnotateJob *out) {
    const char *organization = rq->principal.organization_id;
    Status status = load_job(request_db(rq), &rq->arena, organization, in->job_id, out, &rq->error);
    if (status == STATUS_OK) status = request_cancel_job(rq, in->job_id);
    return status == STATUS_OK ? load_job(request_db(rq), &rq->arena, organization, in->job_id, out, &rq->error) : status;
}
