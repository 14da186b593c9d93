/* models: list, download. */
#include <stdio.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

int cmd_models_list(Cli *cli) {
    PictographPager *pager = pictograph_models_list(cli->client, &(PictographList){.max_total = cli_integer(cli, "limit")}, &cli->error);
    int code = cli_print_list(cli, pager);
    if (code >= 0) return code;
    Table *table = table_new("NAME|ID|TYPE|ARCHITECTURE|STATUS|VERSION");
    for (const PictographResult *item; (item = pictograph_pager_next(pager, &cli->error));)
        table_row(table, pictograph_text(item, "/name"), pictograph_text(item, "/id"), pictograph_text(item, "/model_type"),
                  pictograph_text(item, "/architecture"), pictograph_text(item, "/status"), pictograph_text(item, "/version"));
    pictograph_pager_free(pager);
    return cli_print_table(cli, table);
}

int cmd_models_download(Cli *cli) {
    const char *path = cli_text(cli, "output");
    Progress progress = {0};
    progress_begin(&progress, "Downloading", "B");
    PictographResult *note = pictograph_models_download(cli->client, cli->arguments[0], path, progress_update, &progress, &cli->error);
    progress_end(&progress);
    if (!note) return cli_fail(cli);
    pictograph_result_free(note);
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "model_id", cli->arguments[0]);
    json_field_string(&object.writer, "output_path", path);
    json_field_int(&object.writer, "size_bytes", file_size(path));
    output_end(&object);
    return CLI_OK;
}
