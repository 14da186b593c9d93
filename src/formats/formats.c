/* The table of formats, and the two front doors: reading a dataset, writing one. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "formats/unpack.h"
#include "base/banned.h"

static const DatasetFormat FORMATS[] = {
    {"pictograph", pictograph_detect, pictograph_read, pictograph_write},
    {"coco", coco_detect, coco_read, coco_write},
    {"yolo", yolo_detect, yolo_read, yolo_write},
    {"pascal_voc", voc_detect, voc_read, voc_write},
    {"cvat", cvat_detect, cvat_read, cvat_write},
    {"labelme", labelme_detect, labelme_read, labelme_write},
    {"csv", csv_detect, csv_read, csv_write},
};
enum { FORMAT_COUNT = sizeof FORMATS / sizeof *FORMATS };

const DatasetFormat *dataset_format_at(size_t index) { return index < FORMAT_COUNT ? &FORMATS[index] : NULL; }
const char *dataset_format_name(const DatasetFormat *format) { return format->name; }
bool dataset_format_can_write(const DatasetFormat *format) { return format->write != NULL; }

const DatasetFormat *dataset_format_find(const char *name) {
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (text_equal(FORMATS[i].name, name)) return &FORMATS[i];
    }
    return NULL;
}

DatasetKinds dataset_kinds_read(yyjson_val *list) {
    DatasetKinds kinds = {.count = 0};
    bool seen[ANNOTATION_TYPE_COUNT] = {0};
    size_t index, count;
    yyjson_val *name;
    yyjson_arr_foreach(list, index, count, name) {
        AnnotationType type;
        if (!yyjson_is_str(name) || !annotation_type_from_name(yyjson_get_str(name), &type) || seen[type]) continue;
        seen[type] = true;
        kinds.items[kinds.count++] = type;
    }
    return kinds;
}

void dataset_kinds_write(const DatasetKinds *kinds, JsonWriter *w) {
    json_begin_array(w);
    for (size_t i = 0; i < kinds->count; i++) json_string(w, annotation_type_name(kinds->items[i]));
    json_end_array(w);
}

/* ---- reading ---- */

static Status open_zip(Dataset *d, const char *path, Error *err) {
    const DatasetReadOptions *o = &d->options;
    if (!o->work_folder) return error_set(err, STATUS_BAD_REQUEST, "%s is a zip; only folders can be read here", file_base_name(path));
    UnpackLimits limits = {o->max_entries, o->max_bytes, o->max_ratio, o->stop, o->context};
    Status status = tree_begin(&d->tree, o->work_folder, err);
    if (status == STATUS_OK) status = unpack_zip(path, &d->tree, !o->labels_alone, limits, &d->entries, err);
    if (status != STATUS_OK) return status;
    tree_add_absent(&d->tree, o->absent);
    status = tree_finish(&d->tree, err);
    return status == STATUS_OK ? status : error_prefix(err, "%s", file_base_name(path));
}

static Status open_label_file(Dataset *d, const char *path, Error *err) {
    const char *name = file_base_name(path);
    const char *folder = name == path ? "." : arena_printf(&d->arena, "%.*s", (int)(name - path), path);
    d->only_label = arena_strdup(&d->arena, name);
    return tree_open(&d->tree, folder, d->options.absent, d->options.max_entries, err);
}

Status dataset_open(Dataset **out, const char *path, const DatasetReadOptions *options, Error *err) {
    Dataset *d = xcalloc(1, sizeof *d);
    arena_init(&d->arena, SIZE_MAX);
    d->options = *options;
    d->tree.labels = -1;
    Status status;
    if (file_is_directory(path)) status = tree_open(&d->tree, path, options->absent, options->max_entries, err);
    else if (!file_exists(path)) status = error_set(err, STATUS_NOT_FOUND, "No such file or folder: %s", path);
    else status = unpack_is_zip(path) ? open_zip(d, path, err) : open_label_file(d, path, err);
    for (size_t i = 0; status == STATUS_OK && i < FORMAT_COUNT && !d->format; i++) {
        if (FORMATS[i].detect(d)) d->format = &FORMATS[i];
    }
    if (status == STATUS_OK) *out = d;
    else dataset_close(d);
    return status;
}

void dataset_close(Dataset *d) {
    if (!d) return;
    tree_close(&d->tree);
    arena_clear(&d->arena);
    free(d);
}

const DatasetFormat *dataset_format(const Dataset *d) { return d->format; }
size_t dataset_image_count(const Dataset *d) { return d->tree.image_count; }

/* Whoever labelled with two tools would otherwise learn only from a number that half of the labels are not there. */
static void tell_other_formats(Reader *r, const DatasetFormat *format) {
    if (!format || r->tree->is_ours || r->dataset->only_label) return;
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (&FORMATS[i] != format && FORMATS[i].detect(r->dataset))
            reader_leave_file_out(r, ".", "labels of the format %s are there too; %s alone is read", FORMATS[i].name, format->name);
    }
}

