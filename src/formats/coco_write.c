/* COCO out: one annotations/instances.json, streamed.
 *
 * The annotations go straight into the zip; what is said of the images, little, waits in a temporary file until they are done. A list of
 * polygons is a union in COCO, so a shape with holes goes out as run lengths with iscrowd 0.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "formats/format.h"
#include "formats/names.h"
#include "geometry/rle.h"
#include "base/banned.h"

enum { FLUSH_SIZE = 1 << 18 };

typedef struct CocoWriter {
    Writer *writer;
    Buffer text;      /* of instances.json, emptied into the zip as it grows */
    JsonWriter json;  /* into text */
    Buffer line;      /* of one image */
    FILE *images;     /* lines of the images */
    int64_t image_id, annotation_id;
} CocoWriter;

static Status flush(CocoWriter *c, Error *err) {
    if (c->text.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "one image has more annotations than COCO text can take at once");
    Status status = zip_writer_data(c->writer->zip, c->text.data, c->text.size, err);
    buffer_reset(&c->text);
    return status;
}

static void write_numbers(JsonWriter *j, const char *key, const double *numbers, size_t count) {
    if (key) json_key(j, key);
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) json_number(j, numbers[i]);
    json_end_array(j);
}

static void write_rings(JsonWriter *j, const Polygon *polygon, size_t count) {
    json_key(j, "segmentation");
    json_begin_array(j);
    for (size_t i = 0; i < count; i++) {
        json_begin_array(j);
        for (size_t k = 0; k < polygon->rings[i].count; k++) {
            json_number(j, polygon->rings[i].points[k].x);
            json_number(j, polygon->rings[i].points[k].y);
        }
        json_end_array(j);
    }
    json_end_array(j);
}

static double rounded(double area) { return isfinite(area) ? nearbyint(area * 10000) / 10000 : 0; }

static size_t holes_of(const Polygon *polygon) {
    size_t holes = 0;
    for (size_t i = 0; polygon->count > 1 && i < polygon->count; i++) holes += polygon_ring_is_hole(polygon, i);
    return holes;
}

/* area and segmentation of a polygon */
static void write_polygon(CocoWriter *c, const DatasetImage *image, const Polygon *polygon) {
    JsonWriter *j = &c->json;
    size_t holes = holes_of(polygon);
    if (!holes) {
        json_field_number(j, "area", rounded(polygon_area(polygon)));
        write_rings(j, polygon, polygon->count);
        return;
    }
    Rle rle;
    bool sized = image->width && image->height;
    if (!sized || rle_from_polygon(&c->writer->image_arena, polygon, image->width, image->height, &rle, NULL) != STATUS_OK) {
        writer_lose(c->writer, "holes_lost", "holes were left out because the size of the image does not allow run lengths", holes);
        json_field_number(j, "area", rounded(fabs(ring_signed_area(&polygon->rings[0]))));
        write_rings(j, polygon, 1);
        return;
    }
    writer_lose(c->writer, "holes_as_rle", "holes were written as run lengths: lists of polygons cannot hold them", holes);
    json_field_int(j, "area", (int64_t)rle_area(&rle));
    json_key(j, "segmentation");
    json_begin_object(j);
    write_numbers(j, "size", (double[]){image->height, image->width}, 2);
    json_field_string(j, "counts", rle_to_string(&c->writer->image_arena, &rle));
    json_end_object(j);
}

