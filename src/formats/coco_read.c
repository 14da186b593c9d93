/* COCO in: any JSON file with images, annotations and categories, however many of them lie in the folder.
 *
 * A tree of the whole text would take several times its memory: the rows of its lists are cut out, and each is parsed when its turn comes.
 * Of an image that several files list the annotations are put together, each once: COCO itself has its persons in two files.
 *
 * Ids may be numbers or texts. Boxes come from bbox, shapes from segmentation (polygons or run lengths); iscrowd regions are left out,
 * since they mark where nothing was labelled singly.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "geometry/rle.h"
#include "base/banned.h"

enum { ID_SIZE = 32, MASK_PIXELS_MAX = 1 << 28 };

/* An element of a list of the root. */
typedef struct Row {
    const char *text;
    size_t size;
    const char *image_id; /* what it says, one spelling for numbers and texts; NULL: nothing */
} Row;

/* An image of a document. */
typedef struct Mention {
    struct CocoReader *document;
    size_t image;         /* its index there */
    TreeFile *file;       /* NULL: missing */
    struct Mention *next; /* of the same file */
    bool merged;          /* its annotations went to an earlier mention's */
} Mention;

typedef struct CocoReader {
    Reader *reader;
    const char *file;
    Buffer text;
    const char *split, *folder; /* as split_of_file */
    Row *rows; /* heap */
    size_t row_count, row_capacity;
    StringMap categories;      /* id -> index into names */
    const char **names;
    size_t name_count;
    StringMap images;          /* id -> index */
    const Row **image_rows;
    Mention *mentions;         /* of the images */
    size_t image_count;
    size_t merged_images, merged_annotations, merged_known; /* images listed before, and their annotations: new there, there already */
    StringMap annotation_ids;  /* seen ones */
    const Row **annotations;   /* all, in order */
    size_t annotation_count;
    size_t *first, *next;      /* per image its first annotation, per annotation the next of its image; count when none */
    bool told_text_ids, told_keypoints, told_unknown_category;
} CocoReader;

/* ---- recognising ---- */

static bool looks_like_coco(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    bool found = reader_peek(tree, file, &ends);
    int keys = strstr(buffer_text(&ends), "\"images\"") != NULL;
    keys += strstr(buffer_text(&ends), "\"annotations\"") != NULL;
    keys += strstr(buffer_text(&ends), "\"categories\"") != NULL;
    keys += strstr(buffer_text(&ends), "\"image_id\"") && strstr(buffer_text(&ends), "\"bbox\"");
    buffer_clear(&ends);
    return found && keys >= 2;
}

static bool takes(const Dataset *d, const TreeFile *file) {
    const char *name = file_base_name(file->path);
    return reader_takes(d, file, ".json") && !text_equal(name, "MANIFEST.json") && !text_equal(name, "dataset.json");
}

bool coco_detect(const Dataset *d) { return reader_finds_file(d, takes, looks_like_coco); }

/* ---- ids and categories ---- */

/* One spelling for 5, 5.0 and "5"; false when it is neither number nor text, as NaN is. */
static bool id_text(yyjson_val *value, char *small, const char **out) {
    *out = small;
    if (yyjson_is_str(value)) *out = yyjson_get_str(value);
    else if (yyjson_is_uint(value)) snprintf(small, ID_SIZE, "%llu", (unsigned long long)yyjson_get_uint(value));
    else if (yyjson_is_sint(value)) snprintf(small, ID_SIZE, "%lld", (long long)yyjson_get_sint(value));
    else if (yyjson_is_real(value) && isfinite(yyjson_get_real(value))) snprintf(small, ID_SIZE, "%.15g", yyjson_get_real(value));
    else return false;
    return true;
}

/* ---- rows ---- */

/* Every row is known to be sound. The value lives in image_arena. */
static yyjson_val *parse_row(CocoReader *c, const Row *row) {
    return yyjson_doc_get_root(json_parse_loosely(&c->reader->image_arena, row->text, row->size, NULL));
}

/* What stands in a list of the frame: the number of a row. */
static const Row *row_at(const CocoReader *c, yyjson_val *number) { return &c->rows[yyjson_get_uint(number)]; }

