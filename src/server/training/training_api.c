/* Handlers of training runs: start, list, watch, cancel. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/api/api_handlers.h"
#include "server/credits/credits.h"
#include "server/jobs/jobs.h"
#include "server/projects/projects.h"
#include "server/training/training.h"
#include "server/training/training_store.h"
#include "worker/train_config.h"
#include "base/banned.h"

enum { MINIMUM_IMAGES = 5, MAXIMUM_MINUTES = 120, CONFIG_BYTES = 65536 }; /* limits.yaml training.min_images, credits.estimated_training_minutes, training.config_bytes */

int64_t training_estimated_minutes(int64_t images, int64_t epochs, int64_t image_size) {
    double size = image_size ? (double)image_size : 320, rounds = epochs ? (double)epochs : 60;
    double images_per_second = 30.0 * (256.0 / size) * (256.0 / size); /* a small network on two cores */
    int64_t minutes = 1 + (int64_t)((double)images * rounds / images_per_second / 60.0);
    return minutes > MAXIMUM_MINUTES ? MAXIMUM_MINUTES : minutes;
}

/* ---- reading ---- */

Status get_training_run(Request *rq, const GetTrainingRunInput *in, TrainingRunEnvelope *out) {
    return training_load(request_db(rq), &rq->arena, rq->principal.organization_id, in->run_id, &out->training_run, &rq->error);
}

Status list_training_runs(Request *rq, const ListTrainingRunsInput *in, TrainingRunListResponse *out) {
    DbSession *db = request_db(rq);
    const char *organization = rq->principal.organization_id, *wanted = training_status_name(in->status), *project_id = NULL;
    if (in->dataset_name) {
        ProjectRecord project;
        Status status = project_load(db, &rq->arena, organization, in->dataset_name, &project, &rq->error);
        if (status != STATUS_OK) return status;
        project_id = project.id;
    }
#define MATCHING " FROM training_runs r WHERE r.organization_id = $1 AND ($2 IS NULL OR r.project_id = $2) AND ($3 IS NULL OR r.status = $3)"
    Status status = db_read_int(db, &rq->error, &out->total, 0, "SELECT count(*)" MATCHING, DB_TEXT(organization), DB_TEXT(project_id), DB_TEXT(wanted));
    if (status != STATUS_OK) return status;
    out->training_runs.items = arena_new_array(&rq->arena, TrainingRun, (size_t)in->limit);
    DbRows rows = db_query(db, &rq->error, "SELECT " TRAINING_COLUMNS MATCHING " ORDER BY r.created_at DESC, r.id LIMIT $4 OFFSET $5", DB_TEXT(organization),
                           DB_TEXT(project_id), DB_TEXT(wanted), DB_INT(in->limit), DB_INT(in->offset));
#undef MATCHING
    while (out->training_runs.count < (size_t)in->limit && db_next(&rows))
        out->training_runs.items[out->training_runs.count++] = training_read_row(&rows, &rq->arena);
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return db_finish(&rows);
}

/* ---- starting ---- */

typedef struct NewRun {
    Request *rq;
    const TrainingCreateRequest *body;
    ProjectRecord project;
    const char *export_id, *export_object;
    int64_t annotated_images;
    const char *id, *name, *config;
    int64_t minutes;
    TrainingRun row;
} NewRun;

/* The completed export of that name, or why it will not do. */
static Status find_export(NewRun *run) {
    Request *rq = run->rq;
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT id, object, status, annotated_image_count, include_images FROM exports WHERE project_id = $1 AND name = $2",
                           DB_TEXT(run->project.id), DB_TEXT(run->body->export_name));
    bool found = db_next(&rows), completed = false, with_images = false;
    if (found) {
        run->export_id = db_text(&rows, 0, &rq->arena);
        run->export_object = db_text(&rows, 1, &rq->arena);
        completed = strcmp(db_text_borrowed(&rows, 2), "completed") == 0 && run->export_object;
        run->annotated_images = db_int(&rows, 3);
        with_images = db_int(&rows, 4) != 0;
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!found) return request_fail(rq, STATUS_NOT_FOUND, "Export '%s' not found", run->body->export_name);
    if (!completed) return request_fail(rq, STATUS_EXPORT_NOT_READY, "Export '%s' is not completed", run->body->export_name);
    if (!with_images) {
        request_field_error(rq, "value_error", "The export must hold its images", "body", "export_name", NULL);
        return request_fail(rq, STATUS_VALIDATION_ERROR, "Export '%s' was made without images: make one with include_images", run->body->export_name);
    }
    if (run->annotated_images >= MINIMUM_IMAGES) return STATUS_OK;
    request_field_error(rq, "dataset_too_small", arena_printf(&rq->arena, "Training needs %d annotated images, the export has %lld", MINIMUM_IMAGES, (long long)run->annotated_images),
                        "body", "export_name", NULL);
    return request_fail(rq, STATUS_DATASET_TOO_SMALL, "Training needs at least %d annotated images", MINIMUM_IMAGES);
}

