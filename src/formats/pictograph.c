/* The pictograph format: nothing is lost.
 *
 * dataset.json holds name, description, kinds, classes and counts; annotations/<folder>/<filename>.json the facts of one image and, under "annotations", its
 * annotation document; images/<folder>/<filename> the pixels. A folder that `datasets download` wrote, here or with a client of the hosted product, is read
 * too: <filename>.json beside the image is its bare document.
 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { DATASET_JSON_MAX = 64 << 20 };

/* dataset.json at the root, or in the one folder of a zip that was packed with its folder. */
static const TreeFile *find_head(const Dataset *d) {
    for (size_t i = 0; i < d->tree.count; i++) {
        const char *path = d->tree.files[i].path, *slash = strchr(path, '/');
        bool shallow = !slash || !strchr(slash + 1, '/');
        if (shallow && text_equal(file_base_name(path), "dataset.json") && reader_takes(d, &d->tree.files[i], ".json")) return &d->tree.files[i];
    }
    return NULL;
}

static yyjson_doc *parse(const Tree *tree, const TreeFile *file, size_t maximum, Error *err) {
    Buffer text;
    buffer_init(&text, maximum);
    yyjson_doc *doc = tree_text(tree, file, &text, err) == STATUS_OK ? json_parse(buffer_text(&text), text.size, err) : NULL;
    buffer_clear(&text);
    return doc;
}

static yyjson_doc *open_head(const Dataset *d) {
    const TreeFile *head = find_head(d);
    return head ? parse(&d->tree, head, DATASET_JSON_MAX, NULL) : NULL;
}

/* "photo.jpg.json" */
static bool is_named_for_an_image(const Dataset *d, const TreeFile *file) {
    Arena scratch;
    arena_init(&scratch, SIZE_MAX);
    bool is = reader_takes(d, file, ".json") && name_is_image(name_without_extension(&scratch, file->path));
    arena_clear(&scratch);
    return is;
}

static bool looks_like_bare_document(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    const char *text = reader_peek(tree, file, &ends) ? buffer_text(&ends) : "";
    bool is = text[strspn(text, " \t\r\n")] == '[' && strstr(text, "\"type\"");
    buffer_clear(&ends);
    return is;
}

bool pictograph_detect(const Dataset *d) {
    yyjson_doc *doc = open_head(d);
    bool is = doc && text_equal(json_get_string(yyjson_doc_get_root(doc), "format", NULL), "pictograph");
    yyjson_doc_free(doc);
    return is || (!find_head(d) && reader_finds_file(d, is_named_for_an_image, looks_like_bare_document));
}

/* ---- reading ---- */

void pictograph_read_head(Reader *r, yyjson_val *root) {
    r->report->name = arena_strdup(r->report->arena, json_get_string(root, "name", NULL));
    r->report->description = arena_strdup(r->report->arena, json_get_string(root, "description", NULL));
    r->report->kinds = dataset_kinds_read(yyjson_obj_get(root, "annotation_types"));
    yyjson_val *classes = yyjson_obj_get(root, "classes");
    size_t index, count;
    yyjson_val *class;
    yyjson_arr_foreach(classes, index, count, class) {
        const char *name = json_get_string(class, "name", NULL);
        if (!name || text_is_blank(name)) continue;
        size_t place = string_map_get(&r->classes, reader_class(r, name));
        DatasetClass *row = &r->report->classes[place];
        row->type = arena_strdup(r->report->arena, json_get_string(class, "type", NULL));
        row->color = arena_strdup(r->report->arena, json_get_string(class, "color", NULL));
    }
}

