/* What all readers share: finding images, mending boxes, telling what was wrong, handing images over. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/image_size.h"
#include "formats/names.h"
#include "base/banned.h"

void dataset_report_init(DatasetReport *report, Arena *arena) { *report = (DatasetReport){.arena = arena}; }

static void warn(Reader *r, const char *file, bool left_out, const char *format, va_list args) {
    DatasetReport *report = r->report;
    if (report->warning_total++ >= DATASET_WARNINGS_MAX) return;
    if (!report->warnings) report->warnings = arena_new_array(report->arena, DatasetWarning, DATASET_WARNINGS_MAX);
    report->warnings[report->warning_count++] = (DatasetWarning){arena_strdup(report->arena, file), arena_vprintf(report->arena, format, args), left_out};
}

void reader_warn(Reader *r, const char *file, const char *format, ...) {
    va_list args;
    va_start(args, format);
    warn(r, file, false, format, args);
    va_end(args);
}

void reader_leave_out(Reader *r, const char *file, const char *format, ...) {
    va_list args;
    va_start(args, format);
    warn(r, file, true, format, args);
    va_end(args);
    r->report->left_out++;
}

void reader_leave_file_out(Reader *r, const char *file, const char *format, ...) {
    va_list args;
    va_start(args, format);
    warn(r, file, true, format, args);
    va_end(args);
}

const char *reader_class(Reader *r, const char *name) {
    DatasetReport *report = r->report;
    name = text_trim(&r->image_arena, name);
    size_t index = string_map_get_or_set(&r->classes, name, report->class_count);
    if (index < report->class_count) return report->classes[index].name;
    if (report->class_count == report->class_capacity) {
        report->class_capacity = report->class_capacity ? 2 * report->class_capacity : 16;
        DatasetClass *classes = arena_new_array(report->arena, DatasetClass, report->class_capacity);
        if (report->class_count) memcpy(classes, report->classes, report->class_count * sizeof *classes);
        report->classes = classes;
    }
    report->classes[report->class_count] = (DatasetClass){.name = arena_strdup(report->arena, name)};
    return report->classes[report->class_count++].name;
}

bool reader_takes(const Dataset *dataset, const TreeFile *file, const char *extension) {
    if (!text_equal_ignoring_case(file_extension(file->path), extension)) return false;
    return !dataset->only_label || text_equal(dataset->only_label, file->path);
}

/* UTF-16 with its mark, as programs of Windows write texts, becomes UTF-8. */
static void make_utf8(Buffer *text) {
    const unsigned char *bytes = (const unsigned char *)text->data;
    bool big = text->size >= 2 && bytes[0] == 0xfe && bytes[1] == 0xff, little = text->size >= 2 && bytes[0] == 0xff && bytes[1] == 0xfe;
    if (!big && !little) return;
    Buffer utf8;
    char letter[4];
    buffer_init(&utf8, SIZE_MAX / 2);
    buffer_reserve(&utf8, 1); /* there is a text, if an empty one */
    for (size_t i = 2, size = text->size; i + 1 < size; i += 2) {
        unsigned code = (unsigned)bytes[i + little] << 8 | bytes[i + big], next = i + 3 < size ? (unsigned)bytes[i + 2 + little] << 8 | bytes[i + 2 + big] : 0;
        bool is_pair = code >> 10 == 0xd800 >> 10 && next >> 10 == 0xdc00 >> 10;
        if (is_pair) code = 0x10000 + ((code & 0x3ff) << 10 | (next & 0x3ff)), i += 2;
        else if (code >> 11 == 0xd800 >> 11) code = 0xfffd;
        buffer_append(&utf8, letter, (size_t)text_put_letter(code, letter));
    }
    buffer_clear(text);
    *text = utf8;
}

bool reader_peek(const Tree *tree, const TreeFile *file, Buffer *out) {
    enum { PEEK_SIZE = 1 << 16 };
    buffer_init(out, 2 * PEEK_SIZE + 1);
    char *text = buffer_reserve(out, 2 * PEEK_SIZE);
    ssize_t head = tree_bytes(tree, file, 0, text, PEEK_SIZE), tail = 0;
    if (head <= 0) return false;
    if (head == PEEK_SIZE) {
        int64_t start = tree_size(tree, file) - PEEK_SIZE;
        tail = tree_bytes(tree, file, start > PEEK_SIZE ? (size_t)start : PEEK_SIZE, text + head, PEEK_SIZE);
    }
    out->size = (size_t)head + (tail > 0 ? (size_t)tail : 0);
    text[out->size] = '\0';
    make_utf8(out);
    for (size_t i = 0; i < out->size; i++) {
        if (!out->data[i]) out->data[i] = ' ';
    }
    return true;
}

