/* pipeline: a folder of images in, a trained and measured model out. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/pipeline.h"

#include "base/banned.h"

/* Settings of the training: what the user gave; the rest is the trainer's own choice. */
static const char *make_config(Cli *cli) {
    Buffer text;
    JsonWriter writer;
    buffer_init(&text, 1 << 12);
    json_writer_init(&writer, &text);
    json_begin_object(&writer);
    if (cli_is_given(cli, "model-size")) json_field_string(&writer, "model_size", cli_text(cli, "model-size"));
    if (cli_is_given(cli, "epochs")) json_field_int(&writer, "epochs", cli_integer(cli, "epochs"));
    if (cli_is_given(cli, "max-seconds")) json_field_int(&writer, "max_seconds", cli_integer(cli, "max-seconds"));
    if (cli_is_given(cli, "seed")) json_field_int(&writer, "seed", cli_integer(cli, "seed"));
    json_end_object(&writer);
    const char *copy = arena_strdup(&cli->memory, buffer_text(&text));
    buffer_clear(&text);
    return copy;
}

static int read_folder(Pipeline *pipeline) {
    Error err = {0};
    if (!file_is_directory(pipeline->folder)) return cli_error("%s: no such folder", pipeline->folder);
    if (labels_read(&pipeline->labels, pipeline->folder, NULL, &err)) return cli_fail_base(&err);
    labels_print_warnings(&pipeline->labels);
    if (pipeline->labels.count == 0) return cli_error("%s: no images in it", pipeline->folder);
    labels_split(&pipeline->labels);
    const DatasetReport *report = &pipeline->labels.report;
    fprintf(stderr, "%s: %zu images, %zu of them labelled (%s), %zu annotations of %zu classes", pipeline->folder, pipeline->labels.count,
            report->labelled_images, pipeline->labels.format ? pipeline->labels.format : "no label files", report->annotations,
            report->class_count);
    if (report->left_out > 0) fprintf(stderr, "; %zu annotations left out", report->left_out);
    fprintf(stderr, "\ntrain on %zu images, held out: %zu val, %zu test%s\n", labels_count_part(&pipeline->labels, PART_TRAIN),
            labels_count_part(&pipeline->labels, PART_VAL), labels_count_part(&pipeline->labels, PART_TEST),
            pipeline->labels.split_by_hash ? " (about one in five, by the hash of its path)" : "");
    return CLI_OK;
}

/* Without enough labels there is nothing to train on: say what comes next. Labels that were brought in by other ways have no held-out part that
 * this command could measure on. */
static int explain_next_step(const Pipeline *pipeline) {
    const char *name = pipeline->name;
    size_t annotated = 0;
    for (size_t i = 0; i < pipeline->images.count; i++) annotated += pipeline->images.images[i].annotation_count > 0;
    if (annotated >= LABELS_FEWEST_TO_TRAIN) {
        printf("%zu images of %s are annotated at the server, but no labels of theirs lie in %s, so that none can be held out to measure on.\n"
               "To train on all that is annotated: pictograph train start %s -p yolox\n",
               annotated, name, pipeline->folder, name);
        return CLI_OK;
    }
    printf("%s. To train a model, at least %d of them need labels:\n"
           "  pictograph datasets import %s FOLDER_WITH_LABELS     files of any of the seven formats\n"
           "  pictograph auto-annotate batch %s -m MODEL_ID        by a model that is there already\n"
           "  pictograph annotations save IMAGE_ID -f FILE         one image at a time\n"
           "Then: pictograph train start %s -p yolox\n",
           pipeline->incomplete ? "The images are uploaded, but for those named above" : "The images are uploaded", LABELS_FEWEST_TO_TRAIN, name, name, name);
    return CLI_OK;
}

static int run_steps(Pipeline *pipeline) {
    static int (*const steps[])(Pipeline *) = {pipeline_import, pipeline_export, pipeline_train,    pipeline_annotate,
                                               pipeline_coco,   pipeline_model,  pipeline_evaluate, pipeline_report};
    Error err = {0};
    int code = read_folder(pipeline);
    if (code == CLI_OK && file_make_directories(pipeline->output, 0777, &err)) code = cli_fail_base(&err);
    if (code == CLI_OK) code = pipeline_upload(pipeline);
    if (code == CLI_OK && labels_count_part(&pipeline->labels, PART_TRAIN) < LABELS_FEWEST_TO_TRAIN) return explain_next_step(pipeline);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && code == CLI_OK; i++) code = steps[i](pipeline);
    return code;
}

int cmd_pipeline(Cli *cli) {
    const char *name = cli->arguments[0];
    Pipeline pipeline = {.cli = cli, .memory = &cli->memory, .client = cli->client, .error = &cli->error, .name = name,
                         .folder = cli->arguments[1], .started = clock_monotonic(), .config = make_config(cli)};
    pipeline.output = cli_is_given(cli, "output") ? cli_text(cli, "output") : arena_printf(&cli->memory, "./%s-pipeline", name);
    int code = run_steps(&pipeline);
    if (code == CLI_OK && pipeline.incomplete) code = cli_error("the server did not take all of the images or labels, see above");
    for (int i = 0; i < PART_COUNT; i++) {
        free(pipeline.parts[i].truth);
        free(pipeline.parts[i].detections);
    }
    server_images_clear(&pipeline.images);
    labels_clear(&pipeline.labels);
    return code;
}
