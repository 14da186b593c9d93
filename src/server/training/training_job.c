/* The job of a training run: pictograph-train on the export's bytes, its progress into the run's row, its ONNX file into a model.
 *
 * The run has a folder of its own, DATA/work/<run id>, which holds the trainer's checkpoint: after kill -9 the job is taken up again and the
 * trainer goes on at the last epoch. The folder goes when the run is final.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "server/jobs/process.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "server/training/training.h"
#include "server/training/training_store.h"
#include "worker/train_config.h"
#include "base/banned.h"

enum { SEED = 1 };

typedef struct Run {
    Job *job;
    const char *id, *folder;
    const char *organization_id, *name, *pipeline, *config, *export_object, *project_id, *created_by;
    /* what the trainer said last */
    int64_t epoch, epochs, eta_seconds;
    int64_t progress;
    const char *metrics; /* JSON object; NULL until there is some */
    Status failure; /* with message: why it failed, by its own account */
    char message[400];
    bool done;
    const char *class_mapping, *input_size;
    ObjectInfo model;
    double reported_at;
} Run;

/* ---- what to train ---- */

/* *out_open: there is such a run, and it has no final state yet. */
static Status load_run(Run *run, bool *out_open, Error *err) {
    Server *server = run->job->server;
    Arena *arena = run->job->arena;
    DbSession *db = db_session(server->store);
    DbRows rows = db_query(db, err, "SELECT organization_id, name, pipeline_type, config, export_object, project_id, created_by FROM training_runs "
                           "WHERE id = $1 AND status IN ('pending', 'queued', 'running')", DB_TEXT(run->id));
    *out_open = db_next(&rows);
    if (*out_open) {
        run->organization_id = db_text(&rows, 0, arena);
        run->name = db_text(&rows, 1, arena);
        run->pipeline = db_text(&rows, 2, arena);
        run->config = db_text(&rows, 3, arena);
        run->export_object = db_text(&rows, 4, arena);
        run->project_id = db_text(&rows, 5, arena);
        run->created_by = db_text(&rows, 6, arena);
    }
    Status status = db_finish(&rows);
    db_session_release(server->store, db);
    return status;
}

const char *training_weights_path(const Config *config, const char *name, Arena *arena) {
    struct stat facts;
    if (!*name || *name == '.' || strchr(name, '/')) return NULL;
    const char *path = arena_printf(arena, "%s/models/weights/%s", config->data_directory, name);
    return lstat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? path : NULL;
}

/* The settings as they were sent, but for the weights: RUN.json names those by path, and which path is not the caller's to say. */
static Status write_settings(JsonWriter *w, const Run *run, yyjson_val *config, Error *err) {
    size_t index, count;
    yyjson_val *key, *value;
    json_key(w, "config");
    json_begin_object(w);
    yyjson_obj_foreach(config, index, count, key, value) {
        if (text_equal(yyjson_get_str(key), "weights")) continue;
        json_key(w, yyjson_get_str(key));
        json_value(w, value);
    }
    json_end_object(w);
    const char *name = json_get_string(config, "weights", NULL);
    if (!name) return STATUS_OK;
    const char *path = training_weights_path(&run->job->server->config, name, run->job->arena);
    if (!path) return error_set(err, STATUS_VALIDATION_ERROR, "The weights '%.100s' are no longer on this server", name);
    json_field_string(w, "weights", path);
    return STATUS_OK;
}

/* The folder with the export under a name that says what it is, and RUN.json. */
static Status prepare(Run *run, Error *err) {
    Server *server = run->job->server;
    Arena *arena = run->job->arena;
    Status status = file_make_directories(run->folder, 0700, err);
    if (status != STATUS_OK) return status;
    const char *object = objects_path(server->objects, run->export_object, arena), *zip = arena_printf(arena, "%s/export.zip", run->folder);
    if (!file_exists(zip) && link(object, zip) != 0 && symlink(object, zip) != 0) return error_set_errno(err, errno, "%s", zip);
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 1 << 20);
    json_writer_init(&w, &out);
    json_begin_object(&w);
    json_field_string(&w, "pipeline", run->pipeline);
    json_field_string(&w, "data", zip);
    json_field_string(&w, "output", run->folder);
    yyjson_doc *sent = json_parse(run->config, strlen(run->config), NULL);
    yyjson_val *config = yyjson_doc_get_root(sent);
    status = write_settings(&w, run, config, err);
    json_field_int(&w, "seed", (int64_t)json_get_number(config, "seed", SEED));
    json_field_int(&w, "threads", 0);
    json_field_number(&w, "max_seconds", json_get_number(config, "max_seconds", TRAIN_MAX_SECONDS));
    json_end_object(&w);
    yyjson_doc_free(sent);
    if (status == STATUS_OK) status = file_write_atomic(arena_printf(arena, "%s/RUN.json", run->folder), buffer_text(&out), out.size, 0600, err);
    buffer_clear(&out);
    return status;
}