/* Weights to begin from are the operator's: a name in their folder, never a path. */
static Status check_weights(Request *rq, const TrainingConfig *config) {
    yyjson_val *weights = config ? yyjson_obj_get(config->json, "weights") : NULL;
    if (!weights || yyjson_is_null(weights)) return STATUS_OK;
    const char *name = yyjson_get_str(weights);
    bool whole = name && strlen(name) == yyjson_get_len(weights);
    if (whole && training_weights_path(&rq->server->config, name, &rq->arena)) return STATUS_OK;
    request_field_error(rq, "value_error", "The name of a file in the operator's folder models/weights", "body", "config", "weights", NULL);
    return request_fail(rq, STATUS_VALIDATION_ERROR, "config.weights: this server has no weights of that name");
}

/* It goes into each listing of runs. */
static Status check_size(Request *rq, const char *config) {
    if (strlen(config) <= CONFIG_BYTES) return STATUS_OK;
    request_field_error(rq, "value_error", arena_printf(&rq->arena, "Should have at most %d bytes of JSON", CONFIG_BYTES), "body", "config", NULL);
    return request_fail(rq, STATUS_VALIDATION_ERROR, "config is too large");
}

static Status check_trainer(Request *rq) {
    bool there = access(arena_printf(&rq->arena, "%s/pictograph-train", rq->server->config.program_directory), X_OK) == 0;
    return there ? STATUS_OK : request_fail(rq, STATUS_SERVICE_UNAVAILABLE, "No trainer is available on this server");
}

static const char *default_name(Arena *arena, const char *pipeline) {
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct tm tm;
    char text[20];
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%Y%m%d-%H%M%S", &tm);
    return arena_printf(arena, "%s-run-%s", pipeline, text);
}

static Status insert_run(DbSession *tx, void *context, Error *err) {
    NewRun *run = context;
    Request *rq = run->rq;
    const char *organization = rq->principal.organization_id, *pipeline = pipeline_type_name(run->body->pipeline_type), *gpu = gpu_type_name(run->body->gpu_type);
    const char *slug = arena_printf(&rq->arena, "training_%s_per_minute", gpu);
    int64_t credits = 0;
    Status status = credits_charge(tx, rq, slug, run->minutes, arena_printf(&rq->arena, "Training run %s", run->name), &credits, err);
    if (status != STATUS_OK) return status;
    status = db_exec(tx, err,
                     "INSERT INTO training_runs (id, organization_id, project_id, dataset_name, export_id, export_name, export_object, name, pipeline_type, gpu_type, config, "
                     "estimated_minutes, credits_charged, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                     DB_TEXT(run->id), DB_TEXT(organization), DB_TEXT(run->project.id), DB_TEXT(run->project.name), DB_TEXT(run->export_id),
                     DB_TEXT(run->body->export_name), DB_TEXT(run->export_object), DB_TEXT(run->name), DB_TEXT(pipeline), DB_TEXT(gpu), DB_TEXT(run->config),
                     DB_INT(run->minutes), DB_INT(credits), DB_TEXT(request_creator(rq)), DB_INT(clock_now_ms()));
    if (status == STATUS_OK)
        status = job_enqueue(tx, run->id, TRAINING_JOB.name, organization, run->project.id, "{}", err);
    return status == STATUS_OK ? training_load(tx, &rq->arena, organization, run->id, &run->row, err) : status;
}

Status create_training_run(Request *rq, const CreateTrainingRunInput *in, TrainingRunEnvelope *out) {
    const TrainingCreateRequest *body = in->body;
    NewRun run = {.rq = rq, .body = body, .id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE))};
    Status status = project_load(request_db(rq), &rq->arena, rq->principal.organization_id, body->dataset_name, &run.project, &rq->error);
    if (status != STATUS_OK) return status;
    if (body->pipeline_type != PIPELINE_TYPE_YOLOX) {
        request_field_error(rq, "value_error", "This server trains 'yolox'", "body", "pipeline_type", NULL);
        return request_fail(rq, STATUS_VALIDATION_ERROR, "Pipeline '%s' is not available on this server", pipeline_type_name(body->pipeline_type));
    }
    run.config = body->config && body->config->json ? json_text(&rq->arena, body->config->json) : "{}";
    status = check_size(rq, run.config);
    if (status == STATUS_OK) status = find_export(&run);
    if (status == STATUS_OK) status = check_weights(rq, body->config);
    if (status == STATUS_OK) status = check_trainer(rq);
    if (status != STATUS_OK) return status;
    run.name = body->name ? body->name : default_name(&rq->arena, pipeline_type_name(body->pipeline_type));
    run.minutes = training_estimated_minutes(run.annotated_images, body->config && body->config->has_epochs ? body->config->epochs : 0,
                                             body->config && body->config->has_image_size ? body->config->image_size : 0);
    status = request_write(rq, insert_run, &run);
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    out->training_run = run.row;
    return STATUS_OK;
}

/* ---- cancelling ---- */

Status cancel_training_run(Request *rq, const CancelTrainingRunInput *in, TrainingRunEnvelope *out) {
    const char *organization = rq->principal.organization_id;
    Status status = training_load(request_db(rq), &rq->arena, organization, in->run_id, &out->training_run, &rq->error);
    if (status == STATUS_OK) status = request_cancel_job(rq, in->run_id);
    return status == STATUS_OK ? training_load(request_db(rq), &rq->arena, organization, in->run_id, &out->training_run, &rq->error) : status;
}
