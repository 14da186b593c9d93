/* Pascal VOC out: Annotations/<folder>/<stem>.xml, JPEGImages/<folder>/<filename>, ImageSets/Main. Boxes only: of a polygon its enclosing
 * box. Corners as voc_read.c says; which convention holds stands in the manifest and in every file's <source>.
 */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

typedef struct VocWriter {
    Writer *writer;
    StemTable stems;
    Buffer text;          /* of one file */
    Buffer all, lists[3]; /* names of all images; of train, val, test */
} VocWriter;

/* Whole pixels in the image, at least one on each axis. */
typedef struct Corners {
    long xmin, ymin, xmax, ymax;
    bool cut; /* touches the border: labelImg calls that truncated */
} Corners;

/* Two pixels at least where they are counted inclusively: readers that subtract would find an empty box. */
static void axis(double start, double length, uint32_t size, bool zero_based, long *low, long *high, bool *cut) {
    double limit = size ? size : 1e9, least = fmin(limit, zero_based ? 1 : 2);
    double a = fmax(0, fmin(limit, nearbyint(start))), b = fmax(0, fmin(limit, nearbyint(start + length)));
    if (b - a < least) {
        a = fmin(a, limit - least);
        b = a + least;
    }
    *cut |= a <= 0 || (size && b >= size);
    *low = (long)a + (zero_based ? 0 : 1);
    *high = (long)b;
}

static Corners corners_of(const VocWriter *v, const DatasetImage *image, Box box) {
    Corners c = {0};
    axis(box.x, box.w, image->width, v->writer->info->voc_zero_based, &c.xmin, &c.xmax, &c.cut);
    axis(box.y, box.h, image->height, v->writer->info->voc_zero_based, &c.ymin, &c.ymax, &c.cut);
    return c;
}

static void write_object(VocWriter *v, Buffer *out, const DatasetImage *image, const Annotation *a) {
    Writer *w = v->writer;
    Box cut;
    if (!writer_takes_shape(w, image, a, &cut)) return;
    size_t class = writer_class(w, a);
    if (class == STRING_MAP_NONE) return;
    writer_count(w, class, 1);
    if (a->type == ANNOTATION_POLYGON) writer_lose(w, "polygons_as_boxes", "polygons became their enclosing boxes", 1);
    writer_lose_extras(w, a, true);
    Corners c = corners_of(v, image, cut);
    buffer_append_text(out, "\t<object>\n");
    markup_element(out, "\t\t", "name", a->name);
    buffer_printf(out, "\t\t<pose>Unspecified</pose>\n\t\t<truncated>%d</truncated>\n\t\t<difficult>0</difficult>\n", c.cut);
    buffer_printf(out, "\t\t<bndbox>\n\t\t\t<xmin>%ld</xmin>\n\t\t\t<ymin>%ld</ymin>\n\t\t\t<xmax>%ld</xmax>\n\t\t\t<ymax>%ld</ymax>\n\t\t</bndbox>\n",
                  c.xmin, c.ymin, c.xmax, c.ymax);
    buffer_append_text(out, "\t</object>\n");
}

static const char *convention(const Writer *w) {
    return w->info->voc_zero_based ? "corners are pixel edges counted from 0" : "corners are pixels counted from 1, the last one included";
}

static void write_file(VocWriter *v, Buffer *out, const DatasetImage *image, const char *filename) {
    const char *inside = image->folder ? image->folder : "/";
    buffer_append_text(out, "<annotation>\n");
    markup_element(out, "\t", "folder", arena_printf(&v->writer->image_arena, "JPEGImages%s", strcmp(inside, "/") == 0 ? "" : inside));
    markup_element(out, "\t", "filename", filename);
    buffer_append_text(out, "\t<source>\n");
    markup_element(out, "\t\t", "database", v->writer->info->name ? v->writer->info->name : "Unknown");
    markup_element(out, "\t\t", "annotation", convention(v->writer));
    buffer_append_text(out, "\t</source>\n");
    buffer_printf(out, "\t<size>\n\t\t<width>%u</width>\n\t\t<height>%u</height>\n\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n",
                  image->width, image->height);
    for (size_t i = 0; i < image->annotations.count; i++) write_object(v, out, image, &image->annotations.items[i]);
    buffer_append_text(out, "</annotation>\n");
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    VocWriter *v = context;
    Writer *w = v->writer;
    const char *stem = stem_table_name(&v->stems, w, &name);
    buffer_reset(&v->text);
    write_file(v, &v->text, image, file_base_name(name));
    if (v->text.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the labels of %s are too large", image->filename);
    buffer_printf(&v->all, "%s\n", stem);
    for (size_t s = 0; s < 3; s++) {
        if (image->split && strcmp(image->split, SPLITS[s]) == 0) buffer_printf(&v->lists[s], "%s\n", stem);
    }
    Status status = zip_writer_bytes(w->zip, arena_printf(&w->image_arena, "Annotations/%s.xml", stem), v->text.data, v->text.size, err);
    return status == STATUS_OK ? writer_pixels(w, "JPEGImages", name, image, err) : status;
}

static Status write_list(VocWriter *v, const char *name, const Buffer *list, Error *err) {
    if (list->failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the list of images is too large");
    return zip_writer_bytes(v->writer->zip, arena_printf(v->writer->arena, "ImageSets/Main/%s.txt", name), list->data, list->size, err);
}

Status voc_write(Writer *w, Error *err) {
    VocWriter v = {.writer = w};
    const char **notes = arena_new_array(w->arena, const char *, 2);
    notes[0] = convention(w);
    w->notes = notes;
    buffer_init(&v.text, (size_t)1 << 31);
    buffer_init(&v.all, (size_t)1 << 31);
    for (size_t s = 0; s < 3; s++) buffer_init(&v.lists[s], (size_t)1 << 31);
    Status status = stem_table_fill(&v.stems, w, NULL, NULL, err);
    if (status == STATUS_OK) status = writer_each(w, write_image, &v, err);
    if (status == STATUS_OK) status = write_list(&v, "all", &v.all, err);
    for (size_t s = 0; s < 3; s++) {
        if (status == STATUS_OK && v.lists[s].size) status = write_list(&v, SPLITS[s], &v.lists[s], err);
        buffer_clear(&v.lists[s]);
    }
    buffer_clear(&v.all);
    buffer_clear(&v.text);
    stem_table_clear(&v.stems);
    return status;
}
