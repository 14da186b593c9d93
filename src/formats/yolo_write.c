/* YOLO out: data.yaml, labels/<folder>/<stem>.txt, images/<folder>/<filename>.
 *
 * One kind of shape for the whole dataset: when there is any polygon, boxes go out as their four corners. Coordinates are cut to the image,
 * then divided by its size; six decimals.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

typedef struct YoloWriter {
    Writer *writer;
    StemTable stems;
    bool polygons;   /* some annotation is one */
    Buffer text;     /* of one file */
    Buffer lists[3]; /* images of train, val, test */
} YoloWriter;

static bool look(void *context, const DatasetImage *image) {
    YoloWriter *y = context;
    for (size_t i = 0; i < image->annotations.count && !y->polygons; i++) y->polygons = image->annotations.items[i].type == ANNOTATION_POLYGON;
    return y->polygons;
}

/* " 0.123456": v / whole, cut to 0..1. By hand, since printf would take most of the time of an export. */
static void write_part(Buffer *out, double v, uint32_t whole) {
    char text[] = " 0.000000";
    long millionths = lround(fmax(0, fmin(1, v / whole)) * 1e6);
    text[1] = (char)('0' + millionths / 1000000);
    millionths %= 1000000;
    for (char *digit = text + sizeof text - 2; millionths; millionths /= 10) *digit-- = (char)('0' + millionths % 10);
    buffer_append(out, text, sizeof text - 1);
}

static void write_ring(Buffer *out, const DatasetImage *image, size_t class, const Ring *ring) {
    buffer_printf(out, "%zu", class);
    for (size_t i = 0; i < ring->count; i++) {
        write_part(out, ring->points[i].x, image->width);
        write_part(out, ring->points[i].y, image->height);
    }
    buffer_append_byte(out, '\n');
}

static void write_box(YoloWriter *y, Buffer *out, const DatasetImage *image, size_t class, Box box) {
    if (y->polygons) {
        Point corners[4];
        box_corners(box, corners);
        write_ring(out, image, class, &(Ring){corners, 4});
    } else {
        buffer_printf(out, "%zu", class);
        write_part(out, box.x + box.w / 2, image->width);
        write_part(out, box.y + box.h / 2, image->height);
        write_part(out, box.w, image->width);
        write_part(out, box.h, image->height);
        buffer_append_byte(out, '\n');
    }
}

/* Lines of six decimals: what is thinner than one of them would read as nothing. */
static bool is_visible(const DatasetImage *image, Box cut) { return cut.w / image->width >= 1e-6 && cut.h / image->height >= 1e-6; }

/* One line for each part; returns how many there were. */
static size_t write_polygon(YoloWriter *y, Buffer *out, const DatasetImage *image, size_t class, const Polygon *polygon) {
    size_t lines = 0;
    for (size_t i = 0; i < polygon->count; i++) {
        const Ring *ring = &polygon->rings[i];
        Box cut;
        if (polygon->count > 1 && polygon_ring_is_hole(polygon, i)) {
            writer_lose(y->writer, "holes_left_out", "holes were left out: a line holds one outline", 1);
        } else if (shape_fault(image, points_box(ring->points, ring->count), &cut) == SHAPE_FINE && is_visible(image, cut)) {
            write_ring(out, image, class, ring);
            lines++;
        }
    }
    return lines;
}

