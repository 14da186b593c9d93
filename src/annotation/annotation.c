/* The annotation document as a struct: boxes that follow shapes, counts, names of types. Its text is in read.c and write.c. */
#include "annotation/annotation.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/map.h"
#include "base/text.h"
#include "base/banned.h"

static const char *const TYPE_NAMES[ANNOTATION_TYPE_COUNT] = {
    [ANNOTATION_BBOX] = "bbox", [ANNOTATION_POLYGON] = "polygon", [ANNOTATION_POLYLINE] = "polyline", [ANNOTATION_KEYPOINT] = "keypoint"};

const char *annotation_type_name(AnnotationType type) { return TYPE_NAMES[type]; }

bool annotation_type_from_name(const char *name, AnnotationType *out) {
    for (int type = 0; type < ANNOTATION_TYPE_COUNT; type++) {
        if (text_equal(name, TYPE_NAMES[type]) || (type == ANNOTATION_BBOX && text_equal(name, "box"))) {
            *out = (AnnotationType)type;
            return true;
        }
    }
    return false;
}

Annotation *annotation_list_append(Arena *arena, AnnotationList *list, const Annotation *annotation) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        Annotation *items = arena_new_array(arena, Annotation, capacity);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = *annotation;
    return &list->items[list->count++];
}

/* A side that readers accept: above zero, and finite even where the coordinates are absurd. */
static double side(double length) { return length > 0 ? fmin(length, DBL_MAX) : 1; }

void annotation_fit_box(Annotation *annotation) {
    Box *box = &annotation->bounding_box;
    switch (annotation->type) {
    case ANNOTATION_POLYGON: *box = polygon_box(&annotation->polygon); break;
    case ANNOTATION_POLYLINE: *box = points_box(annotation->path.points, annotation->path.count); break;
    case ANNOTATION_BBOX: break;
    case ANNOTATION_KEYPOINT: *box = (Box){0}; return;
    }
    box->w = side(box->w);
    box->h = side(box->h);
}

size_t annotation_count_classes(Arena *arena, const AnnotationList *list, ClassCount **out) {
    size_t count = 0;
    ClassCount *classes = arena_new_array(arena, ClassCount, list->count);
    StringMap places;
    string_map_init(&places, arena);
    for (size_t i = 0; i < list->count; i++) {
        size_t c = string_map_get_or_set(&places, list->items[i].name, count);
        if (c == count) classes[count++].name = list->items[i].name;
        classes[c].count++;
    }
    *out = classes;
    return count;
}
