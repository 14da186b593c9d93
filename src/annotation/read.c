/* Reading the annotation document: a table of fields, each with the kinds of annotation that have it and a function that reads it.
 *
 * Members are taken in the order of the text, so that errors come in document order; fields that are missing are told at the end of
 * their object.
 */
#include <stdlib.h>
#include <string.h>

#include "annotation/annotation.h"
#include "base/text.h"
#include "base/banned.h"

typedef struct Reader {
    Arena *arena;
    const AnnotationRules *rules;
    FieldErrors *errors;
} Reader;

/* ---- values ---- */

static bool read_number(Reader *r, const FieldPath *path, yyjson_val *value, double *out) {
    if (!yyjson_is_num(value)) {
        field_wrong_type(r->errors, path, value, FIELD_NUMBER);
        return false;
    }
    *out = yyjson_get_num(value);
    return true;
}

/* A copy in the arena; NULL after an error. C text ends at NUL, so "\u0000" cannot be held. */
static const char *read_text(Reader *r, const FieldPath *path, yyjson_val *value) {
    if (!yyjson_is_str(value)) {
        field_wrong_type(r->errors, path, value, FIELD_STRING);
        return NULL;
    }
    const char *text = yyjson_get_str(value);
    size_t length = yyjson_get_len(value);
    if (memchr(text, 0, length)) {
        field_error(r->errors, path, value, "value_error", "Text may not contain the character U+0000");
        return NULL;
    }
    return arena_strndup(r->arena, text, length);
}

static const char *read_visible_text(Reader *r, const FieldPath *path, yyjson_val *value) {
    const char *text = read_text(r, path, value);
    if (!text || !text_is_blank(text)) return text;
    if (!*text) field_error(r->errors, path, value, "string_too_short", "String should have at least 1 character");
    else field_error(r->errors, path, value, "string_pattern_mismatch", "String should have a character that is not white space");
    return NULL;
}

/* Members of a closed object of numbers, all required: {x, y} or {x, y, w, h}. */
static bool read_numbers(Reader *r, const FieldPath *path, yyjson_val *object, const char *const *names, size_t count, double *out) {
    if (!yyjson_is_obj(object)) {
        field_wrong_type(r->errors, path, object, FIELD_OBJECT);
        return false;
    }
    size_t before = r->errors->total, index, size;
    unsigned seen = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, size, key, value) {
        FieldPath member = FIELD_IN(path, yyjson_get_str(key));
        size_t n = 0;
        while (n < count && !yyjson_equals_str(key, names[n])) n++;
        if (n == count) {
            field_extra(r->errors, &member, value);
            continue;
        }
        seen |= 1u << n;
        read_number(r, &member, value, &out[n]);
    }
    for (size_t n = 0; n < count; n++) {
        FieldPath member = FIELD_IN(path, names[n]);
        if (!(seen & 1u << n)) field_missing(r->errors, &member);
    }
    return r->errors->total == before;
}

static bool read_point(Reader *r, const FieldPath *path, yyjson_val *value, Point *out) {
    static const char *const NAMES[] = {"x", "y"};
    double numbers[2] = {0};
    if (!read_numbers(r, path, value, NAMES, 2, numbers)) return false;
    *out = (Point){numbers[0], numbers[1]};
    return true;
}

static void read_points(Reader *r, const FieldPath *path, yyjson_val *array, size_t least, const char *what, Ring *out) {
    if (!yyjson_is_arr(array)) {
        field_wrong_type(r->errors, path, array, FIELD_LIST);
        return;
    }
    size_t index, count;
    yyjson_val *value;
    out->points = arena_new_array(r->arena, Point, yyjson_arr_size(array));
    yyjson_arr_foreach(array, index, count, value) {
        FieldPath element = FIELD_AT(path, index);
        read_point(r, &element, value, &out->points[index]);
    }
    out->count = count;
    if (count < least) field_error(r->errors, path, NULL, "too_short", "A %s needs at least %zu points, not %zu", what, least, count);
}

/* The one member of a closed object: polygon.paths, polyline.path. NULL after an error. */
static yyjson_val *only_member(Reader *r, const FieldPath *path, yyjson_val *object, const char *name) {
    if (!yyjson_is_obj(object)) {
        field_wrong_type(r->errors, path, object, FIELD_OBJECT);
        return NULL;
    }
    size_t index, count;
    yyjson_val *key, *value, *found = NULL;
    yyjson_obj_foreach(object, index, count, key, value) {
        FieldPath member = FIELD_IN(path, yyjson_get_str(key));
        if (yyjson_equals_str(key, name)) found = value;
        else field_extra(r->errors, &member, value);
    }
    FieldPath member = FIELD_IN(path, name);
    if (!found) field_missing(r->errors, &member);
    return found;
}

