/* Annotations of the sources, converted to ours. Pure functions over strangers' JSON: whatever it holds, the list that comes out is a valid document,
 * and what cannot be held is counted by kind. docs/connectors.md has the tables.
 */
#pragma once
#include <stddef.h>

#include "annotation/annotation.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"

enum { LEFT_OUT_KINDS = 24, CONVERTED_POINTS_MAXIMUM = 4000000, CONVERTED_ANNOTATIONS_MAXIMUM = 200000 };

typedef struct LeftOut {
    const char *kind; /* static text: "tag", "ellipse", …; "other" for an unknown one, "broken" for what no shape can be made of */
    size_t count;
} LeftOut;

typedef struct Conversion {
    Arena *arena;
    const char *created_by;
    /* V7: the class of an annotation that names it by number; NULL where there is none. */
    const char *(*class_name)(void *context, int64_t class_id);
    void *context;
    const char *slot; /* V7: only annotations of this slot of an item that has several; NULL: all */
    double width, height; /* Roboflow: of the image in pixels, where the source measured another size; 0: as measured */
    /* results */
    AnnotationList list;
    LeftOut left_out[LEFT_OUT_KINDS];
    size_t left_out_count;
    /* inner state */
    StringMap ids;
    size_t points;
    double scale_x, scale_y;
} Conversion;

/* All members zero but the ones that the caller sets after it. */
void conversion_init(Conversion *conversion, Arena *arena, const char *created_by);
/* An array of annotations, as /items/{id}/annotations answers or as Darwin JSON 2.0 holds under "annotations". */
void v7_convert(Conversion *conversion, yyjson_val *annotations);
/* The "annotation" member of an image: {width, height, boxes: […]}. NULL is an image without annotations. */
void roboflow_convert(Conversion *conversion, yyjson_val *annotation);

/* For both: one annotation more, with an id of its own, if its shape is sound; otherwise it counts as broken. id may be NULL. */
void conversion_add(Conversion *conversion, Annotation annotation, const char *id);
void conversion_leave_out(Conversion *conversion, const char *kind);
/* A label that our contract takes: 1 to 120 characters, visible, without control characters and white space at its ends. */
const char *label_of(Arena *arena, const char *text);
/* Array of points {x, y} or [x, y]; false when one of them is none, or there are too many. Numbers may be texts. */
bool conversion_ring(Conversion *conversion, yyjson_val *array, Ring *out);
bool conversion_number(yyjson_val *value, double *out);
bool conversion_point(yyjson_val *object, Point *out);
/* [{"key": value, …}] as text in the arena: attributes that say where a part comes from. Pairs of texts ended by NULL. */
const char *attributes_of(Arena *arena, ...) __attribute__((sentinel));
