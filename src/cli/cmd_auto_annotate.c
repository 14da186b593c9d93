/* auto-annotate: point, box and text prompts, batch jobs. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

enum { CLASSES_MAX = 200 }; /* of the contract */

/* Arguments from `first` on as numbers; wrong use otherwise. */
static int read_numbers(const Cli *cli, int first, int count, double *out) {
    for (int i = 0; i < count; i++)
        if (!text_to_number(cli->arguments[first + i], &out[i])) return cli_usage("'%s' is not a number", cli->arguments[first + i]);
    return CLI_OK;
}

/* Negative leaves the choice to the server. */
static double threshold(const Cli *cli, const char *name) {
    return cli_is_given(cli, name) ? cli_number(cli, name) : -1;
}

int cmd_auto_annotate_point(Cli *cli) {
    double at[2];
    if (read_numbers(cli, 2, 2, at)) return CLI_USAGE;
    PictographPointPrompt prompt = {.dataset_name = cli->arguments[0], .image_filename = cli->arguments[1], .x = at[0], .y = at[1],
                                    .name = cli_text(cli, "name"), .score_threshold = threshold(cli, "score-threshold")};
    return cli_print_result(cli, pictograph_auto_annotate_point(cli->client, &prompt, &cli->error));
}

int cmd_auto_annotate_box(Cli *cli) {
    double box[4];
    if (read_numbers(cli, 2, 4, box)) return CLI_USAGE;
    PictographBoxPrompt prompt = {.dataset_name = cli->arguments[0], .image_filename = cli->arguments[1], .x = box[0], .y = box[1],
                                  .w = box[2], .h = box[3], .name = cli_text(cli, "name"),
                                  .confidence_threshold = threshold(cli, "confidence-threshold")};
    return cli_print_result(cli, pictograph_auto_annotate_box(cli->client, &prompt, &cli->error));
}

int cmd_auto_annotate_text(Cli *cli) {
    PictographTextPrompt prompt = {.dataset_name = cli->arguments[0], .image_filename = cli->arguments[1], .text_prompt = cli->arguments[2],
                                   .output_type = cli_text(cli, "output-type"), .confidence_threshold = threshold(cli, "confidence-threshold"),
                                   .max_detections = (int)cli_integer(cli, "max-detections")};
    return cli_print_result(cli, pictograph_auto_annotate_text(cli->client, &prompt, &cli->error));
}

/* "cat,dog:bbox" → targets. A model that is trained here finds boxes, the built-in segmenter outlines. */
static size_t parse_classes(Cli *cli, const char *list, const char *kind, PictographTarget *out) {
    size_t count = 0;
    char *rest = NULL, *names = arena_strdup(&cli->memory, list);
    for (char *name = strtok_r(names, ",", &rest); name && count < CLASSES_MAX; name = strtok_r(NULL, ",", &rest)) {
        char *colon = strrchr(name, ':');
        if (colon) *colon = '\0';
        out[count++] = (PictographTarget){name, colon ? colon + 1 : kind};
    }
    return count;
}

/* All classes of a model. */
static size_t model_classes(Cli *cli, const char *model_id, PictographTarget *out) {
    PictographResult *model = pictograph_models_get(cli->client, model_id, &cli->error);
    size_t count = 0, wanted = pictograph_count(model, "/class_mapping");
    for (size_t i = 0; i < wanted && count < CLASSES_MAX; i++) {
        const char *name = pictograph_text(model, arena_printf(&cli->memory, "/class_mapping/%zu", i));
        if (name) out[count++] = (PictographTarget){arena_strdup(&cli->memory, name), "bbox"};
    }
    pictograph_result_free(model);
    return count;
}

static void print_report(const PictographAnnotate *options, const PictographAnnotateReport *report) {
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "dataset_name", options->dataset_name);
    json_field_int(&object.writer, "images_attempted", report->images_attempted);
    json_field_int(&object.writer, "images_processed", report->images_processed);
    json_field_int(&object.writer, "images_skipped", report->images_skipped);
    json_field_int(&object.writer, "annotations_added", report->annotations_added);
    json_field_int(&object.writer, "failures", (int64_t)report->failure_count);
    if (report->job_id[0]) json_field_string(&object.writer, "job_id", report->job_id);
    output_end(&object);
}

int cmd_auto_annotate_batch(Cli *cli) {
    PictographTarget classes[CLASSES_MAX];
    const char *model_id = cli_text(cli, "model-id"), *list = cli_text(cli, "classes");
    size_t count = 0;
    if (list) count = parse_classes(cli, list, model_id ? "bbox" : "polygon", classes);
    else if (!model_id) return cli_usage("--classes is needed without --model-id");
    else if ((count = model_classes(cli, model_id, classes)) == 0 && cli->error.status) return cli_fail(cli);
    if (count == 0) return cli_usage("no classes to look for");
    Progress progress = {0};
    progress_begin(&progress, "Annotating", "images");
    PictographAnnotate options = {.dataset_name = cli->arguments[0], .classes = classes, .class_count = count, .model_id = model_id,
                                  .confidence_threshold = threshold(cli, "confidence-threshold"), .overwrite = cli_flag(cli, "overwrite"),
                                  .max_images = cli_integer(cli, "max-images"), .top_k = cli_integer(cli, "top-k"), .wait = {.interval = 1}, .progress = progress_update,
                                  .context = &progress};
    PictographAnnotateReport report = {0};
    pictograph_auto_annotate_dataset(cli->client, &options, &report, &cli->error);
    progress_end(&progress);
    int code = cli->error.status ? cli_fail(cli) : report.failure_count ? CLI_API_ERROR : CLI_OK;
    if (report.message[0]) fprintf(stderr, "warning: %s\n", report.message);
    cli_print_failures(report.failures, report.failure_count);
    if (!cli->error.status) print_report(&options, &report);
    pictograph_annotate_report_clear(&report);
    return code;
}
