/* pictograph-import: the one process that opens datasets which strangers upload. libformats, sandboxed, one request at a time on a channel.
 *
 *   read {path, folder, format?}
 *     -> {format, name, description, annotation_types, classes: [{name, type, color}], images, annotations, left_out, notes: [{file, text, left_out}], note_total}
 *     Unpacks the images of the zip at path into folder/files and writes folder/images.jsonl: a line an image, {file, folder, filename, display_name, status, id,
 *     annotations},
 *     where file is the path below folder/files and null when the archive lacks the pixels. format null: recognised by looking.
 *
 * What it writes is text in the one form of the annotation document; whoever reads it checks it again. No decoder of pictures runs here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/dataset.h"
#include "formats/unpack.h"
#include "worker/program.h"
#include "worker/sandbox.h"
#include "base/banned.h"

/* limits.yaml imports */
enum { MAX_ENTRIES = 250000, MAX_RATIO = 200, MAX_CLASSES = 5000, MAX_IMAGES = 100000 };
#define MAX_UNPACKED_BYTES ((uint64_t)50 << 30)
#define MAX_LABEL_BYTES ((uint64_t)512 << 20)
enum { LINE_MAXIMUM = 64 << 20, TEXT_SHOWN = 500, CPU_SECONDS = 3600 };

typedef struct Lines {
    FILE *file;
    Buffer line;
    size_t root_length; /* of the folder of the files, with its slash */
    size_t images;
} Lines;

/* At most TEXT_SHOWN bytes, whole characters. */
static void write_shown(JsonWriter *w, const char *key, const char *text) {
    size_t length = strlen(text);
    if (length > TEXT_SHOWN) {
        for (length = TEXT_SHOWN; length && ((unsigned char)text[length] & 0xc0) == 0x80;) length--;
    }
    json_key(w, key);
    json_string_n(w, text, length);
}

static Status write_line(void *context, const DatasetImage *image, Error *err) {
    Lines *lines = context;
    JsonWriter w;
    if (++lines->images > MAX_IMAGES) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "more than %d images", MAX_IMAGES);
    buffer_reset(&lines->line);
    json_writer_init(&w, &lines->line);
    json_begin_object(&w);
    json_field_string(&w, "file", image->path ? image->path + lines->root_length : NULL);
    json_field_string(&w, "folder", image->folder);
    json_field_string(&w, "filename", image->filename);
    json_field_string(&w, "display_name", image->display_name);
    json_field_string(&w, "status", image->status);
    json_field_string(&w, "id", image->id);
    json_key(&w, "annotations");
    annotation_list_write(&image->annotations, &w);
    json_end_object(&w);
    buffer_append_byte(&lines->line, '\n');
    if (lines->line.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s has more annotations than one image can", image->filename);
    if (fwrite(lines->line.data, 1, lines->line.size, lines->file) != lines->line.size) return error_set_errno(err, errno, "images.jsonl");
    return STATUS_OK;
}

static Status write_summary(const DatasetFormat *format, const DatasetReport *report, JsonWriter *w, Error *err) {
    if (report->class_count > MAX_CLASSES) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "more than %d classes", MAX_CLASSES);
    json_begin_object(w);
    json_field_string(w, "format", format ? dataset_format_name(format) : NULL);
    json_field_string(w, "name", report->name);
    json_field_string(w, "description", report->description);
    json_key(w, "annotation_types");
    dataset_kinds_write(&report->kinds, w);
    json_key(w, "classes");
    json_begin_array(w);
    for (size_t i = 0; i < report->class_count; i++) {
        json_begin_object(w);
        json_field_string(w, "name", report->classes[i].name);
        json_field_string(w, "type", report->classes[i].type);
        json_field_string(w, "color", report->classes[i].color);
        json_end_object(w);
    }
    json_end_array(w);
    json_field_int(w, "images", (int64_t)report->images);
    json_field_int(w, "annotations", (int64_t)report->annotations);
    json_field_int(w, "left_out", (int64_t)report->left_out);
    json_key(w, "notes");
    json_begin_array(w);
    for (size_t i = 0; i < report->warning_count; i++) {
        json_begin_object(w);
        write_shown(w, "file", report->warnings[i].file);
        write_shown(w, "text", report->warnings[i].text);
        json_field_bool(w, "left_out", report->warnings[i].left_out);
        json_end_object(w);
    }
    json_end_array(w);
    json_field_int(w, "note_total", (int64_t)report->warning_total);
    json_end_object(w);
    return STATUS_OK;
}

