/* Rows of training runs, and the one way into a final state. */
#include "server/training/training_store.h"

#include <string.h>

#include "base/clock.h"
#include "server/credits/credits.h"
#include "worker/train_config.h"
#include "base/banned.h"

static int64_t seconds_rounded_up(int64_t from_ms, int64_t to_ms) { return to_ms > from_ms ? (to_ms - from_ms + 999) / 1000 : 0; }

static void note_ignored(TrainingRun *run, Arena *arena) {
    yyjson_val *config = yyjson_doc_get_root(json_parse_in(arena, run->config, strlen(run->config), NULL)), *key, *value;
    size_t index, count;
    run->config_ignored.items = arena_new_array(arena, const char *, yyjson_obj_size(config));
    yyjson_obj_foreach(config, index, count, key, value)
        if (!train_config_knows(yyjson_get_str(key))) run->config_ignored.items[run->config_ignored.count++] = yyjson_get_str(key);
    run->has_config_ignored = run->config_ignored.count > 0;
}

TrainingRun training_read_row(const DbRows *rows, Arena *arena) {
    TrainingRun run = {
        .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .name = db_text(rows, 2, arena), .dataset_id = db_text(rows, 3, arena),
        .dataset_name = db_text(rows, 4, arena), .export_id = db_text(rows, 5, arena), .export_name = db_text(rows, 6, arena), .model_id = db_text(rows, 7, arena),
        .pipeline_type = pipeline_type_from_name(db_text_borrowed(rows, 8)), .gpu_type = gpu_type_from_name(db_text_borrowed(rows, 9)),
        .status = training_status_from_name(db_text_borrowed(rows, 10)), .progress = db_int(rows, 11), .current_epoch = db_int(rows, 12),
        .total_epochs = db_int(rows, 13), .has_total_epochs = !db_is_null(rows, 13), .metrics = db_text(rows, 14, arena), .config = db_text(rows, 15, arena),
        .eta_seconds = db_int(rows, 16), .has_eta_seconds = !db_is_null(rows, 16), .estimated_minutes = db_int(rows, 17), .has_estimated_minutes = true,
        .credits_charged = db_int(rows, 18), .has_credits_charged = true, .credits_refunded = db_int(rows, 19), .has_credits_refunded = true,
        .error_message = db_text(rows, 20, arena), .started_at = db_int(rows, 21), .has_started_at = !db_is_null(rows, 21),
        .completed_at = db_int(rows, 22), .has_completed_at = !db_is_null(rows, 22), .created_at = db_int(rows, 23), .created_by = db_text(rows, 24, arena),
    };
    if (run.has_started_at) {
        run.training_time_seconds = seconds_rounded_up(run.started_at, run.has_completed_at ? run.completed_at : clock_now_ms());
        run.has_training_time_seconds = true;
    }
    note_ignored(&run, arena);
    return run;
}

Status training_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, TrainingRun *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " TRAINING_COLUMNS " FROM training_runs r WHERE r.id = $1 AND r.organization_id = $2", DB_TEXT(id),
                           DB_TEXT(organization_id));
    bool found = db_next(&rows);
    if (found) *out = training_read_row(&rows, arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "Training run not found");
}

Status training_finish(DbSession *tx, const char *run_id, TrainingStatus status, const char *model_id, const char *metrics, const char *message, Error *err) {
    char organization[64] = "", gpu[16] = "";
    int64_t minutes = 0, charged = 0, started = 0, now = clock_now_ms();
    bool running = false, was_started = false;
    DbRows rows = db_query(tx, err, "SELECT organization_id, gpu_type, estimated_minutes, credits_charged, started_at, status FROM training_runs WHERE id = $1", DB_TEXT(run_id));
    if (db_next(&rows)) {
        snprintf(organization, sizeof organization, "%s", db_text_borrowed(&rows, 0));
        snprintf(gpu, sizeof gpu, "%s", db_text_borrowed(&rows, 1));
        minutes = db_int(&rows, 2);
        charged = db_int(&rows, 3);
        started = db_int(&rows, 4);
        was_started = !db_is_null(&rows, 4);
        const char *now_is = db_text_borrowed(&rows, 5);
        running = strcmp(now_is, "pending") == 0 || strcmp(now_is, "queued") == 0 || strcmp(now_is, "running") == 0;
    }
    Status outcome = db_finish(&rows);
    if (outcome != STATUS_OK || !running) return outcome; /* a final state never changes */

    int64_t used = was_started ? (seconds_rounded_up(started, now) + 59) / 60 : 0;
    int64_t refund = minutes > 0 && used < minutes ? charged - used * (charged / minutes) : 0;
    outcome = db_exec(tx, err,
                      "UPDATE training_runs SET status = $1, model_id = $2, metrics = coalesce($3, metrics), error_message = $4, completed_at = $5, eta_seconds = NULL, "
                      "credits_refunded = $6, progress = CASE WHEN $1 = 'completed' THEN 100 ELSE progress END WHERE id = $7",
                      DB_TEXT(training_status_name(status)), DB_TEXT(model_id), DB_TEXT(metrics), DB_TEXT(message), DB_INT(now), DB_INT(refund), DB_TEXT(run_id));
    if (outcome != STATUS_OK || refund == 0) return outcome;
    char operation[64];
    snprintf(operation, sizeof operation, "training_refund_%s", gpu);
    return credits_refund(tx, organization, operation, refund, "Minutes that the run did not use", err);
}
