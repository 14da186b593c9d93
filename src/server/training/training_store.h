/* Rows of training runs. Private to this feature. */
#pragma once
#include "server/api/api_types.h"
#include "server/store/db.h"

/* Columns in the order of training_read_row, of a table named r. */
#define TRAINING_COLUMNS                                                                                                                 \
    "r.id, r.organization_id, r.name, r.project_id, r.dataset_name, r.export_id, r.export_name, r.model_id, r.pipeline_type, r.gpu_type, " \
    "r.status, r.progress, r.current_epoch, r.total_epochs, r.metrics, r.config, r.eta_seconds, r.estimated_minutes, r.credits_charged, "  \
    "r.credits_refunded, r.error_message, r.started_at, r.completed_at, r.created_at, r.created_by"
TrainingRun training_read_row(const DbRows *rows, Arena *arena);
/* STATUS_NOT_FOUND "Training run not found". */
Status training_load(DbSession *session, Arena *arena, const char *organization_id, const char *id, TrainingRun *out, Error *err);

/* Brings a run to a final state, inside a transaction: bills the started minutes it used and returns the rest. Nothing happens to a run that is
 * final already. metrics NULL leaves them, model_id and message may be NULL. */
Status training_finish(DbSession *tx, const char *run_id, TrainingStatus status, const char *model_id, const char *metrics, const char *message, Error *err);