/* False when text is no JSON; blanks around it are let be. */
static bool add_row(CocoReader *c, Buffer *frame, const char *text, size_t size) {
    char small[ID_SIZE];
    const char *id;
    if (strspn(text, " \t\r\n") >= size) return true; /* "[]" */
    Row row = {.text = text, .size = size};
    yyjson_doc *doc = json_parse_loosely(&c->reader->image_arena, text, size, NULL);
    if (!doc) return false;
    if (id_text(yyjson_obj_get(yyjson_doc_get_root(doc), "image_id"), small, &id)) row.image_id = arena_strdup(c->reader->arena, id);
    arena_reset(&c->reader->image_arena);
    if (c->row_count == c->row_capacity) {
        c->row_capacity = c->row_capacity ? 2 * c->row_capacity : 1024;
        c->rows = xrealloc(c->rows, c->row_capacity * sizeof *c->rows);
    }
    c->rows[c->row_count] = row;
    return buffer_printf(frame, "%zu", c->row_count++);
}

/* The text with a number for each row into *frame. The text is sound JSON when this is true and the frame is. */
static bool cut_rows(CocoReader *c, const char *text, size_t size, Buffer *frame) {
    int depth = 0;
    bool in_list = false, sound = true;
    size_t start = 0; /* of the row, else of what goes into the frame as it is */
    for (size_t i = 0; i < size && sound; i++) {
        char at = text[i];
        bool opens = at == '[' || at == '{', closes = at == ']' || at == '}';
        if (at == '"')
            for (i++; i < size && text[i] != '"'; i++) i += text[i] == '\\';
        if (in_list && depth == 2 && (closes || at == ',')) {
            sound = add_row(c, frame, text + start, i - start);
            start = i;
            in_list = !closes;
        }
        depth += opens - closes;
        if ((in_list && depth == 2 && at == ',') || (depth == 2 && at == '[')) {
            buffer_append(frame, text + start, i + 1 - start);
            start = i + 1;
            in_list = true;
        }
    }
    return buffer_append(frame, text + start, size - start) && sound;
}

static void note_text_id(CocoReader *c, yyjson_val *id) {
    if (!yyjson_is_str(id) || c->told_text_ids) return;
    c->told_text_ids = true;
    reader_warn(c->reader, c->file, "ids are texts instead of numbers; taken as they are");
}

static void read_categories(CocoReader *c, yyjson_val *root) {
    yyjson_val *list = yyjson_obj_get(root, "categories"), *number;
    size_t index, count;
    char small[ID_SIZE];
    const char *id;
    c->names = arena_new_array(c->reader->arena, const char *, yyjson_arr_size(list));
    yyjson_arr_foreach(list, index, count, number) {
        yyjson_val *category = parse_row(c, row_at(c, number));
        const char *name = json_get_string(category, "name", NULL);
        yyjson_val *key = yyjson_obj_get(category, "id");
        if (!name || text_is_blank(name) || !id_text(key, small, &id)) {
            reader_warn(c->reader, c->file, "category %zu has no name or no id; passed over", index);
            continue;
        }
        note_text_id(c, key);
        c->names[c->name_count] = reader_class(c->reader, name);
        string_map_set(&c->categories, id, c->name_count++);
    }
}

static const char *class_of(CocoReader *c, yyjson_val *annotation) {
    char small[ID_SIZE];
    const char *id;
    if (!id_text(yyjson_obj_get(annotation, "category_id"), small, &id)) return NULL;
    size_t index = string_map_get(&c->categories, id);
    if (index != STRING_MAP_NONE) return c->names[index];
    if (!c->told_unknown_category) reader_warn(c->reader, c->file, "annotations use categories that are not listed; named by their id");
    c->told_unknown_category = true;
    return reader_class(c->reader, arena_printf(&c->reader->image_arena, "category %s", *id ? id : "without id"));
}

/* ---- shapes ---- */

static bool number_at(yyjson_val *value, double *out) {
    if (!yyjson_is_num(value)) return false;
    *out = yyjson_get_num(value);
    return true;
}

static bool read_box(yyjson_val *annotation, Box *out) {
    yyjson_val *bbox = yyjson_obj_get(annotation, "bbox");
    double v[4];
    if (yyjson_arr_size(bbox) != 4) return false;
    for (size_t i = 0; i < 4; i++) {
        if (!number_at(yyjson_arr_get(bbox, i), &v[i])) return false;
    }
    *out = (Box){v[0], v[1], v[2], v[3]};
    return true;
}

