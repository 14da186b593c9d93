/* CVAT for images 1.1 out: annotations.xml, streamed, and images/<folder>/<filename>.
 *
 * Coordinates have two decimals, as CVAT's own files do. Boxes, outlines, lines and points are held; a shape of several parts becomes one
 * polygon a part, and holes are lost.
 */
#include <math.h>
#include <string.h>

#include "formats/format.h"
#include "base/banned.h"

enum { FLUSH_SIZE = 1 << 18 };

typedef struct CvatWriter {
    Writer *writer;
    Buffer text; /* of annotations.xml, emptied into the zip as it grows */
    size_t image_index;
} CvatWriter;

static Status flush(CvatWriter *c, Error *err) {
    if (c->text.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "one image has more annotations than CVAT text can take at once");
    Status status = zip_writer_data(c->writer->zip, c->text.data, c->text.size, err);
    buffer_reset(&c->text);
    return status;
}

/* "-12.35". By hand, since printf would take most of the time of an export. */
static void write_number(Buffer *out, double v) {
    if (!(fabs(v) < 1e13)) {
        buffer_printf(out, "%.2f", v);
        return;
    }
    char text[24], *p = text + sizeof text;
    long long hundredths = llround(v * 100);
    unsigned long long rest = hundredths < 0 ? 0ULL - (unsigned long long)hundredths : (unsigned long long)hundredths;
    for (int digits = 0; digits < 3 || rest; digits++, rest /= 10) {
        if (digits == 2) *--p = '.';
        *--p = (char)('0' + rest % 10);
    }
    if (hundredths < 0) *--p = '-';
    buffer_append(out, p, (size_t)(text + sizeof text - p));
}

static void write_points(Buffer *out, const Point *points, size_t count) {
    buffer_append_text(out, " points=\"");
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_append_byte(out, ';');
        write_number(out, points[i].x);
        buffer_append_byte(out, ',');
        write_number(out, points[i].y);
    }
    buffer_append_byte(out, '"');
}

static void begin_shape(Buffer *out, const char *element, const Annotation *a) {
    buffer_append_text(out, "    <");
    buffer_append_text(out, element);
    buffer_append_text(out, " label=\"");
    markup_text(out, a->name);
    buffer_append_text(out, "\" source=\"manual\" occluded=\"0\"");
}

static void end_shape(Buffer *out) { buffer_append_text(out, " z_order=\"0\"/>\n"); }

/* What is thinner than the last decimal would read as nothing. */
static bool is_visible(Box box) { return nearbyint(box.x * 100) < nearbyint((box.x + box.w) * 100) && nearbyint(box.y * 100) < nearbyint((box.y + box.h) * 100); }

static bool write_box(Buffer *out, const Annotation *a, Box cut) {
    static const char *const NAMES[] = {" xtl=\"", " ytl=\"", " xbr=\"", " ybr=\""};
    double values[] = {cut.x, cut.y, cut.x + cut.w, cut.y + cut.h};
    if (!is_visible(cut)) return false;
    begin_shape(out, "box", a);
    for (size_t i = 0; i < 4; i++) {
        buffer_append_text(out, NAMES[i]);
        write_number(out, values[i]);
        buffer_append_byte(out, '"');
    }
    end_shape(out);
    return true;
}

static void write_path(Buffer *out, const char *element, const Annotation *a, const Point *points, size_t count) {
    begin_shape(out, element, a);
    write_points(out, points, count);
    end_shape(out);
}

/* One element for each part; returns how many there were. */
static size_t write_polygon(CvatWriter *c, const DatasetImage *image, const Annotation *a) {
    size_t parts = 0;
    for (size_t i = 0; i < a->polygon.count; i++) {
        const Ring *ring = &a->polygon.rings[i];
        if (!writer_takes_part(c->writer, image, &a->polygon, i) || !is_visible(points_box(ring->points, ring->count))) continue;
        write_path(&c->text, "polygon", a, ring->points, ring->count);
        parts++;
    }
    if (parts > 1) writer_lose(c->writer, "shapes_split", "shapes of several parts became one polygon a part", 1);
    return parts;
}

