/* LabelMe out: <folder>/<stem>.json beside <folder>/<filename>, as LabelMe 5 writes them but for the pixels in text: imageData is null.
 *
 * Boxes, outlines, lines and points are held. The parts of a shape bear one group_id, which is how LabelMe tells that several shapes are
 * one thing; holes are lost.
 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

typedef struct LabelmeWriter {
    Writer *writer;
    StemTable stems;
    Buffer text; /* of one file */
    JsonWriter json;
    int64_t groups; /* of the image */
} LabelmeWriter;

static void write_points(JsonWriter *j, const Point *points, size_t count) {
    json_key(j, "points");
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        json_begin_array(j);
        json_number(j, points[i].x);
        json_number(j, points[i].y);
        json_end_array(j);
    }
    json_end_array(j);
}

/* group 0: none */
static void write_shape(JsonWriter *j, const Annotation *a, const char *type, const Point *points, size_t count, int64_t group) {
    json_begin_object(j);
    json_field_string(j, "label", a->name);
    write_points(j, points, count);
    json_key(j, "group_id");
    if (group) json_int(j, group);
    else json_null(j);
    json_field_string(j, "description", "");
    json_field_string(j, "shape_type", type);
    json_key(j, "flags");
    json_begin_object(j);
    json_end_object(j);
    json_end_object(j);
}

/* One shape for each part; returns how many there were. */
static size_t write_polygon(LabelmeWriter *l, const DatasetImage *image, const Annotation *a) {
    Ring *parts = arena_new_array(&l->writer->image_arena, Ring, a->polygon.count);
    size_t count = 0;
    for (size_t i = 0; i < a->polygon.count; i++) {
        if (writer_takes_part(l->writer, image, &a->polygon, i)) parts[count++] = a->polygon.rings[i];
    }
    int64_t group = count > 1 ? ++l->groups : 0;
    for (size_t i = 0; i < count; i++) write_shape(&l->json, a, "polygon", parts[i].points, parts[i].count, group);
    if (group) writer_lose(l->writer, "shapes_split", "shapes of several parts became polygons of one group_id", 1);
    return count;
}

static void write_annotation(LabelmeWriter *l, const DatasetImage *image, const Annotation *a) {
    Writer *w = l->writer;
    Box cut = {0};
    bool has_area = a->type == ANNOTATION_BBOX || a->type == ANNOTATION_POLYGON;
    if (!(has_area ? writer_takes_shape(w, image, a, &cut) : writer_takes_path(w, image, a))) return;
    Point corners[2] = {{cut.x, cut.y}, {cut.x + cut.w, cut.y + cut.h}};
    if (a->type == ANNOTATION_BBOX && !(corners[0].x < corners[1].x && corners[0].y < corners[1].y)) { /* too thin for its place */
        writer_lose(w, "empty_shapes", "shapes without width or height were left out: readers refuse them", 1);
        return;
    }
    size_t class = writer_class(w, a);
    if (class == STRING_MAP_NONE) return;
    size_t shapes = 1;
    switch (a->type) {
    case ANNOTATION_BBOX: write_shape(&l->json, a, "rectangle", corners, 2, 0); break;
    case ANNOTATION_POLYGON: shapes = write_polygon(l, image, a) > 0; break;
    case ANNOTATION_POLYLINE: write_shape(&l->json, a, "linestrip", a->path.points, a->path.count, 0); break;
    case ANNOTATION_KEYPOINT: write_shape(&l->json, a, "point", &a->keypoint, 1, 0); break;
    }
    writer_count(w, class, shapes);
    writer_lose_extras(w, a, true);
}

static void write_document(LabelmeWriter *l, const DatasetImage *image, const char *filename) {
    JsonWriter *j = &l->json;
    buffer_reset(&l->text);
    json_writer_init(j, &l->text);
    l->groups = 0;
    json_begin_object(j);
    json_field_string(j, "version", "5.5.0");
    json_key(j, "flags");
    json_begin_object(j);
    json_end_object(j);
    json_key(j, "shapes");
    json_begin_array(j);
    for (size_t i = 0; i < image->annotations.count; i++) write_annotation(l, image, &image->annotations.items[i]);
    json_end_array(j);
    json_field_string(j, "imagePath", filename);
    json_field_string(j, "imageData", NULL);
    json_field_int(j, "imageHeight", image->height);
    json_field_int(j, "imageWidth", image->width);
    json_end_object(j);
    buffer_append_byte(&l->text, '\n');
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    LabelmeWriter *l = context;
    Writer *w = l->writer;
    const char *stem = stem_table_name(&l->stems, w, &name);
    write_document(l, image, file_base_name(name));
    if (l->text.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the labels of %s are too large", image->filename);
    Status status = zip_writer_bytes(w->zip, arena_printf(&w->image_arena, "%s.json", stem), l->text.data, l->text.size, err);
    return status == STATUS_OK ? writer_pixels(w, NULL, name, image, err) : status;
}

Status labelme_write(Writer *w, Error *err) {
    LabelmeWriter l = {.writer = w};
    buffer_init(&l.text, (size_t)1 << 31);
    Status status = stem_table_fill(&l.stems, w, NULL, NULL, err);
    if (status == STATUS_OK) stem_table_reserve(&l.stems, "MANIFEST"); /* MANIFEST.json is the archive's own */
    if (status == STATUS_OK) status = writer_each(w, write_image, &l, err);
    buffer_clear(&l.text);
    stem_table_clear(&l.stems);
    return status;
}
