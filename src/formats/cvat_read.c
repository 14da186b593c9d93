/* CVAT for images 1.1 in: annotations.xml with every image, its boxes, polygons, lines, points, ellipses and masks.
 *
 * A file is parsed twice as a stream of elements: first for the labels and the names of the images, so that each keeps its file, then
 * for the shapes. Of an image that several files list, or one twice, the shapes are put together, each once: what is read of it is kept until
 * its last mention. Turned boxes and ellipses become polygons, tracks of videos and cuboids are left out. No network, no entities, no
 * document types: none of them has a place in a label file.
 */
#include <libxml/parser.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/format.h"
#include "formats/names.h"
#include "base/banned.h"

enum { CHUNK_SIZE = 1 << 16, ELLIPSE_POINTS = 36, MASK_PIXELS_MAX = 1 << 28, IMAGE_DEPTH = 2, SHAPE_DEPTH = 3 };
#define PI 3.14159265358979323846

/* An image file that is listed several times. */
typedef struct Several {
    Arena arena; /* takes the reader's place while the image is read */
    DatasetImage image;
    United united;
    size_t shape_count;
    size_t read, mentions;
} Several;

typedef struct CvatReader {
    Reader *reader;
    const char *file;
    LongText text_of_file;
    NameList names;     /* of the images, as they are listed */
    TreeFile **images;  /* their files; NULL: missing */
    size_t image_count; /* of those that were read */
    Several **several;  /* of each file of the tree; NULL: it is listed once at most */
    Several *open;      /* that the image is */
    Arena outer;        /* the reader's own meanwhile */
    Merged merged;
    xmlParserCtxt *parser;
    bool first_pass; /* labels and claims; else shapes */
    int depth;       /* elements that are open */
    bool in_label, refused, in_track, is_sound;
    Buffer text;     /* of the label's child that is open */
    char *label_name, *label_color; /* in the reader's arena */
    bool has_image;
    DatasetImage image;
    size_t shape_count; /* of the image */
    Status status;      /* of the sink */
    Error *err;
} CvatReader;

/* What libxml2 hands over for an element: five pointers an attribute. */
typedef struct Attributes {
    Arena *arena;
    const xmlChar **list;
    int count;
} Attributes;

static const char *attribute(const Attributes *attributes, const char *name) {
    for (int i = 0; i < attributes->count; i++) {
        const xmlChar **a = attributes->list + 5 * i;
        if (strcmp((const char *)a[0], name) == 0) return arena_strndup(attributes->arena, (const char *)a[3], (size_t)(a[4] - a[3]));
    }
    return NULL;
}

static bool number(const Attributes *attributes, const char *name, double *out) {
    const char *text = attribute(attributes, name);
    return text && text_to_number(text, out) && isfinite(*out);
}

static bool numbers(const Attributes *attributes, const char *const names[4], double out[4]) {
    for (size_t i = 0; i < 4; i++) {
        if (!number(attributes, names[i], &out[i])) return false;
    }
    return true;
}

/* ---- recognising ---- */

static bool takes(const Dataset *d, const TreeFile *file) { return reader_takes(d, file, ".xml"); }

static bool looks_like_cvat(const Tree *tree, const TreeFile *file) {
    Buffer ends;
    bool is = reader_peek(tree, file, &ends) && strstr(buffer_text(&ends), "<annotations>") && (strstr(buffer_text(&ends), "<version>") || strstr(buffer_text(&ends), "<image "));
    buffer_clear(&ends);
    return is;
}

bool cvat_detect(const Dataset *d) { return reader_finds_file(d, takes, looks_like_cvat); }

/* ---- shapes ---- */

/* "x,y;x,y": false when it is anything else. */
static bool parse_points(Arena *arena, const char *text, Ring *out) {
    size_t most = 1;
    for (const char *p = text; *p; p++) most += *p == ';';
    *out = (Ring){arena_new_array(arena, Point, most), 0};
    for (const char *p = text;; p++) {
        char *end;
        Point *point = &out->points[out->count++];
        point->x = strtod(p, &end);
        if (end == p || *end != ',') return false;
        p = end + 1;
        point->y = strtod(p, &end);
        if (end == p || !isfinite(point->x) || !isfinite(point->y)) return false;
        p = end;
        if (!*p) return true;
        if (*p != ';') return false;
    }
}

