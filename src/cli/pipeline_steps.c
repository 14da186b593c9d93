/* The steps of the pipeline that the server does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "cli/import.h"
#include "cli/pipeline.h"

#include "base/banned.h"

enum { JOB_IMAGES = 10000, CLASSES_MAX = 200, FINGERPRINT = 12 };

void pipeline_begin(Pipeline *pipeline, const char *label, const char *unit) {
    progress_begin(&pipeline->progress, label, unit);
}

void pipeline_end(Pipeline *pipeline, StepId id, int64_t images, int64_t annotations, const char *note) {
    Step *step = &pipeline->steps[id];
    double seconds = progress_end(&pipeline->progress);
    *step = (Step){.done = true, .images = images, .annotations = annotations, .seconds = seconds};
    snprintf(step->note, sizeof step->note, "%s", note);
    fprintf(stderr, "%s: done in %.1f s%s%s\n", pipeline->progress.label, seconds, *note ? ", " : "", note);
}

/* ---- upload ---- */

/* The files that the server lacks. */
static size_t list_missing(const Pipeline *pipeline, PictographUploadFile *files) {
    size_t count = 0;
    for (size_t i = 0; i < pipeline->labels.count; i++) {
        const LabelsImage *image = &pipeline->labels.images[i];
        if (image->path && !server_images_find(&pipeline->images, image->folder, image->name))
            files[count++] = (PictographUploadFile){image->path, image->folder};
    }
    return count;
}

static int upload_missing(Pipeline *pipeline, const PictographUploadFile *files, size_t count, size_t present) {
    PictographFolderUpload options = {.must_exist = true, .progress = progress_update, .context = &pipeline->progress};
    PictographUploadReport report = {0};
    PictographStatus status = pictograph_upload_files(pipeline->client, pipeline->name, files, count, &options, &report, pipeline->error);
    if (!status) {
        char note[96] = "";
        if (present + (size_t)report.images_skipped > 0)
            snprintf(note, sizeof note, "%zu were there already", present + (size_t)report.images_skipped);
        pipeline_end(pipeline, STEP_UPLOAD, report.images_uploaded, -1, note);
    }
    cli_print_failures(report.failures, report.failure_count);
    pipeline->incomplete |= report.failure_count > 0;
    pictograph_upload_report_clear(&report);
    return status ? cli_fail(pipeline->cli) : CLI_OK;
}

static int read_images(Pipeline *pipeline) {
    server_images_clear(&pipeline->images);
    return server_images_read(&pipeline->images, pipeline->client, pipeline->name, pipeline->error) ? cli_fail(pipeline->cli) : CLI_OK;
}

int pipeline_upload(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Upload", "images");
    if (import_classes(pipeline->client, pipeline->name, &pipeline->labels, true, NULL, pipeline->error)) return cli_fail(pipeline->cli);
    if (read_images(pipeline)) return CLI_API_ERROR;
    import_locate(&pipeline->labels, &pipeline->images);
    PictographUploadFile *files = xcalloc(pipeline->labels.count + 1, sizeof *files);
    size_t missing = list_missing(pipeline, files), here = 0;
    for (size_t i = 0; i < pipeline->labels.count; i++) here += pipeline->labels.images[i].path != NULL;
    int code = upload_missing(pipeline, files, missing, here - missing);
    free(files);
    return code == CLI_OK && missing > 0 ? read_images(pipeline) : code;
}

/* ---- labels of the training part ---- */

static bool is_training(const LabelsImage *image, const void *context) {
    (void)context;
    return image->part == PART_TRAIN;
}

/* Someone may have finished held-out images at the server: they would be trained on, and the figures would flatter. */
static void warn_of_leaks(const Pipeline *pipeline) {
    size_t leaks = 0;
    for (size_t i = 0; i < pipeline->labels.count; i++) {
        const LabelsImage *image = &pipeline->labels.images[i];
        const ServerImage *stored = image->part == PART_VAL || image->part == PART_TEST
                                        ? server_images_find(&pipeline->images, image->folder, image->name) : NULL;
        leaks += stored && text_equal(stored->stage, "complete");
    }
    if (leaks > 0)
        fprintf(stderr, "warning: %zu held-out images are complete at the server and will be trained on; the figures will flatter\n", leaks);
}

