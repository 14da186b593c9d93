/* Reads answers by JSON Pointer. */
#include "client/result.h"

#include <stdlib.h>

#include "base/banned.h"

enum { TEXT_MAXIMUM = 1 << 30 };

PictographResult *result_new(yyjson_doc *doc, yyjson_val *root) {
    PictographResult *result = xcalloc(1, sizeof *result);
    result->doc = doc;
    result->root = root;
    return result;
}

PictographResult *result_parse(const char *text, size_t size, Error *err) {
    yyjson_doc *doc = json_parse(text, size, err);
    return doc ? result_new(doc, yyjson_doc_get_root(doc)) : NULL;
}

void pictograph_result_free(PictographResult *result) {
    if (!result) return;
    yyjson_doc_free(result->doc);
    free(result);
}

yyjson_val *result_at(const PictographResult *result, const char *pointer) {
    return result && result->root ? yyjson_ptr_get(result->root, pointer) : NULL;
}

const char *pictograph_text(const PictographResult *result, const char *pointer) {
    return yyjson_get_str(result_at(result, pointer));
}

int64_t pictograph_integer(const PictographResult *result, const char *pointer, int64_t otherwise) {
    yyjson_val *value = result_at(result, pointer);
    return yyjson_is_int(value) ? yyjson_get_sint(value) : otherwise;
}

double pictograph_number(const PictographResult *result, const char *pointer, double otherwise) {
    yyjson_val *value = result_at(result, pointer);
    return yyjson_is_num(value) ? yyjson_get_num(value) : otherwise;
}

bool pictograph_flag(const PictographResult *result, const char *pointer, bool otherwise) {
    yyjson_val *value = result_at(result, pointer);
    return yyjson_is_bool(value) ? yyjson_get_bool(value) : otherwise;
}

size_t pictograph_count(const PictographResult *result, const char *pointer) {
    yyjson_val *value = result_at(result, pointer);
    return yyjson_is_arr(value) ? yyjson_arr_size(value) : yyjson_is_obj(value) ? yyjson_obj_size(value) : 0;
}

char *pictograph_json(const PictographResult *result, const char *pointer, bool pretty) {
    Buffer text;
    buffer_init(&text, TEXT_MAXIMUM);
    JsonWriter writer;
    json_writer_init(&writer, &text);
    writer.indent = pretty ? 2 : 0;
    yyjson_val *value = result_at(result, pointer);
    if (value) json_value(&writer, value);
    else json_null(&writer);
    return buffer_take(&text);
}
