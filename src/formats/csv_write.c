/* CSV out: annotations.csv by RFC 4180, a line a box, and images/<folder>/<filename>. An image without boxes has one line whose last columns
 * are empty. Boxes only: of a polygon its enclosing box.
 *
 * Spreadsheets take a text that begins with = + - @ for a formula: such a one gets an apostrophe before it, which csv_read.c takes away.
 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { FLUSH_SIZE = 1 << 18 };

typedef struct CsvWriter {
    Writer *writer;
    Buffer text;     /* emptied into the zip as it grows */
    JsonWriter json; /* for numbers */
} CsvWriter;

static void separate(CsvWriter *c) { buffer_append_byte(&c->text, ','); }

static void write_number(CsvWriter *c, double value) {
    json_writer_init(&c->json, &c->text);
    json_number(&c->json, value);
}

/* NULL is empty. */
static void write_text(CsvWriter *c, const char *text) {
    Buffer *out = &c->text;
    if (!text) return;
    const char *guard = text[strspn(text, "'")] && strchr("=+-@\t\r", text[strspn(text, "'")]) ? "'" : "";
    if (!text[strcspn(text, ",\"\r\n")]) {
        buffer_append_text(out, guard);
        buffer_append_text(out, text);
        return;
    }
    buffer_append_byte(out, '"');
    buffer_append_text(out, guard);
    for (; *text; text++) {
        if (*text == '"') buffer_append_byte(out, '"');
        buffer_append_byte(out, *text);
    }
    buffer_append_byte(out, '"');
}

/* image_id to status */
static void write_image_columns(CsvWriter *c, const DatasetImage *image, const char *name) {
    const char *texts[] = {image->id, file_base_name(name), name_folder(&c->writer->image_arena, name)};
    for (size_t i = 0; i < 3; i++) {
        write_text(c, texts[i]);
        separate(c);
    }
    buffer_printf(&c->text, "%u,%u,", image->width, image->height);
    write_text(c, image->status);
}

static bool write_annotation(CsvWriter *c, const DatasetImage *image, const char *name, const Annotation *a) {
    Writer *w = c->writer;
    Box box = shape_box(a), cut;
    if (!writer_takes_shape(w, image, a, &cut)) return false;
    size_t class = writer_class(w, a);
    if (class == STRING_MAP_NONE) return false;
    writer_count(w, class, 1);
    if (a->type == ANNOTATION_POLYGON) writer_lose(w, "polygons_as_boxes", "polygons became their enclosing boxes", 1);
    writer_lose_extras(w, a, false);
    write_image_columns(c, image, name);
    separate(c);
    write_text(c, a->id);
    separate(c);
    write_text(c, a->name);
    const double numbers[] = {box.x, box.y, box.w, box.h, a->confidence};
    for (size_t i = 0; i < 5; i++) {
        separate(c);
        write_number(c, numbers[i]);
    }
    separate(c);
    write_text(c, a->created_by);
    buffer_append_text(&c->text, "\r\n");
    return true;
}

static Status flush(CsvWriter *c, Error *err) {
    if (c->text.failed) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "one image has more annotations than CSV text can take at once");
    Status status = zip_writer_data(c->writer->zip, c->text.data, c->text.size, err);
    buffer_reset(&c->text);
    return status;
}

static Status write_image(void *context, const DatasetImage *image, const char *name, Error *err) {
    CsvWriter *c = context;
    size_t lines = 0;
    for (size_t i = 0; i < image->annotations.count; i++) lines += write_annotation(c, image, name, &image->annotations.items[i]);
    if (!lines) {
        write_image_columns(c, image, name);
        buffer_append_text(&c->text, ",,,,,,,,\r\n");
    }
    return c->text.size >= FLUSH_SIZE || c->text.failed ? flush(c, err) : STATUS_OK;
}

Status csv_write(Writer *w, Error *err) {
    static const char *const NOTES[] = {"Texts that begin with = + - @ have an apostrophe before them, so that spreadsheets do not run them.", NULL};
    CsvWriter c = {.writer = w};
    w->notes = NOTES;
    buffer_init(&c.text, (size_t)1 << 31);
    buffer_append_text(&c.text, "image_id,filename,folder,width,height,status,annotation_id,name,x,y,w,h,confidence,created_by\r\n");
    Status status = zip_writer_begin(w->zip, "annotations.csv", err);
    if (status == STATUS_OK) status = writer_each(w, write_image, &c, err);
    if (status == STATUS_OK) status = flush(&c, err);
    if (status == STATUS_OK) status = zip_writer_end(w->zip, err);
    if (status == STATUS_OK) status = writer_pixels_of_all(w, "images", err);
    buffer_clear(&c.text);
    return status;
}
