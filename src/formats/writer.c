/* What all writers share: pulling images, counting, losses, names without extension. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { CLASHES = 1 };

/* "/a/scan.tif/b" when beside the folder scan.tif the archive has a file of that name: the folder gets a hash, since no disk holds both. */
static const char *folder_of(Writer *w, const DatasetImage *image) {
    const char *folder = image->folder ? image->folder : "/", *apart = "";
    if (!w->file_like.count) return folder;
    for (const char *part = folder, *end; *part; part = end) {
        end = strchrnul(part + 1, '/');
        const char *whole = arena_strndup(&w->image_arena, folder, (size_t)(end - folder));
        bool clashes = string_map_get(&w->file_like, whole) == CLASHES;
        apart = arena_printf(&w->image_arena, "%s%.*s", apart, (int)(end - part), part);
        if (clashes) apart = arena_printf(&w->image_arena, "%s~%016llx", apart, (unsigned long long)text_hash(whole, strlen(whole)));
    }
    return apart;
}

/* Path of an image in the archive; NULL when it cannot have one. */
static const char *name_of(Writer *w, const DatasetImage *image) { return name_in_archive(&w->image_arena, folder_of(w, image), image->filename); }

/* The next image of the source, with nothing counted. */
static Status pull(Writer *w, bool with_annotations, DatasetImage *out, bool *more, Error *err) {
    *out = (DatasetImage){0};
    *more = false;
    arena_reset(&w->image_arena);
    return w->source->next(w->source->context, with_annotations, out, more, err);
}

/* Labels of an image are called by its name or stem. */
static const char *const LABELS[] = {"json", "txt", "xml"};
enum { LABEL_COUNT = sizeof LABELS / sizeof *LABELS };

static bool is_file_like(const char *folder) {
    bool is = name_is_image(folder);
    for (size_t i = 0; i < LABEL_COUNT && !is; i++) is = *file_extension(folder) && text_equal(file_extension(folder) + 1, LABELS[i]);
    return is;
}

static void note_folders(Writer *w, const DatasetImage *image) {
    const char *folder = image->folder ? image->folder : "/";
    for (const char *end = folder; *end;) {
        end = strchrnul(end + 1, '/');
        const char *whole = arena_strndup(&w->image_arena, folder, (size_t)(end - folder));
        if (is_file_like(whole)) string_map_get_or_set(&w->file_like, whole, 0);
    }
}

static void note_file(Writer *w, const char *path) {
    if (string_map_get(&w->file_like, path) != STRING_MAP_NONE) string_map_set(&w->file_like, path, CLASHES);
}

static void note_files(Writer *w, const DatasetImage *image) {
    Arena *arena = &w->image_arena;
    const char *path = arena_printf(arena, "/%s", name_join(arena, image->folder, image->filename)), *extension = file_extension(path);
    const char *stem = name_without_extension(arena, path), *renamed = *extension ? arena_printf(arena, "%s_%s", stem, extension + 1) : stem;
    note_file(w, path);
    note_file(w, arena_printf(arena, "%s%s", renamed, extension));
    for (size_t i = 0; i < LABEL_COUNT; i++) {
        note_file(w, arena_printf(arena, "%s.%s", path, LABELS[i]));
        note_file(w, arena_printf(arena, "%s.%s", stem, LABELS[i]));
        note_file(w, arena_printf(arena, "%s.%s", renamed, LABELS[i]));
    }
}

Status writer_find_clashes(Writer *w, Error *err) {
    void (*const passes[])(Writer *writer, const DatasetImage *image) = {note_folders, note_files};
    Status status = STATUS_OK;
    for (size_t i = 0; i < 2 && status == STATUS_OK && (i == 0 || w->file_like.count); i++) {
        DatasetImage image;
        bool more = true;
        while ((status = pull(w, false, &image, &more, err)) == STATUS_OK && more) passes[i](w, &image);
        if (status == STATUS_OK) status = w->source->rewind(w->source->context, err);
    }
    note_file(w, "/MANIFEST.json");
    return status;
}