/* x, y, x, y, ...; a ring of fewer than three points, or none. */
static Ring read_ring(Arena *arena, yyjson_val *flat) {
    Ring ring = {arena_new_array(arena, Point, yyjson_arr_size(flat) / 2), 0};
    size_t index, count;
    yyjson_val *value;
    double x = 0, v;
    yyjson_arr_foreach(flat, index, count, value) {
        if (!number_at(value, &v) || !isfinite(v)) return (Ring){0};
        if (index % 2) ring.points[ring.count++] = (Point){x, v};
        x = v;
    }
    return ring;
}

static bool read_polygons(CocoReader *c, const DatasetImage *image, yyjson_val *list, const char *what, Polygon *out) {
    Arena *arena = &c->reader->image_arena;
    if (yyjson_is_num(yyjson_arr_get_first(list))) { /* one ring that is not nested */
        *out = (Polygon){arena_new_array(arena, Ring, 1), 1};
        out->rings[0] = read_ring(arena, list);
        return out->rings[0].count >= 3;
    }
    size_t index, count;
    yyjson_val *flat;
    *out = (Polygon){arena_new_array(arena, Ring, yyjson_arr_size(list)), 0};
    yyjson_arr_foreach(list, index, count, flat) {
        Ring ring = read_ring(arena, flat);
        if (ring.count >= 3) out->rings[out->count++] = ring;
        else reader_warn(c->reader, c->file, "%s: a segmentation of %zu numbers is no polygon; passed over", what, yyjson_arr_size(flat));
    }
    if (out->count > 1) *out = shape_union(arena, image, *out);
    return out->count > 0;
}

static bool read_run_lengths(CocoReader *c, yyjson_val *object, const char *what, Polygon *out) {
    Arena *arena = &c->reader->image_arena;
    yyjson_val *size = yyjson_obj_get(object, "size"), *counts = yyjson_obj_get(object, "counts");
    int64_t height = yyjson_get_sint(yyjson_arr_get(size, 0)), width = yyjson_get_sint(yyjson_arr_get(size, 1));
    Rle rle;
    Error why = {0};
    Status status = STATUS_BAD_REQUEST;
    if (width < 1 || height < 1 || width > MASK_PIXELS_MAX || height > MASK_PIXELS_MAX || width * height > MASK_PIXELS_MAX) {
        error_set(&why, STATUS_BAD_REQUEST, "run lengths of a size that cannot be");
    } else if (yyjson_is_str(counts)) {
        status = rle_from_string(arena, yyjson_get_str(counts), (uint32_t)width, (uint32_t)height, &rle, &why);
    } else {
        uint32_t *numbers = arena_new_array(arena, uint32_t, yyjson_arr_size(counts));
        size_t index, count = 0;
        yyjson_val *value;
        yyjson_arr_foreach(counts, index, count, value) {
            uint64_t n = yyjson_get_uint(value);
            numbers[index] = n <= UINT32_MAX ? (uint32_t)n : UINT32_MAX;
        }
        status = rle_from_counts(arena, numbers, count, (uint32_t)width, (uint32_t)height, &rle, &why);
    }
    if (status != STATUS_OK) {
        reader_warn(c->reader, c->file, "%s: %s; its box is taken", what, why.message);
        return false;
    }
    *out = shape_of_rle(arena, &rle);
    return out->count > 0;
}

static bool read_shape(CocoReader *c, const DatasetImage *image, yyjson_val *annotation, const char *what, Polygon *out) {
    yyjson_val *segmentation = yyjson_obj_get(annotation, "segmentation");
    if (yyjson_is_obj(segmentation)) return read_run_lengths(c, segmentation, what, out);
    return yyjson_arr_size(segmentation) && read_polygons(c, image, segmentation, what, out);
}

/* ---- annotations and images ---- */

static bool is_crowd(yyjson_val *annotation) {
    yyjson_val *v = yyjson_obj_get(annotation, "iscrowd");
    return yyjson_is_true(v) || yyjson_get_num(v) > 0;
}

static const char *annotation_id(CocoReader *c, yyjson_val *annotation, size_t index) {
    char small[ID_SIZE];
    const char *id;
    Arena *arena = &c->reader->image_arena;
    if (!id_text(yyjson_obj_get(annotation, "id"), small, &id) || text_is_blank(id)) id = arena_printf(arena, "#%zu", index);
    while (string_map_get_or_set(&c->annotation_ids, id, index) != index) id = arena_printf(arena, "%s#%zu", id, index);
    return arena_strdup(arena, id);
}

