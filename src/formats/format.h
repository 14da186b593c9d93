/* What a format is, seen from inside this room: a row of functions, and the helpers that they share. Users include dataset.h.
 *
 * To add a format: one file (or two) with its functions, one row in formats.c, a line in meson.build, a round trip in formats_test.c.
 */
#pragma once
#include "formats/dataset.h"
#include "base/map.h"
#include "formats/long_text.h"
#include "formats/tree.h"
#include "formats/zip_writer.h"
#include "geometry/mask.h"
#include "geometry/rle.h"

struct Dataset {
    Arena arena;
    DatasetReadOptions options;
    Tree tree;
    const char *only_label; /* relative path, when one label file was opened; else NULL */
    const DatasetFormat *format;
    size_t entries; /* of the zip */
};

/* One run of dataset_read. */
typedef struct Reader {
    Dataset *dataset;
    Tree *tree;
    const DatasetReadOptions *options;
    const DatasetSink *sink;
    DatasetReport *report;
    Arena image_arena;  /* emptied after each image was delivered */
    Arena *arena;       /* lives as long as the run */
    StringMap classes;  /* name -> index in report->classes */
    StringMap splits;   /* path of an image -> index into SPLITS; filled by readers whose format lists splits */
    bool has_splits;    /* then folders named "train" and the like decide nothing */
    bool keeps_folders;  /* a folder named for images ("images/") is part of the virtual folder */
    bool keeps_parents;  /* without what lies above the folder named for images, two images would have one place: "train/images/a" is "train/a" */
    bool has_class_list; /* the format told all classes; numbers beyond are wrong */
    size_t keypoint_numbers; /* YOLO: of each line, behind its box */
} Reader;

/* One run of dataset_write. */
typedef struct Writer {
    const DatasetInfo *info;
    const DatasetSource *source;
    ZipWriter *zip;
    DatasetWritten *written;
    StringMap classes;     /* name -> index in info->classes */
    StringMap file_like;   /* folders whose name could be a file's ("scan.tif"); which of them is, too, writer.c knows */
    size_t *class_counts;  /* annotations per class */
    Arena image_arena;     /* emptied before each image */
    Arena *arena;          /* lives as long as the run */
    const char *const *notes; /* conventions that the manifest names; NULL-terminated, or NULL */
} Writer;

struct DatasetFormat {
    const char *name;
    /* True when the dataset looks like it; the rows are asked in order. */
    bool (*detect)(const Dataset *dataset);
    Status (*read)(Reader *reader, Error *err);
    Status (*write)(Writer *writer, Error *err); /* NULL: read only */
};

/* ---- shapes ---- */

typedef enum ShapeFault { SHAPE_FINE, SHAPE_NOT_FINITE, SHAPE_EMPTY, SHAPE_OUTSIDE } ShapeFault;
/* What keeps a box from being a label of its image; *cut is its part inside the image, when the size is known. */
ShapeFault shape_fault(const DatasetImage *image, Box box, Box *cut);
/* True when the box around a line, or a point, does not touch its image, whose size is known. */
bool shape_is_outside(const DatasetImage *image, Box box);
/* The box around an annotation's vertices, without any side being widened. */
Box shape_box(const Annotation *annotation);

/* Outlines and holes of a mask whose corner lies at (x, y) in the image: one polygon. */
Polygon shape_of_mask(Arena *arena, const Mask *mask, double x, double y);
Polygon shape_of_rle(Arena *arena, const Rle *rle);
/* A list of polygons means their union, ours the even-odd rule: the same unless they overlap. Then the union is drawn and traced. */
Polygon shape_union(Arena *arena, const DatasetImage *image, Polygon polygon);

/* ---- helpers for readers ---- */

#define TEXT_MARK "\xef\xbb\xbf" /* the byte order mark before a text */