bool reader_finds_file(const Dataset *d, bool (*takes)(const Dataset *dataset, const TreeFile *file),
                       bool (*looks_like)(const Tree *tree, const TreeFile *file)) {
    enum { TRIES = 200 };
    bool found = false;
    for (size_t i = 0, tries = 0; i < d->tree.count && tries < TRIES && !found; i++) {
        if (!takes(d, &d->tree.files[i])) continue;
        tries++;
        found = looks_like(&d->tree, &d->tree.files[i]);
    }
    return found;
}

/* ---- finding images ---- */

static const char *const LABEL_FOLDERS[] = {"Annotations", "annotations", "labels", "Labels", "xml", "txt", NULL};
static const char *const IMAGE_FOLDERS[] = {"JPEGImages", "images", "Images", "img", "imgs", "", NULL};

static bool is_one_of(const char *const *words, const char *word, size_t length) {
    for (; *words; words++) {
        if (strlen(*words) == length && strncmp(*words, word, length) == 0) return true;
    }
    return false;
}

/* The image at folder/named, whatever its extension when named has none of an image. A stem never has one: "a.png" is of "a.png.jpg" before "a.png". */
static TreeFile *find_at(const Tree *tree, Arena *arena, const char *folder, int folder_length, const char *named, bool is_stem) {
    static const char *const EXTENSIONS[] = {"", ".jpg", ".jpeg", ".png", ".JPG", ".bmp", ".webp", ".tif", ".tiff", ".JPEG", ".PNG", ".gif"};
    enum { COUNT = sizeof EXTENSIONS / sizeof *EXTENSIONS };
    bool with_slash = folder_length && folder[folder_length - 1] != '/';
    for (size_t i = 0; i < (is_stem || !name_is_image(named) ? COUNT : 1); i++) {
        const char *extension = EXTENSIONS[is_stem ? (i + 1) % COUNT : i];
        TreeFile *file = tree_find(tree, arena_printf(arena, "%.*s%s%s%s", folder_length, folder, with_slash ? "/" : "", named, extension));
        if (file && file->is_image) return file;
    }
    return NULL;
}

/* Tries the label's folder with one part changed from a word for labels to a word for images: a/labels/b -> a/images/b. */
static TreeFile *find_mirrored(const Tree *tree, Arena *arena, const char *label_path, const char *named, bool is_stem) {
    const char *slash = strrchr(label_path, '/');
    size_t folder_length = slash ? (size_t)(slash - label_path) : 0;
    for (const char *part = label_path; part < label_path + folder_length;) {
        size_t length = strcspn(part, "/");
        if (is_one_of(LABEL_FOLDERS, part, length)) {
            for (const char *const *word = IMAGE_FOLDERS; *word; word++) {
                const char *after = part + length; /* "/b", or the slash before the name */
                int after_length = (int)(label_path + folder_length - after);
                if (!**word && after_length) after++, after_length--;
                const char *folder = arena_printf(arena, "%.*s%s%.*s", (int)(part - label_path), label_path, *word, after_length, after);
                TreeFile *file = find_at(tree, arena, folder, (int)strlen(folder), named, is_stem);
                if (file) return file;
            }
        }
        part += length + 1;
    }
    return NULL;
}

static TreeFile *find_by_place(Reader *r, const char *label_path, const char *named, bool is_stem) {
    const char *slash = strrchr(label_path, '/');
    Arena scratch;
    if (!r->tree->image_count) return NULL; /* it would be looked for at a hundred places */
    arena_init(&scratch, SIZE_MAX);
    /* Where ours are is known, and a user's folder may be called images/ or labels/, too: beside the label (LabelMe), or below images/ (of a list at the root). */
    bool beside = r->tree->is_ours && r->keeps_folders, below = r->tree->is_ours && !slash && !beside;
    TreeFile *file = beside ? NULL : below ? find_at(r->tree, &scratch, "images", 6, named, is_stem) : find_mirrored(r->tree, &scratch, label_path, named, is_stem);
    if (!file) file = find_at(r->tree, &scratch, label_path, slash ? (int)(slash - label_path) : 0, named, is_stem);
    if (!file) file = find_at(r->tree, &scratch, "images", 6, named, is_stem);
    if (!file) file = find_at(r->tree, &scratch, "", 0, named, is_stem);
    arena_clear(&scratch);
    return file;
}

