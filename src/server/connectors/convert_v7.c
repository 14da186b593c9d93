/* V7's annotations: Darwin JSON 2.0, and the same shapes below "data" as its HTTP interface answers them.
 * Source: docs.v7labs.com, "Darwin JSON Format". */
#include <string.h>

#include "base/text.h"
#include "server/connectors/convert.h"
#include "base/banned.h"

typedef struct V7Annotation {
    yyjson_val *shape; /* the member that the type names */
    yyjson_val *all;   /* the object that holds it, with its sub-annotations */
    const char *id, *label;
    double confidence;
} V7Annotation;

static bool read_box(Conversion *c, yyjson_val *value, Box *out) {
    (void)c;
    return conversion_number(yyjson_obj_get(value, "x"), &out->x) && conversion_number(yyjson_obj_get(value, "y"), &out->y) &&
           conversion_number(yyjson_obj_get(value, "w"), &out->w) && conversion_number(yyjson_obj_get(value, "h"), &out->h);
}

static Annotation begin(const V7Annotation *v, AnnotationType type) { return (Annotation){.name = v->label, .type = type, .confidence = v->confidence}; }

static void add_box(Conversion *c, const V7Annotation *v) {
    Annotation a = begin(v, ANNOTATION_BBOX);
    if (read_box(c, v->shape, &a.bounding_box)) conversion_add(c, a, v->id);
    else conversion_leave_out(c, "broken");
}

/* The box around both faces. */
static void add_cuboid(Conversion *c, const V7Annotation *v) {
    Annotation a = begin(v, ANNOTATION_BBOX);
    Box front, back;
    bool sound = read_box(c, yyjson_obj_get(v->shape, "front"), &front) && read_box(c, yyjson_obj_get(v->shape, "back"), &back);
    if (sound) {
        a.bounding_box = box_enclosing(front, back);
        conversion_add(c, a, v->id);
    } else {
        conversion_leave_out(c, "broken");
    }
}

/* Rings under the even-odd rule in both worlds: outlines, holes and separate parts. One ring may come without the list around it. */
static void add_polygon(Conversion *c, const V7Annotation *v) {
    Annotation a = begin(v, ANNOTATION_POLYGON);
    yyjson_val *paths = yyjson_obj_get(v->shape, "paths"), *more = yyjson_obj_get(v->shape, "additional_paths"), *ring;
    if (!paths) paths = yyjson_obj_get(v->shape, "path");
    bool nested = yyjson_is_arr(yyjson_arr_get_first(paths)) && !yyjson_is_num(yyjson_arr_get_first(yyjson_arr_get_first(paths)));
    size_t rings = (nested ? yyjson_arr_size(paths) : 1) + yyjson_arr_size(more), index, count;
    if (rings > CONVERTED_POINTS_MAXIMUM / 3) {
        conversion_leave_out(c, "broken");
        return;
    }
    a.polygon.rings = arena_new_array(c->arena, Ring, rings);
    bool sound = true;
    if (nested) {
        yyjson_arr_foreach(paths, index, count, ring) sound = sound && conversion_ring(c, ring, &a.polygon.rings[a.polygon.count++]);
    } else {
        sound = conversion_ring(c, paths, &a.polygon.rings[a.polygon.count++]);
    }
    yyjson_arr_foreach(more, index, count, ring) sound = sound && conversion_ring(c, ring, &a.polygon.rings[a.polygon.count++]);
    if (sound) conversion_add(c, a, v->id);
    else conversion_leave_out(c, "broken");
}

static void add_line(Conversion *c, const V7Annotation *v) {
    Annotation a = begin(v, ANNOTATION_POLYLINE);
    if (conversion_ring(c, yyjson_obj_get(v->shape, "path"), &a.path)) conversion_add(c, a, v->id);
    else conversion_leave_out(c, "broken");
}

static void add_keypoint(Conversion *c, const V7Annotation *v) {
    Annotation a = begin(v, ANNOTATION_KEYPOINT);
    if (conversion_point(v->shape, &a.keypoint)) conversion_add(c, a, v->id);
    else conversion_leave_out(c, "broken");
}