/* Points of a shape around (x, y), turned clockwise on the screen. */
static void turn(Ring *ring, double x, double y, double degrees) {
    double sine = sin(degrees * PI / 180), cosine = cos(degrees * PI / 180);
    for (size_t i = 0; i < ring->count; i++) {
        double dx = ring->points[i].x - x, dy = ring->points[i].y - y;
        ring->points[i] = (Point){x + dx * cosine - dy * sine, y + dx * sine + dy * cosine};
    }
}

static Polygon polygon_of_ring(Arena *arena, Ring ring) {
    Polygon polygon = {arena_new(arena, Ring), 1};
    polygon.rings[0] = ring;
    return polygon;
}

static Ring ellipse(Arena *arena, double cx, double cy, double rx, double ry) {
    Ring ring = {arena_new_array(arena, Point, ELLIPSE_POINTS), ELLIPSE_POINTS};
    for (size_t i = 0; i < ELLIPSE_POINTS; i++) {
        double angle = 2 * PI * (double)i / ELLIPSE_POINTS;
        ring.points[i] = (Point){cx + rx * cos(angle), cy + ry * sin(angle)};
    }
    return ring;
}

/* Runs along the rows, the first counts zeros; false when they do not fill the mask exactly. */
static bool fill_mask(const char *runs, Mask *mask) {
    size_t size = (size_t)mask->width * mask->height, at = 0;
    for (int value = 0; *runs; value ^= 1) {
        char *end;
        unsigned long long run = strtoull(runs, &end, 10);
        if (end == runs || run > size - at) return false;
        memset(mask->pixels + at, value, (size_t)run);
        at += (size_t)run;
        runs = end + strspn(end, ", ");
    }
    return at == size;
}

static bool read_mask(Arena *arena, const Attributes *attributes, Polygon *out) {
    static const char *const NAMES[] = {"left", "top", "width", "height"};
    double v[4];
    const char *runs = attribute(attributes, "rle");
    if (!runs || !numbers(attributes, NAMES, v) || v[2] < 1 || v[3] < 1 || v[2] * v[3] > MASK_PIXELS_MAX) return false;
    Arena scratch;
    arena_init(&scratch, SIZE_MAX);
    Mask mask = {(uint32_t)v[2], (uint32_t)v[3], arena_alloc(&scratch, (size_t)v[2] * (size_t)v[3])};
    bool good = fill_mask(runs, &mask);
    if (good) *out = shape_of_mask(arena, &mask, v[0], v[1]);
    arena_clear(&scratch);
    return good && out->count > 0;
}

typedef struct Shape {
    CvatReader *c;
    const Attributes *attributes;
    const char *what;
    Annotation annotation;
} Shape;

static bool add_box(Shape *s) {
    static const char *const NAMES[] = {"xtl", "ytl", "xbr", "ybr"};
    Reader *r = s->c->reader;
    double v[4], degrees = 0;
    if (!numbers(s->attributes, NAMES, v)) return false;
    Box box = {v[0], v[1], v[2] - v[0], v[3] - v[1]};
    number(s->attributes, "rotation", &degrees);
    s->annotation.bounding_box = box;
    if (degrees == 0) {
        reader_add_box(r, &s->c->image, s->c->file, s->what, s->annotation);
        return true;
    }
    Ring corners = {arena_new_array(&r->image_arena, Point, 4), 4};
    box_corners(box, corners.points);
    turn(&corners, box.x + box.w / 2, box.y + box.h / 2, degrees);
    s->annotation.polygon = polygon_of_ring(&r->image_arena, corners);
    reader_add_polygon(r, &s->c->image, s->c->file, s->what, s->annotation);
    return true;
}

static bool add_ellipse(Shape *s) {
    static const char *const NAMES[] = {"cx", "cy", "rx", "ry"};
    Reader *r = s->c->reader;
    double v[4], degrees = 0;
    if (!numbers(s->attributes, NAMES, v)) return false;
    number(s->attributes, "rotation", &degrees);
    Ring ring = ellipse(&r->image_arena, v[0], v[1], v[2], v[3]);
    turn(&ring, v[0], v[1], degrees);
    s->annotation.polygon = polygon_of_ring(&r->image_arena, ring);
    reader_add_polygon(r, &s->c->image, s->c->file, s->what, s->annotation);
    return true;
}

static bool add_mask(Shape *s) {
    if (!read_mask(&s->c->reader->image_arena, s->attributes, &s->annotation.polygon)) return false;
    reader_add_polygon(s->c->reader, &s->c->image, s->c->file, s->what, s->annotation);
    return true;
}

