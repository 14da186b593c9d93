/* A validator of JSON Schema for the keywords of x-tools: type (one or several), properties, required, additionalProperties, items, enum, minimum,
 * maximum, exclusiveMinimum, minLength, maxLength, minItems, maxItems, default. A test holds x-tools against this list. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "server/tools/tools.h"

#include "base/banned.h"

enum { ARGUMENTS_MAXIMUM = 16 << 20 };

/* JSON Schema counts 5.0 among the integers. */
static bool is_whole(yyjson_val *value) {
    double number = yyjson_get_num(value);
    return yyjson_is_int(value) || (yyjson_is_real(value) && number == floor(number) && fabs(number) < 0x1p53);
}

static bool is_of_type(yyjson_val *value, const char *type) {
    if (text_equal(type, "string")) return yyjson_is_str(value);
    if (text_equal(type, "integer")) return is_whole(value);
    if (text_equal(type, "number")) return yyjson_is_num(value);
    if (text_equal(type, "boolean")) return yyjson_is_bool(value);
    if (text_equal(type, "array")) return yyjson_is_arr(value);
    if (text_equal(type, "object")) return yyjson_is_obj(value);
    return text_equal(type, "null") && yyjson_is_null(value);
}

static FieldType field_type(const char *type) {
    static const struct { const char *name; FieldType type; } TYPES[] = {
        {"string", FIELD_STRING}, {"integer", FIELD_INT}, {"number", FIELD_NUMBER}, {"boolean", FIELD_BOOL}, {"array", FIELD_LIST}, {"object", FIELD_OBJECT},
    };
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++)
        if (text_equal(type, TYPES[i].name)) return TYPES[i].type;
    return FIELD_NULL;
}

static bool check_type(yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    yyjson_val *type = yyjson_obj_get(schema, "type"), *one;
    size_t index, count;
    if (!type) return true;
    const char *first = yyjson_is_arr(type) ? yyjson_get_str(yyjson_arr_get_first(type)) : yyjson_get_str(type);
    if (yyjson_is_str(type) && is_of_type(value, first)) return true;
    yyjson_arr_foreach(type, index, count, one)
        if (is_of_type(value, yyjson_get_str(one))) return true;
    field_wrong_type(errors, path, value, field_type(first));
    return false;
}

static void check_enum(yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    yyjson_val *allowed = yyjson_obj_get(schema, "enum"), *one;
    size_t index, count;
    if (!allowed) return;
    yyjson_arr_foreach(allowed, index, count, one)
        if (yyjson_equals(one, value)) return;
    char list[300] = "";
    size_t used = 0;
    yyjson_arr_foreach(allowed, index, count, one) {
        const char *text = yyjson_is_str(one) ? yyjson_get_str(one) : "?";
        size_t size = strlen(text);
        if (used + size + 3 > sizeof list) break;
        if (used) { memcpy(list + used, ", ", 2); used += 2; }
        memcpy(list + used, text, size);
        list[used += size] = '\0';
    }
    field_error(errors, path, value, "enum", "Input should be one of: %s", list);
}

static void check_number(yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    double number = yyjson_get_num(value);
    yyjson_val *least = yyjson_obj_get(schema, "minimum"), *most = yyjson_obj_get(schema, "maximum"), *above = yyjson_obj_get(schema, "exclusiveMinimum");
    if (least && number < yyjson_get_num(least))
        field_error(errors, path, value, "greater_than_equal", "Input should be greater than or equal to %g", yyjson_get_num(least));
    if (above && !(number > yyjson_get_num(above))) field_error(errors, path, value, "greater_than", "Input should be greater than %g", yyjson_get_num(above));
    if (most && number > yyjson_get_num(most)) field_error(errors, path, value, "less_than_equal", "Input should be less than or equal to %g", yyjson_get_num(most));
}

/* Of a text in characters, of a list in items. */
static void check_size(yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    bool text = yyjson_is_str(value);
    int64_t size = text ? (int64_t)text_length(yyjson_get_str(value)) : (int64_t)yyjson_arr_size(value);
    int64_t least = json_get_int(schema, text ? "minLength" : "minItems", 0), most = json_get_int(schema, text ? "maxLength" : "maxItems", INT64_MAX);
    const char *unit = text ? "characters" : "items";
    if (size < least) field_error(errors, path, value, text ? "string_too_short" : "too_short", "Input should have at least %lld %s", (long long)least, unit);
    if (size > most) field_error(errors, path, value, text ? "string_too_long" : "too_long", "Input should have at most %lld %s", (long long)most, unit);
}

