/* For the tests of this room: a temporary folder, files in it, and a dataset told as text that can be compared. */
#pragma once
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats/dataset.h"

typedef struct TestData {
    char folder[64];
    Arena arena;
    Buffer told; /* what the last reading said */
    DatasetReport report;
    Error err;
} TestData;

static inline char *test_path(TestData *t, const char *name) { return arena_printf(&t->arena, "%s/%s", t->folder, name); }

static inline void test_file_bytes(TestData *t, const char *name, const void *bytes, size_t size) {
    char *path = test_path(t, name), *parent = arena_strndup(&t->arena, path, (size_t)(strrchr(path, '/') - path));
    if (file_make_directories(parent, 0700, NULL) != STATUS_OK || file_write_atomic(path, bytes, size, 0600, NULL) != STATUS_OK) abort();
}

static inline void test_file(TestData *t, const char *name, const char *text) { test_file_bytes(t, name, text, strlen(text)); }

/* A PNG header of that size is all that readers look at. */
static inline void test_image(TestData *t, const char *name, unsigned width, unsigned height) {
    unsigned char png[24] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
    png[18] = (unsigned char)(width >> 8), png[19] = (unsigned char)width, png[22] = (unsigned char)(height >> 8), png[23] = (unsigned char)height;
    test_file_bytes(t, name, png, sizeof png);
}

/* "/a photo.png 100x80 train: 1 car bbox 1,2,3,4; 2 car polygon 0,0,9,9 (3+3)\n"; "-" for an unlabelled one */
static inline Status test_tell(void *context, const DatasetImage *image, Error *err) {
    Buffer *out = &((TestData *)context)->told;
    (void)err;
    buffer_printf(out, "%s %s %ux%u %s:", image->folder, image->filename, image->width, image->height, image->split ? image->split : "none");
    if (!image->labelled) buffer_append_text(out, " -");
    for (size_t i = 0; i < image->annotations.count; i++) {
        const Annotation *a = &image->annotations.items[i];
        Box b = a->bounding_box;
        buffer_printf(out, "%s %s %s %s %g,%g,%g,%g", i ? ";" : "", a->id, a->name, annotation_type_name(a->type), b.x, b.y, b.w, b.h);
        for (size_t r = 0; r < a->polygon.count; r++) buffer_printf(out, "%s%zu", r ? "+" : " (", a->polygon.rings[r].count);
        if (a->polygon.count) buffer_append_text(out, ")");
    }
    buffer_append_text(out, "\n");
    return STATUS_OK;
}

/* Reads path and returns what test_tell and the warnings ("! file: text") say; the format's name comes first. */
static inline const char *test_read_with(TestData *t, const char *path, DatasetReadOptions options) {
    Dataset *dataset = NULL;
    buffer_reset(&t->told);
    dataset_report_init(&t->report, &t->arena);
    if (dataset_open(&dataset, path, &options, &t->err) != STATUS_OK) return t->err.message;
    const DatasetFormat *format = dataset_format(dataset);
    buffer_printf(&t->told, "%s\n", format ? dataset_format_name(format) : "images");
    if (dataset_read(dataset, format, &(DatasetSink){t, test_tell}, &t->report, &t->err) != STATUS_OK) buffer_printf(&t->told, "failed: %s\n", t->err.message);
    dataset_close(dataset);
    for (size_t i = 0; i < t->report.warning_count; i++) buffer_printf(&t->told, "! %s: %s\n", t->report.warnings[i].file, t->report.warnings[i].text);
    return buffer_text(&t->told);
}

static inline const char *test_read(TestData *t, const char *name) {
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.work_folder = test_path(t, "unpacked");
    file_remove_tree(options.work_folder, NULL);
    file_make_directories(options.work_folder, 0700, NULL);
    return test_read_with(t, test_path(t, name), options);
}

/* A COCO file of one image and one annotation. */
#define ONE_COCO(file_name, annotation) \
    "{\"images\":[{\"id\":1,\"file_name\":\"" file_name "\",\"width\":9,\"height\":9}],\"annotations\":[{\"id\":1,\"image_id\":1," annotation "}]," \
    "\"categories\":[{\"id\":1,\"name\":\"car\"}]}"

/* The tests' own, and what cmocka calls before and after each. */
static TestData t;

static inline int set_up(void **state) {
    (void)state;
    snprintf(t.folder, sizeof t.folder, "/tmp/formats_test.XXXXXX");
    if (!mkdtemp(t.folder)) abort();
    arena_init(&t.arena, SIZE_MAX);
    buffer_init(&t.told, 1 << 24);
    t.err = (Error){0};
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    file_remove_tree(t.folder, NULL);
    arena_clear(&t.arena);
    buffer_clear(&t.told);
    return 0;
}