/* ---- fields ---- */

static void read_id(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) { out->id = read_visible_text(r, path, value); }

static void read_name(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    out->name = read_visible_text(r, path, value);
    if (!out->name || !r->rules || !r->rules->class_is_known || r->rules->class_is_known(r->rules->context, out->name)) return;
    field_error(r->errors, path, value, "unknown_class", "Class '%s' is not a class of the project", out->name);
}

static bool type_of(yyjson_val *value, AnnotationType *out) {
    for (int type = 0; type < ANNOTATION_TYPE_COUNT; type++) {
        if (!yyjson_equals_str(value, annotation_type_name((AnnotationType)type))) continue;
        *out = (AnnotationType)type;
        return true;
    }
    return false;
}

/* The value was taken before all others; here it is only judged. */
static void read_type(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    AnnotationType type;
    (void)out;
    if (!yyjson_is_str(value)) field_wrong_type(r->errors, path, value, FIELD_STRING);
    else if (!type_of(value, &type)) field_error(r->errors, path, value, "enum", "Input should be 'bbox', 'polygon', 'polyline' or 'keypoint'");
}

static void read_box(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    static const char *const NAMES[] = {"x", "y", "w", "h"};
    double numbers[4] = {0};
    if (yyjson_is_null(value) && out->type != ANNOTATION_BBOX) return;
    if (!read_numbers(r, path, value, NAMES, 4, numbers)) return;
    for (size_t n = 2; n < 4; n++) {
        FieldPath side = FIELD_IN(path, NAMES[n]);
        if (!(numbers[n] > 0)) field_error(r->errors, &side, yyjson_obj_get(value, NAMES[n]), "greater_than", "Input should be greater than 0");
    }
    out->bounding_box = (Box){numbers[0], numbers[1], numbers[2], numbers[3]};
}

static void read_polygon(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    yyjson_val *paths = only_member(r, path, value, "paths");
    if (!paths) return;
    FieldPath list = FIELD_IN(path, "paths");
    if (!yyjson_is_arr(paths)) {
        field_wrong_type(r->errors, &list, paths, FIELD_LIST);
        return;
    }
    size_t index, count;
    yyjson_val *ring;
    out->polygon.rings = arena_new_array(r->arena, Ring, yyjson_arr_size(paths));
    yyjson_arr_foreach(paths, index, count, ring) {
        FieldPath element = FIELD_AT(&list, index);
        read_points(r, &element, ring, 3, "ring", &out->polygon.rings[index]);
    }
    out->polygon.count = count;
    if (!count) field_error(r->errors, &list, paths, "too_short", "A polygon needs at least 1 ring, not 0");
}

static void read_polyline(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    yyjson_val *points = only_member(r, path, value, "path");
    FieldPath list = FIELD_IN(path, "path");
    if (points) read_points(r, &list, points, 2, "polyline", &out->path);
}

static void read_keypoint(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) { read_point(r, path, value, &out->keypoint); }

static void read_confidence(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    double v;
    if (!read_number(r, path, value, &v)) return;
    if (v < 0) field_error(r->errors, path, value, "greater_than_equal", "Input should be greater than or equal to 0");
    else if (v > 1) field_error(r->errors, path, value, "less_than_equal", "Input should be less than or equal to 1");
    else out->confidence = v;
}

static void read_created_by(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    if (!yyjson_is_null(value)) out->created_by = read_text(r, path, value);
}

static void read_attributes(Reader *r, const FieldPath *path, yyjson_val *value, Annotation *out) {
    if (!yyjson_is_arr(value)) {
        field_wrong_type(r->errors, path, value, FIELD_LIST);
        return;
    }
    if (!yyjson_arr_size(value)) return;
    /* yyjson's own writer, not ours: it keeps 1.0 apart from 1, and these values are returned untouched. */
    char *text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, NULL);
    out->attributes = arena_strdup(r->arena, text);
    free(text);
}

/* ---- the annotation ---- */

#define OF(type) (1u << ANNOTATION_##type)
enum { EVERY = OF(BBOX) | OF(POLYGON) | OF(POLYLINE) | OF(KEYPOINT), UNKNOWN_TYPE = 1u << ANNOTATION_TYPE_COUNT };

