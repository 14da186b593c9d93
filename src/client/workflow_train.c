/* Workflows: export → training → model, and the whole way from a folder to a model. */
#include <pictograph/credits.h>
#include <pictograph/exports.h>
#include <pictograph/models.h>
#include <pictograph/workflows.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "client/failure.h"

#include "base/banned.h"

/* The export that was made for a run that the server refused: nobody would look for it. */
static void discard_export(PictographClient *client, const char *dataset_name, const char *name) {
    PictographError ignored = {0};
    pictograph_exports_delete(client, dataset_name, name, &ignored);
    pictograph_error_clear(&ignored);
}

/* <pipeline>-<YYYYMMDD-HHMMSS>, UTC */
static void name_export(char *out, size_t size, const char *pipeline) {
    struct tm utc;
    time_t now = time(NULL);
    char stamp[32];
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &utc);
    snprintf(out, size, "%s-%s", pipeline, stamp);
}

static PictographStatus make_export(PictographClient *client, const char *dataset_name, const char *name, PictographError *error) {
    PictographExport request = {.dataset_name = dataset_name, .name = name};
    PictographResult *export = pictograph_exports_create(client, &request, error);
    if (!export) return error->status;
    pictograph_result_free(export);
    export = pictograph_exports_wait(client, dataset_name, name, NULL, error);
    pictograph_result_free(export);
    return error->status;
}

static PictographStatus train(PictographClient *client, const PictographTrain *options, const char *export_name, PictographResult **run,
                              PictographResult **model, PictographError *error) {
    PictographTraining request = {.dataset_name = options->dataset_name, .export_name = export_name, .pipeline_type = options->pipeline_type,
                                  .name = options->name, .gpu_type = options->gpu_type, .config_json = options->config_json};
    PictographResult *created = pictograph_training_create(client, &request, error);
    if (!created) return error->status;
    const char *id = pictograph_text(created, "/id");
    if (options->no_wait || !id) {
        *run = created;
        return PICTOGRAPH_OK;
    }
    *run = pictograph_training_wait(client, id, &options->wait, error);
    pictograph_result_free(created);
    const char *model_id = pictograph_text(*run, "/model_id");
    if (*run && model_id) *model = pictograph_models_get(client, model_id, error);
    return error->status;
}

PictographStatus pictograph_train_pipeline(PictographClient *client, const PictographTrain *options, PictographResult **run,
                                           PictographResult **model, PictographError *error) {
    PictographError own = {0};
    PictographResult *made_run = NULL, *made_model = NULL;
    char made_name[128];
    const char *export_name = options->export_name;
    if (!export_name) {
        name_export(made_name, sizeof made_name, options->pipeline_type);
        export_name = made_name;
    }
    if (!make_export(client, options->dataset_name, export_name, &own) && train(client, options, export_name, &made_run, &made_model, &own)) {
        bool refused = own.status == PICTOGRAPH_VALIDATION || own.status == PICTOGRAPH_PAYMENT_REQUIRED;
        if (refused && !options->export_name) discard_export(client, options->dataset_name, export_name);
        pictograph_result_free(made_run);
        made_run = NULL;
    }
    *run = made_run;
    *model = made_model;
    PictographStatus status = own.status;
    failure_move(error, &own);
    return status;
}

/* ---- folder to model ---- */

/* Closes the gate, with a reason, when the balance is below the least that is wanted. */
static PictographStatus check_credits(PictographClient *client, int64_t least, PictographPipelineReport *report, PictographError *error) {
    PictographResult *balance = pictograph_credits_balance(client, error);
    if (!balance) return error->status;
    int64_t left = pictograph_integer(balance, "/credits_remaining", 0);
    if (left < least)
        snprintf(report->credit_skip_reason, sizeof report->credit_skip_reason, "%lld credits are left, at least %lld are wanted",
                 (long long)left, (long long)least);
    pictograph_result_free(balance);
    return PICTOGRAPH_OK;
}

static PictographStatus run_pipeline(PictographClient *client, const PictographFullPipeline *options, PictographPipelineReport *report,
                                     PictographError *error) {
    const char *dataset_name = options->upload.dataset_name;
    bool paid = options->annotate || options->train;
    PictographStatus status = pictograph_upload_dataset_from_folder(client, &options->upload, &report->upload, error);
    if (status || !report->upload.success) return status;
    if (paid && options->min_credits >= 0 &&
        (status = check_credits(client, options->min_credits ? options->min_credits : 1, report, error)))
        return status;
    if (report->credit_skip_reason[0]) return PICTOGRAPH_OK;
    if (options->annotate) {
        PictographAnnotate annotate = *options->annotate;
        annotate.dataset_name = dataset_name;
        report->annotated = true;
        status = pictograph_auto_annotate_dataset(client, &annotate, &report->annotate, error);
        if (status || !report->annotate.success) return status;
    }
    if (options->train) {
        PictographTrain training = *options->train;
        training.dataset_name = dataset_name;
        status = pictograph_train_pipeline(client, &training, &report->training_run, &report->model, error);
    }
    report->success = !status && (!options->train || text_equal(pictograph_text(report->training_run, "/status"), "completed"));
    return status;
}

PictographStatus pictograph_full_pipeline(PictographClient *client, const PictographFullPipeline *options, PictographPipelineReport *report,
                                          PictographError *error) {
    *report = (PictographPipelineReport){0};
    PictographError own = {0};
    PictographStatus status = run_pipeline(client, options, report, &own);
    failure_move(error, &own);
    return status;
}

void pictograph_pipeline_report_clear(PictographPipelineReport *report) {
    pictograph_upload_report_clear(&report->upload);
    pictograph_annotate_report_clear(&report->annotate);
    pictograph_result_free(report->training_run);
    pictograph_result_free(report->model);
    *report = (PictographPipelineReport){0};
}
