/* YOLO in: one text file of relative coordinates per image, class names in data.yaml or a list of names.
 *
 * A line is "class cx cy w h", with a sixth number for a confidence, or "class x1 y1 x2 y2 x3 y3 ...". Labels lie in a folder that mirrors the
 * images' (labels against images), or beside them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "formats/yaml.h"
#include "base/banned.h"

enum { DETECT_TRIES = 1000, YAML_MAX = 1 << 20 };

/* ---- recognising ---- */

/* In archives of ours they are labels of images with such names. */
static bool is_our_label(const Tree *tree, const TreeFile *file) { return tree->is_ours && text_starts_with(file->path, "labels/"); }

static bool is_name_list(const Tree *tree, const TreeFile *file) {
    const char *name = file_base_name(file->path);
    if (is_our_label(tree, file)) return false;
    return text_equal(name, "classes.txt") || text_equal(name, "obj.names") || text_equal(name, "names.txt") || text_equal(name, "labels.txt");
}

static bool is_label(const Dataset *d, const TreeFile *file) {
    return reader_takes(d, file, ".txt") && !is_name_list(&d->tree, file) && (is_our_label(&d->tree, file) || !strstr(file->path, "ImageSets"));
}

/* "3 0.5 0.5 0.25 0.25" and nothing else in the first line that holds anything. */
static bool starts_as_label(const Tree *tree, const TreeFile *file) {
    char text[256] = {0};
    ssize_t n = tree_bytes(tree, file, 0, text, sizeof text - 1);
    if (n <= 0) return false;
    if (text_starts_with(text, "\xff\xfe") || text_starts_with(text, "\xfe\xff")) {
        Buffer ends;
        reader_peek(tree, file, &ends);
        n = snprintf(text, sizeof text, "%s", buffer_text(&ends));
        n = n < (ssize_t)sizeof text ? n : (ssize_t)sizeof text - 1;
        buffer_clear(&ends);
    }
    char *last = n == sizeof text - 1 ? strrchr(text, ' ') : NULL; /* what is behind it may be half a number */
    if (last) *last = '\0';
    char *at = text, *end;
    if (text_starts_with(at, TEXT_MARK)) at += strlen(TEXT_MARK);
    at += strspn(at, " \t\r\n");
    int numbers = 0;
    for (;; numbers++, at = end) {
        at += strspn(at, " \t\r");
        if (*at == '\n' || *at == '\0') break;
        double v = strtod(at, &end);
        if (end == at || !isfinite(v) || (numbers == 0 && v != floor(v)) || (numbers && fabs(v) > 2)) return false;
    }
    return numbers >= 5;
}

static bool is_yaml(const char *path) {
    const char *extension = file_extension(path);
    return text_equal_ignoring_case(extension, ".yaml") || text_equal_ignoring_case(extension, ".yml");
}

/* The file that describes the dataset: data.yaml or dataset.yaml before any other with names. */
static bool read_yaml(const Tree *tree, Arena *arena, Yaml *out, const char **folder) {
    bool found = false;
    for (size_t i = 0; i < tree->count; i++) {
        const char *path = tree->files[i].path;
        if (!is_yaml(path)) continue;
        Buffer text;
        Yaml yaml;
        buffer_init(&text, YAML_MAX);
        if (tree_text(tree, &tree->files[i], &text, NULL) == STATUS_OK) {
            yaml_read(arena, buffer_text(&text), &yaml);
            bool better = !found || text_equal(file_base_name(path), "data.yaml");
            if (yaml_get(&yaml, "names") && better) {
                *out = yaml;
                *folder = arena_strndup(arena, path, (size_t)(file_base_name(path) - path));
                found = true;
            }
        }
        buffer_clear(&text);
    }
    return found;
}

bool yolo_detect(const Dataset *d) {
    Arena arena;
    Yaml yaml;
    const char *folder;
    arena_init(&arena, SIZE_MAX);
    bool found = read_yaml(&d->tree, &arena, &yaml, &folder) && yaml_get(&yaml, "train");
    for (size_t i = 0, tries = 0; i < d->tree.count && tries < DETECT_TRIES && !found; i++) {
        if (!is_label(d, &d->tree.files[i])) continue;
        tries++;
        found = starts_as_label(&d->tree, &d->tree.files[i]);
    }
    arena_clear(&arena);
    return found;
}

