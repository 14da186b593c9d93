/* datasets import: labels from files into the images of a dataset. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/import.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

static const char *const split_names[PART_COUNT] = {"", "train", "val", "test"};

/* Whether the list "train,val" names the part; NULL names all. */
static bool is_in_splits(const LabelsImage *image, const void *context) {
    const char *list = context, *name = split_names[image->part];
    if (!list) return true;
    for (size_t length; *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        if (*name && strlen(name) == length && !strncmp(list, name, length)) return true;
    }
    return false;
}

static void print_report(const Cli *cli, const Labels *labels, const ImportReport *report) {
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "dataset_name", cli->arguments[0]);
    json_field_string(&object.writer, "format", labels->format);
    json_field_int(&object.writer, "images_saved", report->images_saved);
    json_field_int(&object.writer, "images_skipped", report->images_skipped);
    json_field_int(&object.writer, "images_missing", (int64_t)report->missing_count);
    json_field_int(&object.writer, "annotations_saved", report->annotations_saved);
    json_field_int(&object.writer, "annotations_left_out", (int64_t)labels->report.left_out);
    json_field_int(&object.writer, "failures", (int64_t)report->failure_count);
    output_failures(&object.writer, "missing", report->missing, report->missing_count);
    output_failures(&object.writer, "failed", report->failures, report->failure_count);
    output_end(&object);
}

/* The labels are read: bring them to the server. */
static int import(Cli *cli, Labels *labels, const ServerImages *images) {
    const char *name = cli->arguments[0];
    ImportReport report = {0};
    Progress progress = {0};
    progress_begin(&progress, "Importing", "images");
    ImportOptions options = {.wanted = is_in_splits, .context = cli_text(cli, "split"), .overwrite = cli_flag(cli, "overwrite"),
                             .progress = progress_update, .progress_context = &progress};
    PictographStatus status = import_classes(cli->client, name, labels, false, NULL, &cli->error);
    if (!status) import_locate(labels, images);
    if (!status) status = import_annotations(cli->client, name, labels, images, &options, &report, &cli->error);
    progress_end(&progress);
    int code = status ? cli_fail(cli) : report.failure_count ? CLI_API_ERROR : CLI_OK;
    cli_print_failures(report.missing, report.missing_count);
    cli_print_failures(report.failures, report.failure_count);
    if (report.images_skipped > 0)
        fprintf(stderr, "%lld images are labelled already and stay as they are: --overwrite replaces their annotations\n", (long long)report.images_skipped);
    if (!status) print_report(cli, labels, &report);
    if (!status && report.images_saved + report.images_skipped + (int64_t)(report.missing_count + report.failure_count) == 0)
        code = cli_error("%s: labels of no image%s", cli->arguments[1], cli_is_given(cli, "split") ? " of these splits" : "");
    else if (report.missing_count > 0 && report.images_saved + report.images_skipped == 0)
        code = cli_error("none of these %zu labelled images is in '%s': `pictograph datasets upload` brings images", report.missing_count, name);
    import_report_clear(&report);
    return code;
}

/* NULL, or the first word of the list "train,val" that names no part. */
static const char *unknown_split(const char *list) {
    for (size_t length; list && *list; list += length + (list[length] == ',')) {
        length = strcspn(list, ",");
        bool known = false;
        for (int part = PART_TRAIN; part < PART_COUNT; part++) known |= strlen(split_names[part]) == length && !strncmp(list, split_names[part], length);
        if (!known) return list;
    }
    return NULL;
}

int cmd_datasets_import(Cli *cli) {
    Labels labels = {0};
    ServerImages images = {0};
    Error err = {0};
    int code;
    const char *unknown = unknown_split(cli_text(cli, "split"));
    if (unknown) return cli_usage("--split must be of train, val and test, not '%.*s'", (int)strcspn(unknown, ","), unknown);
    if (server_images_read(&images, cli->client, cli->arguments[0], &cli->error)) code = cli_fail(cli);
    else if (labels_read(&labels, cli->arguments[1], &images, &err)) code = cli_fail_base(&err);
    else if (!labels.format) code = cli_error("%s: no labels of a known format found", cli->arguments[1]);
    else code = import(cli, &labels, &images);
    labels_print_warnings(&labels);
    labels_clear(&labels);
    server_images_clear(&images);
    return code;
}