static const struct Field {
    const char *name;
    unsigned allowed, required; /* by which types; an annotation of no known type may have all of them and needs those that every type needs */
    void (*read)(Reader *, const FieldPath *, yyjson_val *, Annotation *);
} FIELDS[] = {
    {"id", EVERY, EVERY | UNKNOWN_TYPE, read_id},
    {"name", EVERY, EVERY | UNKNOWN_TYPE, read_name},
    {"type", EVERY, EVERY | UNKNOWN_TYPE, read_type},
    {"bounding_box", OF(BBOX) | OF(POLYGON) | OF(POLYLINE), OF(BBOX), read_box},
    {"polygon", OF(POLYGON), OF(POLYGON), read_polygon},
    {"polyline", OF(POLYLINE), OF(POLYLINE), read_polyline},
    {"keypoint", OF(KEYPOINT), OF(KEYPOINT), read_keypoint},
    {"confidence", EVERY, 0, read_confidence},
    {"created_by", EVERY, 0, read_created_by},
    {"attributes", EVERY, 0, read_attributes},
};
enum { FIELD_COUNT = sizeof FIELDS / sizeof *FIELDS };

static void read_members(Reader *r, const FieldPath *path, yyjson_val *object, Annotation *out) {
    bool known = type_of(yyjson_obj_get(object, "type"), &out->type);
    unsigned as = known ? 1u << out->type : UNKNOWN_TYPE, seen = 0;
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, index, count, key, value) {
        FieldPath member = FIELD_IN(path, yyjson_get_str(key));
        size_t f = 0;
        while (f < FIELD_COUNT && !yyjson_equals_str(key, FIELDS[f].name)) f++;
        if (f == FIELD_COUNT || (known && !(FIELDS[f].allowed & as))) {
            field_extra(r->errors, &member, value);
            continue;
        }
        seen |= 1u << f;
        FIELDS[f].read(r, &member, value, out);
    }
    for (size_t f = 0; f < FIELD_COUNT; f++) {
        FieldPath member = FIELD_IN(path, FIELDS[f].name);
        if (FIELDS[f].required & as && !(seen & 1u << f)) field_missing(r->errors, &member);
    }
}

bool annotation_read(Arena *arena, yyjson_val *object, const FieldPath *path, const AnnotationRules *rules, FieldErrors *errors,
                     Annotation *out) {
    Reader r = {arena, rules, errors};
    size_t before = errors->total;
    *out = (Annotation){.confidence = 1};
    if (yyjson_is_obj(object)) read_members(&r, path, object, out);
    else field_wrong_type(errors, path, object, FIELD_OBJECT);
    if (errors->total != before) return false;
    if (!out->created_by && rules) out->created_by = rules->created_by;
    if (out->type == ANNOTATION_KEYPOINT) out->bounding_box = (Box){0};
    else if (!(out->bounding_box.w > 0)) annotation_fit_box(out);
    return true;
}

/* Open addressing over the ids of one list; size is a power of two above twice their number. */
typedef struct IdSet {
    const char **slots;
    size_t mask;
} IdSet;

/* false when it was in already */
static bool id_set_add(IdSet *set, const char *id) {
    size_t hash = text_hash(id, strlen(id));
    size_t at = (hash ^ hash >> 32) & set->mask;
    for (; set->slots[at]; at = (at + 1) & set->mask) {
        if (strcmp(set->slots[at], id) == 0) return false;
    }
    set->slots[at] = id;
    return true;
}

bool annotation_list_read(Arena *arena, yyjson_val *array, const FieldPath *path, const AnnotationRules *rules, FieldErrors *errors,
                          AnnotationList *out) {
    *out = (AnnotationList){0};
    size_t before = errors->total, index, count;
    if (!yyjson_is_arr(array)) {
        field_wrong_type(errors, path, array, FIELD_LIST);
        return false;
    }
    out->capacity = yyjson_arr_size(array);
    out->items = arena_new_array(arena, Annotation, out->capacity);
    IdSet ids = {.mask = 15};
    while (ids.mask < 2 * out->capacity) ids.mask = 2 * ids.mask + 1;
    ids.slots = arena_new_array(arena, const char *, ids.mask + 1);
    yyjson_val *value;
    yyjson_arr_foreach(array, index, count, value) {
        FieldPath element = FIELD_AT(path, index), id = FIELD_IN(&element, "id");
        Annotation *annotation = &out->items[out->count++];
        annotation_read(arena, value, &element, rules, errors, annotation);
        if (annotation->id && !id_set_add(&ids, annotation->id)) {
            field_error(errors, &id, yyjson_obj_get(value, "id"), "duplicate_annotation_id", "Annotation id '%s' occurs more than once",
                        annotation->id);
        }
    }
    return errors->total == before;
}

Status annotation_list_parse(Arena *arena, const char *text, size_t size, AnnotationList *out, Error *err) {
    *out = (AnnotationList){0};
    yyjson_doc *doc = json_parse(text, size, err);
    if (!doc) return STATUS_MALFORMED_JSON;
    FieldErrors errors;
    field_errors_init(&errors, arena);
    annotation_list_read(arena, yyjson_doc_get_root(doc), NULL, NULL, &errors, out);
    yyjson_doc_free(doc);
    return field_errors_to_error(&errors, err);
}
