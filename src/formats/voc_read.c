/* Pascal VOC in: one XML file per image, corners in pixels; splits in ImageSets/Main.
 *
 * By default the corners are those of the VOC development kit and of labelImg: pixels counted from 1, the last one included, so that a box
 * of xmin 1 and xmax 640 covers an image of 640 columns. A box whose corners coincide or are swapped on some axis is taken for a slip of
 * the hand and left out. With voc_zero_based corners are edges counted from 0.
 */
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { XML_MAX = 16 << 20 };

/* ---- recognising ---- */

static bool takes(const Dataset *d, const TreeFile *file) { return reader_takes(d, file, ".xml"); }

static bool looks_like_voc(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    const char *tag = reader_peek(tree, file, &ends) ? strstr(buffer_text(&ends), "<annotation") : NULL; /* CVAT's root is <annotations> */
    bool is = tag && strchr("> \t\r\n", tag[strlen("<annotation")]);
    buffer_clear(&ends);
    return is;
}

bool voc_detect(const Dataset *d) { return reader_finds_file(d, takes, looks_like_voc); }

/* ---- XML ---- */

static xmlNode *child(const xmlNode *parent, const char *name) {
    for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0) return node;
    }
    return NULL;
}

/* Text of an element without blanks around it, in image_arena; NULL when it has none. In our own files blanks are part of a filename. */
static const char *text_of(Reader *r, const xmlNode *node) {
    xmlChar *content = node ? xmlNodeGetContent(node) : NULL;
    if (!content) return NULL;
    const char *start = (const char *)content;
    if (!r->tree->is_ours) start += strspn(start, " \t\r\n");
    size_t length = strlen(start);
    while (!r->tree->is_ours && length && strchr(" \t\r\n", start[length - 1])) length--;
    const char *text = length ? arena_strndup(&r->image_arena, start, length) : NULL;
    xmlFree(content);
    return text;
}

static bool number_of(Reader *r, const xmlNode *parent, const char *name, double *out) {
    const char *text = text_of(r, child(parent, name));
    return text && text_to_number(text, out) && isfinite(*out);
}

/* No network, no entities, no document types: none of them has a place in a label file. */
static xmlDoc *parse(const char *text, size_t size) {
    if (size > XML_MAX) return NULL;
    xmlDoc *doc = xmlReadMemory(text, (int)size, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc || !doc->intSubset) return doc;
    xmlFreeDoc(doc);
    return NULL;
}

/* ---- objects ---- */

static bool read_corners(Reader *r, const xmlNode *box, double v[4]) {
    static const char *const NAMES[] = {"xmin", "ymin", "xmax", "ymax"};
    for (size_t i = 0; i < 4; i++) {
        if (!number_of(r, box, NAMES[i], &v[i])) return false;
    }
    return true;
}

static void read_object(Reader *r, DatasetImage *image, const char *file, const xmlNode *object, size_t number) {
    const char *name = text_of(r, child(object, "name"));
    const char *what = arena_printf(&r->image_arena, "object %zu (%s)", number, name ? name : "without name");
    double v[4];
    if (!name || !text_is_utf8(name, strlen(name))) {
        reader_leave_out(r, file, "%s: left out", what);
    } else if (!read_corners(r, child(object, "bndbox"), v)) {
        reader_leave_out(r, file, "%s: no box of four numbers; left out", what);
    } else if (v[2] <= v[0] || v[3] <= v[1]) {
        reader_leave_out(r, file, "%s: box of zero size (%g, %g, %g, %g); left out", what, v[0], v[1], v[2], v[3]);
    } else {
        double first = r->options->voc_zero_based ? 0 : 1;
        Annotation annotation = {.id = arena_printf(&r->image_arena, "%zu", number), .name = name, .confidence = 1};
        annotation.bounding_box = (Box){v[0] - first, v[1] - first, v[2] - v[0] + first, v[3] - v[1] + first};
        reader_add_box(r, image, file, what, annotation);
    }
}

/* ---- images ---- */