static void read_annotation(CocoReader *c, DatasetImage *image, size_t index) {
    Reader *r = c->reader;
    yyjson_val *value = parse_row(c, c->annotations[index]);
    const char *name = class_of(c, value);
    const char *id = annotation_id(c, value, index);
    if (!name) {
        reader_leave_out(r, c->file, "%s, annotation %s: no category; left out", image->filename, id);
        return;
    }
    const char *what = arena_printf(&r->image_arena, "%s, annotation %s (%s)", image->filename, id, name);
    if (is_crowd(value)) {
        reader_leave_out(r, c->file, "%s: a crowd region; left out", what);
        return;
    }
    if (yyjson_obj_get(value, "keypoints") && !c->told_keypoints) {
        c->told_keypoints = true;
        reader_warn(r, c->file, "keypoints of skeletons are not read; their boxes are");
    }
    double score = json_get_number(value, "score", 1);
    Annotation annotation = {.id = id, .name = name, .confidence = score >= 0 && score <= 1 ? score : 1};
    if (read_shape(c, image, value, what, &annotation.polygon)) reader_add_polygon(r, image, c->file, what, annotation);
    else if (read_box(value, &annotation.bounding_box)) reader_add_box(r, image, c->file, what, annotation);
    else reader_leave_out(r, c->file, "%s: neither a box nor a shape; left out", what);
}

/* The same for two annotations when they say the same of an image. */
static const char *annotation_key(Arena *arena, const Annotation *a) {
    unsigned long long box[4]; /* the bits, since to print the numbers takes as long as to read them */
    memcpy(box, &a->bounding_box, sizeof box);
    return arena_printf(arena, "%d %llx %llx %llx %llx %s", (int)a->type, box[0], box[1], box[2], box[3], a->name);
}

static void group_annotations(CocoReader *c, yyjson_val *root, size_t image_count) {
    yyjson_val *list = yyjson_obj_get(root, "annotations"), *number;
    size_t index, count, lost = 0, total = yyjson_arr_size(list);
    c->annotations = arena_new_array(c->reader->arena, const Row *, total);
    c->next = arena_new_array(c->reader->arena, size_t, total);
    c->first = arena_new_array(c->reader->arena, size_t, image_count);
    c->annotation_count = total;
    for (size_t i = 0; i < image_count; i++) c->first[i] = total;
    yyjson_arr_foreach(list, index, count, number) c->annotations[index] = row_at(c, number);
    for (size_t i = total; i-- > 0;) { /* from the end, so that each list comes in the order of the file */
        size_t image = c->annotations[i]->image_id ? string_map_get(&c->images, c->annotations[i]->image_id) : STRING_MAP_NONE;
        if (image == STRING_MAP_NONE) {
            lost++;
            continue;
        }
        c->next[i] = c->first[image];
        c->first[image] = i;
    }
    if (lost) reader_leave_file_out(c->reader, c->file, "%zu annotations belong to no listed image; left out", lost);
    c->reader->report->left_out += lost;
}

/* *folder becomes the word as it stands in the file's name, "val2017", which is what a folder of its images is called; else NULL. */
static const char *split_of_file(Reader *r, const char *file, const char **folder) {
    const char *name = file_base_name(file);
    *folder = NULL;
    for (const char *word = name; *word;) {
        size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        const char *split = name_split(word, length);
        if (split) {
            *folder = arena_strndup(r->arena, word, length);
            return split;
        }
        word += length + (word[length] != '\0');
    }
    return name_split_of_path(file);
}

/* What is said of the image elsewhere, be it in another file of objects or twice in one; an annotation that is there already is the same one. */
static void merge(Mention *from, DatasetImage *image, StringMap *known, StringMap *ids) {
    CocoReader *c = from->document;
    Arena *arena = &c->reader->image_arena;
    AnnotationList *list = &image->annotations;
    DatasetImage as_told = *image;
    yyjson_val *value = parse_row(c, c->image_rows[from->image]);
    reader_settle_size(c->reader, &as_told, c->file, json_get_number(value, "width", 0), json_get_number(value, "height", 0));
    from->merged = true;
    c->merged_images++;
    for (size_t a = c->first[from->image]; a < c->annotation_count; a = c->next[a]) {
        size_t before = list->count;
        read_annotation(c, image, a);
        if (list->count == before) continue;
        Annotation *last = &list->items[before];
        if (string_map_get_or_set(known, annotation_key(arena, last), before) != before) {
            list->count = before;
            c->merged_known++;
            continue;
        }
        while (string_map_get_or_set(ids, last->id, before) != before) last->id = arena_printf(arena, "%s#%zu", last->id, before);
        c->merged_annotations++;
    }
}