/* A keypoint for each node; the attributes say which node of which skeleton it was. */
static void add_skeleton(Conversion *c, const V7Annotation *v) {
    yyjson_val *nodes = yyjson_obj_get(v->shape, "nodes"), *node;
    size_t index, count;
    if (yyjson_arr_size(nodes) == 0) conversion_leave_out(c, "broken");
    yyjson_arr_foreach(nodes, index, count, node) {
        Annotation a = begin(v, ANNOTATION_KEYPOINT);
        a.attributes = attributes_of(c->arena, "skeleton", v->id, "node", json_get_string(node, "name", NULL), "occluded",
                                     json_get_bool(node, "occluded", false) ? "true" : NULL, NULL);
        if (conversion_point(node, &a.keypoint)) conversion_add(c, a, NULL);
        else conversion_leave_out(c, "broken");
    }
}

typedef struct V7Kind {
    const char *name;
    void (*add)(Conversion *c, const V7Annotation *v); /* NULL: left out */
} V7Kind;

/* In this order: a polygon brings a bounding_box along, and a table has one inside. The startImport operation says that tags, ellipses and masks are
 * skipped; the others without a function have no form among our four. */
static const V7Kind KINDS[] = {
    {"polygon", add_polygon}, {"complex_polygon", add_polygon}, {"ellipse", NULL}, {"cuboid", add_cuboid}, {"skeleton", add_skeleton}, {"line", add_line},
    {"keypoint", add_keypoint}, {"tag", NULL}, {"mask", NULL}, {"raster_layer", NULL}, {"table", NULL}, {"simple_table", NULL}, {"string", NULL},
    {"graph", NULL}, {"eye", NULL}, {"link", NULL}, {"bounding_box", add_box},
};

static bool in_slot(yyjson_val *annotation, const char *slot) {
    yyjson_val *names = yyjson_obj_get(annotation, "slot_names"), *name;
    if (!names) names = yyjson_obj_get(yyjson_obj_get(annotation, "context_keys"), "slot_names");
    size_t index, count;
    yyjson_arr_foreach(names, index, count, name)
        if (text_equal(yyjson_get_str(name), slot)) return true;
    return !slot || yyjson_arr_size(names) == 0;
}

static const char *class_of(Conversion *c, yyjson_val *annotation) {
    yyjson_val *class = yyjson_obj_get(annotation, "annotation_class"), *id = yyjson_obj_get(annotation, "annotation_class_id");
    const char *name = json_get_string(annotation, "name", json_get_string(class, "name", NULL));
    if (!name && c->class_name && yyjson_is_int(id)) name = c->class_name(c->context, yyjson_get_sint(id));
    return label_of(c->arena, name);
}

static void convert_one(Conversion *c, yyjson_val *annotation) {
    yyjson_val *data = yyjson_obj_get(annotation, "data");
    V7Annotation v = {.all = yyjson_is_obj(data) ? data : annotation, .id = json_get_string(annotation, "id", NULL)};
    if (yyjson_obj_get(annotation, "frames") || yyjson_obj_get(v.all, "frames")) {
        conversion_leave_out(c, "video");
        return;
    }
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        v.shape = yyjson_obj_get(v.all, KINDS[i].name);
        if (!v.shape) continue;
        if (!KINDS[i].add) {
            conversion_leave_out(c, KINDS[i].name);
            return;
        }
        v.label = class_of(c, annotation);
        v.confidence = json_get_number(yyjson_obj_get(v.all, "inference"), "confidence", 1);
        KINDS[i].add(c, &v);
        return;
    }
    conversion_leave_out(c, "other");
}

void v7_convert(Conversion *c, yyjson_val *annotations) {
    size_t index, count;
    yyjson_val *annotation;
    yyjson_arr_foreach(annotations, index, count, annotation) {
        if (c->slot && !in_slot(annotation, c->slot)) continue;
        convert_one(c, annotation);
    }
}
