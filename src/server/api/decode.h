/* Decode: from what a client sent to typed, valid values. The hand-written half: readers of one value each and the walk over the members of
 * an object. api_decode.c, generated from the contract, puts them together, one function per schema and operation.
 *
 * Every wrong field goes to decoder->errors, in document order (what is missing comes after what is there), spelled as pydantic v2 spells
 * it. Readers return false, 0 or NULL once they reported something; decoding goes on to find the rest, and the result is then not used.
 *
 * A value is a yyjson value wherever it came from: the fields of a query string or form are strings, and while those are walked
 * `from_text` lets numbers and booleans be read from strings.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field_errors.h"
#include "base/json.h"
#include "server/api/patterns.h"

typedef struct AnnotationList AnnotationList; /* annotation/annotation.h */

/* What arrived, undecoded, and where the outcome goes. Everything made lies in the arena. */
typedef struct Decoder {
    Arena *arena;
    FieldErrors *errors;
    Error *err;
    const char *const *path;  /* decoded path parameters, in the order of the template */
    const char *query;        /* undecoded, may be NULL */
    const char *content_type; /* header, may be NULL */
    const char *body;
    size_t body_size;
    bool from_text; /* internal: values are text */
} Decoder;

typedef struct StringArray {
    const char **items;
    size_t count;
} StringArray;

typedef struct IntArray {
    int64_t *items;
    size_t count;
} IntArray;

/* A file in a multipart form. Borrowed from the body. */
typedef struct FilePart {
    const char *data; /* NULL: there was none */
    size_t size;
    const char *file_name; /* as sent; NULL when it was not */
    const char *content_type;
} FilePart;

/* Names of an enum: texts[1..count], texts[0] is NULL for "not given". value[i] is the enum's value for texts[i], which differs from i
 * where two spellings mean one thing; NULL: it never does. */
typedef struct EnumTable {
    const char *const *texts;
    const int *values;
    int count;
    const char *error; /* type of the error about another text; NULL: "enum" */
} EnumTable;

/* 0 when no text of the table is this one. */
int enum_value(const EnumTable *table, const char *text);

/* One field of a form or query string. */
typedef struct FormField {
    const char *name;
    yyjson_val value; /* string; "" for a file */
    FilePart file;
} FormField;

typedef struct Form {
    FormField *items;
    size_t count;
} Form;

/* The two encodings (form.c). STATUS_BAD_REQUEST when they are malformed. */
Status form_from_urlencoded(Arena *arena, const char *text, size_t size, Form *out, Error *err);
Status form_from_multipart(Arena *arena, const char *content_type, const char *body, size_t size, Form *out, Error *err);
/* Percent-decoded copy, NUL-terminated; plus: "+" is a blank. NULL for a bad escape or bytes that are not UTF-8. */
char *percent_decode(Arena *arena, const char *text, size_t size, bool plus, size_t *out_size);

/* Body of a request, taken apart by its content type. */
typedef struct DecodedBody {
    yyjson_val *json; /* NULL: it is the form, or nothing */
    Form form;
} DecodedBody;

/* What an operation accepts as a body; several may be set. */
typedef enum RouteBody {
    BODY_NONE = 0,
    BODY_JSON = 1,      /* application/json */
    BODY_FORM = 2,      /* application/x-www-form-urlencoded */
    BODY_MULTIPART = 4, /* multipart/form-data, whole in memory */
    BODY_BYTES = 8,     /* streamed to the handler as it is; its type is the handler's to judge */
} RouteBody;

/* accepted: bits of RouteBody; no content type means JSON. A status other than STATUS_OK when the body cannot be taken apart. An empty body that is required is a
 * field error, and *present is false; an empty one that is optional reads as an object without members. */
Status decode_body(Decoder *d, unsigned accepted, bool required, DecodedBody *out, bool *present);
/* Bad escapes are a field error. */
Form decode_query(Decoder *d);
/* Path parameter at index as a lower-case UUID, or NULL when it is none: the operation then answers decode_no_such_id. */
const char *decode_path_uuid(Decoder *d, int index);
Status decode_no_such_id(Decoder *d, int index);
Status decode_no_such_path(Decoder *d);
/* Status after the last reader: that of the errors, if there are any. */
Status decode_end(Decoder *d);