/* The name as a path of ours: "./a" and what Windows writes, "a\\b". */
static const char *plain_path(Reader *r, const char *named) {
    while (named[0] == '.' && (named[1] == '/' || named[1] == '\\')) named += 2;
    char *path = strchr(named, '\\') ? arena_strdup(r->arena, named) : NULL;
    for (char *p = path; p && *p; p++)
        if (*p == '\\') *p = '/';
    return path ? path : named;
}

static void claim(TreeFile *file) {
    if (file) file->claimed = true;
}

void reader_claim_image(Reader *r, const char *label_path, const char *named) { claim(find_by_place(r, label_path, plain_path(r, named), false)); }

void reader_claim_image_of(Reader *r, const char *label_path) {
    claim(find_by_place(r, label_path, name_without_extension(&r->image_arena, file_base_name(label_path)), true));
}

static TreeFile *find_image(Reader *r, const char *label_path, const char *named, bool is_stem) {
    TreeFile *file = find_by_place(r, label_path, named, is_stem);
    if (file) return file;
    file = tree_find_image_named(r->tree, file_base_name(named), is_stem);
    if (!file) file = tree_find_image_below(r->tree, named);
    return file && !file->claimed ? file : NULL;
}

TreeFile *reader_find_image(Reader *r, const char *label_path, const char *named) { return find_image(r, label_path, plain_path(r, named), false); }

TreeFile *reader_find_image_of_stem(Reader *r, const char *label_path, const char *stem) { return find_image(r, label_path, plain_path(r, stem), true); }

/* Virtual path of an image: below the first folder that is named for images, else all of it. */
static const char *virtual_path(Reader *r, Arena *arena, const char *path) {
    if (r->keeps_folders) return path;
    for (const char *part = path, *slash; (slash = strchr(part, '/')); part = slash + 1) {
        if (!is_one_of(IMAGE_FOLDERS, part, (size_t)(slash - part))) continue;
        return r->keeps_parents ? arena_printf(arena, "%.*s%s", (int)(part - path), path, slash + 1) : slash + 1;
    }
    return path;
}

void reader_keep_places_apart(Reader *r) {
    Arena scratch;
    StringMap places;
    arena_init(&scratch, SIZE_MAX);
    string_map_init(&places, &scratch);
    for (size_t i = 0; i < r->tree->count && !r->keeps_parents; i++) {
        const TreeFile *file = &r->tree->files[i];
        r->keeps_parents = file->is_image && string_map_get_or_set(&places, virtual_path(r, &scratch, file->path), i) != i;
    }
    arena_clear(&scratch);
}

const char *const SPLITS[SPLIT_COUNT] = {"train", "val", "test"};

void reader_set_split(Reader *r, const TreeFile *file, const char *split) {
    size_t index = 0;
    while (index < 2 && strcmp(SPLITS[index], split) != 0) index++;
    string_map_set(&r->splits, file->path, index);
    r->has_splits = true;
}

DatasetImage reader_image(Reader *r, const TreeFile *file) {
    size_t split = string_map_get(&r->splits, file->path);
    const char *inside = virtual_path(r, &r->image_arena, file->path);
    return (DatasetImage){.folder = name_folder(&r->image_arena, inside),
                          .filename = file_base_name(file->path),
                          .path = tree_full_path(r->tree, &r->image_arena, file),
                          .split = split != STRING_MAP_NONE ? SPLITS[split] : r->has_splits ? NULL : name_split_of_path(file->path)};
}

bool reader_missing_image(Reader *r, const char *label_path, const char *named, DatasetImage *out) {
    named = plain_path(r, named);
    if (!name_is_safe_path(named)) named = file_base_name(named); /* "/home/me/a.jpg", "../a.jpg" */
    if (!name_is_safe_path(named)) {
        reader_leave_file_out(r, label_path, "the image '%s' has a name that cannot be used; its labels are left out", text_is_utf8(named, strlen(named)) ? named : "?");
        return false;
    }
    *out = (DatasetImage){.folder = name_folder(&r->image_arena, virtual_path(r, &r->image_arena, named)), .filename = arena_strdup(&r->image_arena, file_base_name(named)),
                          .split = name_split_of_path(named)};
    if (!out->split) out->split = name_split_of_path(label_path);
    return true;
}

