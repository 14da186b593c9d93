/* For the fuzz targets of this room: a reader over an empty folder whose sink checks that every list it gets is a valid document. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline Status fuzz_check_image(void *context, const DatasetImage *image, Error *err) {
    Buffer text;
    JsonWriter w;
    Arena arena;
    AnnotationList again;
    (void)context, (void)err;
    arena_init(&arena, SIZE_MAX);
    buffer_init(&text, (size_t)1 << 31);
    json_writer_init(&w, &text);
    annotation_list_write(&image->annotations, &w);
    if (annotation_list_parse(&arena, buffer_text(&text), text.size, &again, NULL) != STATUS_OK) abort();
    if (again.count != image->annotations.count || image->folder[0] != '/' || strchr(image->filename, '/')) abort();
    buffer_clear(&text);
    arena_clear(&arena);
    return STATUS_OK;
}

/* Calls body with a fresh reader and a NUL-terminated copy of the input. */
static inline int fuzz_with_reader(const uint8_t *data, size_t size, void (*body)(Reader *reader, char *text, size_t size)) {
    Arena arena;
    DatasetReport report;
    Dataset dataset = {.options = DATASET_READ_DEFAULTS};
    DatasetSink sink = {NULL, fuzz_check_image};
    arena_init(&arena, SIZE_MAX);
    dataset_report_init(&report, &arena);
    Reader r = {.dataset = &dataset, .tree = &dataset.tree, .options = &dataset.options, .sink = &sink, .report = &report, .arena = &arena};
    arena_init(&r.image_arena, SIZE_MAX);
    string_map_init(&r.classes, &arena);
    string_map_init(&r.splits, &arena);
    char *text = malloc(size + 1);
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    body(&r, text, size);
    free(text);
    arena_clear(&r.image_arena);
    arena_clear(&arena);
    return 0;
}