static void merge_others(Mention *first, DatasetImage *image) {
    Arena *arena = &first->document->reader->image_arena;
    StringMap known, ids;
    if (!first->next) return;
    string_map_init(&known, arena);
    string_map_init(&ids, arena);
    for (size_t i = 0; i < image->annotations.count; i++) {
        string_map_set(&known, annotation_key(arena, &image->annotations.items[i]), i);
        string_map_set(&ids, image->annotations.items[i].id, i);
    }
    for (Mention *m = first->next; m; m = m->next) merge(m, image, &known, &ids);
}

static Status read_image(Mention *mention, Error *err) {
    CocoReader *c = mention->document;
    Reader *r = c->reader;
    yyjson_val *value = parse_row(c, c->image_rows[mention->image]);
    const char *named = json_get_string(value, "file_name", NULL);
    TreeFile *file = mention->file;
    DatasetImage image;
    if (!named) {
        reader_leave_file_out(r, c->file, "image %zu has no file_name; left out", mention->image);
        return STATUS_OK;
    }
    if (file && file->seen) {
        size_t annotations = 0;
        for (size_t a = c->first[mention->image]; a < c->annotation_count; a = c->next[a]) annotations++;
        reader_leave_file_out(r, c->file, "image %s is listed in a file before; left out here, with %zu annotations", named, annotations);
        r->report->left_out += annotations;
        return STATUS_OK;
    }
    if (file) {
        file->seen = true;
        image = reader_image(r, file);
    } else if (!reader_missing_image(r, c->file, named, &image)) {
        return STATUS_OK;
    } else if (r->tree->image_count) {
        reader_warn(r, c->file, "image %s is missing", named);
    }
    reader_settle_size(r, &image, c->file, json_get_number(value, "width", 0), json_get_number(value, "height", 0));
    if (c->split) image.split = c->split;
    image.labelled = true;
    for (size_t a = c->first[mention->image]; a < c->annotation_count; a = c->next[a]) read_annotation(c, &image, a);
    merge_others(mention, &image);
    return reader_deliver(r, &image, err);
}

/* ---- documents ---- */

static void claim_images(CocoReader *c, yyjson_val *root) {
    yyjson_val *images = yyjson_obj_get(root, "images"), *number;
    size_t index, count;
    char small[ID_SIZE];
    const char *id;
    c->image_count = yyjson_arr_size(images);
    c->image_rows = arena_new_array(c->reader->arena, const Row *, c->image_count);
    yyjson_arr_foreach(images, index, count, number) {
        c->image_rows[index] = row_at(c, number);
        yyjson_val *value = parse_row(c, c->image_rows[index]), *key = yyjson_obj_get(value, "id");
        if (!id_text(key, small, &id)) reader_warn(c->reader, c->file, "image %zu has no id; its annotations cannot be found", index);
        else if (string_map_get_or_set(&c->images, id, index) != index) reader_warn(c->reader, c->file, "two images have the id %s", id);
        note_text_id(c, key);
        const char *named = json_get_string(value, "file_name", NULL);
        if (named) reader_claim_image(c->reader, c->file, named);
        arena_reset(&c->reader->image_arena);
    }
}

/* Captions and their like say nothing of objects. */
static bool is_of_objects(CocoReader *c, yyjson_val *root) {
    yyjson_val *number = yyjson_arr_get_first(yyjson_obj_get(root, "annotations")), *first = number ? parse_row(c, row_at(c, number)) : NULL;
    return !first || yyjson_obj_get(first, "category_id") || yyjson_obj_get(first, "bbox") || yyjson_obj_get(first, "segmentation");
}

