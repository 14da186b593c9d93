/* images: upload, download, delete. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

int cmd_images_upload(Cli *cli) {
    PictographUpload options = {.folder_path = cli_text(cli, "folder")};
    return cli_print_result(cli, pictograph_images_upload(cli->client, cli->arguments[0], cli->arguments[1], &options, &cli->error));
}

int cmd_images_download(Cli *cli) {
    const char *path = cli_text(cli, "output");
    Progress progress = {0};
    progress_begin(&progress, "Downloading", "B");
    PictographStatus status = pictograph_images_download(cli->client, cli->arguments[0], path, progress_update, &progress, &cli->error);
    progress_end(&progress);
    if (status) return cli_fail(cli);
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "image_id", cli->arguments[0]);
    json_field_string(&object.writer, "output_path", path);
    output_end(&object);
    return CLI_OK;
}

int cmd_images_delete(Cli *cli) {
    const char *id = cli->arguments[0];
    if (!cli_confirm(cli, "Archive image '%s'?", id)) return CLI_API_ERROR;
    PictographResult *deleted = pictograph_images_delete(cli->client, id, false, &cli->error);
    if (!deleted) return cli_fail(cli);
    pictograph_result_free(deleted);
    printf("Deleted image '%s'.\n", id);
    return CLI_OK;
}
