/* Readers of single values and the walk over members; see the header. */
#include "server/api/decode.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/banned.h"

/* ---- the parts of a request ---- */

static bool has_media_type(const char *header, const char *wanted) {
    size_t n = strlen(wanted);
    while (*header == ' ') header++;
    return strncasecmp(header, wanted, n) == 0 && (header[n] == '\0' || strchr("; \t", header[n]));
}

Status decode_body(Decoder *d, unsigned accepted, bool required, DecodedBody *out, bool *present) {
    *out = (DecodedBody){0};
    *present = d->body_size > 0 || !required;
    if (d->body_size == 0) {
        if (required) field_missing(d->errors, &FIELD_ROOT("body"));
        return STATUS_OK;
    }
    const char *type = d->content_type ? d->content_type : "application/json";
    if ((accepted & BODY_JSON) && has_media_type(type, "application/json")) {
        yyjson_doc *document = json_parse_in(d->arena, d->body, d->body_size, d->err);
        if (!document) return error_prefix(d->err, "Body");
        out->json = yyjson_doc_get_root(document);
        return STATUS_OK;
    }
    if ((accepted & BODY_FORM) && has_media_type(type, "application/x-www-form-urlencoded"))
        return form_from_urlencoded(d->arena, d->body, d->body_size, &out->form, d->err);
    if ((accepted & BODY_MULTIPART) && has_media_type(type, "multipart/form-data"))
        return form_from_multipart(d->arena, type, d->body, d->body_size, &out->form, d->err);
    return error_set(d->err, STATUS_UNSUPPORTED_MEDIA_TYPE, "Content type %.100s is not supported here; send %s", type,
                     accepted & BODY_JSON ? "application/json" : accepted & BODY_FORM ? "application/x-www-form-urlencoded" : "multipart/form-data");
}

Form decode_query(Decoder *d) {
    Form form = {0};
    Error why = {0};
    if (d->query && form_from_urlencoded(d->arena, d->query, strlen(d->query), &form, &why))
        field_error(d->errors, &FIELD_ROOT("query"), NULL, "value_error", "%s", why.message);
    return form;
}

const char *decode_path_uuid(Decoder *d, int index) {
    if (!uuid_is_valid(d->path[index])) return NULL;
    char *id = arena_strdup(d->arena, d->path[index]);
    for (char *p = id; *p; p++) *p = (char)tolower((unsigned char)*p);
    return id;
}

Status decode_no_such_id(Decoder *d, int index) {
    return error_set(d->err, STATUS_NOT_FOUND, "Not found: '%.100s' is no id, which looks like 01a228f6-663c-7dc5-b950-751c0dec0466", d->path[index]);
}

Status decode_no_such_path(Decoder *d) { return error_set(d->err, STATUS_NOT_FOUND, "Not found"); }

Status decode_end(Decoder *d) {
    Status status = field_errors_status(d->errors);
    if (status) return error_set(d->err, status, "%s", field_errors_summary(d->errors));
    if (arena_exceeded(d->arena)) return error_set(d->err, STATUS_PAYLOAD_TOO_LARGE, "The request takes too much memory");
    return STATUS_OK;
}

/* ---- members ---- */

Members members_of(Decoder *d, const FieldPath *at, yyjson_val *object, const char *const *names, int count) {
    Members m = {.d = d, .at = at, .names = names, .count = count, .valid = yyjson_is_obj(object)};
    d->from_text = false;
    if (m.valid) yyjson_obj_iter_init(object, &m.iter);
    else field_wrong_type(d->errors, at, object, FIELD_OBJECT);
    return m;
}

static Members members_of_form(Decoder *d, const FieldPath *at, const Form *form, const char *const *names, int count) {
    d->from_text = true;
    return (Members){.d = d, .at = at, .names = names, .count = count, .valid = true, .form = form};
}

Members members_of_body(Decoder *d, const FieldPath *at, const DecodedBody *body, const char *const *names, int count) {
    return body->json ? members_of(d, at, body->json, names, count) : members_of_form(d, at, &body->form, names, count);
}

Members members_of_query(Decoder *d, const FieldPath *at, const Form *query, const char *const *names, int count) {
    Members m = members_of_form(d, at, query, names, count);
    m.open = m.last_wins = true;
    return m;
}

/* Moves to the next member, known or not; gives its name. */
static bool advance(Members *m, const char **name, size_t *length) {
    if (!m->valid) return false;
    if (m->form) {
        if (m->form_index == m->form->count) return false;
        FormField *field = &m->form->items[m->form_index++];
        m->field = field;
        m->value = &field->value;
        *name = field->name;
        *length = strlen(field->name);
        return true;
    }
    yyjson_val *key = yyjson_obj_iter_next(&m->iter);
    if (!key) return false;
    m->value = yyjson_obj_iter_get_val(key);
    *name = yyjson_get_str(key);
    *length = yyjson_get_len(key);
    return true;
}