/* One by one where the list as a whole is wrong, so that the good ones are kept. */
static void read_annotations(Reader *r, const char *file, yyjson_val *array, AnnotationList *out) {
    FieldErrors errors;
    field_errors_init(&errors, &r->image_arena);
    if (annotation_list_read(&r->image_arena, array, NULL, NULL, &errors, out)) return;
    *out = (AnnotationList){0};
    StringMap ids;
    string_map_init(&ids, &r->image_arena);
    size_t index, count;
    yyjson_val *value;
    if (!yyjson_is_arr(array)) reader_warn(r, file, "annotations should be a list");
    yyjson_arr_foreach(array, index, count, value) {
        Annotation annotation;
        Error why = {0};
        field_errors_init(&errors, &r->image_arena);
        bool good = annotation_read(&r->image_arena, value, NULL, NULL, &errors, &annotation);
        if (!good) field_errors_to_error(&errors, &why);
        else if (string_map_get_or_set(&ids, annotation.id, index) != index) good = false, error_set(&why, STATUS_DUPLICATE_ANNOTATION_ID, "id occurs twice");
        if (good) annotation_list_append(&r->image_arena, out, &annotation);
        else reader_leave_out(r, file, "annotation %zu: %s; left out", index, why.message);
    }
}

Status pictograph_read_image(Reader *r, const char *file, yyjson_val *root, Error *err) {
    bool is_bare = yyjson_is_arr(root);
    const char *stem = name_without_extension(&r->image_arena, file_base_name(file));
    const char *filename = is_bare ? stem : json_get_string(root, "filename", NULL), *folder = is_bare ? name_folder(&r->image_arena, file) : json_get_string(root, "folder", "/");
    if (is_bare && !name_is_image(stem)) return STATUS_OK;
    if (!filename || !name_is_safe_path(filename) || strchr(filename, '/')) {
        reader_leave_file_out(r, file, "does not name its image; left out");
        return STATUS_OK;
    }
    /* annotations/a/b.jpg.json -> the image of the same place, else the one that the facts name. */
    TreeFile *image_file = reader_find_image(r, file, stem);
    if (!image_file) image_file = reader_find_image(r, file, filename);
    DatasetImage image;
    if (image_file) image = reader_image(r, image_file);
    else if (!reader_missing_image(r, file, name_join(&r->image_arena, folder, filename), &image)) return STATUS_OK;
    if (image_file && image_file->seen) {
        reader_leave_file_out(r, file, "a second label file of image %s; left out", image_file->path);
        return STATUS_OK;
    }
    if (image_file) image_file->seen = true;
    int64_t width = json_get_int(root, "width", 0), height = json_get_int(root, "height", 0);
    if (width > 0 && height > 0 && width <= UINT32_MAX && height <= UINT32_MAX) {
        image.width = (uint32_t)width;
        image.height = (uint32_t)height;
    }
    reader_find_size(r, &image);
    image.id = json_get_string(root, "id", NULL);
    image.status = json_get_string(root, "status", NULL);
    image.display_name = json_get_string(root, "display_name", NULL);
    const char *split = json_get_string(root, "split", NULL);
    image.split = split ? name_split(split, strlen(split)) : NULL;
    image.labelled = true;
    image.filename = filename; /* the names in the archive may have been cut */
    if (!is_bare && folder[0] == '/' && (!folder[1] || name_is_safe_path(folder + 1))) image.folder = folder;
    read_annotations(r, file, is_bare ? root : yyjson_obj_get(root, "annotations"), &image.annotations);
    for (size_t i = 0; i < image.annotations.count; i++) image.annotations.items[i].name = reader_class(r, image.annotations.items[i].name);
    return reader_deliver(r, &image, err);
}

static Status read_file(Reader *r, const TreeFile *file, Error *err) {
    Error why = {0};
    yyjson_doc *doc = parse(r->tree, file, r->options->max_label_bytes, &why);
    Status status = STATUS_OK;
    if (!doc) reader_leave_file_out(r, file->path, "%s; left out", why.message);
    else if (yyjson_is_arr(yyjson_doc_get_root(doc)) || yyjson_obj_get(yyjson_doc_get_root(doc), "annotations")) status = pictograph_read_image(r, file->path, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return status;
}

static bool is_label(const TreeFile *file, const TreeFile *head) {
    return file != head && text_equal_ignoring_case(file_extension(file->path), ".json") && !text_equal(file_base_name(file->path), "MANIFEST.json");
}

Status pictograph_read(Reader *r, Error *err) {
    const TreeFile *head = find_head(r->dataset);
    yyjson_doc *doc = open_head(r->dataset);
    if (head && !doc) return error_set(err, STATUS_BAD_REQUEST, "dataset.json cannot be read");
    if (doc) pictograph_read_head(r, yyjson_doc_get_root(doc));
    else r->keeps_folders = true; /* they are those of the dataset that was downloaded */
    yyjson_doc_free(doc);
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        if (is_label(file, head)) reader_claim_image(r, file->path, name_without_extension(&r->image_arena, file_base_name(file->path)));
        arena_reset(&r->image_arena);
    }
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        if (is_label(&r->tree->files[i], head)) status = read_file(r, &r->tree->files[i], err);
    }
    return status;
}