static bool points_of(Shape *s, Ring *out) {
    const char *text = attribute(s->attributes, "points");
    return text && parse_points(&s->c->reader->image_arena, text, out);
}

static bool add_polygon(Shape *s) {
    Ring ring;
    if (!points_of(s, &ring) || ring.count < 3) return false;
    s->annotation.polygon = polygon_of_ring(&s->c->reader->image_arena, ring);
    reader_add_polygon(s->c->reader, &s->c->image, s->c->file, s->what, s->annotation);
    return true;
}

static bool add_polyline(Shape *s) {
    if (!points_of(s, &s->annotation.path)) return false;
    reader_add_polyline(s->c->reader, &s->c->image, s->c->file, s->what, s->annotation);
    return true;
}

static bool add_points(Shape *s) {
    Ring points;
    const char *id = s->annotation.id;
    if (!points_of(s, &points)) return false;
    for (size_t i = 0; i < points.count; i++) {
        s->annotation.keypoint = points.points[i];
        if (i) s->annotation.id = arena_printf(&s->c->reader->image_arena, "%s.%zu", id, i + 1);
        reader_add_keypoint(s->c->reader, &s->c->image, s->c->file, s->what, s->annotation);
    }
    return true;
}

static const struct {
    const char *element;
    bool (*add)(Shape *shape); /* false: not as it should be */
} SHAPES[] = {
    {"box", add_box},   {"polygon", add_polygon}, {"polyline", add_polyline}, {"points", add_points}, {"ellipse", add_ellipse},
    {"mask", add_mask},
};

static void read_shape(CvatReader *c, const char *element, const Attributes *attributes) {
    size_t i = 0, count = sizeof SHAPES / sizeof *SHAPES;
    while (i < count && strcmp(SHAPES[i].element, element) != 0) i++;
    Reader *r = c->reader;
    const char *label = attribute(attributes, "label");
    c->shape_count++;
    Shape shape = {.c = c, .attributes = attributes, .annotation = {.name = label, .confidence = 1}};
    shape.what = arena_printf(&r->image_arena, "%s, shape %zu (%s)", c->image.filename, c->shape_count, label ? label : "without label");
    shape.annotation.id = arena_printf(&r->image_arena, "%zu", c->shape_count);
    if (i == count) reader_leave_out(r, c->file, "%s: a %s; left out", shape.what, element);
    else if (!label || text_is_blank(label)) reader_leave_out(r, c->file, "%s: left out", shape.what);
    else if (!SHAPES[i].add(&shape)) reader_leave_out(r, c->file, "%s: a %s that is not sound; left out", shape.what, element);
}

/* ---- images and labels ---- */

static void read_size(CvatReader *c, const Attributes *attributes, DatasetImage *image) {
    double width = 0, height = 0;
    if (!number(attributes, "width", &width) || !number(attributes, "height", &height)) width = 0;
    reader_settle_size(c->reader, image, c->file, width, height);
}

/* False when it is left out. */
static bool begin_first(CvatReader *c, const char *named, TreeFile *file, const Attributes *attributes) {
    Reader *r = c->reader;
    if (file) {
        file->seen = true;
        c->image = reader_image(r, file);
    } else if (!reader_missing_image(r, c->file, named, &c->image)) {
        return false;
    } else if (r->tree->image_count) {
        reader_warn(r, c->file, "image %s is missing", named);
    }
    read_size(c, attributes, &c->image);
    const char *subset = attribute(attributes, "subset"), *split = subset ? name_split(subset, strlen(subset)) : NULL;
    if (split) c->image.split = split;
    c->image.labelled = true;
    return true;
}

static void begin_image(CvatReader *c, const Attributes *attributes) {
    Reader *r = c->reader;
    const char *named = attribute(attributes, "name");
    c->has_image = false;
    c->shape_count = 0;
    if (!named) {
        reader_leave_file_out(r, c->file, "an image has no name; left out");
        return;
    }
    TreeFile *file = c->image_count < c->names.count ? c->images[c->image_count++] : NULL;
    c->open = file && c->several ? c->several[file - r->tree->files] : NULL;
    if (c->open) c->outer = r->image_arena, r->image_arena = c->open->arena;
    if (c->open && c->open->read++) {
        c->has_image = true;
        c->image = c->open->image;
        c->shape_count = c->open->shape_count;
        read_size(c, attributes, &(DatasetImage){.filename = c->image.filename, .path = c->image.path});
    } else {
        c->has_image = begin_first(c, named, file, attributes);
    }
}