static int index_of(const Members *m, const char *name, size_t length) {
    for (int i = 0; i < m->count; i++) {
        if (strlen(m->names[i]) == length && memcmp(m->names[i], name, length) == 0) return i;
    }
    return -1;
}

bool members_next(Members *m) {
    const char *name;
    size_t length;
    while (advance(m, &name, &length)) {
        m->total++;
        m->path = FIELD_IN(m->at, name);
        m->index = index_of(m, name, length);
        if (m->index < 0) {
            if (!m->open) field_extra(m->d->errors, &m->path, m->value);
            continue;
        }
        uint64_t bit = UINT64_C(1) << m->index;
        if ((m->seen & bit) && !m->last_wins) {
            field_error(m->d->errors, &m->path, NULL, "value_error", "The field is given more than once");
            continue;
        }
        m->seen |= bit;
        return true;
    }
    return false;
}

void members_end(Members *m, uint64_t required, int minimum) {
    if (!m->valid) return;
    for (int i = 0; i < m->count; i++) {
        FieldPath path = FIELD_IN(m->at, m->names[i]);
        if ((required & ~m->seen) >> i & 1) field_missing(m->d->errors, &path);
    }
    if (m->total < minimum) field_error(m->d->errors, m->at, NULL, "empty_update", "Send at least %d field%s", minimum, minimum == 1 ? "" : "s");
}

/* ---- single values ---- */

const char *read_string(Decoder *d, const FieldPath *at, yyjson_val *value, StringRule rule) {
    yyjson_val *input = rule.secret ? NULL : value;
    const char *text = yyjson_get_str(value);
    if (!text) {
        field_wrong_type(d->errors, at, input, FIELD_STRING);
        return NULL;
    }
    bool holds_nul = strlen(text) != yyjson_get_len(value);
    if (rule.pattern == &PATTERN_EMAIL) text = text_trim(d->arena, text); /* as the contract says: a copied address has a blank at its end */
    size_t length = text_length(text);
    if (holds_nul)
        field_error(d->errors, at, NULL, "value_error", "String may not contain a NUL character");
    else if (length < rule.minimum)
        field_error(d->errors, at, input, "string_too_short", "String should have at least %zu character%s", rule.minimum,
                    rule.minimum == 1 ? "" : "s");
    else if (rule.maximum && length > rule.maximum)
        field_error(d->errors, at, input, "string_too_long", "String should have at most %zu character%s", rule.maximum,
                    rule.maximum == 1 ? "" : "s");
    else if (rule.pattern && !rule.pattern->matches(text))
        field_error(d->errors, at, input, "string_pattern_mismatch", "String should %s", rule.pattern->rule);
    else if (rule.pattern && rule.pattern->folder && length > 1 && text_ends_with(text, "/"))
        return arena_strndup(d->arena, text, strlen(text) - 1);
    else
        return text;
    return NULL;
}

/* Text that is to be a number, a word or a time; "" when a NUL would end it early. */
static const char *text_of(yyjson_val *value) {
    const char *text = yyjson_get_str(value);
    return strlen(text) == yyjson_get_len(value) ? text : "";
}

static bool is_number_text(const char *text) {
    text += *text == '-';
    return *text && text[strspn(text, "0123456789")] == '\0';
}

/* Reads a whole number; past the range of int64_t it sticks to the nearest end and *fits is false. */
static bool to_int(Decoder *d, const FieldPath *at, yyjson_val *value, int64_t *out, bool *fits) {
    *fits = true;
    if (d->from_text && yyjson_is_str(value)) {
        const char *text = text_of(value);
        if (text_to_int(text, out)) return true;
        if (!is_number_text(text)) {
            field_error(d->errors, at, value, "int_parsing", "Input should be a valid integer, unable to parse string as an integer");
            return false;
        }
        *fits = false;
        *out = *text == '-' ? INT64_MIN : INT64_MAX;
        return true;
    }
    if (yyjson_is_uint(value)) {
        *fits = yyjson_get_uint(value) <= INT64_MAX;
        *out = *fits ? (int64_t)yyjson_get_uint(value) : INT64_MAX;
        return true;
    }
    if (yyjson_is_sint(value)) {
        *out = yyjson_get_sint(value);
        return true;
    }
    if (!yyjson_is_real(value)) {
        field_wrong_type(d->errors, at, value, FIELD_INT);
        return false;
    }
    double number = yyjson_get_real(value);
    if (number != floor(number)) {
        field_error(d->errors, at, value, "int_from_float", "Input should be a valid integer, got a number with a fractional part");
        return false;
    }
    *fits = fabs(number) < 0x1p63;
    *out = *fits ? (int64_t)number : number < 0 ? INT64_MIN : INT64_MAX;
    return true;
}

