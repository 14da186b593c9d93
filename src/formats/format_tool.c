/* format_tool: datasets from the command line, for tests and for people at work on a format. Not installed.
 *
 *     format_tool read PATH                          summary as JSON
 *     format_tool list PATH                          one JSON line per image, as the pictograph format writes them
 *     format_tool convert PATH FORMAT OUT.zip        with pixels; the JSON says how long reading and writing took
 *     format_tool bench IMAGES ANNOTATIONS FORMAT OUT.zip [PIXELS]   made-up images, each with the bytes of the file PIXELS; prints seconds of writing and reading back
 *
 * A zip is unpacked into a temporary folder that is removed at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/dataset.h"
#include "base/banned.h"

static int fail(const Error *err) {
    fprintf(stderr, "format_tool: %s\n", err->message);
    return 1;
}

static void print(Buffer *text) {
    puts(buffer_text(text));
    buffer_reset(text);
}

/* ---- all images in memory: a tool may ---- */

typedef struct Gathered {
    Arena arena;
    DatasetImage *images;
    size_t count, capacity, next;
    size_t splits[4]; /* train, val, test, none */
    double read_seconds, write_seconds;
    bool list, keep;  /* print each image, keep it */
    Buffer line;
} Gathered;


static void print_image(Gathered *g, const DatasetImage *image) {
    JsonWriter w;
    json_writer_init(&w, &g->line);
    json_begin_object(&w);
    json_field_string(&w, "folder", image->folder);
    json_field_string(&w, "filename", image->filename);
    json_field_int(&w, "width", image->width);
    json_field_int(&w, "height", image->height);
    json_field_string(&w, "split", image->split);
    json_field_string(&w, "path", image->path);
    json_field_bool(&w, "labelled", image->labelled);
    json_key(&w, "annotations");
    annotation_list_write(&image->annotations, &w);
    json_end_object(&w);
    print(&g->line);
}

static Ring copy_ring(Arena *arena, Ring ring) {
    Ring copy = {arena_new_array(arena, Point, ring.count), ring.count};
    if (ring.count) memcpy(copy.points, ring.points, ring.count * sizeof *copy.points);
    return copy;
}

static AnnotationList copy_annotations(Arena *arena, const AnnotationList *list) {
    AnnotationList copy = {0};
    for (size_t i = 0; i < list->count; i++) {
        Annotation a = list->items[i];
        a.id = arena_strdup(arena, a.id);
        a.name = arena_strdup(arena, a.name);
        a.created_by = arena_strdup(arena, a.created_by);
        a.attributes = arena_strdup(arena, a.attributes);
        a.path = copy_ring(arena, a.path);
        a.polygon.rings = arena_new_array(arena, Ring, a.polygon.count);
        for (size_t r = 0; r < a.polygon.count; r++) a.polygon.rings[r] = copy_ring(arena, list->items[i].polygon.rings[r]);
        annotation_list_append(arena, &copy, &a);
    }
    return copy;
}

static Status gather(void *context, const DatasetImage *image, Error *err) {
    Gathered *g = context;
    size_t split = 0;
    (void)err;
    while (split < 3 && !text_equal(SPLITS[split], image->split)) split++;
    g->splits[split]++;
    if (g->list) {
        print_image(g, image);
        return STATUS_OK;
    }
    if (!g->keep) return STATUS_OK;
    if (g->count == g->capacity) {
        g->capacity = g->capacity ? 2 * g->capacity : 64;
        g->images = xrealloc(g->images, g->capacity * sizeof *g->images);
    }
    DatasetImage *copy = &g->images[g->count++];
    *copy = *image;
    copy->id = arena_strdup(&g->arena, image->id);
    copy->folder = arena_strdup(&g->arena, image->folder);
    copy->filename = arena_strdup(&g->arena, image->filename);
    copy->display_name = arena_strdup(&g->arena, image->display_name);
    copy->status = arena_strdup(&g->arena, image->status);
    copy->path = arena_strdup(&g->arena, image->path);
    copy->annotations = copy_annotations(&g->arena, &image->annotations);
    return STATUS_OK;
}

static Status gathered_next(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    Gathered *g = context;
    (void)err, (void)with_annotations;
    *more = g->next < g->count;
    if (*more) *out = g->images[g->next++];
    return STATUS_OK;
}

static Status gathered_rewind(void *context, Error *err) {
    (void)err;
    ((Gathered *)context)->next = 0;
    return STATUS_OK;
}

/* ---- commands ---- */