/* ---- class names and splits ---- */

static void add_class(Reader *r, size_t index, const char *name) {
    while (r->report->class_count < index) reader_class(r, arena_printf(r->arena, "class %zu", r->report->class_count)); /* a gap in a map */
    bool usable = !text_is_blank(name) && text_is_utf8(name, strlen(name));
    if (!usable) reader_warn(r, ".", "the name of class %zu cannot be used; named by its number", index);
    const char *unique = usable ? text_trim(r->arena, name) : arena_printf(r->arena, "class %zu", index);
    while (string_map_get(&r->classes, unique) != STRING_MAP_NONE) unique = arena_printf(r->arena, "%s (%zu)", unique, index);
    reader_class(r, unique);
}

static void classes_of_yaml(Reader *r, const Yaml *yaml) {
    enum { CLASSES_MAX = 100000 };
    const YamlEntry *names = yaml_get(yaml, "names");
    if (!names) return;
    for (size_t i = 0; i < names->count; i++) {
        int64_t index = (int64_t)i;
        if (names->items[i].key && (!text_to_int(names->items[i].key, &index) || index < (int64_t)r->report->class_count || index > CLASSES_MAX)) {
            reader_warn(r, "data.yaml", "class '%s: %s' is out of order; passed over", names->items[i].key, names->items[i].value);
            continue;
        }
        add_class(r, (size_t)index, names->items[i].value);
    }
}

void yolo_read_names(Reader *r, const char *text) {
    Yaml yaml;
    yaml_read(r->arena, text, &yaml);
    classes_of_yaml(r, &yaml);
    r->has_class_list = r->report->class_count > 0;
}

/* Calls for each line of text, which it cuts up. */
static void each_line(char *text, void (*line)(void *context, const char *line), void *context) {
    for (char *rest = text, *at; (at = strsep(&rest, "\n"));) {
        size_t length = strlen(at);
        while (length && (at[length - 1] == '\r' || at[length - 1] == ' ')) at[--length] = '\0';
        if (length) line(context, at);
    }
}

static void class_line(void *context, const char *line) {
    Reader *r = context;
    add_class(r, r->report->class_count, line);
}

static void classes_of_list(Reader *r) {
    for (size_t i = 0; i < r->tree->count && !r->report->class_count; i++) {
        Buffer text;
        if (!is_name_list(r->tree, &r->tree->files[i]) || !reader_text(r, &r->tree->files[i], &text)) continue;
        if (text.size) each_line(text.data, class_line, r);
        buffer_clear(&text);
    }
}

typedef struct SplitList {
    Reader *reader;
    const char *file, *split;
    size_t missing;
} SplitList;

static void split_line(void *context, const char *line) {
    SplitList *list = context;
    TreeFile *image = reader_find_image(list->reader, list->file, line);
    if (image) reader_set_split(list->reader, image, list->split);
    else list->missing++;
}

/* value is a folder of images or a text file that lists them, relative to the yaml file or to its `path`. */
static void read_split(Reader *r, const char *split, const char *folder, const char *root, const char *value) {
    while (text_starts_with(value, "../") || text_starts_with(value, "./")) value += value[1] == '.' ? 3 : 2;
    const char *tries[] = {arena_printf(r->arena, "%s%s", folder, value), root ? arena_printf(r->arena, "%s%s/%s", folder, root, value) : value, value};
    for (size_t t = 0; t < sizeof tries / sizeof *tries; t++) {
        const TreeFile *list = text_ends_with(value, ".txt") ? tree_find(r->tree, tries[t]) : NULL;
        Buffer text;
        if (list && reader_text(r, list, &text)) {
            SplitList context = {r, list->path, split, 0};
            if (text.size) each_line(text.data, split_line, &context);
            if (context.missing) reader_warn(r, list->path, "%zu of its images are missing", context.missing);
            buffer_clear(&text);
            return;
        }
        size_t length = strlen(tries[t]), found = 0;
        while (length && tries[t][length - 1] == '/') length--;
        for (size_t i = 0; i < r->tree->count; i++) {
            const TreeFile *file = &r->tree->files[i];
            if (!file->is_image || strncmp(file->path, tries[t], length) != 0 || (length && file->path[length] != '/')) continue;
            reader_set_split(r, file, split);
            found++;
        }
        if (found) return;
    }
}