/* The image that the file is about: by its filename, else by its own name, which tools that rename images keep in step. */
static TreeFile *find_image(Reader *r, const char *file, const char *named, const char *stem) {
    TreeFile *image = named ? reader_find_image(r, file, named) : NULL;
    return image ? image : reader_find_image_of_stem(r, file, stem);
}

/* "Annotations/a/b.xml" about the missing "b.jpg" -> "a/b.jpg": the label files mirror the images. */
static const char *missing_path(Reader *r, const char *file, const char *named) {
    const char *folder = strstr(file, "Annotations/");
    folder = folder ? folder + strlen("Annotations/") : "";
    return strchr(folder, '/') && !strchr(named, '/') ? name_join(&r->image_arena, name_folder(&r->image_arena, folder), named) : named;
}

static void read_size(Reader *r, const char *file, const xmlNode *root, DatasetImage *image) {
    const xmlNode *size = child(root, "size");
    double width = 0, height = 0;
    if (!number_of(r, size, "width", &width) || !number_of(r, size, "height", &height)) width = 0;
    reader_settle_size(r, image, file, width, height);
}

static Status read_root(Reader *r, const char *file, const xmlNode *root, Error *err) {
    const char *named = text_of(r, child(root, "filename"));
    const char *stem = name_without_extension(&r->image_arena, file_base_name(file));
    TreeFile *image_file = find_image(r, file, named, stem);
    DatasetImage image;
    if (image_file && image_file->seen) {
        reader_leave_file_out(r, file, "a second label file of image %s; left out", image_file->path);
        return STATUS_OK;
    }
    if (image_file) {
        image_file->seen = true;
        image = reader_image(r, image_file);
    } else if (!reader_missing_image(r, file, missing_path(r, file, named ? named : stem), &image)) {
        return STATUS_OK;
    } else if (r->tree->image_count) {
        reader_warn(r, file, "its image %s is missing", named ? named : stem);
    }
    read_size(r, file, root, &image);
    image.labelled = true;
    size_t number = 0;
    for (const xmlNode *node = root->children; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, "object") == 0) read_object(r, &image, file, node, ++number);
    }
    return reader_deliver(r, &image, err);
}

Status voc_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    xmlDoc *doc = parse(text, size);
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    Status status = STATUS_OK;
    if (!root) reader_leave_file_out(r, file, "not a sound XML file; left out");
    else if (strcmp((const char *)root->name, "annotation") != 0) reader_warn(r, file, "an XML file, but not of Pascal VOC; passed over");
    else status = read_root(r, file, root, err);
    xmlFreeDoc(doc);
    return status;
}

/* ---- splits ---- */

static const char *split_of_list(const char *path) {
    const char *name = file_base_name(path);
    if (!strstr(path, "ImageSets/") || !text_ends_with(name, ".txt")) return NULL;
    return name_split(name, strlen(name) - strlen(".txt"));
}

static void read_list(Reader *r, const TreeFile *list, const char *split) {
    Buffer text;
    size_t missing = 0;
    if (!reader_text(r, list, &text)) return;
    for (char *rest = text.size ? text.data : NULL, *line; (line = strsep(&rest, "\n"));) {
        line[strcspn(line, " \t\r")] = '\0'; /* some lists say 1 or -1 after the name */
        if (!*line) continue;
        TreeFile *image = reader_find_image_of_stem(r, "Annotations/-", line);
        if (image) reader_set_split(r, image, split);
        else missing++;
    }
    if (missing) reader_warn(r, list->path, "%zu of its images are missing", missing);
    buffer_clear(&text);
}

/* Test and val come after train: an image that several lists name is held out. */
static void read_splits(Reader *r) {
    static const char *const ORDER[] = {"train", "val", "test"};
    for (size_t s = 0; s < 3; s++) {
        for (size_t i = 0; i < r->tree->count; i++) {
            const char *split = split_of_list(r->tree->files[i].path);
            if (split && strcmp(split, ORDER[s]) == 0) read_list(r, &r->tree->files[i], split);
        }
    }
}

Status voc_read(Reader *r, Error *err) {
    xmlInitParser();
    read_splits(r);
    return reader_label_files(r, takes, voc_read_text, err);
}
