/* Writing the annotation document, canonically. */
#include <string.h>

#include "annotation/annotation.h"
#include "base/banned.h"

static void write_point(JsonWriter *w, Point p) {
    json_begin_object(w);
    json_field_number(w, "x", p.x);
    json_field_number(w, "y", p.y);
    json_end_object(w);
}

static void write_points(JsonWriter *w, const Ring *ring) {
    json_begin_array(w);
    for (size_t i = 0; i < ring->count; i++) write_point(w, ring->points[i]);
    json_end_array(w);
}

static void write_box(JsonWriter *w, Box box) {
    json_key(w, "bounding_box");
    json_begin_object(w);
    json_field_number(w, "x", box.x);
    json_field_number(w, "y", box.y);
    json_field_number(w, "w", box.w);
    json_field_number(w, "h", box.h);
    json_end_object(w);
}

static void write_shape(JsonWriter *w, const Annotation *a) {
    switch (a->type) {
    case ANNOTATION_BBOX: break;
    case ANNOTATION_POLYGON:
        json_key(w, "polygon");
        json_begin_object(w);
        json_key(w, "paths");
        json_begin_array(w);
        for (size_t i = 0; i < a->polygon.count; i++) write_points(w, &a->polygon.rings[i]);
        json_end_array(w);
        json_end_object(w);
        break;
    case ANNOTATION_POLYLINE:
        json_key(w, "polyline");
        json_begin_object(w);
        json_key(w, "path");
        write_points(w, &a->path);
        json_end_object(w);
        break;
    case ANNOTATION_KEYPOINT:
        json_key(w, "keypoint");
        write_point(w, a->keypoint);
        break;
    }
}

void annotation_write(const Annotation *a, JsonWriter *w) {
    json_begin_object(w);
    json_field_string(w, "id", a->id);
    json_field_string(w, "name", a->name);
    json_field_string(w, "type", annotation_type_name(a->type));
    if (a->type != ANNOTATION_KEYPOINT) write_box(w, a->bounding_box);
    write_shape(w, a);
    json_field_number(w, "confidence", a->confidence);
    json_field_string(w, "created_by", a->created_by);
    json_key(w, "attributes");
    if (a->attributes) json_raw(w, a->attributes, strlen(a->attributes));
    else json_raw(w, "[]", 2);
    json_end_object(w);
}

void annotation_list_write(const AnnotationList *list, JsonWriter *w) {
    json_begin_array(w);
    for (size_t i = 0; i < list->count; i++) annotation_write(&list->items[i], w);
    json_end_array(w);
}