/* What goes on behind a NUL would be lost on the way: a tool would take another name than the one that was sent. */
static void check_text(yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    if (strlen(yyjson_get_str(value)) == yyjson_get_len(value)) check_size(schema, value, path, errors);
    else field_error(errors, path, NULL, "value_error", "String may not contain a NUL character");
}

static void complete(JsonWriter *out, yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors);

/* The members that the schema names first, in its order; a default stands in for what was not sent, a null counts as not sent. */
static void complete_object(JsonWriter *out, yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    yyjson_val *properties = yyjson_obj_get(schema, "properties"), *required = yyjson_obj_get(schema, "required"), *key, *member, *name;
    bool open = !properties || json_get_bool(schema, "additionalProperties", false);
    size_t index, count;
    json_begin_object(out);
    yyjson_obj_foreach(properties, index, count, key, member) {
        yyjson_val *sent = yyjson_obj_getn(value, yyjson_get_str(key), yyjson_get_len(key));
        if (!sent) sent = yyjson_obj_get(member, "default");
        if (!sent) continue;
        FieldPath inner = FIELD_IN(path, yyjson_get_str(key));
        if (!check_type(member, sent, &inner, errors) || yyjson_is_null(sent)) continue;
        json_key(out, yyjson_get_str(key));
        complete(out, member, sent, &inner, errors);
    }
    yyjson_obj_foreach(value, index, count, key, member) {
        FieldPath inner = FIELD_IN(path, yyjson_get_str(key));
        if (yyjson_obj_getn(properties, yyjson_get_str(key), yyjson_get_len(key))) continue;
        if (!open) {
            field_extra(errors, &inner, member);
            continue;
        }
        json_key(out, yyjson_get_str(key));
        json_value(out, member);
    }
    yyjson_arr_foreach(required, index, count, name) {
        FieldPath inner = FIELD_IN(path, yyjson_get_str(name));
        if (!yyjson_obj_get(value, yyjson_get_str(name))) field_missing(errors, &inner);
    }
    json_end_object(out);
}

static void complete_list(JsonWriter *out, yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    yyjson_val *items = yyjson_obj_get(schema, "items"), *one;
    size_t index, count;
    check_size(schema, value, path, errors);
    json_begin_array(out);
    yyjson_arr_foreach(value, index, count, one) {
        FieldPath inner = FIELD_AT(path, index);
        if (!items) json_value(out, one);
        else if (check_type(items, one, &inner, errors)) complete(out, items, one, &inner, errors);
    }
    json_end_array(out);
}

/* Of a value that has the schema's type. */
static void complete(JsonWriter *out, yyjson_val *schema, yyjson_val *value, const FieldPath *path, FieldErrors *errors) {
    check_enum(schema, value, path, errors);
    if (yyjson_is_obj(value)) {
        complete_object(out, schema, value, path, errors);
        return;
    }
    if (yyjson_is_arr(value)) {
        complete_list(out, schema, value, path, errors);
        return;
    }
    if (yyjson_is_num(value)) check_number(schema, value, path, errors);
    if (yyjson_is_str(value)) check_text(schema, value, path, errors);
    if (yyjson_is_real(value) && is_whole(value)) json_int(out, (int64_t)yyjson_get_real(value));
    else json_value(out, value);
}

yyjson_val *tool_arguments(yyjson_val *schema, yyjson_val *arguments, FieldErrors *errors, Arena *arena) {
    FieldPath root = FIELD_ROOT("arguments");
    Buffer text;
    JsonWriter w;
    Error err = {0};
    if (arguments && !check_type(schema, arguments, &root, errors)) return NULL;
    buffer_init(&text, ARGUMENTS_MAXIMUM);
    json_writer_init(&w, &text);
    complete_object(&w, schema, arguments, &root, errors);
    yyjson_doc *doc = text.failed ? NULL : json_parse_in(arena, arena_strndup(arena, buffer_text(&text), text.size), text.size, &err);
    if (!doc) field_error(errors, &root, NULL, "value_error", "%s", text.failed ? "The arguments are too large" : err.message);
    buffer_clear(&text);
    return yyjson_doc_get_root(doc);
}
