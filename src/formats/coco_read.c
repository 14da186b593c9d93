/* COCO in: any JSON file with images, annotations and categories, however many of them lie in the folder.
 *
 * The text stays in its file: the rows of its lists are cut out, and each is parsed when its turn comes. What is kept is where they begin, and of
 * annotations only where those of one image begin that stand together, as our own files have them: memory grows with the images alone.
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

enum { ID_SIZE = 32, MASK_PIXELS_MAX = 1 << 28, PIECE_MAX = 1 << 16 };
#define NONE SIZE_MAX

/* An element of a list of the root, or several annotations that stand together and have one image_id. */
typedef struct Rows {
    size_t at, size; /* of their text, with what is between them */
    size_t count;
    size_t id;    /* the number of the image_id; NONE: it says none */
    size_t index; /* of the first one in its list */
    size_t next;  /* those of the same image that follow; NONE at the end */
} Rows;

/* An image of a document. */
typedef struct Mention {
    struct CocoReader *document;
    size_t image;         /* its index there */
    TreeFile *file;       /* NULL: missing */
    struct Mention *next; /* of the same file */
    bool merged;          /* its annotations went to an earlier mention's */
} Mention;

/* Where a list of the root begins among the rows. */
typedef struct List {
    size_t first, end;
} List;