int pipeline_import(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Import labels", "images");
    ImportOptions options = {.wanted = is_training, .progress = progress_update, .progress_context = &pipeline->progress};
    ImportReport report = {0};
    PictographStatus status = import_annotations(pipeline->client, pipeline->name, &pipeline->labels, &pipeline->images, &options, &report,
                                                 pipeline->error);
    if (!status) {
        char note[128] = "";
        if (report.images_skipped > 0) snprintf(note, sizeof note, "%lld were labelled already", (long long)report.images_skipped);
        pipeline_end(pipeline, STEP_IMPORT, report.images_saved, report.annotations_saved, note);
        warn_of_leaks(pipeline);
    }
    cli_print_failures(report.failures, report.failure_count);
    pipeline->incomplete |= report.failure_count > 0;
    import_report_clear(&report);
    return status ? cli_fail(pipeline->cli) : CLI_OK;
}

/* ---- export ---- */

static PictographResult *make_export(Pipeline *pipeline, const char *name, const char *format, const char *status_filter, bool without_images) {
    PictographExport request = {.dataset_name = pipeline->name, .name = name, .format = format, .status_filter = status_filter,
                                .without_images = without_images};
    PictographResult *export = pictograph_exports_create(pipeline->client, &request, pipeline->error);
    if (!export) return NULL;
    pictograph_result_free(export);
    PictographWait wait = {.interval = 0.5};
    return pictograph_exports_wait(pipeline->client, pipeline->name, name, &wait, pipeline->error);
}

/* The run is named after its data and its settings: equal data make an export of equal bytes. */
static void name_run(Pipeline *pipeline, const PictographResult *export) {
    unsigned char digest[SHA256_SIZE];
    char settings[17];
    const char *md5 = pictograph_text(export, "/md5");
    hash_sha256(pipeline->config, strlen(pipeline->config), digest);
    hash_hex(digest, 8, settings);
    snprintf(pipeline->run_name, sizeof pipeline->run_name, "pipeline-%.*s-%.8s", FINGERPRINT, md5 ? md5 : pipeline->export_name, settings);
}

int pipeline_export(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Export", "images");
    snprintf(pipeline->export_name, sizeof pipeline->export_name, "pipeline-%lld", (long long)clock_now_ms());
    PictographResult *export = make_export(pipeline, pipeline->export_name, "pictograph", "complete", false);
    if (!export) return cli_fail(pipeline->cli);
    name_run(pipeline, export);
    pipeline_end(pipeline, STEP_EXPORT, pictograph_integer(export, "/image_count", -1), pictograph_integer(export, "/annotation_count", -1), "");
    pictograph_result_free(export);
    return CLI_OK;
}

/* ---- training ---- */

static void on_poll(void *context, const PictographResult *run) {
    Pipeline *pipeline = context;
    const char *status = pictograph_text(run, "/status");
    double loss = pictograph_number(run, "/metrics/loss/total", -1), map50 = pictograph_number(run, "/metrics/map50", -1);
    char quality[48] = "";
    if (map50 >= 0) snprintf(quality, sizeof quality, ", mAP50 %.3f", map50);
    else if (loss >= 0) snprintf(quality, sizeof quality, ", loss %.3f", loss);
    snprintf(pipeline->progress.note, sizeof pipeline->progress.note, "%.12s, epoch %lld/%lld%s, %lld s left", status ? status : "",
             (long long)pictograph_integer(run, "/current_epoch", 0), (long long)pictograph_integer(run, "/total_epochs", 0), quality,
             (long long)pictograph_integer(run, "/eta_seconds", 0));
    progress_update(&pipeline->progress, pictograph_integer(run, "/progress", 0), 100, NULL);
}

/* An earlier run on the same data with the same settings, finished or under way. NULL: none, or a failure (the error tells). */
static PictographResult *find_run(Pipeline *pipeline) {
    static const char *const usable[] = {"completed", "running", "queued", "pending"};
    PictographPager *runs = pictograph_training_list(pipeline->client, &(PictographList){.dataset_name = pipeline->name}, pipeline->error);
    PictographResult *found = NULL;
    for (const PictographResult *run; runs && !found && (run = pictograph_pager_next(runs, pipeline->error));)
        for (size_t i = 0; i < sizeof usable / sizeof *usable && !found; i++)
            if (text_equal(pictograph_text(run, "/name"), pipeline->run_name) && text_equal(pictograph_text(run, "/status"), usable[i]))
                found = pictograph_training_get(pipeline->client, pictograph_text(run, "/id"), pipeline->error);
    pictograph_pager_free(runs);
    return found;
}

static PictographResult *start_run(Pipeline *pipeline) {
    PictographTraining request = {.dataset_name = pipeline->name, .export_name = pipeline->export_name, .pipeline_type = "yolox",
                                  .name = pipeline->run_name, .config_json = pipeline->config};
    return pictograph_training_create(pipeline->client, &request, pipeline->error);
}