Status writer_next(Writer *w, DatasetImage *out, const char **name, bool *more, Error *err) {
    for (;;) {
        Status status = pull(w, true, out, more, err);
        if (status != STATUS_OK || !*more) return status;
        *name = name_of(w, out);
        if (*name) break;
        writer_lose(w, "names_unusable", "images were left out because no archive can hold their name", 1);
    }
    if (!text_equal(*name, name_join(&w->image_arena, out->folder, out->filename)))
        writer_lose(w, "names_shortened", "names of images or folders that not every archive can hold were cut and got a hash", 1);
    w->written->images++;
    return STATUS_OK;
}

size_t writer_class(Writer *w, const Annotation *annotation) {
    size_t class = string_map_get(&w->classes, annotation->name);
    if (class == STRING_MAP_NONE) writer_lose(w, "unknown_class", "annotations of classes that the dataset does not have were left out", 1);
    return class;
}

void writer_count(Writer *w, size_t class, size_t labels) {
    w->class_counts[class] += labels;
    w->written->annotations += labels;
}

void writer_lose(Writer *w, const char *kind, const char *text, size_t count) {
    DatasetWritten *written = w->written;
    if (!count) return;
    size_t i = 0;
    while (i < written->loss_count && strcmp(written->losses[i].kind, kind) != 0) i++;
    if (i == DATASET_LOSSES_MAX) return;
    if (i == written->loss_count) written->losses[written->loss_count++] = (DatasetLoss){kind, text, 0};
    written->losses[i].count += count;
}

static void lose_outside(Writer *w) { writer_lose(w, "outside_image", "annotations were left out because they lie outside their image", 1); }

bool writer_takes_shape(Writer *w, const DatasetImage *image, const Annotation *annotation, Box *cut) {
    if (annotation->type == ANNOTATION_KEYPOINT) {
        writer_lose(w, "keypoints_left_out", "keypoints were left out: the format does not hold them", 1);
        return false;
    }
    if (annotation->type == ANNOTATION_POLYLINE) {
        writer_lose(w, "polylines_left_out", "polylines were left out: the format does not hold them", 1);
        return false;
    }
    ShapeFault fault = shape_fault(image, shape_box(annotation), cut);
    if (fault == SHAPE_EMPTY) writer_lose(w, "empty_shapes", "shapes without width or height were left out: readers refuse them", 1);
    else if (fault != SHAPE_FINE) lose_outside(w);
    return fault == SHAPE_FINE;
}

bool writer_takes_path(Writer *w, const DatasetImage *image, const Annotation *annotation) {
    bool is_point = annotation->type == ANNOTATION_KEYPOINT;
    bool outside = shape_is_outside(image, points_box(is_point ? &annotation->keypoint : annotation->path.points, is_point ? 1 : annotation->path.count));
    if (outside) lose_outside(w);
    return !outside;
}

bool writer_takes_part(Writer *w, const DatasetImage *image, const Polygon *polygon, size_t index) {
    const Ring *ring = &polygon->rings[index];
    Box cut;
    bool is_hole = polygon->count > 1 && polygon_ring_is_hole(polygon, index);
    bool outside = !is_hole && shape_fault(image, points_box(ring->points, ring->count), &cut) == SHAPE_OUTSIDE;
    if (is_hole) writer_lose(w, "holes_left_out", "holes were left out: a polygon has one outline", 1);
    if (outside) lose_outside(w);
    return !is_hole && !outside;
}

void writer_lose_extras(Writer *w, const Annotation *annotation, bool confidence) {
    if (confidence && annotation->confidence < 1) writer_lose(w, "confidences_left_out", "annotations lost their confidence", 1);
    if (annotation->attributes && strcmp(annotation->attributes, "[]") != 0)
        writer_lose(w, "attributes_left_out", "annotations lost their attributes", 1);
}

