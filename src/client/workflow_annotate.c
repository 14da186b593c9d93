/* Workflow: labels for the images of a dataset, by one batch job or by a text prompt per image and class. */
#include <pictograph/annotations.h>
#include <pictograph/workflows.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"
#include "client/failure.h"
#include "client/report.h"
#include "client/result.h"

#include "base/banned.h"

enum { JOB_IMAGES = 10000, NAMES_MAXIMUM = 1 << 30, LIST_MAXIMUM = 1 << 28 };

typedef struct Image {
    const char *id, *path; /* path: full virtual path, which is unique where a file name is not */
} Image;

typedef struct Annotate {
    PictographClient *client;
    const PictographAnnotate *options;
    PictographAnnotateReport *report;
    Arena memory;
    Image *images;
    size_t count, capacity;
} Annotate;

static void fail(Annotate *all, const char *image, const char *reason) {
    report_failure(&all->report->failures, &all->report->failure_count, image, NULL, reason);
}

/* The images to label: those without annotations, or all. */
static PictographStatus choose_images(Annotate *all, PictographError *error) {
    const PictographAnnotate *options = all->options;
    PictographPager *pager = pictograph_datasets_images(all->client, options->dataset_name, NULL, error);
    if (!pager) return PICTOGRAPH_VALIDATION;
    for (const PictographResult *item; (item = pictograph_pager_next(pager, error));) {
        if (options->max_images > 0 && (int64_t)all->count >= options->max_images) break;
        if (!options->overwrite && pictograph_integer(item, "/annotation_count", 0) > 0) {
            all->report->images_skipped++;
            continue;
        }
        if (all->count == all->capacity) {
            all->capacity = all->capacity ? 2 * all->capacity : 256;
            all->images = xrealloc(all->images, all->capacity * sizeof *all->images);
        }
        const char *folder = pictograph_text(item, "/virtual_folder_path"), *filename = pictograph_text(item, "/filename");
        bool root = !folder || text_equal(folder, "/");
        all->images[all->count++] = (Image){arena_strdup(&all->memory, pictograph_text(item, "/id")),
                                            arena_printf(&all->memory, "%s/%s", root ? "" : folder, filename ? filename : "")};
    }
    pictograph_pager_free(pager);
    return error->status;
}

/* ---- one job ---- */

static void take_job(Annotate *all, const PictographResult *job) {
    PictographAnnotateReport *report = all->report;
    report->images_processed += pictograph_integer(job, "/processed_images", 0);
    report->annotations_added += pictograph_integer(job, "/total_annotations_added", 0);
    const char *message = pictograph_text(job, "/error_message");
    if (message) snprintf(report->message, sizeof report->message, "%s", message);
    size_t i, count;
    yyjson_val *row;
    yyjson_arr_foreach(result_at(job, "/failures"), i, count, row)
        fail(all, json_get_string(row, "image_filename", "?"), json_get_string(row, "reason", "failed"));
    int64_t failed = pictograph_integer(job, "/failed_images", 0);
    if (failed > 0 && count == 0) {
        char reason[64];
        snprintf(reason, sizeof reason, "%lld images failed", (long long)failed);
        fail(all, "<batch>", reason);
    }
}

static void on_poll(void *context, const PictographResult *job) {
    const PictographAnnotate *options = ((Annotate *)context)->options;
    if (options->progress)
        options->progress(options->context, pictograph_integer(job, "/processed_images", 0) + pictograph_integer(job, "/failed_images", 0),
                          pictograph_integer(job, "/total_images", -1), pictograph_text(job, "/status"));
    if (options->wait.on_poll) options->wait.on_poll(options->wait.context, job);
}

/* Runs one job over images [from, to). */
static PictographStatus run_job(Annotate *all, size_t from, size_t to, PictographError *error) {
    const PictographAnnotate *options = all->options;
    const char **names = xcalloc(to - from, sizeof *names);
    for (size_t i = from; i < to; i++) names[i - from] = all->images[i].path;
    PictographBatch batch = {.dataset_name = options->dataset_name, .image_filenames = names, .image_count = to - from,
                             .classes = options->classes, .class_count = options->class_count, .model_id = options->model_id,
                             .confidence_threshold = options->confidence_threshold, .top_k = options->top_k};
    PictographResult *job = pictograph_auto_annotate_batch(all->client, &batch, error);
    free(names);
    if (!job) return error->status;
    snprintf(all->report->job_id, sizeof all->report->job_id, "%s", pictograph_text(job, "/job_id") ? pictograph_text(job, "/job_id") : "");
    pictograph_result_free(job);
    PictographWait wait = options->wait;
    wait.on_poll = on_poll;
    wait.context = all;
    job = pictograph_auto_annotate_batch_wait(all->client, all->report->job_id, &wait, error);
    if (job) {
        take_job(all, job);
        pictograph_result_free(job);
    } else if (error->status == PICTOGRAPH_API_ERROR && error->response) {
        take_job(all, error->response);
        fail(all, "<batch>", error->message);
        failure_reset(error);
    }
    return error->status;
}