static int keep_run(Pipeline *pipeline, const PictographResult *run, bool reused) {
    const char *model = pictograph_text(run, "/model_id");
    if (!model) return cli_error("the run completed without a model");
    snprintf(pipeline->model_id, sizeof pipeline->model_id, "%s", model);
    pipeline->train_seconds = pictograph_integer(run, "/training_time_seconds", 0);
    char note[128] = "";
    if (reused) snprintf(note, sizeof note, "same data and settings as run %s: its model is used again", pipeline->run_id);
    pipeline_end(pipeline, STEP_TRAIN, pipeline->steps[STEP_EXPORT].images, -1, note);
    int64_t passes = pictograph_integer(run, "/total_epochs", 0), images = pictograph_integer(run, "/metrics/training_images", 0);
    if (pipeline->train_seconds > 0) pipeline->steps[STEP_TRAIN].rate = (double)(passes * images) / (double)pipeline->train_seconds;
    return CLI_OK;
}

int pipeline_train(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Train", "%");
    PictographResult *run = find_run(pipeline);
    bool reused = run && text_equal(pictograph_text(run, "/status"), "completed"), joined = run && !reused;
    if (pipeline->error->status) return cli_fail(pipeline->cli);
    /* The export was only made to see whether the data changed. */
    if (run && pictograph_exports_delete(pipeline->client, pipeline->name, pipeline->export_name, pipeline->error)) {
        pictograph_result_free(run);
        return cli_fail(pipeline->cli);
    }
    if (joined) fprintf(stderr, "Train: run %s is under way on the same data, waiting for it\n", pictograph_text(run, "/id"));
    if (!run && !(run = start_run(pipeline))) return cli_fail(pipeline->cli);
    snprintf(pipeline->run_id, sizeof pipeline->run_id, "%s", pictograph_text(run, "/id"));
    pictograph_result_free(run);
    PictographWait wait = {.interval = 1, .on_poll = on_poll, .context = pipeline};
    run = pictograph_training_wait(pipeline->client, pipeline->run_id, &wait, pipeline->error);
    if (!run) {
        if (pipeline->error->status == PICTOGRAPH_CANCELLED)
            fprintf(stderr, "\nThe run goes on at the server: the same command waits for it, `pictograph train cancel %s` stops it.\n",
                    pipeline->run_id);
        return cli_fail(pipeline->cli);
    }
    int code = keep_run(pipeline, run, reused);
    pictograph_result_free(run);
    return code;
}

/* ---- the remaining images, labelled by the model ---- */

/* Images that nobody has touched: not of the training part, without annotations, stage new. */
static size_t list_remaining(Pipeline *pipeline, const char **ids, const char **places) {
    size_t count = 0;
    bool *training = xcalloc(pipeline->images.count + 1, sizeof *training);
    for (size_t i = 0; i < pipeline->labels.count; i++) {
        const LabelsImage *image = &pipeline->labels.images[i];
        const ServerImage *stored = image->part == PART_TRAIN ? server_images_find(&pipeline->images, image->folder, image->name) : NULL;
        if (stored) training[stored - pipeline->images.images] = true;
    }
    for (size_t i = 0; i < pipeline->images.count; i++) {
        const ServerImage *image = &pipeline->images.images[i];
        if (training[i] || image->annotation_count > 0 || !text_equal(image->stage, "new")) continue;
        ids[count] = image->id;
        places[count++] = image->place;
    }
    free(training);
    return count;
}

static void on_batch_poll(void *context, const PictographResult *job) {
    Progress *progress = context;
    progress_update(progress, pictograph_integer(job, "/processed_images", 0) + pictograph_integer(job, "/failed_images", 0),
                    pictograph_integer(job, "/total_images", -1), NULL);
}