static void write_annotation(YoloWriter *y, Buffer *out, const DatasetImage *image, const Annotation *a) {
    Writer *w = y->writer;
    Box cut;
    if (!writer_takes_shape(w, image, a, &cut)) return;
    if (!image->width || !image->height) {
        writer_lose(w, "size_unknown", "annotations were left out because the size of their image is unknown", 1);
        return;
    }
    if (!is_visible(image, cut)) {
        writer_lose(w, "empty_shapes", "shapes without width or height were left out: readers refuse them", 1);
        return;
    }
    size_t class = writer_class(w, a), lines = 1;
    if (class == STRING_MAP_NONE) return;
    if (a->type == ANNOTATION_POLYGON) lines = write_polygon(y, out, image, class, &a->polygon);
    else write_box(y, out, image, class, cut);
    writer_count(w, class, lines);
    if (!lines) writer_lose(w, "outside_image", "annotations were left out because they lie outside their image", 1);
    if (lines > 1) writer_lose(w, "shapes_split", "shapes of several parts became one line a part", 1);
    writer_lose_extras(w, a, true);
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    YoloWriter *y = context;
    Writer *w = y->writer;
    Buffer *text = &y->text;
    buffer_reset(text);
    for (size_t i = 0; i < image->annotations.count; i++) write_annotation(y, text, image, &image->annotations.items[i]);
    const char *stem = stem_table_name(&y->stems, w, &name);
    if (text->failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the labels of %s are too large", image->filename);
    Status status = zip_writer_bytes(w->zip, arena_printf(&w->image_arena, "labels/%s.txt", stem), text->data, text->size, err);
    for (size_t s = 0; s < 3; s++) {
        if (image->split && strcmp(image->split, SPLITS[s]) == 0)
            buffer_printf(&y->lists[s], "./images/%s\n", name);
    }
    return status == STATUS_OK ? writer_pixels(w, "images", name, image, err) : status;
}

static Status write_lists(YoloWriter *y, Error *err) {
    Status status = STATUS_OK;
    for (size_t s = 0; s < 3 && status == STATUS_OK; s++) {
        if (!y->lists[s].size) continue;
        const char *name = arena_printf(y->writer->arena, "%s.txt", SPLITS[s]);
        if (y->lists[s].failed) status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the list %s is too large", name);
        else status = zip_writer_bytes(y->writer->zip, name, y->lists[s].data, y->lists[s].size, err);
    }
    return status;
}

/* JSON texts are YAML texts in double quotes, but for what YAML takes for the end of a line (U+0085, U+2028, U+2029) and refuses as unprintable. */
static void write_name(Buffer *out, const char *name) {
    Buffer json;
    JsonWriter j;
    buffer_init(&json, (size_t)1 << 30);
    json_writer_init(&j, &json);
    json_string(&j, name);
    for (const unsigned char *p = (const unsigned char *)buffer_text(&json); *p; p++) {
        unsigned last = p[1] ? p[2] & 0x3f : 0, code = *p == 0x7f ? *p : *p == 0xc2 && p[1] < 0xa0 ? p[1] : 0;
        if (*p == 0xe2 && p[1] == 0x80 && (last == 0x28 || last == 0x29)) code = 0x2000 | last;
        if (*p == 0xef && p[1] == 0xbf && last >= 0x3e) code = 0xffc0 | last;
        if (!code) buffer_append_byte(out, (char)*p);
        else buffer_printf(out, "\\u%04x", code), p += code < 0x80 ? 0 : code < 0x800 ? 1 : 2;
    }
    buffer_clear(&json);
}

static Status write_yaml(YoloWriter *y, Error *err) {
    const DatasetInfo *info = y->writer->info;
    Buffer text;
    buffer_init(&text, (size_t)1 << 30);
    buffer_append_text(&text, "# path: the folder of this file, seen from where the training runs\npath: .\n");
    const char *train = y->lists[0].size ? "train.txt" : "images", *val = y->lists[1].size ? "val.txt" : train;
    buffer_printf(&text, "train: %s\nval: %s\n", train, val);
    if (y->lists[2].size) buffer_append_text(&text, "test: test.txt\n");
    buffer_printf(&text, "nc: %zu\nnames:%s\n", info->class_count, info->class_count ? "" : " {}");
    for (size_t i = 0; i < info->class_count; i++) {
        buffer_printf(&text, "  %zu: ", i);
        write_name(&text, info->classes[i].name);
        buffer_append_byte(&text, '\n');
    }
    Status status = zip_writer_bytes(y->writer->zip, "data.yaml", text.data, text.size, err);
    buffer_clear(&text);
    return status;
}

Status yolo_write(Writer *w, Error *err) {
    static const char *const NOTES[] = {"Coordinates are relative to the size of the image, cut to 0..1.", NULL};
    YoloWriter y = {.writer = w};
    w->notes = NOTES;
    buffer_init(&y.text, (size_t)1 << 31);
    for (size_t s = 0; s < 3; s++) buffer_init(&y.lists[s], (size_t)1 << 31);
    Status status = stem_table_fill(&y.stems, w, look, &y, err);
    if (status == STATUS_OK) status = writer_each(w, write_image, &y, err);
    if (status == STATUS_OK) status = write_lists(&y, err);
    if (status == STATUS_OK) status = write_yaml(&y, err);
    for (size_t s = 0; s < 3; s++) buffer_clear(&y.lists[s]);
    buffer_clear(&y.text);
    stem_table_clear(&y.stems);
    return status;
}