Status writer_pixels(Writer *w, const char *folder, const char *name, const DatasetImage *image, Error *err) {
    if (!w->info->include_images) return STATUS_OK;
    if (!image->path) {
        writer_lose(w, "pixels_missing", "images have no file and are listed without pixels", 1);
        return STATUS_OK;
    }
    const char *path = folder ? arena_printf(&w->image_arena, "%s/%s", folder, name) : name;
    return zip_writer_file(w->zip, path, image->path, err);
}

/* ---- stems ---- */

/* Two stems of one hash would only be renamed without need. */
static uint64_t stem_hash(const char *path) { return text_hash(path, strlen(path) - strlen(file_extension(path))); }

static int by_hash(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Status stem_table_fill(StemTable *table, Writer *w, bool (*look)(void *context, const DatasetImage *image), void *context, Error *err) {
    *table = (StemTable){0};
    for (;;) {
        DatasetImage image;
        bool more;
        Status status = pull(w, look != NULL, &image, &more, err);
        if (status != STATUS_OK) return status;
        if (!more) break;
        const char *name = name_of(w, &image);
        if (!name) continue;
        if (look && look(context, &image)) look = NULL;
        if (table->count == table->capacity) {
            table->capacity = table->capacity ? 2 * table->capacity : 1024;
            table->hashes = xrealloc(table->hashes, table->capacity * sizeof *table->hashes);
        }
        table->hashes[table->count++] = stem_hash(name);
    }
    if (table->count) qsort(table->hashes, table->count, sizeof *table->hashes, by_hash);
    return w->source->rewind(w->source->context, err);
}

Status writer_each(Writer *w, WriterImage *image, void *context, Error *err) {
    for (;;) {
        DatasetImage next;
        bool more;
        const char *name;
        Status status = writer_next(w, &next, &name, &more, err);
        if (status == STATUS_OK && more) status = image(context, &next, name, err);
        if (status != STATUS_OK || !more) return status;
    }
}

Status writer_pixels_of_all(Writer *w, const char *folder, Error *err) {
    if (!w->info->include_images) return STATUS_OK;
    Status status = w->source->rewind(w->source->context, err);
    while (status == STATUS_OK) {
        DatasetImage next;
        bool more;
        status = pull(w, false, &next, &more, err);
        if (status != STATUS_OK || !more) break;
        const char *name = name_of(w, &next);
        if (name) status = writer_pixels(w, folder, name, &next, err);
    }
    return status;
}

void stem_table_reserve(StemTable *table, const char *stem) {
    table->hashes = xrealloc(table->hashes, (table->count + 1) * sizeof *table->hashes);
    table->hashes[table->count++] = text_hash(stem, strlen(stem));
    table->capacity = table->count;
    qsort(table->hashes, table->count, sizeof *table->hashes, by_hash);
}

void stem_table_clear(StemTable *table) {
    free(table->hashes);
    *table = (StemTable){0};
}

static bool is_stem(const StemTable *table, const char *stem) {
    uint64_t hash = text_hash(stem, strlen(stem));
    return table->count && bsearch(&hash, table->hashes, table->count, sizeof hash, by_hash);
}

static bool is_shared(const StemTable *table, uint64_t hash) {
    const uint64_t *at = bsearch(&hash, table->hashes, table->count, sizeof hash, by_hash), *end = table->hashes + table->count;
    return at && ((at > table->hashes && at[-1] == hash) || (at + 1 < end && at[1] == hash));
}

const char *stem_table_name(const StemTable *table, Writer *w, const char **image_name) {
    const char *extension = file_extension(*image_name);
    char *stem = name_without_extension(&w->image_arena, *image_name);
    if (!table->count || !*extension || !is_shared(table, stem_hash(*image_name))) return stem;
    writer_lose(w, "images_renamed", "images of one stem in one folder carry their extension in it: photo_jpg.jpg", 1);
    char *name = arena_printf(&w->image_arena, "%s_%s", stem, extension + 1);
    while (is_stem(table, name)) name = arena_printf(&w->image_arena, "%s_", name); /* "a_jpg.png" beside "a.jpg" and "a.png" */
    *image_name = arena_printf(&w->image_arena, "%s%s", name, extension);
    return name;
}
