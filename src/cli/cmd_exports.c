/* exports: list, create, get, download, delete. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

enum { CLASSES_MAX = 256 };

int cmd_exports_list(Cli *cli) {
    PictographList list = {.dataset_name = cli_text(cli, "dataset"), .max_total = cli_integer(cli, "limit")};
    PictographPager *pager = pictograph_exports_list(cli->client, &list, &cli->error);
    int code = cli_print_list(cli, pager);
    if (code >= 0) return code;
    Table *table = table_new("DATASET|NAME|FORMAT|STATUS|>IMAGES|>ANNOTATIONS|>SIZE");
    for (const PictographResult *item; (item = pictograph_pager_next(pager, &cli->error));)
        table_row(table, pictograph_text(item, "/dataset_name"), pictograph_text(item, "/name"), pictograph_text(item, "/format"),
                  pictograph_text(item, "/status"), output_number(pictograph_integer(item, "/image_count", 0)),
                  output_number(pictograph_integer(item, "/annotation_count", 0)),
                  output_size((char[OUTPUT_SIZE_TEXT]){0}, pictograph_integer(item, "/file_size", 0)));
    pictograph_pager_free(pager);
    return cli_print_table(cli, table);
}

int cmd_exports_create(Cli *cli) {
    const char *classes[CLASSES_MAX + 1] = {NULL};
    char *rest = NULL, *names = arena_strdup(&cli->memory, cli_text(cli, "classes"));
    int count = 0;
    for (char *name = names ? strtok_r(names, ",", &rest) : NULL; name && count < CLASSES_MAX; name = strtok_r(NULL, ",", &rest))
        classes[count++] = name + strspn(name, " ");
    PictographExport request = {.dataset_name = cli->arguments[0], .name = cli->arguments[1], .format = cli_text(cli, "format"),
                                .without_images = cli_flag(cli, "no-images"), .class_filter = count ? classes : NULL,
                                .status_filter = cli_text(cli, "status")};
    PictographResult *export = pictograph_exports_create(cli->client, &request, &cli->error);
    if (export && !cli_flag(cli, "no-wait")) {
        pictograph_result_free(export);
        export = pictograph_exports_wait(cli->client, request.dataset_name, request.name, NULL, &cli->error);
    }
    return cli_print_result(cli, export);
}

int cmd_exports_get(Cli *cli) {
    return cli_print_result(cli, pictograph_exports_get(cli->client, cli->arguments[0], cli->arguments[1], &cli->error));
}

int cmd_exports_download(Cli *cli) {
    const char *path = cli_text(cli, "output");
    Progress progress = {0};
    progress_begin(&progress, "Downloading", "B");
    PictographStatus status = pictograph_exports_download(cli->client, cli->arguments[0], cli->arguments[1], path, progress_update, &progress,
                                                          &cli->error);
    progress_end(&progress);
    if (status) return cli_fail(cli);
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "export", cli->arguments[1]);
    json_field_string(&object.writer, "output_path", path);
    json_field_int(&object.writer, "size_bytes", file_size(path));
    output_end(&object);
    return CLI_OK;
}

int cmd_exports_delete(Cli *cli) {
    if (!cli_confirm(cli, "Delete export '%s' of dataset '%s'?", cli->arguments[1], cli->arguments[0])) return CLI_API_ERROR;
    if (pictograph_exports_delete(cli->client, cli->arguments[0], cli->arguments[1], &cli->error)) return cli_fail(cli);
    printf("Deleted export '%s'.\n", cli->arguments[1]);
    return CLI_OK;
}
