/* Field errors: every wrong field of one input, in document order, as the contract's 422 lists them.
 *
 * The place of a value is a FieldPath, a list on the caller's stack that costs nothing until something is wrong:
 *
 *     FieldPath body = FIELD_ROOT("body");
 *     FieldPath list = FIELD_IN(&body, "annotations"), item = FIELD_AT(&list, 2);
 *     field_error(errors, &item, value, "too_short", "A ring needs three points or more");
 *
 * `type` is spelled as pydantic v2 spells its errors (missing, extra_forbidden, string_type, greater_than, enum, ...), or is one of the
 * contract's 422 error codes (unknown_class, duplicate_annotation_id, ...), which then becomes the code of the whole answer. All copies
 * lie in the arena. Only the first FIELD_ERRORS_MAX are kept; the others are counted.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

enum { FIELD_ERRORS_MAX = 100, FIELD_INPUT_MAX = 200 };

/* One step; name NULL means element `index` of an array. A path borrows its names and its parent. */
typedef struct FieldPath {
    const struct FieldPath *parent; /* NULL at the root */
    const char *name;
    size_t index;
} FieldPath;

#define FIELD_ROOT(root_name) ((FieldPath){NULL, (root_name), 0})
#define FIELD_IN(parent_path, member_name) ((FieldPath){(parent_path), (member_name), 0})
#define FIELD_AT(parent_path, element_index) ((FieldPath){(parent_path), NULL, (element_index)})

typedef struct FieldStep {
    const char *name; /* NULL: index */
    size_t index;
} FieldStep;

typedef struct FieldError {
    FieldStep *loc; /* outermost first */
    size_t loc_count;
    const char *type;
    const char *msg;
    const char *input; /* JSON text of the offending value; NULL when it was not given or not small */
} FieldError;

typedef struct FieldErrors {
    Arena *arena;
    FieldError *items;
    size_t count; /* kept, at most FIELD_ERRORS_MAX */
    size_t total; /* seen */
} FieldErrors;

void field_errors_init(FieldErrors *errors, Arena *arena);

/* Adds one. input is the offending value; NULL where there is none or it is secret. path NULL is an empty loc. */
void field_error(FieldErrors *errors, const FieldPath *path, yyjson_val *input, const char *type, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* The same for input that came as text: a query parameter, a form field. */
void field_error_text(FieldErrors *errors, const FieldPath *path, const char *input, const char *type, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The usual ones, so that all decoders say the same thing in the same words. */
void field_missing(FieldErrors *errors, const FieldPath *path);                  /* missing */
void field_extra(FieldErrors *errors, const FieldPath *path, yyjson_val *input); /* extra_forbidden */
typedef enum FieldType { FIELD_STRING, FIELD_INT, FIELD_NUMBER, FIELD_BOOL, FIELD_LIST, FIELD_OBJECT, FIELD_NULL } FieldType;
/* string_type, int_type, float_type, bool_type, list_type, dict_type, none_required */
void field_wrong_type(FieldErrors *errors, const FieldPath *path, yyjson_val *input, FieldType wanted);

/* STATUS_OK when there is none; the contract's code when all have one type and that is a 422 code; else STATUS_VALIDATION_ERROR. */
Status field_errors_status(const FieldErrors *errors);
/* "3 fields failed validation"; out is in the arena. */
const char *field_errors_summary(const FieldErrors *errors);
/* The contract's `detail` list: [{loc, msg, type, input?}, ...]. */
void field_errors_write(const FieldErrors *errors, JsonWriter *writer);
/* For readers without an HTTP answer: err gets "annotations.0.class: Extra inputs are not permitted (and 2 more)". Returns the status. */
Status field_errors_to_error(const FieldErrors *errors, Error *err);
