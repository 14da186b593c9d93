/* train: start, status, cancel, logs. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"

#include "base/banned.h"

static void on_poll(void *context, const PictographResult *run) {
    Progress *progress = context;
    snprintf(progress->note, sizeof progress->note, "%.20s, epoch %lld of %lld", pictograph_text(run, "/status"),
             (long long)pictograph_integer(run, "/current_epoch", 0), (long long)pictograph_integer(run, "/total_epochs", 0));
    progress_update(progress, pictograph_integer(run, "/progress", 0), 100, NULL);
}

static bool is_json_object(const char *text) {
    yyjson_doc *doc = json_parse(text, strlen(text), NULL);
    bool is_object = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return is_object;
}

int cmd_train_start(Cli *cli) {
    const char *config = cli_text(cli, "config");
    if (config && !is_json_object(config)) return cli_usage("--config must be a JSON object");
    Progress progress = {0};
    progress_begin(&progress, "Training", "%");
    PictographTrain options = {.dataset_name = cli->arguments[0], .pipeline_type = cli_text(cli, "pipeline"), .gpu_type = cli_text(cli, "gpu"),
                               .name = cli_text(cli, "name"), .config_json = config, .no_wait = cli_flag(cli, "no-wait"),
                               .wait = {.timeout = cli_number(cli, "timeout"), .on_poll = on_poll, .context = &progress}};
    PictographResult *run = NULL, *model = NULL;
    PictographStatus status = pictograph_train_pipeline(cli->client, &options, &run, &model, &cli->error);
    progress_end(&progress);
    if (status == PICTOGRAPH_CANCELLED) fputs("The run goes on at the server; `pictograph train cancel` stops it.\n", stderr);
    if (status) return cli_fail(cli);
    for (size_t i = 0; i < pictograph_count(run, "/config_ignored"); i++)
        fprintf(stderr, "--config: there is no setting '%s'; it changed nothing\n", pictograph_text(run, arena_printf(&cli->memory, "/config_ignored/%zu", i)));
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "run_id", pictograph_text(run, "/id"));
    json_field_string(&object.writer, "status", pictograph_text(run, "/status"));
    json_field_int(&object.writer, "progress", pictograph_integer(run, "/progress", 0));
    if (pictograph_text(run, "/model_id")) json_field_string(&object.writer, "model_id", pictograph_text(run, "/model_id"));
    output_end(&object);
    pictograph_result_free(run);
    pictograph_result_free(model);
    return CLI_OK;
}

int cmd_train_status(Cli *cli) {
    return cli_print_result(cli, pictograph_training_get(cli->client, cli->arguments[0], &cli->error));
}

int cmd_train_cancel(Cli *cli) {
    if (!cli_confirm(cli, "Cancel training run '%s'?", cli->arguments[0])) return CLI_API_ERROR;
    PictographResult *run = pictograph_training_cancel(cli->client, cli->arguments[0], &cli->error);
    if (!run) return cli_fail(cli);
    OutputObject object;
    output_begin(&object);
    json_field_string(&object.writer, "run_id", pictograph_text(run, "/id"));
    json_field_string(&object.writer, "status", pictograph_text(run, "/status"));
    output_end(&object);
    pictograph_result_free(run);
    return CLI_OK;
}

int cmd_train_logs(Cli *cli) {
    PictographResult *run = pictograph_training_get(cli->client, cli->arguments[0], &cli->error);
    if (!run) return cli_fail(cli);
    const char *why = pictograph_text(run, "/error_message");
    printf("%s: %s, %lld %%, epoch %lld of %lld%s%s\n", pictograph_text(run, "/id"), pictograph_text(run, "/status"),
           (long long)pictograph_integer(run, "/progress", 0), (long long)pictograph_integer(run, "/current_epoch", 0),
           (long long)pictograph_integer(run, "/total_epochs", 0), why ? ": " : "", why ? why : "");
    pictograph_result_free(run);
    return CLI_OK;
}
