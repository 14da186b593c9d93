/* datasets: list, get, create, delete, download, upload. Import is in cmd_import.c. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

int cmd_datasets_list(Cli *cli) {
    PictographPager *pager =
        pictograph_datasets_list(cli->client, &(PictographList){.max_total = cli_integer(cli, "limit")}, &cli->error);
    int code = cli_print_list(cli, pager);
    if (code >= 0) return code;
    Table *table = table_new("NAME|ID|>IMAGES|>COMPLETED|>SIZE");
    for (const PictographResult *item; (item = pictograph_pager_next(pager, &cli->error));)
        table_row(table, pictograph_text(item, "/name"), pictograph_text(item, "/id"),
                  output_number(pictograph_integer(item, "/image_count", 0)),
                  output_number(pictograph_integer(item, "/completed_image_count", 0)),
                  output_size((char[OUTPUT_SIZE_TEXT]){0}, pictograph_integer(item, "/total_size", 0)));
    pictograph_pager_free(pager);
    return cli_print_table(cli, table);
}

int cmd_datasets_get(Cli *cli) {
    int64_t limit = cli_flag(cli, "include-images") ? cli_integer(cli, "images-limit") : 0;
    return cli_print_result(cli, pictograph_datasets_get(cli->client, cli->arguments[0], limit, 0, &cli->error));
}

int cmd_datasets_create(Cli *cli) {
    PictographProject project = {.name = cli->arguments[0], .description = cli_text(cli, "description")};
    return cli_print_result(cli, pictograph_projects_create(cli->client, &project, &cli->error));
}

int cmd_datasets_delete(Cli *cli) {
    const char *name = cli->arguments[0];
    if (!cli_confirm(cli, "Delete dataset '%s' with all its images and exports?", name)) return CLI_API_ERROR;
    PictographResult *deleted = pictograph_projects_delete(cli->client, name, &cli->error);
    if (!deleted) return cli_fail(cli);
    pictograph_result_free(deleted);
    printf("Deleted dataset '%s'.\n", name);
    return CLI_OK;
}

int cmd_datasets_download(Cli *cli) {
    const char *mode = cli_text(cli, "mode");
    if (!text_equal(mode, "full") && !text_equal(mode, "images_only") && !text_equal(mode, "annotations_only"))
        return cli_usage("--mode must be full, images_only or annotations_only");
    Progress progress = {0};
    progress_begin(&progress, "Downloading", "files");
    PictographDownload options = {.output_dir = cli_text(cli, "output"), .mode = mode, .workers = (int)cli_integer(cli, "workers"),
                                  .progress = progress_update, .context = &progress};
    PictographDownloadReport report = {0};
    pictograph_datasets_download(cli->client, cli->arguments[0], &options, &report, &cli->error);
    progress_end(&progress);
    int code = cli->error.status ? cli_fail(cli) : report.failure_count ? CLI_API_ERROR : CLI_OK;
    cli_print_failures(report.failures, report.failure_count);
    if (!cli->error.status) {
        OutputObject object;
        output_begin(&object);
        json_field_string(&object.writer, "dataset_id", report.dataset_id);
        json_field_int(&object.writer, "images_downloaded", report.images_downloaded);
        json_field_int(&object.writer, "annotations_downloaded", report.annotations_downloaded);
        json_field_int(&object.writer, "failures", (int64_t)report.failure_count);
        output_failures(&object.writer, "failed", report.failures, report.failure_count);
        json_field_string(&object.writer, "output_dir", options.output_dir);
        output_end(&object);
    }
    pictograph_download_report_clear(&report);
    return code;
}

int cmd_datasets_upload(Cli *cli) {
    Progress progress = {0};
    progress_begin(&progress, "Uploading", "images");
    PictographFolderUpload options = {.dataset_name = cli->arguments[0], .folder = cli->arguments[1], .flat = cli_flag(cli, "flat"), .full_paths = cli_flag(cli, "full-paths"),
                                      .workers = (int)cli_integer(cli, "workers"), .progress = progress_update, .context = &progress};
    PictographUploadReport report = {0};
    pictograph_upload_dataset_from_folder(cli->client, &options, &report, &cli->error);
    progress_end(&progress);
    int code = cli->error.status ? cli_fail(cli) : report.failure_count ? CLI_API_ERROR : CLI_OK;
    cli_print_failures(report.failures, report.failure_count);
    if (!cli->error.status && report.images_attempted == 0) code = cli_error("%s: no images in it", options.folder);
    if (!cli->error.status) {
        OutputObject object;
        output_begin(&object);
        json_field_string(&object.writer, "dataset_name", options.dataset_name);
        json_field_int(&object.writer, "images_attempted", report.images_attempted);
        json_field_int(&object.writer, "images_uploaded", report.images_uploaded);
        json_field_int(&object.writer, "images_skipped", report.images_skipped);
        json_field_int(&object.writer, "failures", (int64_t)report.failure_count);
        output_failures(&object.writer, "failed", report.failures, report.failure_count);
        output_end(&object);
    }
    pictograph_upload_report_clear(&report);
    return code;
}