static void print_report(const char *format, const Gathered *g, const DatasetReport *report, Buffer *out) {
    JsonWriter w;
    json_writer_init(&w, out);
    w.indent = 2;
    json_begin_object(&w);
    json_field_string(&w, "format", format);
    json_field_string(&w, "name", report->name);
    json_field_int(&w, "images", (int64_t)report->images);
    json_field_int(&w, "labelled_images", (int64_t)report->labelled_images);
    json_field_int(&w, "annotations", (int64_t)report->annotations);
    json_field_int(&w, "left_out", (int64_t)report->left_out);
    json_key(&w, "classes");
    json_begin_array(&w);
    for (size_t i = 0; i < report->class_count; i++) json_string(&w, report->classes[i].name);
    json_end_array(&w);
    json_key(&w, "splits");
    json_begin_object(&w);
    for (size_t i = 0; i < 4; i++) json_field_int(&w, i < 3 ? SPLITS[i] : "none", (int64_t)g->splits[i]);
    json_end_object(&w);
    json_key(&w, "warnings");
    json_begin_array(&w);
    for (size_t i = 0; i < report->warning_count; i++) {
        json_begin_object(&w);
        json_field_string(&w, "file", report->warnings[i].file);
        json_field_string(&w, "text", report->warnings[i].text);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_field_int(&w, "warning_total", (int64_t)report->warning_total);
    json_end_object(&w);
    print(out);
}

static void print_written(const Gathered *g, const DatasetWritten *written, Buffer *out) {
    JsonWriter w;
    json_writer_init(&w, out);
    json_begin_object(&w);
    json_field_int(&w, "images", (int64_t)written->images);
    json_field_int(&w, "annotations", (int64_t)written->annotations);
    json_field_int(&w, "files", (int64_t)written->files);
    json_field_int(&w, "bytes", (int64_t)written->bytes);
    json_field_number(&w, "read_seconds", g->read_seconds);
    json_field_number(&w, "write_seconds", g->write_seconds);
    for (size_t i = 0; i < written->loss_count; i++) json_field_int(&w, written->losses[i].kind, (int64_t)written->losses[i].count);
    json_end_object(&w);
    print(out);
}

static Status convert(Gathered *g, const DatasetReport *report, const char *format_name, const char *out, Buffer *text, Error *err) {
    const DatasetFormat *format = dataset_format_find(format_name);
    DatasetInfo info = {.name = report->name ? report->name : "converted", .classes = report->classes, .class_count = report->class_count, .include_images = true,
                        .description = report->description, .kinds = report->kinds};
    DatasetSource source = {g, gathered_next, gathered_rewind};
    DatasetWritten written;
    if (!format) return error_set(err, STATUS_BAD_REQUEST, "no format %s", format_name);
    double start = clock_monotonic();
    Status status = dataset_write(format, &info, &source, out, &written, err);
    g->write_seconds = clock_monotonic() - start;
    if (status == STATUS_OK) print_written(g, &written, text);
    return status;
}

/* argv: command, path [, format, out] */
static int on_dataset(int argc, char **argv) {
    char work[] = "/tmp/format_tool.XXXXXX";
    Error err = {0};
    Dataset *dataset = NULL;
    DatasetReport report;
    Gathered g = {.list = text_equal(argv[0], "list"), .keep = argc == 4};
    if (!mkdtemp(work)) return fail(&(Error){STATUS_IO, "no temporary folder"});
    arena_init(&g.arena, SIZE_MAX);
    buffer_init(&g.line, (size_t)1 << 31);
    dataset_report_init(&report, &g.arena);
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.work_folder = work;
    double start = clock_monotonic();
    Status status = dataset_open(&dataset, argv[1], &options, &err);
    if (status == STATUS_OK) status = dataset_read(dataset, dataset_format(dataset), &(DatasetSink){&g, gather}, &report, &err);
    g.read_seconds = clock_monotonic() - start;
    if (status == STATUS_OK && argc == 4) status = convert(&g, &report, argv[2], argv[3], &g.line, &err);
    else if (status == STATUS_OK && !g.list) print_report(dataset_format(dataset) ? dataset_format_name(dataset_format(dataset)) : NULL, &g, &report, &g.line);
    dataset_close(dataset);
    buffer_clear(&g.line);
    free(g.images);
    arena_clear(&g.arena);
    file_remove_tree(work, NULL);
    return status == STATUS_OK ? 0 : fail(&err);
}

/* ---- made-up images ---- */

typedef struct Made {
    size_t images, per_image, next;
    const char *pixels;
    Arena arena;
    char filename[32];
} Made;

static Status made_next(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    Made *m = context;
    (void)err, (void)with_annotations;
    *more = m->next < m->images;
    if (!*more) return STATUS_OK;
    arena_reset(&m->arena);
    snprintf(m->filename, sizeof m->filename, "image_%07zu.jpg", m->next);
    *out = (DatasetImage){.folder = m->next % 3 ? "/a" : "/", .filename = m->filename, .width = 1920, .height = 1080, .status = "complete", .path = m->pixels,
                          .id = arena_printf(&m->arena, "11111111-2222-3333-4444-%012zx", m->next)};
    for (size_t i = 0; i < m->per_image; i++) {
        double x = (double)((m->next * 37 + i * 101) % 1800) + 0.25, y = (double)((m->next * 53 + i * 67) % 1000) + 0.5;
        Annotation a = {.id = arena_printf(&m->arena, "55555555-6666-7777-8888-%06zx%06zx", m->next, i), .name = i % 3 ? "car" : "person", .bounding_box = {x, y, 60.5, 42.75}, .confidence = 1};
        if (i % 4 == 0) {
            a.type = ANNOTATION_POLYGON;
            Point *p = arena_new_array(&m->arena, Point, 12);
            for (int k = 0; k < 12; k++) p[k] = (Point){x + k * 3.75, y + (k * k) % 17};
            a.polygon = (Polygon){arena_new(&m->arena, Ring), 1};
            a.polygon.rings[0] = (Ring){p, 12};
        }
        annotation_list_append(&m->arena, &out->annotations, &a);
    }
    m->next++;
    return STATUS_OK;
}

static Status made_rewind(void *context, Error *err) {
    (void)err;
    ((Made *)context)->next = 0;
    return STATUS_OK;
}

static double cpu_seconds(const struct rusage *usage) {
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) + (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static int bench(int argc, char **argv) {
    int64_t images = 0, annotations = 0;
    Error err = {0};
    const DatasetFormat *format = dataset_format_find(argv[3]);
    if (!text_to_int(argv[1], &images) || !text_to_int(argv[2], &annotations) || images < 1 || !format) return 2;
    Made made = {.images = (size_t)images, .per_image = (size_t)(annotations / images), .pixels = argc > 5 ? argv[5] : NULL};
    arena_init(&made.arena, SIZE_MAX);
    DatasetClass classes[] = {{.name = "person"}, {.name = "car"}};
    size_t counts[2];
    DatasetInfo info = {.name = "bench", .class_counts = counts, .classes = classes, .class_count = 2, .include_images = made.pixels};
    DatasetWritten written;
    struct rusage after_write, after_check;
    char work[] = "/tmp/format_tool.XXXXXX";
    if (!mkdtemp(work)) return fail(&(Error){STATUS_IO, "no temporary folder"});
    double start = clock_monotonic();
    Status status = dataset_write(format, &info, &(DatasetSource){&made, made_next, made_rewind}, argv[4], &written, &err);
    double written_at = clock_monotonic();
    getrusage(RUSAGE_SELF, &after_write);
    if (status == STATUS_OK) status = dataset_check(format, argv[4], work, &info, &written, NULL, NULL, &err);
    double checked_at = clock_monotonic();
    getrusage(RUSAGE_SELF, &after_check);
    arena_clear(&made.arena);
    file_remove_tree(work, NULL);
    if (status != STATUS_OK) return fail(&err);
    printf("%zu images, %zu annotations: %.2f s (%.2f s of the CPU), %ld MB RSS, zip of %.1f MB; read back in %.2f s (%.2f s), %ld MB\n", written.images,
           written.annotations, written_at - start, cpu_seconds(&after_write), after_write.ru_maxrss / 1024, (double)written.bytes / 1e6,
           checked_at - written_at, cpu_seconds(&after_check) - cpu_seconds(&after_write), after_check.ru_maxrss / 1024);
    return 0;
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    if (argc == 3 && (text_equal(command, "read") || text_equal(command, "list"))) return on_dataset(2, argv + 1);
    if (argc == 5 && text_equal(command, "convert")) return on_dataset(4, argv + 1);
    if ((argc == 6 || argc == 7) && text_equal(command, "bench")) return bench(argc - 1, argv + 1);
    fputs("usage: format_tool read|list PATH\n       format_tool convert PATH FORMAT OUT.zip\n       format_tool bench IMAGES ANNOTATIONS FORMAT OUT.zip [PIXELS]\n", stderr);
    return 2;
}