/* The format that was named, else the one that was recognised. */
static Status choose_format(const Dataset *dataset, const char *wanted, const DatasetFormat **out, Error *err) {
    *out = wanted ? dataset_format_find(wanted) : dataset_format(dataset);
    if (wanted && *out != dataset_format(dataset)) {
        const DatasetFormat *found = dataset_format(dataset);
        return error_set(err, STATUS_BAD_REQUEST, "The archive is not a dataset in the format %s, but %s", wanted,
                         found ? dataset_format_name(found) : "of no known format");
    }
    return STATUS_OK;
}

static Status read_dataset(const char *path, const char *folder, const char *wanted, DatasetReport *report, JsonWriter *result, Error *err) {
    Dataset *dataset = NULL;
    const DatasetFormat *format = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    const char *files = arena_printf(report->arena, "%s/files", folder), *name = arena_printf(report->arena, "%s/images.jsonl", folder);
    Lines lines = {.root_length = strlen(files) + 1};
    buffer_init(&lines.line, LINE_MAXIMUM);
    options.work_folder = files;
    options.max_entries = MAX_ENTRIES;
    options.max_bytes = MAX_UNPACKED_BYTES;
    options.max_ratio = MAX_RATIO;
    options.max_label_bytes = MAX_LABEL_BYTES;
    Status status = file_make_directories(files, 0700, err);
    if (status == STATUS_OK && !unpack_is_zip(path)) status = error_set(err, STATUS_BAD_REQUEST, "The upload is not a zip");
    if (status == STATUS_OK && !(lines.file = fopen(name, "w"))) status = error_set_errno(err, errno, "%s", name);
    if (status == STATUS_OK) status = dataset_open(&dataset, path, &options, err);
    if (status == STATUS_OK) status = choose_format(dataset, wanted, &format, err);
    if (status == STATUS_OK) status = dataset_read(dataset, format, &(DatasetSink){&lines, write_line}, report, err);
    dataset_close(dataset);
    if (lines.file && fclose(lines.file) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "%s", name);
    buffer_clear(&lines.line);
    return status == STATUS_OK ? write_summary(format, report, result, err) : status;
}

/* The name of the object at the server says nothing to whoever sent it under another one. */
static void drop_name(const char *name, Error *err) {
    size_t length = strlen(name);
    if (!text_starts_with(err->message, name) || !text_starts_with(err->message + length, ": ")) return;
    memmove(err->message, err->message + length + 2, strlen(err->message + length + 2) + 1);
}

static Status run_read(WorkerCall *call, void *context, Error *err) {
    const char *path = json_get_string(call->params, "path", NULL), *folder = json_get_string(call->params, "folder", NULL);
    Arena arena;
    DatasetReport report;
    (void)context;
    if (!path || !folder) return error_set(err, STATUS_VALIDATION_ERROR, "'path' and 'folder' are needed");
    sandbox_limit_cpu(CPU_SECONDS);
    arena_init(&arena, SIZE_MAX);
    dataset_report_init(&report, &arena);
    Status status = read_dataset(path, folder, json_get_string(call->params, "format", NULL), &report, call->result, err);
    if (status != STATUS_OK) drop_name(file_base_name(path), err);
    arena_clear(&arena);
    return status;
}

static const char HELP[] =
    "Usage: pictograph-import [--write DIR]... [--read DIR]...                       serve requests on file descriptor 3\n"
    "       pictograph-import [options] read ZIP FOLDER [FORMAT]                     unpack a dataset and tell what it holds, as JSON\n"
    "\n"
    "Opens datasets that strangers upload, in any of the seven formats. Runs in a sandbox.\n"
    "  --write DIR   folder in which files may be written (default: the present folder)\n"
    "  --read DIR    folder from which archives may be read (default: everywhere)\n"
    "  --version     print the version\n";

static const WorkerMethod METHODS[] = {{"read", run_read}, {0}};
static const WorkerCommand COMMANDS[] = {{"read", {"path", "folder", "format"}}, {0}};

static Status start(void **context, const char *argv0, Error *err) {
    (void)argv0, (void)err;
    *context = NULL;
    return STATUS_OK;
}

int main(int argc, char **argv) {
    const WorkerMain program = {.name = "pictograph-import", .help = HELP, .methods = METHODS, .commands = COMMANDS,
                                .memory_bytes = (uint64_t)4 << 30, .writes = true, .start = start};
    return worker_main(&program, argc, argv);
}