void reader_warn(Reader *reader, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an annotation that is left out. */
void reader_leave_out(Reader *reader, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For what is left out but no single annotation: a file, an image, something in it. */
void reader_leave_file_out(Reader *reader, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts a class into the report if it is not in; returns its name, which has no white space at its ends and lives as long as the report. */
const char *reader_class(Reader *reader, const char *name);
/* True for label files that are to be read: all of them, or the one that was opened. */
bool reader_takes(const Dataset *dataset, const TreeFile *file, const char *extension);
/* The first and the last 64 KiB of a file, in UTF-8, with blanks for NULs, into *out, which the caller clears in any case. */
bool reader_peek(const Tree *tree, const TreeFile *file, Buffer *out);
/* Whether one of the first 200 files that `takes` picks looks like it. */
bool reader_finds_file(const Dataset *dataset, bool (*takes)(const Dataset *dataset, const TreeFile *file),
                       bool (*looks_like)(const Tree *tree, const TreeFile *file));
/* The image that a label file speaks of: in the folder that mirrors the label's (Annotations or labels against JPEGImages or images), beside
 * it, or the only one of that name. named is a base name or relative path, with or without extension. NULL: not there. */
TreeFile *reader_find_image(Reader *reader, const char *label_path, const char *named);
/* The same where only the name without its extension is known. */
TreeFile *reader_find_image_of_stem(Reader *reader, const char *label_path, const char *stem);
/* Keeps the image at the expected place for this label file: no other finds it by its base name alone. Claim all, then find. */
void reader_claim_image(Reader *reader, const char *label_path, const char *named);
/* The same of the image whose stem the label file bears. */
void reader_claim_image_of(Reader *reader, const char *label_path);
/* Before the first image: sees to it that no two images get one place. */
void reader_keep_places_apart(Reader *reader);
/* An image struct for a file of the tree: folder, filename, path, split. In image_arena. */
DatasetImage reader_image(Reader *reader, const TreeFile *file);
/* The same for an image that is not there; named may be a relative path. false (with a warning) when the name cannot be used. */
bool reader_missing_image(Reader *reader, const char *label_path, const char *named, DatasetImage *out);
/* Size from the file's header, or from the caller; false when neither knows. */
bool reader_find_size(Reader *reader, DatasetImage *image);
/* The same where the label file may tell the size (0: it does not). The picture's own is kept when it is another one, which is told. */
bool reader_settle_size(Reader *reader, DatasetImage *image, const char *file, double width, double height);
/* Adds a box in pixels, cut to the image when its size is known, or leaves it out with a warning when nothing of it is left. what names it for
 * people: "object 3 (RBC)". */
void reader_add_box(Reader *reader, DatasetImage *image, const char *file, const char *what, Annotation annotation);
/* Adds a polygon, whose box is worked out; left out with a warning when it has no area or lies outside the image. */
void reader_add_polygon(Reader *reader, DatasetImage *image, const char *file, const char *what, Annotation annotation);
/* The same for a line, whose box is worked out, and for a point. */
void reader_add_polyline(Reader *reader, DatasetImage *image, const char *file, const char *what, Annotation annotation);
void reader_add_keypoint(Reader *reader, DatasetImage *image, const char *file, const char *what, Annotation annotation);
/* Images that a file lists though they were listed before, there or in another one, and their annotations: new to the image, there already. */
typedef struct Merged {
    size_t images, added, known;
} Merged;
/* What is known of the annotations of one image; zeroed when it begins, in image_arena. */
typedef struct United {
    StringMap known, ids;
    size_t count; /* of those looked at */
    bool begun;
} United;
/* Annotations from `first` on, which another mention of the image brought, go where they say what an earlier one says; ids stay unique. */
void reader_unite(Reader *reader, United *united, AnnotationList *list, size_t first, Merged *merged);
void reader_tell_merged(Reader *reader, const char *file, const Merged *merged);
/* Counts, hands over to the sink, empties image_arena. */
Status reader_deliver(Reader *reader, DatasetImage *image, Error *err);
/* Delivers every image of the tree that no label file spoke of. */
Status reader_deliver_rest(Reader *reader, Error *err);
/* Notes the split ("train", ...) of an image file; a later call for the same image wins. */
void reader_set_split(Reader *reader, const TreeFile *file, const char *split);
/* Whole text of a file of the tree within max_label_bytes, in UTF-8 (XML as it is); a failure is told as a warning and gives false. */
bool reader_text(Reader *reader, const TreeFile *file, Buffer *out);
/* The same for a text of which only a piece is wanted at a time. */
bool reader_open_text(Reader *reader, const TreeFile *file, LongText *out);
/* For formats with a label file per image, which bears its name: each file that is taken claims its image, then each is read. */
Status reader_label_files(Reader *reader, bool (*takes)(const Dataset *dataset, const TreeFile *file),
                          Status (*read)(Reader *reader, const char *file, const char *text, size_t size, Error *err), Error *err);

/* ---- helpers for writers ---- */

/* Next image and its path in the archive ("a/b/photo.jpg", in image_arena); *more false at the end. Counts it. Images whose name no archive
 * can hold are passed over as a loss. */
Status writer_next(Writer *writer, DatasetImage *out, const char **name, bool *more, Error *err);
/* Looks at all names of the source: which folders share theirs with a file. */
Status writer_find_clashes(Writer *writer, Error *err);
/* Calls for each image until there is none or one fails. */
typedef Status WriterImage(void *context, const DatasetImage *image, const char *name, Error *err);
Status writer_each(Writer *writer, WriterImage *image, void *context, Error *err);
/* Index of an annotation's class, STRING_MAP_NONE (and the loss is counted) when the dataset lacks it. */
size_t writer_class(Writer *writer, const Annotation *annotation);
/* Counts labels as written. */
void writer_count(Writer *writer, size_t class, size_t labels);
/* True for a box or polygon that lies in the image, at least in part; *cut is its box there. Else the loss is counted, lines and keypoints
 * included. */
bool writer_takes_shape(Writer *writer, const DatasetImage *image, const Annotation *annotation, Box *cut);
/* The same for a line or a keypoint, of a format that holds them. */
bool writer_takes_path(Writer *writer, const DatasetImage *image, const Annotation *annotation);
/* The same for a part of a polygon, of a format where each is a shape of its own; holes are lost. */
bool writer_takes_part(Writer *writer, const DatasetImage *image, const Polygon *polygon, size_t index);
/* Counts confidence and attributes as losses, where there are any. */
void writer_lose_extras(Writer *writer, const Annotation *annotation, bool confidence);
/* Counts what the format cannot hold; kind and text are static. */
void writer_lose(Writer *writer, const char *kind, const char *text, size_t count);
/* Copies the pixels to "<folder>/<name>" (folder NULL: to name) if the dataset is written with them and the image has a file. */
Status writer_pixels(Writer *writer, const char *folder, const char *name, const DatasetImage *image, Error *err);
/* The same for every image, after their text: formats with one text for all have its entry open from the first image to the last. */
Status writer_pixels_of_all(Writer *writer, const char *folder, Error *err);

/* Text between tags or in an attribute; characters that XML cannot hold at all become U+FFFD. */
void markup_text(Buffer *out, const char *text);
/* A line: indent, <name>text</name>. */
void markup_element(Buffer *out, const char *indent, const char *name, const char *text);

/* Names without extension, for formats whose label files drop it: "a/b/photo". Images that share one become "a/b/photo_jpg" and
 * "a/b/photo_png", pixels and labels alike, since readers of these formats find one by the name of the other. */
typedef struct StemTable {
    uint64_t *hashes; /* of all stems, sorted; heap */
    size_t count, capacity;
} StemTable;
/* Looks at all images of the source once and rewinds it; look, if not NULL, is called for each until it has seen enough. */
Status stem_table_fill(StemTable *table, Writer *writer, bool (*look)(void *context, const DatasetImage *image), void *context, Error *err);
void stem_table_clear(StemTable *table);
/* Treats a stem as taken; call it after the fill. */
void stem_table_reserve(StemTable *table, const char *stem);
/* Stem of an image; *image_name, its path from writer_next, becomes the one that goes with the stem. Renaming is counted as a loss. */
const char *stem_table_name(const StemTable *table, Writer *writer, const char **image_name);

/* ---- the rows ---- */

bool pictograph_detect(const Dataset *dataset);
Status pictograph_read(Reader *reader, Error *err);
Status pictograph_write(Writer *writer, Error *err);
bool coco_detect(const Dataset *dataset);
Status coco_read(Reader *reader, Error *err);
Status coco_write(Writer *writer, Error *err);
bool yolo_detect(const Dataset *dataset);
Status yolo_read(Reader *reader, Error *err);
Status yolo_write(Writer *writer, Error *err);
bool voc_detect(const Dataset *dataset);
Status voc_read(Reader *reader, Error *err);
Status voc_write(Writer *writer, Error *err);
bool cvat_detect(const Dataset *dataset);
Status cvat_read(Reader *reader, Error *err);
Status cvat_write(Writer *writer, Error *err);
bool labelme_detect(const Dataset *dataset);
Status labelme_read(Reader *reader, Error *err);
Status labelme_write(Writer *writer, Error *err);
bool csv_detect(const Dataset *dataset);
Status csv_read(Reader *reader, Error *err);
Status csv_write(Writer *writer, Error *err);
/* Parts that the fuzz targets drive by themselves. */
Status coco_read_text(Reader *reader, const char *file, const char *text, size_t size, Error *err);
Status voc_read_text(Reader *reader, const char *file, const char *text, size_t size, Error *err);
Status cvat_read_text(Reader *reader, const char *file, const char *text, size_t size, Error *err);
Status labelme_read_text(Reader *reader, const char *file, const char *text, size_t size, Error *err);
/* dataset.json, and the file of an image. */
void pictograph_read_head(Reader *reader, yyjson_val *root);
Status pictograph_read_image(Reader *reader, const char *file, yyjson_val *root, Error *err);
Status csv_read_text(Reader *reader, const char *file, const char *text, size_t size, Error *err);
void yolo_read_names(Reader *reader, const char *yaml);
void yolo_read_labels(Reader *reader, const char *file, const char *text, DatasetImage *image);