/* The walk over an object's members.
 *
 *     for (Members m = members_of(d, at, value, NAMES, COUNT); members_next(&m);)
 *         switch (m.index) { case 0: out->x = read_string(d, &m.path, m.value, ...); break; ... }
 *
 * Unknown and repeated members are reported on the way; then members_end reports what is missing. */
typedef struct Members {
    Decoder *d;
    const FieldPath *at;
    const char *const *names;
    int count;
    bool open;         /* unknown members are nobody's business */
    bool last_wins;    /* repeated members are allowed */
    uint64_t seen;     /* bit i: names[i] was there */
    const Form *form;  /* source, or else iter */
    size_t form_index;
    yyjson_obj_iter iter;
    bool valid; /* the value was an object */
    int total;  /* members seen, unknown ones too */
    /* present member */
    int index;
    yyjson_val *value;
    const FormField *field; /* of a form */
    FieldPath path;
} Members;

Members members_of(Decoder *d, const FieldPath *at, yyjson_val *object, const char *const *names, int count);
Members members_of_body(Decoder *d, const FieldPath *at, const DecodedBody *body, const char *const *names, int count);
Members members_of_query(Decoder *d, const FieldPath *at, const Form *query, const char *const *names, int count);
bool members_next(Members *m);
/* required: bits of names; minimum: least number of members, fewer is the error empty_update. */
void members_end(Members *m, uint64_t required, int minimum);

typedef struct StringRule {
    size_t minimum, maximum; /* code points; maximum 0: any */
    const Pattern *pattern;  /* may be NULL */
    bool secret;             /* never echoed in an error */
} StringRule;

typedef struct NumberRule {
    double minimum, maximum; /* infinite: any */
    bool above;              /* minimum itself is too small */
} NumberRule;

const char *read_string(Decoder *d, const FieldPath *at, yyjson_val *value, StringRule rule);
/* minimum INT64_MIN, maximum INT64_MAX: any. Takes 3.0 for 3, as JSON Schema does. */
bool read_int(Decoder *d, const FieldPath *at, yyjson_val *value, int64_t minimum, int64_t maximum, int64_t *out);
bool read_number(Decoder *d, const FieldPath *at, yyjson_val *value, NumberRule rule, double *out);
bool read_bool(Decoder *d, const FieldPath *at, yyjson_val *value, bool *out);
/* Date and time of RFC 3339, as milliseconds since 1970. */
bool read_time(Decoder *d, const FieldPath *at, yyjson_val *value, int64_t *out);
/* Index in table->texts, 0 when it is none of them. */
int read_enum(Decoder *d, const FieldPath *at, yyjson_val *value, const EnumTable *table);
/* Any JSON value below an object that the contract leaves open. */
yyjson_val *read_object(Decoder *d, const FieldPath *at, yyjson_val *value);
bool read_file(Decoder *d, const Members *m, FilePart *out);
AnnotationList *read_annotations(Decoder *d, const FieldPath *at, yyjson_val *value);

/* Checks kind and size of a list; maximum 0: any. Too long a list is not looked into (false). */
bool read_list(Decoder *d, const FieldPath *at, yyjson_val *value, size_t minimum, size_t maximum, size_t *count);
void read_string_list(Decoder *d, const FieldPath *at, yyjson_val *value, size_t minimum, size_t maximum, StringRule rule, StringArray *out);
/* All fields of one name in a query string: ?tag=a&tag=b. Called for each of them, fills out at the first. */
void read_repeated_string(const Members *m, size_t maximum, StringRule rule, StringArray *out);
/* count numbers, exactly. */
void read_tuple(Decoder *d, const FieldPath *at, yyjson_val *value, double *out, size_t count);
/* Reports a repetition of texts[index] in a list whose items must differ; seen starts at 0. */
bool is_first(Decoder *d, const FieldPath *at, yyjson_val *value, int index, uint64_t *seen);

/* Picks the alternative of a oneOf of closed objects: the first whose own names (those that no other alternative has) appear in value, else 0. */
int read_alternative(yyjson_val *value, const char *const *const *own_names, int count);

static inline bool is_null(yyjson_val *value) { return yyjson_is_null(value); }
static inline bool is_empty_text(yyjson_val *value) { return yyjson_is_str(value) && yyjson_get_len(value) == 0; }
