/* A zip that was written, read back before anybody gets it. */
#include <string.h>

#include "base/text.h"
#include "formats/format.h"
#include "base/banned.h"

typedef struct Check {
    Arena arena;
    StringMap forms;   /* name of a class, as a file can hold it -> index into missing */
    StringMap classes; /* name of a class, as it is read -> the same */
    int64_t *missing;  /* annotations of each class that were written and not read yet; the last counts those of other classes */
    size_t others;     /* index of that one */
    DatasetReport report;
} Check;

/* What every format holds of a name: some drop the blanks around it, and XML has no control characters. */
static const char *form_of(Check *c, const char *name) {
    Buffer text;
    buffer_init(&text, 1 << 24);
    markup_text(&text, text_trim(&c->arena, name));
    const char *form = arena_strdup(&c->arena, buffer_text(&text));
    buffer_clear(&text);
    return form;
}

static void expect(Check *c, const DatasetInfo *info) {
    arena_init(&c->arena, SIZE_MAX);
    dataset_report_init(&c->report, &c->arena);
    string_map_init(&c->forms, &c->arena);
    string_map_init(&c->classes, &c->arena);
    c->others = info->class_count;
    c->missing = arena_new_array(&c->arena, int64_t, c->others + 1);
    for (size_t i = 0; i < info->class_count; i++) c->missing[string_map_get_or_set(&c->forms, form_of(c, info->classes[i].name), i)] += (int64_t)info->class_counts[i];
}

static size_t class_of(Check *c, const char *name) {
    size_t index = string_map_get(&c->classes, name);
    if (index != STRING_MAP_NONE) return index;
    index = string_map_get(&c->forms, form_of(c, name));
    if (index == STRING_MAP_NONE) index = c->others;
    string_map_set(&c->classes, name, index);
    return index;
}

static Status count_image(void *context, const DatasetImage *image, Error *err) {
    Check *c = context;
    (void)err;
    for (size_t i = 0; i < image->annotations.count; i++) c->missing[class_of(c, image->annotations.items[i].name)]--;
    return STATUS_OK;
}

/* YOLO's labels are parts of a size, which no file of the zip need tell: any will do to count them. */
static bool any_size(void *context, const char *folder, const char *filename, uint32_t *width, uint32_t *height) {
    (void)context, (void)folder, (void)filename;
    *width = *height = 1 << 16;
    return true;
}

/* What the reader leaves out knowingly (a box outside of its image) it counts. */
static Status compare(const Check *c, const DatasetInfo *info, size_t files, const DatasetWritten *written, Error *err) {
    size_t missing = 0, images = c->report.labelled_images;
    if (files != written->files) return error_set(err, STATUS_INTERNAL_ERROR, "the archive has %zu files, not %zu", files, written->files);
    if (images != written->images) return error_set(err, STATUS_INTERNAL_ERROR, "the archive reads back as %zu images, not %zu", images, written->images);
    for (size_t i = 0; i <= c->others; i++) {
        missing += c->missing[i] > 0 ? (size_t)c->missing[i] : 0;
        if (c->missing[i] < 0)
            return error_set(err, STATUS_INTERNAL_ERROR, "the archive reads back with %lld annotations too many of %s", (long long)-c->missing[i],
                             i < c->others ? info->classes[i].name : "classes that were not written");
    }
    if (missing <= c->report.left_out) return STATUS_OK;
    return error_set(err, STATUS_INTERNAL_ERROR, "the archive reads back without %zu of %zu annotations", missing - c->report.left_out, written->annotations);
}

Status dataset_check(const DatasetFormat *format, const char *path, const char *work_folder, const DatasetInfo *info, const DatasetWritten *written,
                     bool (*stop)(void *context), void *context, Error *err) {
    Check c;
    Dataset *dataset = NULL;
    /* It was written here: as many files as it takes, and equal labels pack well. */
    DatasetReadOptions options = {.work_folder = work_folder, .labels_alone = true, .voc_zero_based = info->voc_zero_based, .size_of = any_size, .stop = stop,
                                  .context = context, .max_entries = UINT64_MAX, .max_bytes = UINT64_MAX, .max_ratio = UINT64_MAX, .max_label_bytes = UINT64_MAX};
    expect(&c, info);
    Status status = dataset_open(&dataset, path, &options, err);
    if (status == STATUS_OK) status = dataset_read(dataset, format, &(DatasetSink){&c, count_image}, &c.report, err);
    if (status != STATUS_OK && status != STATUS_CANCELLED) error_prefix(err, "the archive cannot be read back");
    if (status == STATUS_OK) status = compare(&c, info, dataset->entries, written, err);
    dataset_close(dataset);
    arena_clear(&c.arena);
    return status;
}