/* ---- what the trainer says ---- */

static Status write_queued(DbSession *tx, void *context, Error *err) {
    const Run *run = context;
    return db_exec(tx, err, "UPDATE training_runs SET status = 'queued' WHERE id = $1 AND status = 'pending'", DB_TEXT(run->id));
}

/* When the epoch ended from which a run goes on; 0 when it begins anew. */
static int64_t checkpoint_ms(const Run *run) {
    struct stat facts;
    if (stat(arena_printf(run->job->arena, "%s/checkpoint.safetensors", run->folder), &facts) != 0) return 0;
    return (int64_t)facts.st_mtim.tv_sec * 1000 + facts.st_mtim.tv_nsec / 1000000;
}

/* A run that is taken up again starts so much later: neither the pause nor what it lost is billed. */
static Status write_start(DbSession *tx, void *context, Error *err) {
    const Run *run = context;
    int64_t now = clock_now_ms(), kept = checkpoint_ms(run);
    return db_exec(tx, err,
                   "UPDATE training_runs SET status = 'running', started_at = $1 - coalesce(CASE WHEN $2 > started_at THEN $2 - started_at END, 0) "
                   "WHERE id = $3 AND status IN ('pending', 'queued', 'running')", DB_INT(now), DB_INT(kept < now ? kept : now), DB_TEXT(run->id));
}

static Status write_progress(DbSession *tx, void *context, Error *err) {
    const Run *run = context;
    return db_exec(tx, err,
                   "UPDATE training_runs SET progress = $1, current_epoch = $2, total_epochs = $3, metrics = coalesce($4, metrics), eta_seconds = $5 "
                   "WHERE id = $6 AND status = 'running'",
                   DB_INT(run->progress), DB_INT(run->epoch), DB_INT_OR_NULL(run->epochs > 0, run->epochs), DB_TEXT(run->metrics),
                   DB_INT_OR_NULL(run->eta_seconds >= 0, run->eta_seconds), DB_TEXT(run->id));
}