/* Of a dataset that looks unlabelled: what may have been meant for labels, such as the native form of another program. */
static void tell_unknown_labels(Reader *r) {
    static const char *const ENDINGS[] = {".json", ".jsonl", ".xml", ".csv", ".tsv"};
    for (size_t i = 0; i < r->tree->count; i++) {
        const char *path = r->tree->files[i].path, *dot = strrchr(path, '.');
        for (size_t e = 0; dot && e < sizeof ENDINGS / sizeof *ENDINGS; e++)
            if (text_equal_ignoring_case(dot, ENDINGS[e])) reader_leave_file_out(r, path, "no labels of a known format");
    }
}

Status dataset_read(Dataset *d, const DatasetFormat *format, const DatasetSink *sink, DatasetReport *report, Error *err) {
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    Reader r = {.dataset = d, .tree = &d->tree, .options = &d->options, .sink = sink, .report = report, .arena = &arena};
    arena_init(&r.image_arena, SIZE_MAX);
    string_map_init(&r.classes, report->arena);
    string_map_init(&r.splits, &arena);
    for (size_t i = 0; i < d->tree.count; i++) d->tree.files[i].seen = d->tree.files[i].claimed = false;
    reader_keep_places_apart(&r);
    for (size_t i = 0; i < d->tree.passed_count; i++) reader_leave_file_out(&r, d->tree.passed[i].path, "%s", d->tree.passed[i].why);
    if (d->tree.passed_total > d->tree.passed_count) reader_leave_file_out(&r, ".", "%zu more are passed over", d->tree.passed_total - d->tree.passed_count);
    tell_other_formats(&r, format);
    if (!format) tell_unknown_labels(&r);
    Status status = format ? format->read(&r, err) : STATUS_OK;
    if (status == STATUS_OK && d->options.stop && d->options.stop(d->options.context)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
    if (status == STATUS_OK) status = reader_deliver_rest(&r, err);
    arena_clear(&r.image_arena);
    arena_clear(&arena);
    return status;
}

/* ---- writing ---- */

static void manifest_head(const Writer *w, const DatasetFormat *format, JsonWriter *j) {
    const DatasetInfo *info = w->info;
    j->indent = 1;
    json_begin_object(j);
    json_field_string(j, "format", format->name);
    json_field_string(j, "dataset", info->name);
    json_field_int(j, "images", (int64_t)w->written->images);
    json_field_int(j, "annotations", (int64_t)w->written->annotations);
    json_key(j, "classes");
    json_begin_array(j);
    for (size_t i = 0; i < info->class_count; i++) {
        json_begin_object(j);
        json_field_string(j, "name", info->classes[i].name);
        json_field_int(j, "annotations", (int64_t)w->class_counts[i]);
        json_end_object(j);
    }
    json_end_array(j);
    json_key(j, "losses");
    json_begin_array(j);
    for (size_t i = 0; i < w->written->loss_count; i++) {
        const DatasetLoss *loss = &w->written->losses[i];
        json_begin_object(j);
        json_field_string(j, "kind", loss->kind);
        json_field_int(j, "count", (int64_t)loss->count);
        json_field_string(j, "text", loss->text);
        json_end_object(j);
    }
    json_end_array(j);
    json_key(j, "notes");
    json_begin_array(j);
    for (const char *const *note = w->notes; note && *note; note++) json_string(j, *note);
    json_end_array(j);
}

static Status finish(Writer *w, const DatasetFormat *format, Error *err) {
    Buffer head;
    JsonWriter j;
    buffer_init(&head, (size_t)1 << 30);
    json_writer_init(&j, &head);
    manifest_head(w, format, &j);
    Status status = zip_writer_finish(w->zip, buffer_text(&head), &w->written->files, &w->written->bytes, err);
    buffer_clear(&head);
    return status;
}

Status dataset_write(const DatasetFormat *format, const DatasetInfo *info, const DatasetSource *source, const char *path, DatasetWritten *out,
                     Error *err) {
    *out = (DatasetWritten){0};
    if (!format->write) return error_set(err, STATUS_BAD_REQUEST, "The format %s can only be read", format->name);
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    Writer w = {.info = info, .source = source, .written = out, .arena = &arena};
    w.class_counts = info->class_counts ? info->class_counts : arena_new_array(&arena, size_t, info->class_count);
    for (size_t i = 0; i < info->class_count; i++) w.class_counts[i] = 0;
    arena_init(&w.image_arena, SIZE_MAX);
    string_map_init(&w.classes, &arena);
    string_map_init(&w.file_like, &arena);
    for (size_t i = 0; i < info->class_count; i++) string_map_get_or_set(&w.classes, info->classes[i].name, i);
    Status status = zip_writer_open(&w.zip, path, err);
    if (status == STATUS_OK) status = writer_find_clashes(&w, err);
    if (status == STATUS_OK) status = format->write(&w, err);
    if (status == STATUS_OK) status = finish(&w, format, err);
    zip_writer_free(w.zip);
    arena_clear(&w.image_arena);
    arena_clear(&arena);
    return status;
}