#define LARGEST_EXACT ((INT64_C(1) << 53) - 1) /* of JSON numbers (RFC 8259) */

bool read_int(Decoder *d, const FieldPath *at, yyjson_val *value, int64_t minimum, int64_t maximum, int64_t *out) {
    int64_t number;
    bool fits;
    if (!to_int(d, at, value, &number, &fits)) return false;
    if (maximum == INT64_MAX && number > LARGEST_EXACT) { /* without a bound in the contract: as large as arithmetic bears */
        number = LARGEST_EXACT;
        fits = true;
    }
    if (number < minimum || (!fits && number < 0 && minimum > INT64_MIN))
        field_error(d->errors, at, value, "greater_than_equal", "Input should be greater than or equal to %lld", (long long)minimum);
    else if (number > maximum || (!fits && number > 0 && maximum < INT64_MAX))
        field_error(d->errors, at, value, "less_than_equal", "Input should be less than or equal to %lld", (long long)maximum);
    else if (!fits)
        field_error(d->errors, at, value, "int_parsing_size", "Input exceeds the range of 64-bit integers");
    else {
        *out = number;
        return true;
    }
    return false;
}

bool read_number(Decoder *d, const FieldPath *at, yyjson_val *value, NumberRule rule, double *out) {
    double number = yyjson_get_num(value);
    if (d->from_text && yyjson_is_str(value)) {
        if (!text_to_number(text_of(value), &number)) {
            field_error(d->errors, at, value, "float_parsing", "Input should be a valid number, unable to parse string as a number");
            return false;
        }
    } else if (!yyjson_is_num(value)) {
        field_wrong_type(d->errors, at, value, FIELD_NUMBER);
        return false;
    }
    if (!isfinite(number))
        field_error(d->errors, at, value, "finite_number", "Input should be a finite number");
    else if (rule.above ? number <= rule.minimum : number < rule.minimum)
        field_error(d->errors, at, value, rule.above ? "greater_than" : "greater_than_equal", "Input should be greater than %s%.15g",
                    rule.above ? "" : "or equal to ", rule.minimum);
    else if (number > rule.maximum)
        field_error(d->errors, at, value, "less_than_equal", "Input should be less than or equal to %.15g", rule.maximum);
    else {
        *out = number;
        return true;
    }
    return false;
}

bool read_bool(Decoder *d, const FieldPath *at, yyjson_val *value, bool *out) {
    static const char *const WORDS[] = {"false", "true", "0", "1", "no", "yes", "off", "on", "f", "t", "n", "y"};
    if (yyjson_is_bool(value)) {
        *out = yyjson_get_bool(value);
        return true;
    }
    if (!d->from_text) {
        field_wrong_type(d->errors, at, value, FIELD_BOOL);
        return false;
    }
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (text_equal_ignoring_case(text_of(value), WORDS[i])) {
            *out = i % 2;
            return true;
        }
    }
    field_error(d->errors, at, value, "bool_parsing", "Input should be a valid boolean, unable to interpret input");
    return false;
}

/* RFC 3339, or what Python's isoformat() says of a time without a zone and of a date: both count as UTC. */
static bool text_to_time(Arena *arena, const char *text, int64_t *out) {
    if (clock_parse(text, out)) return true;
    return strlen(text) < 32 && (clock_parse(arena_printf(arena, "%sZ", text), out) || clock_parse(arena_printf(arena, "%sT00:00:00Z", text), out));
}

bool read_time(Decoder *d, const FieldPath *at, yyjson_val *value, int64_t *out) {
    if (!yyjson_is_str(value)) {
        field_wrong_type(d->errors, at, value, FIELD_STRING);
        return false;
    }
    if (text_to_time(d->arena, text_of(value), out)) return true;
    field_error(d->errors, at, value, "datetime_parsing", "Input should be a valid date and time, such as 2026-04-19T10:15:30Z");
    return false;
}

int enum_value(const EnumTable *table, const char *text) {
    for (int i = 1; text && i <= table->count; i++) {
        if (strcmp(table->texts[i], text) == 0) return table->values ? table->values[i] : i;
    }
    return 0;
}

