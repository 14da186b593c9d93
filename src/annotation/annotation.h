/* The annotation document: the one definition of what an image's annotations are. The same text is what the API reads, what it
 * answers and what the store keeps: a JSON array of objects with exactly the contract's fields.
 *
 * Reading checks everything that can be said without the store: shapes, ids unique in the list, classes through a look-up of the
 * caller's. It fills what the contract lets out: the box of polygons and polylines (a side of zero becomes one pixel), confidence 1,
 * created_by, attributes []. Numbers are finite by JSON's grammar. Writing is canonical: fixed order of fields, no optional field
 * left out, no keypoint with a box.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field_errors.h"
#include "base/json.h"
#include "geometry/geometry.h"

typedef enum AnnotationType { ANNOTATION_BBOX, ANNOTATION_POLYGON, ANNOTATION_POLYLINE, ANNOTATION_KEYPOINT } AnnotationType;
enum { ANNOTATION_TYPE_COUNT = ANNOTATION_KEYPOINT + 1 };

typedef struct Annotation {
    const char *id;
    const char *name; /* class label */
    AnnotationType type;
    Box bounding_box; /* sides above zero; all zero for a keypoint, which has none */
    Polygon polygon;  /* only of polygons: outline first, then holes, even-odd */
    Ring path;        /* only of polylines: open */
    Point keypoint;   /* only of keypoints */
    double confidence;
    const char *created_by; /* NULL is null */
    const char *attributes; /* text of a JSON array; NULL is [] */
} Annotation;

/* All that it points to lies in the arena it was made with. Start it as {0}. */
typedef struct AnnotationList {
    Annotation *items;
    size_t count;
    size_t capacity;
} AnnotationList;

/* What the caller knows beyond the text. All zero: any class is fine, created_by stays null. */
typedef struct AnnotationRules {
    bool (*class_is_known)(void *context, const char *name); /* NULL: any; else a false is the error unknown_class */
    void *context;
    const char *created_by; /* fills an absent or null one; NULL leaves null. Borrowed: the list points to it */
} AnnotationRules;

/* Reads a JSON array. Every wrong field goes to errors in document order, under path (may be NULL); types used: missing, extra_forbidden,
 * string_type, string_too_short, string_pattern_mismatch, float_type, list_type, dict_type, enum, too_short, greater_than,
 * greater_than_equal, less_than_equal, value_error, unknown_class, duplicate_annotation_id. Returns false when it added any; the list is
 * then not to be used. Strings and points are copied to the arena: the JSON document may be freed. */
bool annotation_list_read(Arena *arena, yyjson_val *array, const FieldPath *path, const AnnotationRules *rules, FieldErrors *errors,
                          AnnotationList *out);
/* One annotation, by the same rules (without the check for equal ids). */
bool annotation_read(Arena *arena, yyjson_val *object, const FieldPath *path, const AnnotationRules *rules, FieldErrors *errors,
                     Annotation *out);
/* From text that the store or a file holds: any violation is an error in words. */
Status annotation_list_parse(Arena *arena, const char *text, size_t size, AnnotationList *out, Error *err);

void annotation_list_write(const AnnotationList *list, JsonWriter *writer);
void annotation_write(const Annotation *annotation, JsonWriter *writer);

/* Adds a copy of the struct (what it points to is shared) and returns its place, valid until the next append. */
Annotation *annotation_list_append(Arena *arena, AnnotationList *list, const Annotation *annotation);
/* Sets bounding_box from the polygon, the path or, for a box, by widening sides that are not above zero to one pixel; keypoints: none. */
void annotation_fit_box(Annotation *annotation);

/* "bbox", "polygon", "polyline", "keypoint" */
const char *annotation_type_name(AnnotationType type);
/* The four names and, for the places where the contract takes it, the older "box". */
bool annotation_type_from_name(const char *name, AnnotationType *out);

enum { CLASS_NAME_CHARACTERS = 120 }; /* limits.yaml projects.class_name_max_chars */

typedef struct ClassCount {
    const char *name; /* borrowed from the list */
    size_t count;
} ClassCount;
/* Annotations per class in order of first appearance; *out in the arena. Returns the number of classes. */
size_t annotation_count_classes(Arena *arena, const AnnotationList *list, ClassCount **out);