static void write_annotation(CocoWriter *c, const DatasetImage *image, const Annotation *a) {
    Box box = shape_box(a), cut; /* the box follows the vertices, whatever was stored */
    if (!writer_takes_shape(c->writer, image, a, &cut)) return;
    size_t class = writer_class(c->writer, a);
    if (class == STRING_MAP_NONE) return;
    writer_count(c->writer, class, 1);
    JsonWriter *j = &c->json;
    json_begin_object(j);
    json_field_int(j, "id", ++c->annotation_id);
    json_field_int(j, "image_id", c->image_id);
    json_field_int(j, "category_id", (int64_t)class + 1);
    write_numbers(j, "bbox", (double[]){box.x, box.y, box.w, box.h}, 4);
    if (a->type == ANNOTATION_POLYGON) {
        write_polygon(c, image, &a->polygon);
    } else {
        json_field_number(j, "area", rounded(box_area(box)));
        write_rings(j, &a->polygon, 0);
    }
    json_field_int(j, "iscrowd", 0);
    if (a->confidence < 1) json_field_number(j, "score", a->confidence);
    json_end_object(j);
    buffer_append_byte(&c->text, '\n');
    writer_lose_extras(c->writer, a, false);
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    CocoWriter *c = context;
    JsonWriter j;
    buffer_reset(&c->line);
    json_writer_init(&j, &c->line);
    if (c->image_id) buffer_append_text(&c->line, ",\n");
    json_begin_object(&j);
    json_field_int(&j, "id", ++c->image_id);
    json_field_string(&j, "file_name", name);
    json_field_int(&j, "width", image->width);
    json_field_int(&j, "height", image->height);
    json_end_object(&j);
    if (fwrite(c->line.data, 1, c->line.size, c->images) != c->line.size) return error_set_errno(err, errno, "temporary file");
    for (size_t i = 0; i < image->annotations.count; i++) write_annotation(c, image, &image->annotations.items[i]);
    return c->text.size >= FLUSH_SIZE || c->text.failed ? flush(c, err) : STATUS_OK;
}

static void begin_document(CocoWriter *c) {
    const DatasetInfo *info = c->writer->info;
    JsonWriter *j = &c->json;
    json_begin_object(j);
    json_key(j, "info");
    json_begin_object(j);
    json_field_string(j, "description", info->name);
    json_end_object(j);
    json_key(j, "licenses");
    json_begin_array(j);
    json_end_array(j);
    json_key(j, "categories");
    json_begin_array(j);
    for (size_t i = 0; i < info->class_count; i++) {
        json_begin_object(j);
        json_field_int(j, "id", (int64_t)i + 1);
        json_field_string(j, "name", info->classes[i].name);
        json_field_string(j, "supercategory", "");
        json_end_object(j);
    }
    json_end_array(j);
    json_key(j, "annotations");
    json_begin_array(j);
}

static Status end_document(CocoWriter *c, Error *err) {
    json_end_array(&c->json);
    buffer_append_text(&c->text, ",\"images\":[\n");
    Status status = flush(c, err);
    if (status != STATUS_OK) return status;
    if (fflush(c->images) != 0 || fseek(c->images, 0, SEEK_SET) != 0) return error_set_errno(err, errno, "temporary file");
    char chunk[1 << 14];
    for (size_t n; status == STATUS_OK && (n = fread(chunk, 1, sizeof chunk, c->images)) > 0;) status = zip_writer_data(c->writer->zip, chunk, n, err);
    if (status == STATUS_OK) status = zip_writer_data(c->writer->zip, "\n]}\n", 4, err);
    return status == STATUS_OK ? zip_writer_end(c->writer->zip, err) : status;
}

Status coco_write(Writer *w, Error *err) {
    CocoWriter c = {.writer = w, .images = tmpfile()};
    if (!c.images) return error_set_errno(err, errno, "temporary file");
    buffer_init(&c.text, (size_t)1 << 31);
    buffer_init(&c.line, 1 << 20);
    json_writer_init(&c.json, &c.text);
    begin_document(&c);
    Status status = zip_writer_begin(w->zip, "annotations/instances.json", err);
    if (status == STATUS_OK) status = writer_each(w, write_image, &c, err);
    if (status == STATUS_OK) status = end_document(&c, err);
    if (status == STATUS_OK) status = writer_pixels_of_all(w, "images", err);
    buffer_clear(&c.text);
    buffer_clear(&c.line);
    fclose(c.images);
    return status;
}
