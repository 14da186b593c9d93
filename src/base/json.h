/* JSON: reading is yyjson's, with our bounds; writing goes straight into a Buffer.
 *
 * The writer places commas and quotes by itself:
 *     JsonWriter w; json_writer_init(&w, &buffer);
 *     json_begin_object(&w); json_key(&w, "name"); json_string(&w, "stop"); json_end_object(&w);
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

/* Deepest nesting that json_parse lets pass. */
#define JSON_MAX_DEPTH 64

/* Parses UTF-8 text strictly: no comments, no trailing commas, no NaN, no duplicate-key tolerance beyond yyjson's, depth at most
 * JSON_MAX_DEPTH. The document's memory is malloc'd; free it with yyjson_doc_free. NULL on failure, with byte position in err. */
yyjson_doc *json_parse(const char *text, size_t size, Error *err);
/* The same with the document's memory in the arena: nothing is to be freed. STATUS_PAYLOAD_TOO_LARGE past the arena's limit. */
yyjson_doc *json_parse_in(Arena *arena, const char *text, size_t size, Error *err);
/* For files that other programs wrote: NaN and Infinity, which Python writes, are numbers. arena NULL: the memory is malloc'd as json_parse's. */
yyjson_doc *json_parse_loosely(Arena *arena, const char *text, size_t size, Error *err);
/* Reads a whole file of at most maximum bytes and parses it; err names the file. */
yyjson_doc *json_parse_file(const char *path, size_t maximum, Error *err);

/* Typed look-ups that never fail: the default is given where the member is missing or of another type.
 * Strings are borrowed from the document. */
const char *json_get_string(yyjson_val *object, const char *key, const char *otherwise);
int64_t json_get_int(yyjson_val *object, const char *key, int64_t otherwise);
double json_get_number(yyjson_val *object, const char *key, double otherwise);
bool json_get_bool(yyjson_val *object, const char *key, bool otherwise);

typedef struct JsonWriter {
    Buffer *out;
    int indent; /* blanks per level; 0 writes everything on one line */
    int depth;
    bool first; /* no element of the present container was written yet */
    bool after_key;
} JsonWriter;

void json_writer_init(JsonWriter *writer, Buffer *out);
void json_begin_object(JsonWriter *writer);
void json_end_object(JsonWriter *writer);
void json_begin_array(JsonWriter *writer);
void json_end_array(JsonWriter *writer);
void json_key(JsonWriter *writer, const char *key);
/* NULL writes null. */
void json_string(JsonWriter *writer, const char *text);
void json_string_n(JsonWriter *writer, const char *text, size_t length);
void json_int(JsonWriter *writer, int64_t value);
/* Shortest text that reads back as the same double; integral values keep no ".0"; not-a-number and infinity write null. */
void json_number(JsonWriter *writer, double value);
void json_bool(JsonWriter *writer, bool value);
void json_null(JsonWriter *writer);
/* Text that already is valid JSON. */
void json_raw(JsonWriter *writer, const char *json, size_t size);
/* Any parsed value, written again. */
void json_value(JsonWriter *writer, yyjson_val *value);
/* The same without members that are null. */
void json_value_without_nulls(JsonWriter *writer, yyjson_val *value);

/* key and value in one go */
void json_field_string(JsonWriter *writer, const char *key, const char *text);
void json_field_int(JsonWriter *writer, const char *key, int64_t value);
void json_field_number(JsonWriter *writer, const char *key, double value);
void json_field_bool(JsonWriter *writer, const char *key, bool value);

/* Text of a value, and of a list of strings, in the arena. */
char *json_text(Arena *arena, yyjson_val *value);
char *json_list_text(Arena *arena, const char *const *items, size_t count);