static Status end_image(CvatReader *c) {
    Reader *r = c->reader;
    Several *open = c->open;
    c->has_image = false;
    if (!open) return reader_deliver(r, &c->image, c->err);
    if (open->read > 1) reader_unite(r, &open->united, &c->image.annotations, open->image.annotations.count, &c->merged);
    open->image = c->image;
    open->shape_count = c->shape_count;
    Status status = open->read == open->mentions ? reader_deliver(r, &c->image, c->err) : STATUS_OK;
    open->arena = r->image_arena;
    r->image_arena = c->outer;
    if (open->read == open->mentions) arena_clear(&open->arena);
    arena_reset(&r->image_arena);
    c->open = NULL;
    return status;
}

static void end_label(CvatReader *c) {
    Reader *r = c->reader;
    c->in_label = false;
    if (!c->label_name || text_is_blank(c->label_name)) return;
    const char *name = reader_class(r, c->label_name);
    if (c->label_color) r->report->classes[string_map_get(&r->classes, name)].color = arena_strdup(r->report->arena, c->label_color);
}

/* ---- elements ---- */

static void start_element(void *context, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri, int namespace_count, const xmlChar **namespaces,
                          int attribute_count, int defaulted, const xmlChar **list) {
    CvatReader *c = context;
    const char *name = (const char *)local;
    Attributes attributes = {&c->reader->image_arena, list, attribute_count};
    (void)prefix, (void)uri, (void)namespace_count, (void)namespaces, (void)defaulted;
    c->depth++;
    buffer_reset(&c->text);
    if (c->first_pass) {
        if (strcmp(name, "label") == 0) c->in_label = true, c->label_name = c->label_color = NULL;
        const char *named = c->depth == IMAGE_DEPTH && strcmp(name, "image") == 0 ? attribute(&attributes, "name") : NULL;
        if (named) reader_claim_image(c->reader, c->file, named), name_list_add(&c->names, named);
        arena_reset(&c->reader->image_arena);
    } else if (c->depth == IMAGE_DEPTH && strcmp(name, "image") == 0) {
        begin_image(c, &attributes);
    } else if (c->depth == IMAGE_DEPTH && strcmp(name, "track") == 0) {
        const char *label = attribute(&attributes, "label");
        c->in_track = true;
        reader_leave_file_out(c->reader, c->file, "a track of a video (%s): not read; left out", label ? label : "without label");
    } else if (c->depth == SHAPE_DEPTH && c->in_track) {
        c->reader->report->left_out++;
    } else if (c->depth == SHAPE_DEPTH && c->has_image) {
        read_shape(c, name, &attributes);
    }
}

static void end_element(void *context, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri) {
    CvatReader *c = context;
    const char *name = (const char *)local;
    (void)prefix, (void)uri;
    c->depth--;
    c->in_track &= c->depth >= IMAGE_DEPTH;
    if (c->in_label && strcmp(name, "name") == 0 && !c->label_name) c->label_name = arena_strdup(c->reader->arena, buffer_text(&c->text));
    if (c->in_label && strcmp(name, "color") == 0) c->label_color = arena_strdup(c->reader->arena, buffer_text(&c->text));
    if (c->in_label && strcmp(name, "label") == 0) end_label(c);
    if (c->has_image && c->depth == IMAGE_DEPTH - 1) {
        c->status = end_image(c);
        if (c->status != STATUS_OK) xmlStopParser(c->parser);
    }
}

static void characters(void *context, const xmlChar *text, int length) {
    CvatReader *c = context;
    if (c->in_label) buffer_append(&c->text, text, (size_t)length);
}

static void document_type(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *location) {
    CvatReader *c = context;
    (void)name, (void)external, (void)location;
    c->refused = true;
    xmlStopParser(c->parser);
}

static void quiet(void *context, const char *format, ...) { (void)context, (void)format; }