/* What is raised as long as no image is done, and a row of the report from then on. */
static bool is_raised_early(PictographStatus status) {
    return status == PICTOGRAPH_NOT_FOUND || status == PICTOGRAPH_PAYMENT_REQUIRED || status == PICTOGRAPH_VALIDATION;
}

static PictographStatus run_jobs(Annotate *all, PictographError *error) {
    for (size_t from = 0; from < all->count; from += JOB_IMAGES) {
        size_t to = from + JOB_IMAGES < all->count ? from + JOB_IMAGES : all->count;
        PictographStatus status = run_job(all, from, to, error);
        if (status && !(is_raised_early(status) && all->report->images_processed > 0)) return status;
        if (status) fail(all, "<batch>", error->message);
        failure_reset(error);
    }
    return PICTOGRAPH_OK;
}

/* ---- one prompt per image and class ---- */

/* Adds the suggestions for one class to the list under way. */
static PictographStatus prompt_class(Annotate *all, const Image *image, const PictographTarget *class, JsonWriter *list, int64_t *added,
                                     PictographError *error) {
    const PictographAnnotate *options = all->options;
    PictographTextPrompt prompt = {.dataset_name = options->dataset_name, .image_filename = image->path, .text_prompt = class->name,
                                   .output_type = class->type ? class->type : "polygon",
                                   .confidence_threshold = options->confidence_threshold};
    PictographResult *answer = pictograph_auto_annotate_text(all->client, &prompt, error);
    if (!answer) return error->status;
    size_t i, count;
    yyjson_val *annotation;
    yyjson_arr_foreach(result_at(answer, "/annotations"), i, count, annotation) json_value(list, annotation);
    *added += (int64_t)pictograph_count(answer, "/annotations");
    pictograph_result_free(answer);
    return PICTOGRAPH_OK;
}

/* All classes of an image go into one save, since each save replaces the list. */
static PictographStatus annotate_image(Annotate *all, const Image *image, PictographError *error) {
    Buffer text;
    buffer_init(&text, LIST_MAXIMUM);
    JsonWriter list;
    json_writer_init(&list, &text);
    json_begin_array(&list);
    int64_t added = 0;
    PictographStatus status = PICTOGRAPH_OK;
    for (size_t i = 0; i < all->options->class_count && !status; i++)
        status = prompt_class(all, image, &all->options->classes[i], &list, &added, error);
    json_end_array(&list);
    if (!status && added > 0) {
        PictographResult *saved = pictograph_annotations_save(all->client, image->id, buffer_text(&text), error);
        status = saved ? PICTOGRAPH_OK : error->status;
        pictograph_result_free(saved);
    }
    if (!status) {
        all->report->images_processed++;
        all->report->annotations_added += added;
    }
    buffer_clear(&text);
    return status;
}

/* What no image after the first one would escape. */
static bool is_raised(PictographStatus status, int64_t processed) {
    return status == PICTOGRAPH_AUTH || status == PICTOGRAPH_FORBIDDEN || status == PICTOGRAPH_CANCELLED || (is_raised_early(status) && processed == 0);
}

static PictographStatus run_prompts(Annotate *all, PictographError *error) {
    for (size_t i = 0; i < all->count; i++) {
        const Image *image = &all->images[i];
        PictographStatus status = annotate_image(all, image, error);
        if (is_raised(status, all->report->images_processed)) return status;
        if (status) fail(all, image->path, error->message);
        if (all->options->progress) all->options->progress(all->options->context, (int64_t)i + 1, (int64_t)all->count, image->path);
    }
    failure_reset(error);
    return PICTOGRAPH_OK;
}

PictographStatus pictograph_auto_annotate_dataset(PictographClient *client, const PictographAnnotate *options,
                                                  PictographAnnotateReport *report, PictographError *error) {
    *report = (PictographAnnotateReport){0};
    Annotate all = {.client = client, .options = options, .report = report};
    arena_init(&all.memory, NAMES_MAXIMUM);
    PictographError own = {0};
    if (!choose_images(&all, &own)) {
        report->images_attempted = (int64_t)all.count;
        if (options->text_mode) run_prompts(&all, &own);
        else run_jobs(&all, &own);
    }
    PictographStatus status = own.status;
    report->success = !status && report->failure_count == 0 && report->images_processed > 0;
    failure_move(error, &own);
    free(all.images);
    arena_clear(&all.memory);
    return status;
}

void pictograph_annotate_report_clear(PictographAnnotateReport *report) {
    report_clear(&report->failures, &report->failure_count);
}
