/* Fuzz target: annotations of V7 and of Roboflow. Whatever they hold, the list that comes out is a valid document. */
#include <stdint.h>
#include <stdlib.h>

#include "server/connectors/convert.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *class_name(void *context, int64_t id) {
    (void)context;
    return id % 2 ? "odd" : NULL;
}

static void check(const Conversion *conversion) {
    Arena arena;
    Buffer text;
    JsonWriter w;
    AnnotationList again;
    arena_init(&arena, SIZE_MAX);
    buffer_init(&text, (size_t)1 << 31);
    json_writer_init(&w, &text);
    annotation_list_write(&conversion->list, &w);
    if (annotation_list_parse(&arena, buffer_text(&text), text.size, &again, NULL) != STATUS_OK) abort();
    if (again.count != conversion->list.count) abort();
    buffer_clear(&text);
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena;
    Conversion v7, roboflow;
    yyjson_doc *doc = json_parse((const char *)data, size, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    arena_init(&arena, SIZE_MAX);
    conversion_init(&v7, &arena, "someone");
    v7.class_name = class_name;
    v7.slot = size % 2 ? "0" : NULL;
    v7_convert(&v7, yyjson_is_obj(root) && yyjson_obj_get(root, "annotations") ? yyjson_obj_get(root, "annotations") : root);
    check(&v7);
    conversion_init(&roboflow, &arena, NULL);
    roboflow.width = roboflow.height = size % 3 ? 640 : 0;
    roboflow_convert(&roboflow, root);
    check(&roboflow);
    arena_clear(&arena);
    yyjson_doc_free(doc);
    return 0;
}