/* False when the text is no sound XML, or of another kind. */
static bool parse(CvatReader *c, bool first_pass) {
    LongText *text = &c->text_of_file;
    xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC, .startElementNs = start_element, .endElementNs = end_element, .characters = characters,
                             .internalSubset = document_type, .warning = quiet, .error = quiet};
    c->first_pass = first_pass;
    c->depth = 0;
    c->has_image = c->in_label = c->in_track = false;
    c->parser = xmlCreatePushParserCtxt(&handler, c, NULL, 0, NULL);
    if (!c->parser) return false;
    xmlCtxtUseOptions(c->parser, XML_PARSE_NONET | XML_PARSE_NOENT); /* NOENT: &amp; and its like; others need a document type, which ends the parse */
    for (size_t at = 0, length; at < text->size && !c->refused && c->status == STATUS_OK; at += length) {
        const char *piece = long_text_at(text, at, 1, &length);
        length = length < CHUNK_SIZE ? length : CHUNK_SIZE;
        if (!length || (xmlParseChunk(c->parser, piece, (int)length, 0) != 0 && !c->parser->wellFormed)) break;
    }
    if (!c->refused && c->status == STATUS_OK) xmlParseChunk(c->parser, "", 0, 1);
    if (c->has_image && c->status == STATUS_OK) c->status = end_image(c); /* the text broke off within it */
    bool sound = c->parser->wellFormed && !c->refused;
    xmlFreeDoc(c->parser->myDoc);
    xmlFreeParserCtxt(c->parser);
    return sound;
}

/* Labels and claims. */
static void open_document(CvatReader *c) {
    c->names.arena = c->reader->arena;
    buffer_init(&c->text, 1 << 16);
    c->is_sound = parse(c, true);
}

static Several *new_several(Arena *arena) {
    Several *several = arena_new(arena, Several);
    arena_init(&several->arena, SIZE_MAX);
    several->mentions = 2;
    return several;
}

/* When all have claimed their images: which file each is, and which are listed several times. */
static Several **find_images(CvatReader *documents, size_t count) {
    Reader *r = documents->reader;
    Several **several = arena_new_array(r->arena, Several *, r->tree->count + 1);
    bool *is_listed = arena_new_array(r->arena, bool, r->tree->count + 1);
    for (CvatReader *c = documents; c < documents + count; c++) {
        c->images = arena_new_array(r->arena, TreeFile *, c->names.count);
        c->several = several;
        for (size_t i = 0; i < c->names.count; i++) {
            TreeFile *file = c->images[i] = reader_find_image(r, c->file, c->names.items[i]);
            if (!file) continue;
            Several **place = &several[file - r->tree->files];
            if (*place) (*place)->mentions++;
            else if (is_listed[file - r->tree->files]) *place = new_several(r->arena);
            is_listed[file - r->tree->files] = true;
        }
    }
    return several;
}

static Status read_documents(CvatReader *documents, size_t count, Error *err) {
    Status status = STATUS_OK;
    Several **several = count ? find_images(documents, count) : NULL;
    for (CvatReader *c = documents; c < documents + count; c++) {
        c->err = err;
        if (!c->refused && status == STATUS_OK) c->is_sound &= parse(c, false), status = c->status;
        if (!c->is_sound && status == STATUS_OK) reader_leave_file_out(c->reader, c->file, "not a sound XML file; what comes after its fault is left out");
        reader_tell_merged(c->reader, c->file, &c->merged);
        buffer_clear(&c->text);
        long_text_close(&c->text_of_file);
        arena_reset(&c->reader->image_arena);
    }
    for (size_t i = 0; count && i < documents->reader->tree->count; i++) { /* whose last mention lies behind a fault */
        Several *s = several[i];
        if (s && s->read && s->read < s->mentions && status == STATUS_OK) status = reader_deliver(documents->reader, &s->image, err);
        if (s) arena_clear(&s->arena);
    }
    return status;
}

Status cvat_read_text(Reader *r, const char *file, const char *text, size_t size, Error *err) {
    CvatReader c = {.reader = r, .file = file};
    long_text_of_bytes(&c.text_of_file, text, size);
    open_document(&c);
    return read_documents(&c, 1, err);
}

Status cvat_read(Reader *r, Error *err) {
    CvatReader *documents = NULL;
    size_t count = 0, capacity = 0;
    xmlInitParser();
    for (size_t i = 0; i < r->tree->count; i++) {
        const TreeFile *file = &r->tree->files[i];
        CvatReader c = {.reader = r, .file = file->path};
        if (!takes(r->dataset, file) || !looks_like_cvat(r->tree, file) || !reader_open_text(r, file, &c.text_of_file)) continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 8;
            documents = xrealloc(documents, capacity * sizeof *documents);
        }
        open_document(&c);
        documents[count++] = c;
    }
    Status status = read_documents(documents, count, err);
    free(documents);
    return status;
}