/* {"0": "rbc", "1": "wbc"} of the list of names. */
static const char *mapping_text(Arena *arena, yyjson_val *names) {
    Buffer out;
    JsonWriter w;
    size_t index, count;
    yyjson_val *name;
    buffer_init(&out, 16 << 20); /* 5,000 names of 120 characters */
    json_writer_init(&w, &out);
    json_begin_object(&w);
    yyjson_arr_foreach(names, index, count, name) {
        char key[24];
        snprintf(key, sizeof key, "%zu", index);
        json_field_string(&w, key, yyjson_get_str(name));
    }
    json_end_object(&w);
    const char *text = arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

static void take_progress(Run *run, yyjson_val *event) {
    run->epoch = json_get_int(event, "epoch", run->epoch);
    run->epochs = json_get_int(event, "epochs", run->epochs);
    run->eta_seconds = (int64_t)json_get_number(event, "eta_seconds", -1);
    int64_t percent = run->epochs > 0 ? run->epoch * 100 / run->epochs : 0;
    run->progress = percent > 99 ? 99 : percent; /* 100 only when final */
    if (text_equal(json_get_string(event, "event", NULL), "epoch")) run->metrics = json_text(run->job->arena, event);
    if (db_write(run->job->server->store, write_progress, run, NULL) == STATUS_OK) run->reported_at = clock_monotonic();
}

static void take_result(Run *run, yyjson_val *event) {
    Arena *arena = run->job->arena;
    int64_t size = json_get_int(event, "image_size", 0);
    run->done = true;
    run->metrics = json_text(arena, yyjson_obj_get(event, "metrics"));
    run->class_mapping = mapping_text(arena, yyjson_obj_get(event, "class_names"));
    run->input_size = arena_printf(arena, "[%lld,%lld]", (long long)size, (long long)size);
}

static void take_failure(Run *run, yyjson_val *event) {
    run->failure = status_from_slug(json_get_string(event, "code", NULL));
    snprintf(run->message, sizeof run->message, "%s", json_get_string(event, "message", "The trainer failed"));
}

/* One line of the trainer, or NULL four times a second. false stops it. */
static bool take_line(const char *line, void *context) {
    Run *run = context;
    if (!line) return !job_cancelled(run->job);
    yyjson_doc *doc = json_parse(line, strlen(line), NULL);
    yyjson_val *event = yyjson_doc_get_root(doc);
    const char *kind = json_get_string(event, "event", "");
    if (text_equal(kind, "epoch") || (text_equal(kind, "step") && clock_monotonic() - run->reported_at > 2)) take_progress(run, event);
    else if (text_equal(kind, "done")) take_result(run, event);
    else if (text_equal(kind, "failed")) take_failure(run, event);
    else if (text_equal(kind, "warning"))
        log_event(LOG_WARNING, "training_warning", "run", run->id, "file", json_get_string(event, "file", ""), "message", json_get_string(event, "message", ""), NULL);
    yyjson_doc_free(doc);
    return !job_cancelled(run->job);
}

/* ---- the end ---- */

static Status write_model(DbSession *tx, void *context, Error *err) {
    const Run *run = context;
    char model_id[UUID_SIZE];
    Status status = object_insert(tx, &run->model, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO models (id, organization_id, name, model_type, architecture, status, metrics, class_mapping, project_id, training_run_id, object, "
                         "file_size, md5, input_size, created_by, created_at, updated_at) "
                         "VALUES ($1, $2, $3, 'object_detection', $4, 'ready', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
                         DB_TEXT(uuid_new(model_id)), DB_TEXT(run->organization_id), DB_TEXT(run->name), DB_TEXT(run->pipeline), DB_TEXT(run->metrics),
                         DB_TEXT(run->class_mapping), DB_TEXT(run->project_id), DB_TEXT(run->id), DB_TEXT(run->model.sha256), DB_INT(run->model.size),
                         DB_TEXT(run->model.md5), DB_TEXT(run->input_size), DB_TEXT(run->created_by), DB_INT(clock_now_ms()));
    return status == STATUS_OK ? training_finish(tx, run->id, TRAINING_STATUS_COMPLETED, model_id, run->metrics, NULL, err) : status;
}

static Status train(Run *run, Error *err) {
    Job *job = run->job;
    Server *server = job->server;
    Status status = db_write(server->store, write_queued, run, err);
    if (status == STATUS_OK) status = prepare(run, err);
    if (status == STATUS_OK) status = db_write(server->store, write_start, run, err);
    if (status != STATUS_OK) return status;

    const char *argv[] = {arena_printf(job->arena, "%s/pictograph-train", server->config.program_directory),
                          arena_printf(job->arena, "%s/RUN.json", run->folder), NULL};
    int exit_code = 0;
    status = process_run(&exit_code, argv, run->folder, arena_printf(job->arena, "%s/train.log", run->folder), take_line, run, err);
    if (job_cancelled(job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    if (status == STATUS_OK && (exit_code != 0 || !run->done))
        status = error_set(err, run->failure ? run->failure : STATUS_INTERNAL_ERROR, "%s", run->message[0] ? run->message : "The trainer ended without a result");
    if (status == STATUS_OK) status = objects_adopt_file(server->objects, arena_printf(job->arena, "%s/model.onnx", run->folder), &run->model, err);
    return status == STATUS_OK ? db_write(server->store, write_model, run, err) : status;
}

static Status run_training(Job *job, Error *err) {
    Run run = {.job = job, .id = job->id, .folder = objects_work_path(job->server->objects, job->id, job->arena), .eta_seconds = -1};
    bool open;
    Status status = load_run(&run, &open, err);
    if (status == STATUS_OK && open) status = train(&run, err);
    if (status == STATUS_OK) file_remove_tree(run.folder, NULL);
    return status;
}

static Status end_training(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    bool cancelled = why == STATUS_CANCELLED;
    return training_finish(tx, job->id, cancelled ? TRAINING_STATUS_CANCELLED : TRAINING_STATUS_FAILED, NULL, NULL, cancelled ? NULL : message, err);
}

const JobKind TRAINING_JOB = {.name = "training", .queue = "training", .parallel = 1, .max_attempts = 3, .run = run_training, .ended = end_training};
