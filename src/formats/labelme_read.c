/* LabelMe in: one JSON file per image, beside it or with a path to it.
 *
 * Rectangles, polygons, lines, points and circles are read; polygons of one label and one group_id are one thing in several parts. Of a mask,
 * whose pixels are a picture in text, its box is taken: no decoder runs here. Files of old versions lack shape_type (polygons) or have
 * null for flags. Folders named for images are kept: labels and images share one.
 */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { CIRCLE_POINTS = 36, ID_SIZE = 32 };

typedef struct LabelmeReader {
    Reader *reader;
    const char *file;
    DatasetImage image;
    StringMap groups; /* label and group_id -> index + 1 of its polygon among the annotations */
} LabelmeReader;

/* ---- recognising ---- */

static bool takes(const Dataset *d, const TreeFile *file) { return reader_takes(d, file, ".json") && !text_equal(file->path, "MANIFEST.json"); }

static bool looks_like_labelme(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    bool is = reader_peek(tree, file, &ends) && strstr(buffer_text(&ends), "\"shapes\"") &&
              (strstr(buffer_text(&ends), "\"imagePath\"") || strstr(buffer_text(&ends), "\"shape_type\""));
    buffer_clear(&ends);
    return is;
}

bool labelme_detect(const Dataset *d) { return reader_finds_file(d, takes, looks_like_labelme); }

/* ---- shapes ---- */

static bool read_points(Arena *arena, yyjson_val *list, Ring *out) {
    size_t index, count;
    yyjson_val *pair;
    *out = (Ring){arena_new_array(arena, Point, yyjson_arr_size(list)), 0};
    yyjson_arr_foreach(list, index, count, pair) {
        yyjson_val *x = yyjson_arr_get(pair, 0), *y = yyjson_arr_get(pair, 1);
        Point *point = &out->points[out->count++];
        *point = (Point){yyjson_get_num(x), yyjson_get_num(y)};
        if (yyjson_arr_size(pair) != 2 || !yyjson_is_num(x) || !yyjson_is_num(y) || !isfinite(point->x) || !isfinite(point->y)) return false;
    }
    return out->count > 0;
}

typedef struct Shape {
    LabelmeReader *l;
    yyjson_val *value;
    const char *what;
    Ring points;
    Annotation annotation;
} Shape;

static bool add_box(Shape *s) {
    if (s->points.count < 2) return false;
    s->annotation.bounding_box = points_box(s->points.points, s->points.count);
    reader_add_box(s->l->reader, &s->l->image, s->l->file, s->what, s->annotation);
    return true;
}

static bool add_mask(Shape *s) {
    reader_warn(s->l->reader, s->l->file, "%s: a mask; its box is taken", s->what);
    return add_box(s);
}

/* The array doubles whenever its size is a power of two. */
static void add_ring(Arena *arena, Polygon *polygon, Ring ring) {
    size_t count = polygon->count;
    if ((count & (count - 1)) == 0) {
        Ring *rings = arena_new_array(arena, Ring, count ? 2 * count : 1);
        if (count) memcpy(rings, polygon->rings, count * sizeof *rings);
        polygon->rings = rings;
    }
    polygon->rings[polygon->count++] = ring;
}

/* The annotation that the group has already; NULL for the first one and for shapes of no group. *key is the group's, NULL for none. */
static Annotation *of_group(Shape *s, const char **key) {
    Arena *arena = &s->l->reader->image_arena;
    yyjson_val *group = yyjson_obj_get(s->value, "group_id");
    *key = NULL;
    if (yyjson_is_int(group)) *key = arena_printf(arena, "%lld\n%s", (long long)yyjson_get_sint(group), s->annotation.name);
    else if (yyjson_is_str(group)) *key = arena_printf(arena, "%s\n%s", yyjson_get_str(group), s->annotation.name);
    size_t at = *key ? string_map_get(&s->l->groups, *key) : STRING_MAP_NONE;
    return at == STRING_MAP_NONE ? NULL : &s->l->image.annotations.items[at];
}

static bool add_polygon(Shape *s) {
    const char *key;
    AnnotationList *list = &s->l->image.annotations;
    Arena *arena = &s->l->reader->image_arena;
    if (s->points.count < 3) return false;
    Annotation *first = of_group(s, &key);
    if (first) {
        add_ring(arena, &first->polygon, s->points);
        return true;
    }
    size_t before = list->count;
    add_ring(arena, &s->annotation.polygon, s->points);
    reader_add_polygon(s->l->reader, &s->l->image, s->l->file, s->what, s->annotation);
    if (key && list->count > before) string_map_set(&s->l->groups, key, before);
    return true;
}

static void unite_groups(LabelmeReader *l) {
    for (size_t i = 0; i < l->image.annotations.count; i++) {
        Annotation *a = &l->image.annotations.items[i];
        if (a->polygon.count < 2) continue;
        a->polygon = shape_union(&l->reader->image_arena, &l->image, a->polygon);
        annotation_fit_box(a);
    }
}

/* Centre and a point of the rim. */
static bool add_circle(Shape *s) {
    if (s->points.count != 2) return false;
    Point centre = s->points.points[0], rim = s->points.points[1];
    double radius = hypot(rim.x - centre.x, rim.y - centre.y);
    s->points = (Ring){arena_new_array(&s->l->reader->image_arena, Point, CIRCLE_POINTS), CIRCLE_POINTS};
    for (size_t i = 0; i < CIRCLE_POINTS; i++) {
        double angle = 6.283185307179586 * (double)i / CIRCLE_POINTS;
        s->points.points[i] = (Point){centre.x + radius * cos(angle), centre.y + radius * sin(angle)};
    }
    return add_polygon(s);
}