static size_t write_shape(CvatWriter *c, const DatasetImage *image, const Annotation *a, Box cut) {
    switch (a->type) {
    case ANNOTATION_BBOX: return write_box(&c->text, a, cut);
    case ANNOTATION_POLYGON: return write_polygon(c, image, a);
    case ANNOTATION_POLYLINE: write_path(&c->text, "polyline", a, a->path.points, a->path.count); return 1;
    case ANNOTATION_KEYPOINT: write_path(&c->text, "points", a, &a->keypoint, 1); return 1;
    }
    return 0;
}

static void write_annotation(CvatWriter *c, const DatasetImage *image, const Annotation *a) {
    Writer *w = c->writer;
    Box cut = {0};
    bool has_area = a->type == ANNOTATION_BBOX || a->type == ANNOTATION_POLYGON;
    if (!(has_area ? writer_takes_shape(w, image, a, &cut) : writer_takes_path(w, image, a))) return;
    size_t class = writer_class(w, a);
    if (class == STRING_MAP_NONE) return;
    size_t shapes = write_shape(c, image, a, cut);
    if (!shapes) writer_lose(w, "empty_shapes", "shapes without width or height were left out: readers refuse them", 1);
    else writer_lose_extras(w, a, true);
    writer_count(w, class, shapes);
}

/* CVAT's own importer takes labels from here when a task is made of the file; other readers insist on it. A dataset with splits is what CVAT calls a
 * project: a task a split, which is the images' subset. */
static void write_meta(CvatWriter *c, bool has_splits) {
    const DatasetInfo *info = c->writer->info;
    const char *kind = has_splits ? "project" : "task";
    Buffer *out = &c->text;
    buffer_printf(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <%s>\n", kind);
    markup_element(out, "      ", "name", info->name ? info->name : "");
    if (!has_splits) buffer_append_text(out, "      <mode>annotation</mode>\n      <overlap>0</overlap>\n");
    if (has_splits) buffer_append_text(out, "      <tasks>\n");
    for (size_t i = 0; has_splits && i < SPLIT_COUNT; i++)
        buffer_printf(out, "        <task>\n          <id>%zu</id>\n          <name>%s</name>\n          <subset>%s</subset>\n        </task>\n", i, SPLITS[i], SPLITS[i]);
    if (has_splits) buffer_append_text(out, "      </tasks>\n");
    buffer_append_text(out, "      <labels>\n");
    for (size_t i = 0; i < info->class_count; i++) {
        buffer_append_text(out, "        <label>\n");
        markup_element(out, "          ", "name", info->classes[i].name);
        if (info->classes[i].color) markup_element(out, "          ", "color", info->classes[i].color);
        buffer_append_text(out, "          <type>any</type>\n          <attributes>\n          </attributes>\n        </label>\n");
    }
    buffer_printf(out, "      </labels>\n    </%s>\n  </meta>\n", kind);
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    CvatWriter *c = context;
    Buffer *out = &c->text;
    if (c->image_index == 0) write_meta(c, image->split != NULL);
    buffer_printf(out, "  <image id=\"%zu\" name=\"", c->image_index++);
    markup_text(out, name);
    buffer_append_byte(out, '"');
    if (image->split) buffer_printf(out, " subset=\"%s\"", image->split);
    buffer_printf(out, " width=\"%u\" height=\"%u\">\n", image->width, image->height);
    for (size_t i = 0; i < image->annotations.count; i++) write_annotation(c, image, &image->annotations.items[i]);
    buffer_append_text(out, "  </image>\n");
    return out->size >= FLUSH_SIZE || out->failed ? flush(c, err) : STATUS_OK;
}

Status cvat_write(Writer *w, Error *err) {
    static const char *const NOTES[] = {"Coordinates are rounded to two decimals.", NULL};
    CvatWriter c = {.writer = w};
    w->notes = NOTES;
    buffer_init(&c.text, (size_t)1 << 31);
    Status status = zip_writer_begin(w->zip, "annotations.xml", err);
    if (status == STATUS_OK) status = writer_each(w, write_image, &c, err);
    if (c.image_index == 0) write_meta(&c, false);
    buffer_append_text(&c.text, "</annotations>\n");
    if (status == STATUS_OK) status = flush(&c, err);
    if (status == STATUS_OK) status = zip_writer_end(w->zip, err);
    if (status == STATUS_OK) status = writer_pixels_of_all(w, "images", err);
    buffer_clear(&c.text);
    return status;
}
