/* annotations: get, save, delete. */
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/output.h"

#include "base/banned.h"

enum { FILE_MAXIMUM = 256 << 20 };

int cmd_annotations_get(Cli *cli) {
    return cli_print_result(cli, pictograph_annotations_get(cli->client, cli->arguments[0], &cli->error));
}

/* Reads the file; wrong use when its top level is no list. */
static int read_list(const char *path, Buffer *out) {
    Error err = {0};
    if (file_read(path, out, &err)) return cli_usage("%s", err.message);
    yyjson_doc *doc = json_parse(buffer_text(out), out->size, &err);
    if (!doc) return cli_usage("%s: %s", path, err.message);
    bool list = yyjson_is_arr(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return list ? CLI_OK : cli_usage("%s: the top level must be a list of annotations", path);
}

/* Prints some fields of an answer. */
static int print_counts(Cli *cli, PictographResult *answer, bool saved) {
    if (!answer) return cli_fail(cli);
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "image_id", cli->arguments[0]);
    if (saved) {
        json_field_int(&object.writer, "previous_count", pictograph_integer(answer, "/previous_count", 0));
        json_field_int(&object.writer, "new_count", pictograph_integer(answer, "/new_count", 0));
        json_field_string(&object.writer, "status", pictograph_text(answer, "/status"));
    } else {
        json_field_int(&object.writer, "deleted_count", pictograph_integer(answer, "/deleted_count", 0));
    }
    output_end(&object);
    pictograph_result_free(answer);
    return CLI_OK;
}

int cmd_annotations_save(Cli *cli) {
    Buffer text;
    buffer_init(&text, FILE_MAXIMUM);
    int code = read_list(cli_text(cli, "file"), &text);
    if (code == CLI_OK) code = print_counts(cli, pictograph_annotations_save(cli->client, cli->arguments[0], buffer_text(&text), &cli->error), true);
    buffer_clear(&text);
    return code;
}

int cmd_annotations_delete(Cli *cli) {
    if (!cli_confirm(cli, "Delete all annotations of image '%s'?", cli->arguments[0])) return CLI_API_ERROR;
    return print_counts(cli, pictograph_annotations_delete(cli->client, cli->arguments[0], &cli->error), false);
}
