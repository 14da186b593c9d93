/* Fuzz target: an annotation document. What is accepted must be written to a text that reads and writes as itself; what is refused must
 * say why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "annotation/annotation.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_list(const AnnotationList *list, Buffer *out) {
    JsonWriter w;
    json_writer_init(&w, out);
    annotation_list_write(list, &w);
}

static void check(Arena *arena, yyjson_val *root) {
    FieldErrors errors;
    AnnotationList list, again;
    Buffer first, second;
    buffer_init(&first, (size_t)1 << 30);
    buffer_init(&second, (size_t)1 << 30);
    field_errors_init(&errors, arena);
    if (annotation_list_read(arena, root, NULL, NULL, &errors, &list)) {
        write_list(&list, &first);
        if (annotation_list_parse(arena, buffer_text(&first), first.size, &again, NULL) != STATUS_OK) abort();
        write_list(&again, &second);
        if (strcmp(buffer_text(&first), buffer_text(&second)) != 0) abort();
    } else {
        JsonWriter w;
        json_writer_init(&w, &first);
        field_errors_write(&errors, &w);
        yyjson_doc *told = json_parse(buffer_text(&first), first.size, NULL);
        if (!errors.count || yyjson_arr_size(yyjson_doc_get_root(told)) != errors.count) abort();
        yyjson_doc_free(told);
    }
    buffer_clear(&first);
    buffer_clear(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    yyjson_doc *doc = json_parse((const char *)data, size, NULL);
    if (!doc) return 0;
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    check(&arena, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    arena_clear(&arena);
    return 0;
}