typedef struct CocoReader {
    Reader *reader;
    const char *file;
    LongText text, image_text;  /* the same one, of which different places are read by turns */
    const char *split, *folder; /* as split_of_file */
    Rows *rows; /* heap */
    size_t row_count, row_capacity;
    StringMap ids;             /* image_id, one spelling for numbers and texts -> its number */
    StringMap categories;      /* id -> index into names */
    const char **names;
    size_t name_count;
    List images;
    Mention *mentions;         /* of the images */
    size_t image_count;
    size_t *first;             /* per image its first annotations */
    Merged merged;
    StringMap annotation_ids;  /* of the present image */
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

/* Every row is known to be sound. The list of them lives in image_arena; NULL when the file was changed meanwhile. */
static yyjson_val *parse_rows(CocoReader *c, LongText *text, const Rows *rows) {
    size_t length;
    const char *at = long_text_at(text, rows->at, rows->size, &length);
    if (length < rows->size) return NULL;
    char *list = arena_alloc(&c->reader->image_arena, rows->size + 3);
    list[0] = '[';
    memcpy(list + 1, at, rows->size);
    list[rows->size + 1] = ']';
    return yyjson_doc_get_root(json_parse_loosely(&c->reader->image_arena, list, rows->size + 2, NULL));
}

static yyjson_val *parse_image(CocoReader *c, size_t image) {
    return yyjson_arr_get_first(parse_rows(c, &c->image_text, &c->rows[c->images.first + image]));
}

/* What a list of the root became in the frame. */
static List list_of(yyjson_val *root, const char *key) {
    yyjson_val *list = yyjson_obj_get(root, key);
    size_t first = yyjson_get_uint(yyjson_arr_get(list, 0));
    return (List){first, first + yyjson_get_uint(yyjson_arr_get(list, 1))};
}

/* A text that is cut into rows. */
typedef struct Cutter {
    CocoReader *c;
    Buffer frame; /* the text with [first, count] of its rows for each list */
    int depth;
    bool in_list, in_text, escaped, sound;
    bool joins;      /* it is the list of annotations */
    size_t start;    /* of the row, else of what goes into the frame as it is */
    List list;       /* that is open */
    size_t elements; /* in it */
} Cutter;

static bool can_join(const Cutter *k, const Rows *row) {
    if (!k->joins || k->c->row_count == k->list.first) return false;
    const Rows *last = &k->c->rows[k->c->row_count - 1];
    return row->id != NONE && row->id == last->id && row->at + row->size - last->at <= PIECE_MAX;
}

/* False when text is no JSON; blanks around it are let be. */
static bool add_row(Cutter *k, const char *text, size_t size) {
    CocoReader *c = k->c;
    char small[ID_SIZE];
    const char *id;
    yyjson_doc *doc = size <= INT_MAX ? json_parse_loosely(&c->reader->image_arena, text, size, NULL) : NULL;
    if (!doc) return false;
    Rows row = {.at = k->start, .size = size, .count = 1, .id = NONE, .index = k->elements++, .next = NONE};
    if (id_text(yyjson_obj_get(yyjson_doc_get_root(doc), "image_id"), small, &id)) row.id = string_map_get_or_set(&c->ids, id, c->ids.count);
    arena_reset(&c->reader->image_arena);
    if (can_join(k, &row)) {
        Rows *last = &c->rows[c->row_count - 1];
        last->size = row.at + row.size - last->at;
        last->count++;
        return true;
    }
    if (c->row_count == c->row_capacity) {
        c->row_capacity = c->row_capacity ? 2 * c->row_capacity : 64;
        c->rows = xrealloc(c->rows, c->row_capacity * sizeof *c->rows);
    }
    c->rows[c->row_count++] = row;
    return true;
}

/* The text up to the blanks at its end. */
static size_t size_without(const char *blanks, const char *text, size_t size) {
    while (size && text[size - 1] && strchr(blanks, text[size - 1])) size--;
    return size;
}

/* `"annotations": [` */
static bool is_of_annotations(const Buffer *frame) {
    static const char KEY[] = "\"annotations\"";
    size_t end = size_without(" \t\r\n:", frame->data, frame->size - 1);
    return end >= sizeof KEY - 1 && memcmp(frame->data + end - (sizeof KEY - 1), KEY, sizeof KEY - 1) == 0;
}

/* The byte at i, text being what begins at start. */
static void cut_at(Cutter *k, const char *text, size_t i) {
    char at = text[i - k->start];
    if (k->in_text) {
        k->in_text = k->escaped || at != '"';
        k->escaped = !k->escaped && at == '\\';
        return;
    }
    bool opens = at == '[' || at == '{', closes = at == ']' || at == '}';
    k->in_text = at == '"';
    if (k->in_list && k->depth == 2 && (closes || at == ',')) {
        bool is_empty = closes && !k->elements && !size_without(" \t\r\n", text, i - k->start);
        k->sound = is_empty || add_row(k, text, i - k->start);
        k->start = closes ? i : i + 1;
        k->in_list = !closes;
        if (closes) buffer_printf(&k->frame, "%zu,%zu", k->list.first, k->c->row_count - k->list.first);
    } else if (k->depth == 1 && at == '[') {
        buffer_append(&k->frame, text, i + 1 - k->start);
        k->start = i + 1;
        k->in_list = true;
        k->elements = 0;
        k->list.first = k->c->row_count;
        k->joins = is_of_annotations(&k->frame);
    }
    k->depth += opens - closes;
}

/* The text is sound JSON when this is true and the frame is. */
static bool cut_rows(Cutter *k) {
    LongText *text = &k->c->text;
    for (size_t i = 0; i < text->size && k->sound;) {
        size_t length, open = i - k->start; /* of a row that is longer than what was in memory */
        const char *piece = long_text_at(text, k->start, 2 * open + 1, &length);
        size_t begin = k->start, end = k->start + length;
        if (end <= i) return false; /* the text has become shorter */
        for (; i < end && k->sound; i++) cut_at(k, piece + (k->start - begin), i);
        if (k->in_list) continue;
        buffer_append(&k->frame, piece + (k->start - begin), i - k->start);
        k->start = i;
    }
    return k->sound && !k->in_list;
}

static void note_text_id(CocoReader *c, yyjson_val *id) {
    if (!yyjson_is_str(id) || c->told_text_ids) return;
    c->told_text_ids = true;
    reader_warn(c->reader, c->file, "ids are texts instead of numbers; taken as they are");
}

static void read_category(CocoReader *c, yyjson_val *category, size_t index) {
    char small[ID_SIZE];
    const char *id, *name = json_get_string(category, "name", NULL);
    yyjson_val *key = yyjson_obj_get(category, "id");
    if (!name || text_is_blank(name) || !id_text(key, small, &id)) {
        reader_warn(c->reader, c->file, "category %zu has no name or no id; passed over", index);
        return;
    }
    note_text_id(c, key);
    c->names[c->name_count] = reader_class(c->reader, name);
    string_map_set(&c->categories, id, c->name_count++);
}

static void read_categories(CocoReader *c, List list) {
    c->names = arena_new_array(c->reader->arena, const char *, list.end - list.first);
    for (size_t i = list.first; i < list.end; i++) read_category(c, yyjson_arr_get_first(parse_rows(c, &c->text, &c->rows[i])), i - list.first);
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

static void read_annotation(CocoReader *c, DatasetImage *image, yyjson_val *value, size_t index) {
    Reader *r = c->reader;
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

/* All that the document says of the image with this index. */
static void read_annotations(CocoReader *c, DatasetImage *image, size_t index) {
    string_map_init(&c->annotation_ids, &c->reader->image_arena);
    for (size_t i = c->first[index]; i != NONE; i = c->rows[i].next) {
        yyjson_val *rows = parse_rows(c, &c->text, &c->rows[i]), *value;
        size_t number, count;
        yyjson_arr_foreach(rows, number, count, value) read_annotation(c, image, value, c->rows[i].index + number);
    }
}

static void group_annotations(CocoReader *c, List list, const size_t *images) {
    size_t lost = 0;
    c->first = arena_new_array(c->reader->arena, size_t, c->image_count);
    for (size_t i = 0; i < c->image_count; i++) c->first[i] = NONE;
    for (size_t i = list.end; i-- > list.first;) { /* from the end, so that each chain comes in the order of the file */
        Rows *rows = &c->rows[i];
        size_t image = rows->id != NONE ? images[rows->id] : NONE;
        if (image == NONE) {
            lost += rows->count;
            continue;
        }
        rows->next = c->first[image];
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

/* What is said of the image elsewhere, be it in another file of objects or twice in one. */
static void merge(Mention *from, DatasetImage *image, United *united) {
    CocoReader *c = from->document;
    DatasetImage as_told = *image;
    yyjson_val *value = parse_image(c, from->image);
    size_t before = image->annotations.count;
    reader_settle_size(c->reader, &as_told, c->file, json_get_number(value, "width", 0), json_get_number(value, "height", 0));
    from->merged = true;
    read_annotations(c, image, from->image);
    reader_unite(c->reader, united, &image->annotations, before, &c->merged);
}

static Status read_image(Mention *mention, Error *err) {
    CocoReader *c = mention->document;
    Reader *r = c->reader;
    yyjson_val *value = parse_image(c, mention->image);
    const char *named = json_get_string(value, "file_name", NULL);
    TreeFile *file = mention->file;
    DatasetImage image;
    if (!named) {
        reader_leave_file_out(r, c->file, "image %zu has no file_name; left out", mention->image);
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
    read_annotations(c, &image, mention->image);
    United united = {0};
    for (Mention *m = mention->next; m; m = m->next) merge(m, &image, &united);
    return reader_deliver(r, &image, err);
}

/* ---- documents ---- */

/* *images becomes the index of the image with an id of that number; heap. */
static void claim_images(CocoReader *c, size_t **images) {
    char small[ID_SIZE];
    const char *id;
    size_t id_count = c->ids.count + c->image_count;
    *images = xmalloc((id_count + 1) * sizeof **images);
    for (size_t i = 0; i < id_count; i++) (*images)[i] = NONE;
    for (size_t index = 0; index < c->image_count; index++) {
        yyjson_val *value = parse_image(c, index), *key = yyjson_obj_get(value, "id");
        size_t number = id_text(key, small, &id) ? string_map_get_or_set(&c->ids, id, c->ids.count) : NONE;
        if (number == NONE) reader_warn(c->reader, c->file, "image %zu has no id; its annotations cannot be found", index);
        else if ((*images)[number] != NONE) reader_warn(c->reader, c->file, "two images have the id %s", id);
        else (*images)[number] = index;
        note_text_id(c, key);
        const char *named = json_get_string(value, "file_name", NULL);
        if (named) reader_claim_image(c->reader, c->file, named);
        arena_reset(&c->reader->image_arena);
    }
}

/* Captions and their like say nothing of objects. */
static bool is_of_objects(CocoReader *c, List annotations) {
    yyjson_val *first = annotations.first < annotations.end ? yyjson_arr_get_first(parse_rows(c, &c->text, &c->rows[annotations.first])) : NULL;
    return !first || yyjson_obj_get(first, "category_id") || yyjson_obj_get(first, "bbox") || yyjson_obj_get(first, "segmentation");
}

static void tell_fault(CocoReader *c) {
    Error why = {0};
    size_t length;
    const char *text = long_text_at(&c->text, 0, c->text.size, &length);
    yyjson_doc_free(json_parse_loosely(NULL, text, length, &why));
    reader_leave_file_out(c->reader, c->file, "%s; left out", why.message);
}

/* False when nothing is to be had of it. */
static bool open_document(CocoReader *c) {
    Reader *r = c->reader;
    Cutter k = {.c = c, .sound = true};
    buffer_init(&k.frame, SIZE_MAX / 2);
    string_map_init(&c->ids, r->arena);
    string_map_init(&c->categories, r->arena);
    c->image_text = long_text_again(&c->text);
    yyjson_doc *doc = cut_rows(&k) ? json_parse_loosely(NULL, k.frame.data, k.frame.size, NULL) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    List annotations = list_of(root, "annotations");
    bool is_other = doc && !is_of_objects(c, annotations), is_good = !is_other && yyjson_is_arr(yyjson_obj_get(root, "images"));
    size_t *images = NULL;
    if (!doc) tell_fault(c);
    if (is_other) reader_leave_file_out(r, c->file, "its annotations have neither category nor shape, as captions; left out");
    if (is_good) {
        c->images = list_of(root, "images");
        c->image_count = c->images.end - c->images.first;
        read_categories(c, list_of(root, "categories"));
        claim_images(c, &images);
        group_annotations(c, annotations, images);
        c->split = split_of_file(r, c->file, &c->folder);
    }
    free(images);
    buffer_clear(&k.frame);
    yyjson_doc_free(doc);
    arena_reset(&r->image_arena);
    return is_good;
}

static void close_document(CocoReader *c) {
    free(c->rows);
    long_text_close(&c->text);
    long_text_close(&c->image_text);
}

static TreeFile *file_of_image(CocoReader *c, size_t index) {
    Reader *r = c->reader;
    const char *named = json_get_string(parse_image(c, index), "file_name", NULL);
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
        reader_tell_merged(c->reader, c->file, &c->merged);
        close_document(c);
    }
    return status;
}

Status coco_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    CocoReader c = {.reader = r, .file = file};
    long_text_of_bytes(&c.text, text, size);
    if (open_document(&c)) return read_documents(&c, 1, err);
    close_document(&c);
    return STATUS_OK;
}

/* Documents that speak of one image are read together. */
Status coco_read(Reader *r, Error *err) {
    CocoReader *documents = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        CocoReader c = {.reader = r, .file = file->path};
        if (!takes(r->dataset, file) || !looks_like_coco(r->tree, file) || !reader_open_text(r, file, &c.text)) continue;
        if (!open_document(&c)) {
            close_document(&c);
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            documents = xrealloc(documents, capacity * sizeof *documents);
        }
        documents[count++] = c;
    }
    Status status = read_documents(documents, count, err);
    free(documents);
    return status;
}
