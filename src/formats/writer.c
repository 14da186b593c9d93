/* What all writers share: pulling images, counting, losses, names without extension. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

Status writer_next(Writer *w, DatasetImage *out, bool *more, Error *err) {
    *out = (DatasetImage){0};
    *more = false;
    arena_reset(&w->image_arena);
    Status status = w->source->next(w->source->context, out, more, err);
    w->written->images += status == STATUS_OK && *more;
    return status;
}

size_t writer_class(Writer *w, const Annotation *annotation) {
    size_t class = string_map_get(&w->classes, annotation->name);
    if (class == STRING_MAP_NONE) {
        writer_lose(w, "unknown_class", "annotations of classes that the dataset does not have were left out", 1);
    } else {
        w->class_counts[class]++;
        w->written->annotations++;
    }
    return class;
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

Status writer_pixels(Writer *w, const char *folder, const char *name, const DatasetImage *image, Error *err) {
    if (!w->info->include_images) return STATUS_OK;
    if (!image->path) {
        writer_lose(w, "pixels_missing", "images have no file and are listed without pixels", 1);
        return STATUS_OK;
    }
    return zip_writer_file(w->zip, arena_printf(&w->image_arena, "%s/%s", folder, name), image->path, err);
}

/* ---- stems ---- */

static uint64_t hash_of(const char *text, size_t length) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a; two stems of one hash would only be renamed without need */
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash;
}

static uint64_t stem_hash(const char *path) { return hash_of(path, strlen(path) - strlen(file_extension(path))); }

static int by_hash(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Status stem_table_fill(StemTable *table, Writer *w, void (*looked)(void *context, const DatasetImage *image), void *context, Error *err) {
    *table = (StemTable){0};
    for (;;) {
        DatasetImage image = {0};
        bool more = false;
        arena_reset(&w->image_arena);
        Status status = w->source->next(w->source->context, &image, &more, err);
        if (status != STATUS_OK) return status;
        if (!more) break;
        if (looked) looked(context, &image);
        if (table->count == table->capacity) {
            table->capacity = table->capacity ? 2 * table->capacity : 1024;
            table->hashes = xrealloc(table->hashes, table->capacity * sizeof *table->hashes);
        }
        table->hashes[table->count++] = stem_hash(name_join(&w->image_arena, image.folder, image.filename));
    }
    if (table->count) qsort(table->hashes, table->count, sizeof *table->hashes, by_hash);
    return w->source->rewind(w->source->context, err);
}

void stem_table_clear(StemTable *table) {
    free(table->hashes);
    *table = (StemTable){0};
}

static bool is_stem(const StemTable *table, const char *stem) {
    uint64_t hash = hash_of(stem, strlen(stem));
    return table->count && bsearch(&hash, table->hashes, table->count, sizeof hash, by_hash);
}

static bool is_shared(const StemTable *table, uint64_t hash) {
    const uint64_t *at = bsearch(&hash, table->hashes, table->count, sizeof hash, by_hash), *end = table->hashes + table->count;
    return at && ((at > table->hashes && at[-1] == hash) || (at + 1 < end && at[1] == hash));
}

const char *stem_table_name(const StemTable *table, Writer *w, const DatasetImage *image, const char **image_name) {
    char *path = name_join(&w->image_arena, image->folder, image->filename);
    char *stem = name_without_extension(&w->image_arena, path);
    const char *extension = file_extension(path);
    *image_name = path;
    if (!table->count || !*extension || !is_shared(table, stem_hash(path))) return stem;
    writer_lose(w, "images_renamed", "images of one stem in one folder carry their extension in it: photo_jpg.jpg", 1);
    char *name = arena_printf(&w->image_arena, "%s_%s", stem, extension + 1);
    while (is_stem(table, name)) name = arena_printf(&w->image_arena, "%s_", name); /* "a_jpg.png" beside "a.jpg" and "a.png" */
    *image_name = arena_printf(&w->image_arena, "%s%s", name, extension);
    return name;
}
