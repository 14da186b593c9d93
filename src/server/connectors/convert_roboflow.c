/* Roboflow's annotations of an image: boxes by their centre, polygons by their points, keypoints inside a box, labels of classification. Numbers often
 * come as texts. Source: docs.roboflow.com, "Get Details About an Image". */
#include <string.h>

#include "base/text.h"
#include "server/connectors/convert.h"
#include "base/banned.h"

static void measure(Conversion *c, yyjson_val *annotation) {
    double width, height;
    bool measured = conversion_number(yyjson_obj_get(annotation, "width"), &width) && conversion_number(yyjson_obj_get(annotation, "height"), &height) &&
                    width >= 1 && height >= 1;
    c->scale_x = measured && c->width > 0 ? c->width / width : 1;
    c->scale_y = measured && c->height > 0 ? c->height / height : 1;
}

/* Points of a box's skeleton as keypoints; one at (0, 0) was not set. */
static void add_keypoints(Conversion *c, yyjson_val *keypoints, const char *label, const char *object) {
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(keypoints, index, count, value) {
        Point p;
        double id;
        Annotation a = {.name = label, .type = ANNOTATION_KEYPOINT, .confidence = 1};
        if (!conversion_point(value, &p)) {
            conversion_leave_out(c, "broken");
        } else if (p.x != 0 || p.y != 0) {
            yyjson_val *key = yyjson_obj_get(value, "id");
            const char *name = json_get_string(value, "name", NULL);
            if (!name && conversion_number(key, &id)) name = arena_printf(c->arena, "%.0f", id);
            a.keypoint = (Point){p.x * c->scale_x, p.y * c->scale_y};
            a.attributes = attributes_of(c->arena, "object", object, "keypoint", name, NULL);
            conversion_add(c, a, NULL);
        }
    }
}

static bool read_centred_box(const Conversion *c, yyjson_val *value, Box *out) {
    double x, y, w, h;
    if (!conversion_number(yyjson_obj_get(value, "x"), &x) || !conversion_number(yyjson_obj_get(value, "y"), &y)) return false;
    if (!conversion_number(yyjson_obj_get(value, "width"), &w) || !conversion_number(yyjson_obj_get(value, "height"), &h) || w < 0 || h < 0) return false;
    *out = (Box){(x - w / 2) * c->scale_x, (y - h / 2) * c->scale_y, w * c->scale_x, h * c->scale_y};
    return true;
}

/* One ring, or a list of rings. */
static bool read_polygon(Conversion *c, yyjson_val *points, Polygon *out) {
    bool nested = yyjson_is_arr(yyjson_arr_get_first(points)) && !conversion_point(yyjson_arr_get_first(points), &(Point){0});
    size_t index, count = nested ? yyjson_arr_size(points) : 1;
    yyjson_val *ring;
    if (count > CONVERTED_POINTS_MAXIMUM / 3) return false;
    out->rings = arena_new_array(c->arena, Ring, count);
    out->count = 0;
    if (!nested) return conversion_ring(c, points, &out->rings[out->count++]);
    yyjson_arr_foreach(points, index, count, ring)
        if (!conversion_ring(c, ring, &out->rings[out->count++])) return false;
    return true;
}

static void convert_box(Conversion *c, yyjson_val *value) {
    const char *type = json_get_string(value, "type", "bbox"), *label = json_get_string(value, "label", json_get_string(value, "class", NULL));
    yyjson_val *points = yyjson_obj_get(value, "points"), *keypoints = yyjson_obj_get(value, "keypoints");
    Annotation a = {.name = label_of(c->arena, label), .type = ANNOTATION_BBOX, .confidence = json_get_number(value, "confidence", 1)};
    if (text_equal(type, "classification")) {
        conversion_leave_out(c, "classification");
        return;
    }
    bool sound;
    if (yyjson_arr_size(points) > 0) {
        bool line = text_equal(type, "line") || text_equal(type, "polyline");
        a.type = line ? ANNOTATION_POLYLINE : ANNOTATION_POLYGON;
        sound = line ? conversion_ring(c, points, &a.path) : read_polygon(c, points, &a.polygon);
    } else {
        sound = read_centred_box(c, value, &a.bounding_box);
    }
    if (!sound) {
        conversion_leave_out(c, yyjson_obj_get(value, "mask") || yyjson_obj_get(value, "rle") ? "mask" : "broken");
        return;
    }
    size_t before = c->list.count;
    conversion_add(c, a, json_get_string(value, "id", NULL));
    if (yyjson_arr_size(keypoints) > 0) add_keypoints(c, keypoints, a.name, c->list.count > before ? c->list.items[before].id : NULL);
}

void roboflow_convert(Conversion *c, yyjson_val *annotation) {
    yyjson_val *boxes = yyjson_obj_get(annotation, "boxes"), *value;
    size_t index, count;
    measure(c, annotation);
    yyjson_arr_foreach(boxes, index, count, value) convert_box(c, value);
    if (!boxes && yyjson_obj_get(annotation, "label")) conversion_leave_out(c, "classification");
}