static bool add_line(Shape *s) {
    s->annotation.path = s->points;
    reader_add_polyline(s->l->reader, &s->l->image, s->l->file, s->what, s->annotation);
    return true;
}

static bool add_points(Shape *s) {
    const char *id = s->annotation.id;
    for (size_t i = 0; i < s->points.count; i++) {
        s->annotation.keypoint = s->points.points[i];
        if (i) s->annotation.id = arena_printf(&s->l->reader->image_arena, "%s.%zu", id, i + 1);
        reader_add_keypoint(s->l->reader, &s->l->image, s->l->file, s->what, s->annotation);
    }
    return true;
}

static const struct {
    const char *type;
    bool (*add)(Shape *shape); /* false: not as it should be */
} TYPES[] = {{"polygon", add_polygon}, {"rotation", add_polygon}, {"rectangle", add_box}, {"circle", add_circle}, {"line", add_line},
             {"linestrip", add_line},  {"point", add_points},  {"points", add_points}, {"mask", add_mask}};

static void read_shape(LabelmeReader *l, yyjson_val *value, size_t shape_number) {
    Reader *r = l->reader;
    const char *label = json_get_string(value, "label", NULL), *type = json_get_string(value, "shape_type", "polygon");
    Shape shape = {.l = l, .value = value, .annotation = {.name = label, .confidence = 1}};
    shape.what = arena_printf(&r->image_arena, "shape %zu (%s)", shape_number, label ? label : "without label");
    shape.annotation.id = arena_printf(&r->image_arena, "%zu", shape_number);
    size_t i = 0, count = sizeof TYPES / sizeof *TYPES;
    while (i < count && strcmp(TYPES[i].type, type) != 0) i++;
    if (!label || text_is_blank(label)) reader_leave_out(r, l->file, "%s: left out", shape.what);
    else if (i == count) reader_leave_out(r, l->file, "%s: of the unknown type %s; left out", shape.what, type);
    else if (!read_points(&r->image_arena, yyjson_obj_get(value, "points"), &shape.points) || !TYPES[i].add(&shape))
        reader_leave_out(r, l->file, "%s: a %s that is not sound; left out", shape.what, type);
}

/* ---- files ---- */

/* imagePath as written under Windows or with a way up and down again; only its name when the rest leads nowhere. */
static const char *image_path(Reader *r, yyjson_val *root) {
    char *path = arena_strdup(&r->image_arena, json_get_string(root, "imagePath", NULL));
    for (char *p = path; p && *p; p++) {
        if (*p == '\\') *p = '/';
    }
    return path && !name_is_safe_path(path) ? file_base_name(path) : path;
}

static bool find_image(LabelmeReader *l, yyjson_val *root) {
    Reader *r = l->reader;
    const char *named = image_path(r, root), *stem = name_without_extension(&r->image_arena, file_base_name(l->file));
    TreeFile *file = named && *named ? reader_find_image(r, l->file, named) : NULL;
    if (!file) file = reader_find_image_of_stem(r, l->file, stem);
    if (file && file->seen) {
        reader_leave_file_out(r, l->file, "a second label file of image %s; left out", file->path);
        return false;
    }
    if (file) {
        file->seen = true;
        l->image = reader_image(r, file);
        return true;
    }
    const char *folder = name_folder(&r->image_arena, l->file);
    if (!reader_missing_image(r, l->file, name_join(&r->image_arena, folder, named && *named ? named : stem), &l->image)) return false;
    if (r->tree->image_count) reader_warn(r, l->file, "its image %s is missing", named ? named : stem);
    return true;
}

static Status read_root(LabelmeReader *l, yyjson_val *root, Error *err) {
    Reader *r = l->reader;
    if (!find_image(l, root)) return STATUS_OK;
    reader_settle_size(r, &l->image, l->file, json_get_number(root, "imageWidth", 0), json_get_number(root, "imageHeight", 0));
    l->image.labelled = true;
    size_t index, count;
    yyjson_val *shape;
    yyjson_arr_foreach(yyjson_obj_get(root, "shapes"), index, count, shape) read_shape(l, shape, index + 1);
    unite_groups(l);
    return reader_deliver(r, &l->image, err);
}

Status labelme_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    Error why = {0};
    yyjson_doc *doc = json_parse_loosely(NULL, text, size, &why);
    yyjson_val *root = yyjson_doc_get_root(doc);
    LabelmeReader l = {.reader = r, .file = file};
    Status status = STATUS_OK;
    string_map_init(&l.groups, &r->image_arena);
    if (!doc) reader_leave_file_out(r, file, "%s; left out", why.message);
    else if (!yyjson_is_arr(yyjson_obj_get(root, "shapes"))) reader_warn(r, file, "a JSON file, but not of LabelMe; passed over");
    else status = read_root(&l, root, err);
    yyjson_doc_free(doc);
    arena_reset(&r->image_arena);
    return status;
}

Status labelme_read(Reader *r, Error *err) {
    r->keeps_folders = true;
    return reader_label_files(r, takes, labelme_read_text, err);
}