/* "'a', 'b' or 'c'" */
static const char *choices(Arena *arena, const EnumTable *table) {
    const char *list = arena_printf(arena, "'%s'", table->texts[1]);
    for (int i = 2; i <= table->count; i++)
        list = arena_printf(arena, "%s%s'%s'", list, i == table->count ? " or " : ", ", table->texts[i]);
    return list;
}

int read_enum(Decoder *d, const FieldPath *at, yyjson_val *value, const EnumTable *table) {
    const char *text = yyjson_get_str(value);
    for (int i = 1; text && i <= table->count; i++) {
        if (yyjson_equals_str(value, table->texts[i])) return i;
    }
    /* The list of choices is worked out only for errors that are kept: a hostile body has millions. */
    const char *list = d->errors->total < FIELD_ERRORS_MAX ? choices(d->arena, table) : "";
    field_error(d->errors, at, value, text && table->error ? table->error : "enum", "Input should be %s", list);
    return 0;
}

yyjson_val *read_object(Decoder *d, const FieldPath *at, yyjson_val *value) {
    if (yyjson_is_obj(value)) return value;
    field_wrong_type(d->errors, at, value, FIELD_OBJECT);
    return NULL;
}

bool read_file(Decoder *d, const Members *m, FilePart *out) {
    if (m->field && m->field->file.data) {
        *out = m->field->file;
        return true;
    }
    if (m->field) {
        *out = (FilePart){.data = yyjson_get_str(m->value), .size = yyjson_get_len(m->value)};
        return true;
    }
    field_error(d->errors, &m->path, m->value, "bytes_type", "Input should be a file");
    return false;
}

AnnotationList *read_annotations(Decoder *d, const FieldPath *at, yyjson_val *value) {
    AnnotationList *list = arena_new(d->arena, AnnotationList);
    annotation_list_read(d->arena, value, at, &(AnnotationRules){0}, d->errors, list);
    return list;
}

/* ---- lists ---- */

bool read_list(Decoder *d, const FieldPath *at, yyjson_val *value, size_t minimum, size_t maximum, size_t *count) {
    *count = yyjson_arr_size(value);
    if (!yyjson_is_arr(value)) {
        field_wrong_type(d->errors, at, value, FIELD_LIST);
        return false;
    }
    if (maximum && *count > maximum) {
        field_error(d->errors, at, NULL, "too_long", "List should have at most %zu item%s after validation, not %zu", maximum,
                    maximum == 1 ? "" : "s", *count);
        return false;
    }
    if (*count < minimum)
        field_error(d->errors, at, NULL, "too_short", "List should have at least %zu item%s after validation, not %zu", minimum,
                    minimum == 1 ? "" : "s", *count);
    return true;
}

void read_string_list(Decoder *d, const FieldPath *at, yyjson_val *value, size_t minimum, size_t maximum, StringRule rule, StringArray *out) {
    if (!read_list(d, at, value, minimum, maximum, &out->count)) return;
    out->items = arena_new_array(d->arena, const char *, out->count);
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(value, i, n, item) {
        FieldPath path = FIELD_AT(at, i);
        out->items[i] = read_string(d, &path, item, rule);
    }
}

void read_repeated_string(const Members *m, size_t maximum, StringRule rule, StringArray *out) {
    if (!out->items) out->items = arena_new_array(m->d->arena, const char *, m->form->count);
    FieldPath path = FIELD_AT(&m->path, out->count);
    if (out->count == maximum) {
        field_error(m->d->errors, &m->path, NULL, "too_long", "List should have at most %zu items after validation", maximum);
    }
    if (out->count < m->form->count) out->items[out->count++] = read_string(m->d, &path, m->value, rule);
}

void read_tuple(Decoder *d, const FieldPath *at, yyjson_val *value, double *out, size_t count) {
    size_t size, i, n;
    yyjson_val *item;
    if (!read_list(d, at, value, count, count, &size)) return;
    yyjson_arr_foreach(value, i, n, item) {
        FieldPath path = FIELD_AT(at, i);
        read_number(d, &path, item, (NumberRule){-INFINITY, INFINITY, false}, &out[i]);
    }
}

bool is_first(Decoder *d, const FieldPath *at, yyjson_val *value, int index, uint64_t *seen) {
    uint64_t bit = UINT64_C(1) << index;
    if (index && (*seen & bit)) field_error(d->errors, at, value, "value_error", "The list holds this value twice");
    bool first = !(*seen & bit);
    *seen |= bit;
    return first;
}

int read_alternative(yyjson_val *value, const char *const *const *own_names, int count) {
    for (int i = 0; i < count; i++) {
        for (const char *const *name = own_names[i]; *name; name++) {
            if (yyjson_obj_get(value, *name)) return i;
        }
    }
    return 0;
}
