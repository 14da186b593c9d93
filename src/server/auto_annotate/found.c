#include "server/auto_annotate/found.h"

#include "base/hash.h"
#include "server/auto_annotate/vision_call.h"
#include "base/banned.h"

static const char *const SHAPES[] = {[ANNOTATION_BBOX] = "box", [ANNOTATION_POLYGON] = "polygon", [ANNOTATION_POLYLINE] = "line", [ANNOTATION_KEYPOINT] = "point"};

void wanted_write(JsonWriter *w, const Wanted *wanted, size_t count) {
    json_key(w, "words");
    json_begin_array(w);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(w);
        json_field_string(w, "word", wanted[i].label);
        json_field_string(w, "shape", SHAPES[wanted[i].type]);
        json_end_object(w);
    }
    json_end_array(w);
}

static bool take_shape(Annotation *a, Arena *arena, yyjson_val *thing) {
    yyjson_val *point = yyjson_obj_get(thing, "inside_point");
    switch (a->type) {
    case ANNOTATION_BBOX: return a->bounding_box.w > 0 && a->bounding_box.h > 0;
    case ANNOTATION_POLYGON: return vision_polygon(thing, arena, &a->polygon);
    case ANNOTATION_POLYLINE: return (a->path = vision_ring(yyjson_obj_get(thing, "line"), arena)).count >= 2;
    case ANNOTATION_KEYPOINT:
        a->keypoint = (Point){yyjson_get_num(yyjson_arr_get(point, 0)), yyjson_get_num(yyjson_arr_get(point, 1))};
        return yyjson_arr_size(point) == 2;
    }
    return false;
}

void found_append(AnnotationList *list, Arena *arena, yyjson_val *result, const Wanted *wanted, size_t count, const char *created_by) {
    yyjson_val *thing;
    size_t index, most;
    yyjson_arr_foreach(yyjson_obj_get(result, "found"), index, most, thing) {
        size_t word = (size_t)json_get_int(thing, "word", -1);
        if (word >= count) continue;
        double confidence = json_get_number(thing, "confidence", 0);
        Annotation a = {.name = wanted[word].label, .type = wanted[word].type, .created_by = created_by,
                        .confidence = confidence < 0 ? 0 : confidence > 1 ? 1 : confidence,
                        .bounding_box = {json_get_number(thing, "x", 0), json_get_number(thing, "y", 0), json_get_number(thing, "w", 0), json_get_number(thing, "h", 0)}};
        if (!take_shape(&a, arena, thing)) continue;
        a.id = uuid_new(arena_alloc(arena, UUID_SIZE));
        annotation_fit_box(&a);
        annotation_list_append(arena, list, &a);
    }
}