static const char *first_value(const Yaml *yaml, const char *key) {
    const YamlEntry *entry = yaml_get(yaml, key);
    return entry && entry->count ? entry->items[0].value : NULL;
}

static void splits_of_yaml(Reader *r, const Yaml *yaml, const char *folder) {
    const char *train = first_value(yaml, "train"), *val = first_value(yaml, "val");
    if (!val) val = first_value(yaml, "valid");
    if (!train || text_equal(train, val)) return; /* one folder for both is no split */
    static const char *const KEYS[][2] = {{"train", "train"}, {"val", "val"}, {"valid", "val"}, {"test", "test"}};
    for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++) {
        const YamlEntry *entry = yaml_get(yaml, KEYS[k][0]);
        for (size_t i = 0; entry && i < entry->count; i++) {
            if (*entry->items[i].value) read_split(r, KEYS[k][1], folder, first_value(yaml, "path"), entry->items[i].value);
        }
    }
}

/* ---- labels ---- */

/* Numbers of a line; returns how many there are, 0 when something else stands there. Only the first max are stored. */
static size_t read_numbers(const char *line, double *out, size_t max) {
    size_t count = 0;
    for (const char *at = line;;) {
        at += strspn(at, " \t\r");
        if (!*at) return count;
        char *end;
        double v = strtod(at, &end);
        if (end == at || !isfinite(v) || (*end && !strchr(" \t\r", *end))) return 0;
        if (count < max) out[count] = v;
        count++;
        at = end;
    }
}

static bool beyond(double v) { return v < -0.001 || v > 1.001; }

static void read_polygon(Reader *r, DatasetImage *image, const char *file, const char *what, Annotation annotation, const double *v, size_t points) {
    Ring *ring = arena_new(&r->image_arena, Ring);
    *ring = (Ring){arena_new_array(&r->image_arena, Point, points), points};
    bool cut = false;
    for (size_t i = 0; i < points; i++) {
        cut |= beyond(v[2 * i]) || beyond(v[2 * i + 1]);
        ring->points[i] = (Point){fmax(0, fmin(1, v[2 * i])) * image->width, fmax(0, fmin(1, v[2 * i + 1])) * image->height};
    }
    if (cut) reader_warn(r, file, "%s: values outside 0..1; cut", what);
    annotation.polygon = (Polygon){ring, 1};
    reader_add_polygon(r, image, file, what, annotation);
}

static void read_label(Reader *r, DatasetImage *image, const char *file, size_t number, const char *line) {
    size_t max = strlen(line) / 2 + 1;
    double *v = arena_new_array(&r->image_arena, double, max < 6 ? 6 : max);
    size_t count = read_numbers(line, v, max);
    if (r->keypoint_numbers && count == 5 + r->keypoint_numbers) count = 5;
    bool is_box = count == 5 || count == 6, is_polygon = count >= 7 && count % 2 == 1;
    if (!(is_box || is_polygon) || v[0] != floor(v[0]) || v[0] < 0 || v[0] > 1e6) {
        reader_leave_out(r, file, "line %zu: neither a box nor a polygon; left out", number);
        return;
    }
    size_t class = (size_t)v[0];
    if (class >= r->report->class_count && r->has_class_list) {
        reader_leave_out(r, file, "line %zu: class %zu, but there are only %zu; left out", number, class, r->report->class_count);
        return;
    }
    const char *name = r->has_class_list ? r->report->classes[class].name : reader_class(r, arena_printf(&r->image_arena, "class %zu", class));
    const char *what = arena_printf(&r->image_arena, "line %zu (%s)", number, name);
    Annotation annotation = {.id = arena_printf(&r->image_arena, "%zu", number), .name = name, .confidence = 1};
    if (is_polygon) {
        read_polygon(r, image, file, what, annotation, v + 1, (count - 1) / 2);
        return;
    }
    if (count == 6 && v[5] >= 0 && v[5] <= 1) annotation.confidence = v[5];
    annotation.bounding_box = (Box){(v[1] - v[3] / 2) * image->width, (v[2] - v[4] / 2) * image->height, v[3] * image->width, v[4] * image->height};
    reader_add_box(r, image, file, what, annotation);
}