/* Runs one job; adds to the counts. */
static PictographStatus annotate_some(Pipeline *pipeline, const char **ids, const char **places, size_t count, int64_t *images, int64_t *added) {
    /* First the stage: whatever happens later, a machine's labels are never taken for finished ones. */
    PictographResult *staged = pictograph_images_set_stage(pipeline->client, pipeline->name, ids, count, "review", pipeline->error);
    if (!staged) return pipeline->error->status;
    pictograph_result_free(staged);
    PictographTarget classes[CLASSES_MAX];
    size_t class_count = 0;
    for (size_t i = 0; i < pipeline->labels.report.class_count && class_count < CLASSES_MAX; i++)
        classes[class_count++] = (PictographTarget){pipeline->labels.report.classes[i].name, "bbox"};
    PictographBatch batch = {.dataset_name = pipeline->name, .image_filenames = places, .image_count = count, .classes = classes,
                             .class_count = class_count, .confidence_threshold = -1, .model_id = pipeline->model_id};
    PictographResult *job = pictograph_auto_annotate_batch(pipeline->client, &batch, pipeline->error);
    const char *id = pictograph_text(job, "/job_id");
    PictographWait wait = {.interval = 0.5, .on_poll = on_batch_poll, .context = &pipeline->progress};
    PictographResult *ended = id ? pictograph_auto_annotate_batch_wait(pipeline->client, id, &wait, pipeline->error) : NULL;
    *images += pictograph_integer(ended, "/processed_images", 0);
    *added += pictograph_integer(ended, "/total_annotations_added", 0);
    if (pictograph_integer(ended, "/failed_images", 0) > 0)
        fprintf(stderr, "\nwarning: %lld images could not be labelled\n", (long long)pictograph_integer(ended, "/failed_images", 0));
    pictograph_result_free(job);
    pictograph_result_free(ended);
    return pipeline->error->status;
}

int pipeline_annotate(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Label the rest", "images");
    const char **ids = xcalloc(pipeline->images.count + 1, sizeof *ids), **places = xcalloc(pipeline->images.count + 1, sizeof *places);
    size_t count = list_remaining(pipeline, ids, places);
    int64_t images = 0, added = 0;
    PictographStatus status = PICTOGRAPH_OK;
    for (size_t from = 0; from < count && !status; from += JOB_IMAGES)
        status = annotate_some(pipeline, ids + from, places + from, count - from < JOB_IMAGES ? count - from : JOB_IMAGES, &images, &added);
    free(ids);
    free(places);
    if (status) return cli_fail(pipeline->cli);
    pipeline_end(pipeline, STEP_ANNOTATE, images, added, count == 0 ? "all were labelled already" : "in stage review");
    return CLI_OK;
}

/* ---- COCO and ONNX ---- */

int pipeline_coco(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Export COCO", "images");
    char name[100];
    snprintf(name, sizeof name, "%s-coco", pipeline->run_name);
    bool nothing_new = pipeline->steps[STEP_ANNOTATE].images == 0 && pipeline->steps[STEP_IMPORT].images == 0;
    PictographResult *export = pictograph_exports_get(pipeline->client, pipeline->name, name, pipeline->error);
    bool reused = export && nothing_new && text_equal(pictograph_text(export, "/status"), "completed");
    if (!export && pipeline->error->status != PICTOGRAPH_NOT_FOUND) return cli_fail(pipeline->cli);
    if (!reused) {
        if (export && pictograph_exports_delete(pipeline->client, pipeline->name, name, pipeline->error)) {
            pictograph_result_free(export);
            return cli_fail(pipeline->cli);
        }
        pictograph_result_free(export);
        export = make_export(pipeline, name, "coco", "all", true);
    }
    if (!export) return cli_fail(pipeline->cli);
    const char *path = arena_printf(pipeline->memory, "%s/coco.zip", pipeline->output);
    int64_t images = pictograph_integer(export, "/image_count", -1), annotations = pictograph_integer(export, "/annotation_count", -1);
    pictograph_result_free(export);
    if (pictograph_exports_download(pipeline->client, pipeline->name, name, path, NULL, NULL, pipeline->error)) return cli_fail(pipeline->cli);
    pipeline_end(pipeline, STEP_COCO, images, annotations, reused ? "nothing changed, the export was there" : path);
    return CLI_OK;
}

int pipeline_model(Pipeline *pipeline) {
    pipeline_begin(pipeline, "Download ONNX", "B");
    snprintf(pipeline->model_path, sizeof pipeline->model_path, "%s/model.onnx", pipeline->output);
    PictographResult *note = pictograph_models_download(pipeline->client, pipeline->model_id, pipeline->model_path, progress_update,
                                                        &pipeline->progress, pipeline->error);
    if (!note) return cli_fail(pipeline->cli);
    const char *checked = pictograph_text(note, "/md5") ? ", MD5 checked" : "";
    char text[128];
    snprintf(text, sizeof text, "%.80s, %.1f MB%s", pipeline->model_path, (double)file_size(pipeline->model_path) / 1e6, checked);
    pictograph_result_free(note);
    pipeline_end(pipeline, STEP_MODEL, -1, -1, text);
    return CLI_OK;
}