bool reader_find_size(Reader *r, DatasetImage *image) {
    if (image->width && image->height) return true;
    if (image->path && image_size_of_file(image->path, &image->width, &image->height)) return true;
    return r->options->size_of && r->options->size_of(r->options->context, image->folder, image->filename, &image->width, &image->height);
}

bool reader_settle_size(Reader *r, DatasetImage *image, const char *file, double width, double height) {
    bool is_told = width >= 1 && height >= 1 && width <= INT32_MAX && height <= INT32_MAX;
    uint32_t w, h;
    if (is_told) image->width = (uint32_t)width, image->height = (uint32_t)height;
    if (is_told && image->path && image_size_of_file(image->path, &w, &h) && (w != image->width || h != image->height)) {
        reader_warn(r, file, "%s is %ux%u, but its labels are for %ux%u%s: they may lie wrong", image->filename, w, h, image->width, image->height,
                    w == image->height && h == image->width ? " (turned, perhaps by EXIF)" : "");
        image->width = w;
        image->height = h;
    }
    return reader_find_size(r, image);
}

/* ---- annotations ---- */

static const char *const FAULTS[] = {[SHAPE_NOT_FINITE] = "not made of numbers", [SHAPE_EMPTY] = "of zero size", [SHAPE_OUTSIDE] = "outside the image"};

void reader_add_box(Reader *r, DatasetImage *image, const char *file, const char *what, Annotation a) {
    Box box = a.bounding_box, cut;
    ShapeFault fault = shape_fault(image, box, &cut);
    if (fault != SHAPE_FINE) {
        reader_leave_out(r, file, "%s: box %s; left out", what, FAULTS[fault]);
        return;
    }
    double moved = fmax(fmax(cut.x - box.x, cut.y - box.y), fmax(box.x + box.w - cut.x - cut.w, box.y + box.h - cut.y - cut.h));
    if (moved > 0.5) reader_warn(r, file, "%s: box reaches %.4g pixels out of the image; cut", what, moved);
    a.type = ANNOTATION_BBOX;
    a.bounding_box = cut;
    a.name = reader_class(r, a.name);
    annotation_list_append(&r->image_arena, &image->annotations, &a);
}

void reader_add_polygon(Reader *r, DatasetImage *image, const char *file, const char *what, Annotation a) {
    Box cut;
    a.type = ANNOTATION_POLYGON;
    ShapeFault fault = shape_fault(image, shape_box(&a), &cut);
    if (fault != SHAPE_FINE) {
        reader_leave_out(r, file, "%s: polygon %s; left out", what, FAULTS[fault]);
        return;
    }
    annotation_fit_box(&a);
    a.name = reader_class(r, a.name);
    annotation_list_append(&r->image_arena, &image->annotations, &a);
}

void reader_add_polyline(Reader *r, DatasetImage *image, const char *file, const char *what, Annotation a) {
    Box box = points_box(a.path.points, a.path.count);
    if (a.path.count < 2 || shape_fault(image, box, &box) == SHAPE_NOT_FINITE) {
        reader_leave_out(r, file, "%s: not a line of two points or more; left out", what);
        return;
    }
    if (shape_is_outside(image, box)) {
        reader_leave_out(r, file, "%s: line outside the image; left out", what);
        return;
    }
    a.type = ANNOTATION_POLYLINE;
    annotation_fit_box(&a);
    a.name = reader_class(r, a.name);
    annotation_list_append(&r->image_arena, &image->annotations, &a);
}

void reader_add_keypoint(Reader *r, DatasetImage *image, const char *file, const char *what, Annotation a) {
    if (!isfinite(a.keypoint.x) || !isfinite(a.keypoint.y)) {
        reader_leave_out(r, file, "%s: not a point; left out", what);
        return;
    }
    if (shape_is_outside(image, (Box){.x = a.keypoint.x, .y = a.keypoint.y})) {
        reader_leave_out(r, file, "%s: point outside the image; left out", what);
        return;
    }
    a.type = ANNOTATION_KEYPOINT;
    a.name = reader_class(r, a.name);
    annotation_list_append(&r->image_arena, &image->annotations, &a);
}

/* The same for two annotations when they say the same of an image. */
static const char *annotation_key(Arena *arena, const Annotation *a) {
    unsigned long long box[4]; /* the bits, since to print the numbers takes as long as to read them */
    Box where = a->type == ANNOTATION_KEYPOINT ? (Box){a->keypoint.x, a->keypoint.y, 0, 0} : a->bounding_box;
    memcpy(box, &where, sizeof box);
    return arena_printf(arena, "%d %llx %llx %llx %llx %s", (int)a->type, box[0], box[1], box[2], box[3], a->name);
}