/* ---- writing ---- */

static void write_image(const DatasetImage *image, JsonWriter *w) {
    json_begin_object(w);
    json_field_string(w, "id", image->id);
    json_field_string(w, "filename", image->filename);
    json_field_string(w, "folder", image->folder ? image->folder : "/");
    json_field_int(w, "width", image->width);
    json_field_int(w, "height", image->height);
    json_field_string(w, "status", image->status);
    if (image->display_name) json_field_string(w, "display_name", image->display_name);
    if (image->split) json_field_string(w, "split", image->split);
    json_key(w, "annotations");
    annotation_list_write(&image->annotations, w);
    json_end_object(w);
}

static void write_head(const Writer *w, JsonWriter *j) {
    j->indent = 2;
    json_begin_object(j);
    json_field_string(j, "format", "pictograph");
    json_field_int(j, "version", 1);
    json_field_string(j, "name", w->info->name);
    json_field_string(j, "description", w->info->description);
    json_key(j, "annotation_types");
    dataset_kinds_write(&w->info->kinds, j);
    json_field_int(j, "image_count", (int64_t)w->written->images);
    json_field_int(j, "annotation_count", (int64_t)w->written->annotations);
    json_key(j, "classes");
    json_begin_array(j);
    for (size_t i = 0; i < w->info->class_count; i++) {
        const DatasetClass *class = &w->info->classes[i];
        json_begin_object(j);
        json_field_string(j, "name", class->name);
        json_field_string(j, "type", class->type);
        json_field_string(j, "color", class->color);
        json_field_int(j, "annotation_count", (int64_t)w->class_counts[i]);
        json_end_object(j);
    }
    json_end_array(j);
    json_end_object(j);
}

/* Annotations of unknown classes out, the others in their order. */
static void drop_unknown(Writer *w, DatasetImage *image) {
    AnnotationList kept = {.items = arena_new_array(&w->image_arena, Annotation, image->annotations.count)};
    for (size_t i = 0; i < image->annotations.count; i++) {
        size_t class = writer_class(w, &image->annotations.items[i]);
        if (class == STRING_MAP_NONE) continue;
        kept.items[kept.count++] = image->annotations.items[i];
        writer_count(w, class, 1);
    }
    image->annotations = kept;
}

Status pictograph_write(Writer *w, Error *err) {
    Buffer text;
    JsonWriter j;
    buffer_init(&text, (size_t)1 << 31);
    Status status = STATUS_OK;
    for (bool more = true; status == STATUS_OK;) {
        DatasetImage image;
        const char *name;
        status = writer_next(w, &image, &name, &more, err);
        if (status != STATUS_OK || !more) break;
        drop_unknown(w, &image);
        buffer_reset(&text);
        json_writer_init(&j, &text);
        write_image(&image, &j);
        if (text.failed) status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "the annotations of %s are too large", name);
        if (status == STATUS_OK) status = zip_writer_bytes(w->zip, arena_printf(&w->image_arena, "annotations/%s.json", name), text.data, text.size, err);
        if (status == STATUS_OK) status = writer_pixels(w, "images", name, &image, err);
    }
    buffer_reset(&text);
    json_writer_init(&j, &text);
    write_head(w, &j);
    if (status == STATUS_OK) status = zip_writer_bytes(w->zip, "dataset.json", text.data, text.size, err);
    buffer_clear(&text);
    return status;
}
