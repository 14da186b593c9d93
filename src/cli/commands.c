/* The table of commands: a row adds one. */
#include "cli/commands.h"

#include "base/banned.h"

#define YES {'y', "yes", CLI_FLAG, NULL, NULL, "do not ask", 0, 0, false}
#define JSON {0, "json", CLI_FLAG, NULL, NULL, "JSON instead of a table", 0, 0, false}
#define LIMIT(fallback) {'n', "limit", CLI_INTEGER, "N", fallback, "most rows", 1, 0, false}
#define OUTPUT(text) {'o', "output", CLI_TEXT, "PATH", NULL, text, 0, 0, true}
#define THRESHOLD(long_name) {0, long_name, CLI_NUMBER, "P", NULL, "lowest score that is kept", 0, 1, false}

const CliCommand cli_commands[] = {
    {"login", NULL, "", "Checks an API key and stores it for later calls", cmd_login, true, {{0}}},
    {"init", NULL, "", "Writes an AGENTS.md that tells coding agents about Pictograph", cmd_init, true,
     {{'o', "output", CLI_TEXT, "PATH", "./AGENTS.md", "file to write", 0, 0, false},
      {'f', "force", CLI_FLAG, NULL, NULL, "replace an existing file", 0, 0, false}}},

    {"datasets", "list", "", "Lists the datasets of the organization", cmd_datasets_list, false, {LIMIT("100"), JSON}},
    {"datasets", "get", "NAME", "Shows one dataset as JSON", cmd_datasets_get, false,
     {{'I', "include-images", CLI_FLAG, NULL, NULL, "with its images", 0, 0, false},
      {0, "images-limit", CLI_INTEGER, "N", "100", "most images", 1, 10000, false}}},
    {"datasets", "create", "NAME", "Creates an empty dataset", cmd_datasets_create, false,
     {{'d', "description", CLI_TEXT, "TEXT", NULL, "what it is about", 0, 0, false}}},
    {"datasets", "delete", "NAME", "Deletes a dataset with its images and exports", cmd_datasets_delete, false, {YES}},
    {"datasets", "download", "NAME", "Downloads images and annotations", cmd_datasets_download, false,
     {{'o', "output", CLI_TEXT, "DIR", "./dataset", "folder to write to", 0, 0, false},
      {0, "mode", CLI_TEXT, "MODE", "full", "full, images_only or annotations_only", 0, 0, false},
      {'w', "workers", CLI_INTEGER, "N", "10", "transfers at once", 1, 20, false}}},
    {"datasets", "upload", "NAME FOLDER", "Uploads a folder of images; a dataset that is missing is created", cmd_datasets_upload, false,
     {{0, "flat", CLI_FLAG, NULL, NULL, "ignore subfolders; otherwise the first level becomes virtual folders", 0, 0, false},
      {0, "full-paths", CLI_FLAG, NULL, NULL, "every level of subfolders becomes part of the virtual folder", 0, 0, false},
      {'w', "workers", CLI_INTEGER, "N", "8", "transfers at once", 1, 32, false}}}, /* limits.yaml client.upload_workers.tool_max */

    {"datasets", "import", "NAME PATH", "Reads labels (a folder, zip or file of any of the seven formats) into a dataset's images", cmd_datasets_import, false,
     {{0, "split", CLI_TEXT, "NAMES", NULL, "only these splits, separated by commas, such as train,val", 0, 0, false},
      {0, "overwrite", CLI_FLAG, NULL, NULL, "replace annotations that are there; otherwise such images are skipped", 0, 0, false}}},

    {"images", "upload", "DATASET FILE", "Uploads one image", cmd_images_upload, false,
     {{'f', "folder", CLI_TEXT, "PATH", "/", "virtual folder", 0, 0, false}}},
    {"images", "download", "ID", "Downloads one image", cmd_images_download, false, {OUTPUT("file to write")}},
    {"images", "delete", "ID", "Archives one image", cmd_images_delete, false, {YES}},

    {"annotations", "get", "ID", "Shows the annotations of an image", cmd_annotations_get, false, {{0}}},
    {"annotations", "save", "ID", "Replaces the annotations of an image", cmd_annotations_save, false,
     {{'f', "file", CLI_TEXT, "PATH", NULL, "JSON file that holds a list", 0, 0, true}}},
    {"annotations", "delete", "ID", "Removes the annotations of an image", cmd_annotations_delete, false, {YES}},

    {"exports", "list", "", "Lists exports", cmd_exports_list, false,
     {{0, "dataset", CLI_TEXT, "NAME", NULL, "only of this dataset", 0, 0, false}, LIMIT("100"), JSON}},
    {"exports", "create", "DATASET NAME", "Builds an export and waits for it", cmd_exports_create, false,
     {{'F', "format", CLI_TEXT, "FORMAT", "pictograph", "pictograph, coco, yolo, …", 0, 0, false},
      {0, "status", CLI_TEXT, "STATUS", "complete", "which images: complete, all, in_progress, new, annotate, review", 0, 0, false},
      {0, "classes", CLI_TEXT, "NAMES", NULL, "only these labels, separated by commas", 0, 0, false},
      {0, "no-images", CLI_FLAG, NULL, NULL, "annotations only", 0, 0, false},
      {0, "no-wait", CLI_FLAG, NULL, NULL, "return at once", 0, 0, false}}},
    {"exports", "get", "DATASET NAME", "Shows one export as JSON", cmd_exports_get, false, {{0}}},
    {"exports", "download", "DATASET NAME", "Downloads the ZIP", cmd_exports_download, false, {OUTPUT("file to write")}},
    {"exports", "delete", "DATASET NAME", "Deletes an export", cmd_exports_delete, false, {YES}},

    {"auto-annotate", "point", "DATASET IMAGE X Y", "Outlines the object at a point; stores nothing", cmd_auto_annotate_point, false,
     {{0, "name", CLI_TEXT, "LABEL", "object", "label of the result", 0, 0, false}, THRESHOLD("score-threshold")}},
    {"auto-annotate", "box", "DATASET IMAGE X Y W H", "Outlines the object in a rectangle; stores nothing", cmd_auto_annotate_box, false,
     {{0, "name", CLI_TEXT, "LABEL", "object", "label of the result", 0, 0, false}, THRESHOLD("confidence-threshold")}},
    {"auto-annotate", "text", "DATASET IMAGE WORDS", "Finds everything that is called so; stores nothing", cmd_auto_annotate_text, false,
     {{0, "output-type", CLI_TEXT, "TYPE", "polygon", "polygon or bbox", 0, 0, false},
      {0, "max-detections", CLI_INTEGER, "N", NULL, "at most so many results, best first", 1, 100, false}, THRESHOLD("confidence-threshold")}},
    {"auto-annotate", "batch", "DATASET", "Labels the images that have no annotations yet, as one job", cmd_auto_annotate_batch, false,
     {{'m', "model-id", CLI_TEXT, "ID", NULL, "a trained model; otherwise whatever answers text", 0, 0, false},
      {'c', "classes", CLI_TEXT, "NAMES", NULL, "labels, as cat,dog:bbox,indoor:tag; with a model, all of the model's when absent", 0, 0, false},
      THRESHOLD("confidence-threshold"),
      {0, "overwrite", CLI_FLAG, NULL, NULL, "images that have annotations too", 0, 0, false},
      {0, "max-images", CLI_INTEGER, "N", NULL, "at most so many images", 1, 0, false},
      {0, "top-k", CLI_INTEGER, "N", NULL, "at most so many tags an image; 1 when absent", 1, 100, false}}},

    {"train", "start", "DATASET", "Exports a dataset and trains a model on it", cmd_train_start, false,
     {{'p', "pipeline", CLI_TEXT, "TYPE", NULL, "pipeline, such as yolox", 0, 0, true},
      {0, "gpu", CLI_TEXT, "TYPE", "a10g", "a10g, a100 or h100", 0, 0, false},
      {0, "name", CLI_TEXT, "NAME", NULL, "name of the run", 0, 0, false},
      {0, "config", CLI_TEXT, "JSON", NULL, "parameters, such as '{\"epochs\": 30}'", 0, 0, false},
      {0, "no-wait", CLI_FLAG, NULL, NULL, "return once the run is created", 0, 0, false},
      {0, "timeout", CLI_NUMBER, "SECONDS", "7200", "longest wait", 1, 0, false}}},
    {"train", "status", "RUN", "Shows a run as JSON", cmd_train_status, false, {{0}}},
    {"train", "cancel", "RUN", "Stops a run", cmd_train_cancel, false, {YES}},
    {"train", "logs", "RUN", "One line about a run", cmd_train_logs, false, {{0}}},

    {"models", "list", "", "Lists models", cmd_models_list, false, {LIMIT("50"), JSON}},
    {"models", "download", "ID", "Downloads the ONNX file of a model", cmd_models_download, false, {OUTPUT("file to write")}},

    {"credits", "balance", "", "Shows what is left", cmd_credits_balance, false, {JSON}},
    {"credits", "history", "", "Shows the ledger, newest first", cmd_credits_history, false,
     {LIMIT("50"), {0, "offset", CLI_INTEGER, "N", "0", "rows to skip", 0, 0, false}, JSON}},
    {"credits", "estimate", "OPERATION", "Says what an operation would cost", cmd_credits_estimate, false,
     {{'q', "quantity", CLI_INTEGER, "N", "1", "minutes or images", 1, 1000000, false}}},

    {"pipeline", NULL, "NAME FOLDER", "A folder of images in, a trained and measured model out", cmd_pipeline, false,
     {{0, "model-size", CLI_TEXT, "SIZE", NULL, "nano, tiny, s, m, l or x; otherwise chosen by the number of images", 0, 0, false},
      {0, "epochs", CLI_INTEGER, "N", NULL, "passes over the images; otherwise chosen likewise", 1, 10000, false},
      {0, "max-seconds", CLI_INTEGER, "S", NULL, "plan the training so that it ends within so long", 1, 7200, false},
      {'o', "output", CLI_TEXT, "DIR", NULL, "folder for model, contact sheet and report (default ./NAME-pipeline)", 0, 0, false},
      {0, "seed", CLI_INTEGER, "N", NULL, "of the training", 0, 0, false},
      {0, "json", CLI_FLAG, NULL, NULL, "the report as JSON instead of tables", 0, 0, false}}},

    {"completion", "bash", "", "Prints what completes these commands in bash; zsh takes it after bashcompinit", cmd_completion_bash, true, {{0}}},

    {NULL, NULL, NULL, NULL, NULL, false, {{0}}},
};