void reader_unite(Reader *r, United *united, AnnotationList *list, size_t first, Merged *merged) {
    Arena *arena = &r->image_arena;
    size_t kept = united->count;
    if (!united->begun) {
        string_map_init(&united->known, arena);
        string_map_init(&united->ids, arena);
        united->begun = true;
    }
    for (size_t i = kept; i < list->count; i++) {
        Annotation a = list->items[i];
        bool is_known = string_map_get_or_set(&united->known, annotation_key(arena, &a), kept) != kept;
        if (i >= first && is_known) continue;
        while (string_map_get_or_set(&united->ids, a.id, kept) != kept) a.id = arena_printf(arena, "%s#%zu", a.id, kept);
        list->items[kept++] = a;
    }
    united->count = kept;
    merged->images++;
    merged->added += kept - first;
    merged->known += list->count - kept;
    list->count = kept;
}

void reader_tell_merged(Reader *r, const char *file, const Merged *merged) {
    if (merged->images) reader_warn(r, file, "%zu of its images are listed before: %zu of their annotations are added there, %zu are there already",
                                    merged->images, merged->added, merged->known);
}

Status reader_deliver(Reader *r, DatasetImage *image, Error *err) {
    r->report->images++;
    r->report->labelled_images += image->labelled;
    r->report->annotations += image->annotations.count;
    Status status = r->sink->image(r->sink->context, image, err);
    arena_reset(&r->image_arena);
    return status;
}

Status reader_deliver_rest(Reader *r, Error *err) {
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        const TreeFile *file = &r->tree->files[i];
        if (!file->is_image || file->seen) continue;
        DatasetImage image = reader_image(r, file);
        reader_find_size(r, &image);
        status = reader_deliver(r, &image, err);
    }
    return status;
}

/* Which says itself how it is written, and libxml2 listens. */
static bool is_xml(const TreeFile *file) { return text_equal_ignoring_case(file_extension(file->path), ".xml"); }

bool reader_text(Reader *r, const TreeFile *file, Buffer *out) {
    Error err = {0};
    buffer_init(out, r->options->max_label_bytes);
    if (tree_text(r->tree, file, out, &err) == STATUS_OK) {
        if (!is_xml(file)) make_utf8(out);
        if (text_starts_with(buffer_text(out), TEXT_MARK)) memmove(out->data, out->data + strlen(TEXT_MARK), out->size -= strlen(TEXT_MARK)), out->data[out->size] = '\0';
        return true;
    }
    reader_leave_file_out(r, file->path, "cannot be read: %s", err.message);
    buffer_clear(out);
    return false;
}

bool reader_open_text(Reader *r, const TreeFile *file, LongText *out) {
    char head[sizeof TEXT_MARK] = "";
    int64_t size = tree_size(r->tree, file);
    bool is_readable = size >= 0 && tree_bytes(r->tree, file, 0, head, sizeof head - 1) >= 0, fits = (uint64_t)size <= r->options->max_label_bytes;
    if (!is_readable) reader_leave_file_out(r, file->path, "cannot be read");
    else if (!fits) reader_leave_file_out(r, file->path, "cannot be read: larger than %llu bytes", (unsigned long long)r->options->max_label_bytes);
    if (!is_readable || !fits) return false;
    if (!is_xml(file) && (text_starts_with(head, "\xff\xfe") || text_starts_with(head, "\xfe\xff"))) {
        Buffer text;
        if (!reader_text(r, file, &text)) return false;
        long_text_of_bytes(out, buffer_text(&text), text.size);
        out->memory = text;
        return true;
    }
    long_text_of_file(out, r->tree, file, text_equal(head, TEXT_MARK) ? strlen(TEXT_MARK) : 0, r->options->stop, r->options->context);
    return true;
}

Status reader_label_files(Reader *r, bool (*takes)(const Dataset *dataset, const TreeFile *file),
                          Status (*read)(Reader *reader, const char *file, const char *text, size_t size, Error *err), Error *err) {
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        if (takes(r->dataset, file)) reader_claim_image_of(r, file->path);
        arena_reset(&r->image_arena);
    }
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        const TreeFile *file = &r->tree->files[i];
        Buffer text;
        if (!takes(r->dataset, file) || !reader_text(r, file, &text)) continue;
        status = read(r, file->path, buffer_text(&text), text.size, err);
        buffer_clear(&text);
        arena_reset(&r->image_arena);
    }
    return status;
}
