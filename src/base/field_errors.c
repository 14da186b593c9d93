/* The collector of wrong fields; see the header. */
#include "base/field_errors.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

void field_errors_init(FieldErrors *errors, Arena *arena) { *errors = (FieldErrors){.arena = arena}; }

static void copy_path(Arena *arena, const FieldPath *path, FieldError *out) {
    for (const FieldPath *p = path; p; p = p->parent) out->loc_count++;
    out->loc = arena_new_array(arena, FieldStep, out->loc_count);
    size_t at = out->loc_count;
    for (const FieldPath *p = path; p; p = p->parent) out->loc[--at] = (FieldStep){arena_strdup(arena, p->name), p->index};
}

/* A new entry without input, or NULL when only the count goes up. */
static FieldError *add(FieldErrors *errors, const FieldPath *path, const char *type, const char *format, va_list args) {
    if (errors->total++ >= FIELD_ERRORS_MAX) return NULL;
    if (!errors->items) errors->items = arena_new_array(errors->arena, FieldError, FIELD_ERRORS_MAX);
    FieldError *e = &errors->items[errors->count++];
    copy_path(errors->arena, path, e);
    e->type = arena_strdup(errors->arena, type);
    e->msg = arena_vprintf(errors->arena, format, args);
    return e;
}

static bool is_small(yyjson_val *input) {
    if (yyjson_is_ctn(input)) return yyjson_get_len(input) == 0;
    return !yyjson_is_str(input) || yyjson_get_len(input) <= FIELD_INPUT_MAX;
}

/* JSON text of a scalar, through the one writer. */
static const char *written(Arena *arena, yyjson_val *input, const char *text) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 6 * FIELD_INPUT_MAX + 8); /* an escaped byte takes six */
    json_writer_init(&w, &out);
    if (input) json_value(&w, input);
    else json_string(&w, text);
    const char *json = out.failed ? NULL : arena_strdup(arena, buffer_text(&out));
    buffer_clear(&out);
    return json;
}

void field_error(FieldErrors *errors, const FieldPath *path, yyjson_val *input, const char *type, const char *format, ...) {
    va_list args;
    va_start(args, format);
    FieldError *e = add(errors, path, type, format, args);
    va_end(args);
    if (e && input && is_small(input)) e->input = written(errors->arena, input, NULL);
}

void field_error_text(FieldErrors *errors, const FieldPath *path, const char *input, const char *type, const char *format, ...) {
    va_list args;
    va_start(args, format);
    FieldError *e = add(errors, path, type, format, args);
    va_end(args);
    if (e && input && strlen(input) <= FIELD_INPUT_MAX) e->input = written(errors->arena, NULL, input);
}

void field_missing(FieldErrors *errors, const FieldPath *path) { field_error(errors, path, NULL, "missing", "Field required"); }

void field_extra(FieldErrors *errors, const FieldPath *path, yyjson_val *input) {
    field_error(errors, path, input, "extra_forbidden", "Extra inputs are not permitted");
}

void field_wrong_type(FieldErrors *errors, const FieldPath *path, yyjson_val *input, FieldType wanted) {
    static const struct {
        const char *type, *msg;
    } WORDS[] = {
        [FIELD_STRING] = {"string_type", "Input should be a valid string"},
        [FIELD_INT] = {"int_type", "Input should be a valid integer"},
        [FIELD_NUMBER] = {"float_type", "Input should be a valid number"},
        [FIELD_BOOL] = {"bool_type", "Input should be a valid boolean"},
        [FIELD_LIST] = {"list_type", "Input should be a valid list"},
        [FIELD_OBJECT] = {"dict_type", "Input should be a valid object"},
        [FIELD_NULL] = {"none_required", "Input should be null"},
    };
    field_error(errors, path, input, WORDS[wanted].type, "%s", WORDS[wanted].msg);
}

Status field_errors_status(const FieldErrors *errors) {
    if (!errors->total) return STATUS_OK;
    for (size_t i = 1; i < errors->count; i++) {
        if (!text_equal(errors->items[i].type, errors->items[0].type)) return STATUS_VALIDATION_ERROR;
    }
    Status status = status_from_slug(errors->items[0].type);
    return status_info(status)->http == 422 ? status : STATUS_VALIDATION_ERROR;
}

const char *field_errors_summary(const FieldErrors *errors) {
    return arena_printf(errors->arena, "%zu field%s failed validation", errors->total, errors->total == 1 ? "" : "s");
}

void field_errors_write(const FieldErrors *errors, JsonWriter *w) {
    json_begin_array(w);
    for (size_t i = 0; i < errors->count; i++) {
        const FieldError *e = &errors->items[i];
        json_begin_object(w);
        json_key(w, "loc");
        json_begin_array(w);
        for (size_t s = 0; s < e->loc_count; s++) {
            if (e->loc[s].name) json_string(w, e->loc[s].name);
            else json_int(w, (int64_t)e->loc[s].index);
        }
        json_end_array(w);
        json_field_string(w, "msg", e->msg);
        json_field_string(w, "type", e->type);
        if (e->input) {
            json_key(w, "input");
            json_raw(w, e->input, strlen(e->input));
        }
        json_end_object(w);
    }
    json_end_array(w);
}

Status field_errors_to_error(const FieldErrors *errors, Error *err) {
    Status status = field_errors_status(errors);
    if (status == STATUS_OK) return STATUS_OK;
    const FieldError *e = &errors->items[0];
    Buffer place;
    buffer_init(&place, 300); /* a longer place is cut: the text is for people */
    for (size_t s = 0; s < e->loc_count; s++) {
        if (s) buffer_append_byte(&place, '.');
        if (e->loc[s].name) buffer_append_text(&place, e->loc[s].name);
        else buffer_printf(&place, "%zu", e->loc[s].index);
    }
    const char *separator = e->loc_count ? ": " : "";
    if (errors->total == 1) error_set(err, status, "%s%s%s", buffer_text(&place), separator, e->msg);
    else error_set(err, status, "%s%s%s (and %zu more)", buffer_text(&place), separator, e->msg, errors->total - 1);
    buffer_clear(&place);
    return status;
}