/* False when nothing is to be had of it. The text must stay as long as the document. */
static bool open_document(CocoReader *c, const char *text, size_t size) {
    Reader *r = c->reader;
    Error why = {0};
    Buffer frame;
    buffer_init(&frame, SIZE_MAX / 2);
    yyjson_doc *doc = cut_rows(c, text, size, &frame) ? json_parse_loosely(NULL, frame.data, frame.size, NULL) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    buffer_clear(&frame);
    if (!doc) { /* parsed once more as a whole, to say where */
        yyjson_doc_free(json_parse_loosely(NULL, text, size, &why));
        reader_leave_file_out(r, c->file, "%s; left out", why.message);
    }
    string_map_init(&c->categories, r->arena);
    string_map_init(&c->images, r->arena);
    string_map_init(&c->annotation_ids, r->arena);
    bool is_other = doc && !is_of_objects(c, root), is_good = !is_other && yyjson_is_arr(yyjson_obj_get(root, "images"));
    if (is_other) reader_leave_file_out(r, c->file, "its annotations have neither category nor shape, as captions; left out");
    if (is_good) {
        read_categories(c, root);
        claim_images(c, root);
        group_annotations(c, root, c->image_count);
        c->split = split_of_file(r, c->file, &c->folder);
    }
    yyjson_doc_free(doc);
    arena_reset(&r->image_arena);
    return is_good;
}

static void close_document(CocoReader *c) {
    free(c->rows);
    buffer_clear(&c->text);
}

static TreeFile *file_of_image(CocoReader *c, size_t index) {
    Reader *r = c->reader;
    const char *named = json_get_string(parse_row(c, c->image_rows[index]), "file_name", NULL);
    TreeFile *file = named && c->folder ? reader_find_image(r, c->file, name_join(&r->image_arena, c->folder, named)) : NULL;
    if (!file && named) file = reader_find_image(r, c->file, named);
    arena_reset(&r->image_arena);
    return file;
}

/* When all have claimed their images: who speaks of which, in the order of the documents. */
static void find_images(CocoReader *documents, size_t count) {
    Reader *r = documents->reader;
    Mention **first = xcalloc(r->tree->count + 1, sizeof *first);
    for (CocoReader *c = documents + count; c-- > documents;) {
        c->mentions = arena_new_array(r->arena, Mention, c->image_count);
        for (size_t i = c->image_count; i-- > 0;) {
            TreeFile *file = file_of_image(c, i);
            c->mentions[i] = (Mention){.document = c, .image = i, .file = file};
            if (!file) continue;
            c->mentions[i].next = first[file - r->tree->files];
            first[file - r->tree->files] = &c->mentions[i];
        }
    }
    free(first);
}

static Status read_documents(CocoReader *documents, size_t count, Error *err) {
    Status status = STATUS_OK;
    if (count) find_images(documents, count);
    for (CocoReader *c = documents; c < documents + count; c++) {
        for (size_t i = 0; i < c->image_count && status == STATUS_OK; i++)
            if (!c->mentions[i].merged) status = read_image(&c->mentions[i], err);
    }
    for (CocoReader *c = documents; c < documents + count; c++) {
        if (c->merged_images) reader_warn(c->reader, c->file, "%zu of its images are listed before: %zu of their annotations are added there, %zu are there already",
                                          c->merged_images, c->merged_annotations, c->merged_known);
        close_document(c);
    }
    return status;
}

Status coco_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    CocoReader c = {.reader = r, .file = file};
    if (open_document(&c, text, size)) return read_documents(&c, 1, err);
    close_document(&c);
    return STATUS_OK;
}

/* Documents that speak of one image are read together, as far as one label file may be large. */
Status coco_read(Reader *r, Error *err) {
    CocoReader *documents = NULL;
    size_t count = 0, capacity = 0;
    uint64_t bytes = 0;
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        const TreeFile *file = &r->tree->files[i];
        CocoReader c = {.reader = r, .file = file->path};
        if (!takes(r->dataset, file) || !looks_like_coco(r->tree, file)) continue;
        int64_t size = tree_size(r->tree, file);
        if (size > 0 && bytes + (uint64_t)size > r->options->max_label_bytes) {
            status = read_documents(documents, count, err);
            bytes = count = 0;
        }
        if (status != STATUS_OK || !reader_text(r, file, &c.text)) continue;
        if (!open_document(&c, buffer_text(&c.text), c.text.size)) {
            close_document(&c);
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            documents = xrealloc(documents, capacity * sizeof *documents);
        }
        documents[count++] = c;
        bytes += c.text.size;
    }
    if (status == STATUS_OK) status = read_documents(documents, count, err);
    free(documents);
    return status;
}