void yolo_read_labels(Reader *r, const char *file, const char *text, DatasetImage *image) {
    size_t number = 0;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, "\n");
        const char *line = arena_strndup(&r->image_arena, at, length);
        number++;
        if (!text_is_blank(line)) read_label(r, image, file, number, line);
        at += length + (at[length] == '\n');
    }
}

/* ---- images ---- */

static Status read_label_file(Reader *r, const TreeFile *file, Error *err) {
    const char *name = file_base_name(file->path);
    const char *stem = arena_strndup(&r->image_arena, name, strlen(name) - strlen(".txt"));
    if (!name_is_safe_path(stem)) stem = name; /* "..txt", of the image "..jpg" */
    TreeFile *image_file = reader_find_image_of_stem(r, file->path, stem);
    DatasetImage image;
    Buffer text;
    if (image_file && image_file->seen) {
        reader_leave_file_out(r, file->path, "a second label file of image %s; left out", image_file->path);
        return STATUS_OK;
    }
    if (image_file) image = reader_image(r, image_file);
    else if (!reader_missing_image(r, file->path, stem, &image)) return STATUS_OK;
    if (!reader_find_size(r, &image)) {
        reader_leave_file_out(r, file->path, image_file ? "the size of its image cannot be told; labels left out" : "its image is missing; labels left out");
        return STATUS_OK;
    }
    if (!reader_text(r, file, &text)) return STATUS_OK;
    if (image_file) image_file->seen = true;
    else reader_warn(r, file->path, "its image is missing");
    yolo_read_labels(r, file->path, buffer_text(&text), &image);
    image.labelled = image.annotations.count || text_is_blank(buffer_text(&text)); /* words say nothing about the image */
    buffer_clear(&text);
    return reader_deliver(r, &image, err);
}

/* A text of words is no label file, which is said where it bears an image's name; an empty one is, when it belongs to an image, or to one of those that
 * are all elsewhere. */
static bool is_label_text(Reader *r, const TreeFile *file) {
    bool has_image = reader_find_image_of_stem(r, file->path, name_without_extension(&r->image_arena, file_base_name(file->path))) != NULL;
    bool in_labels = strstr(file->path, "labels/") != NULL;
    bool is = tree_size(r->tree, file) ? starts_as_label(r->tree, file) || in_labels : has_image || (in_labels && !r->tree->image_count);
    if (has_image && !is) reader_leave_file_out(r, file->path, "its first line is neither a box nor a polygon; the file is left out");
    arena_reset(&r->image_arena);
    return is;
}

/* "kpt_shape: [17, 3]": points, and numbers of each. */
static void read_keypoint_shape(Reader *r, const Yaml *yaml) {
    const YamlEntry *shape = yaml_get(yaml, "kpt_shape");
    int64_t points, numbers;
    if (!shape) return;
    reader_warn(r, "data.yaml", "keypoints of skeletons are not read; their boxes are");
    if (shape->count == 2 && text_to_int(shape->items[0].value, &points) && text_to_int(shape->items[1].value, &numbers) && points > 0 && points < 10000 &&
        numbers > 1 && numbers < 4)
        r->keypoint_numbers = (size_t)(points * numbers);
}

Status yolo_read(Reader *r, Error *err) {
    Yaml yaml = {0};
    const char *folder = "";
    if (read_yaml(r->tree, r->arena, &yaml, &folder)) {
        classes_of_yaml(r, &yaml);
        splits_of_yaml(r, &yaml, folder);
    }
    if (!r->report->class_count) classes_of_list(r);
    r->has_class_list = r->report->class_count > 0;
    if (!r->has_class_list) reader_warn(r, ".", "no names of classes (data.yaml, classes.txt); classes are named by their number");
    read_keypoint_shape(r, &yaml);
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        if (is_label(r->dataset, file)) reader_claim_image_of(r, file->path);
        arena_reset(&r->image_arena);
    }
    Status status = STATUS_OK;
    for (size_t i = 0; i < r->tree->count && status == STATUS_OK; i++) {
        if (is_label(r->dataset, &r->tree->files[i]) && is_label_text(r, &r->tree->files[i])) status = read_label_file(r, &r->tree->files[i], err);
        arena_reset(&r->image_arena);
    }
    return status;
}
