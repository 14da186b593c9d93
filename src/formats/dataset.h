/* Datasets in files: what is read from a folder or a zip of any known format, and what is written as a zip of any of them.
 *
 * Images pass one by one, never all in memory. A reader pushes them into a DatasetSink; a writer pulls them from a DatasetSource.
 * Reading tolerates what real datasets contain (empty boxes, values outside the image, missing files) and says in the report what was
 * mended or left out, file by file. Writing is exact: the same images in the same order give the same bytes, and MANIFEST.json in
 * every zip counts, hashes each file and names what the format could not hold.
 *
 *     Dataset *data = NULL;
 *     status = dataset_open(&data, "bccd", &DATASET_READ_DEFAULTS, &err);
 *     if (status == STATUS_OK) status = dataset_read(data, dataset_format(data), &sink, &report, &err);
 *     dataset_close(data);
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "annotation/annotation.h"
#include "base/arena.h"
#include "base/error.h"

typedef struct DatasetClass {
    const char *name;
    const char *type;  /* "bbox", ...; NULL when unknown */
    const char *color; /* CSS; NULL when unknown */
} DatasetClass;

/* The kinds of annotations that a dataset is meant for: in its order, each once; none when that is unknown. */
typedef struct DatasetKinds {
    AnnotationType items[ANNOTATION_TYPE_COUNT];
    size_t count;
} DatasetKinds;
/* A JSON list of names; what names no kind is passed over. */
DatasetKinds dataset_kinds_read(yyjson_val *list);
void dataset_kinds_write(const DatasetKinds *kinds, JsonWriter *w);

/* The names of splits, wherever a format spells them otherwise. */
enum { SPLIT_COUNT = 3 };
extern const char *const SPLITS[SPLIT_COUNT]; /* "train", "val", "test" */

/* One image with its labels. Everything is borrowed: it is valid until the call that handed it out returns (sink) or the next call
 * (source). */
typedef struct DatasetImage {
    const char *id;     /* of the server; NULL when there is none */
    const char *folder; /* virtual folder: "/" or "/a/b" */
    const char *filename;
    const char *display_name; /* for people; NULL when there is none */
    uint32_t width, height; /* pixels, after EXIF rotation; 0 when unknown */
    const char *status;     /* stage: "new", "annotate", "review", "complete"; NULL when unknown */
    const char *split;      /* "train", "val", "test"; NULL when the dataset says nothing */
    const char *path;       /* readable file with its bytes; NULL: there is none */
    bool labelled;          /* read: a label file speaks of it, be it to say that nothing is on it */
    AnnotationList annotations;
} DatasetImage;

typedef struct DatasetFormat DatasetFormat;
/* Row of the format table: "pictograph", "coco", "yolo", "pascal_voc", "cvat", "labelme", "csv"; NULL when there is no such format. */
const DatasetFormat *dataset_format_find(const char *name);
const char *dataset_format_name(const DatasetFormat *format);
bool dataset_format_can_write(const DatasetFormat *format);
/* For loops over all: NULL past the last. */
const DatasetFormat *dataset_format_at(size_t index);

/* ---- reading ---- */

typedef struct DatasetReadOptions {
    const char *work_folder; /* existing empty folder where a zip's images are unpacked; the caller removes it after dataset_close. NULL: folders only */
    bool labels_alone;       /* a zip's images are read through, which compares their checksums, but not kept: they have names and no bytes */
    const struct NameList *absent; /* images that are elsewhere, by the paths that they would have: labels without any image beside them find these */
    bool voc_zero_based;     /* Pascal VOC corners count pixel edges from 0; otherwise pixels from 1, the last one included */
    /* Size of an image that the label file names but that is not there, for formats with relative coordinates; NULL or false: unknown. */
    bool (*size_of)(void *context, const char *folder, const char *filename, uint32_t *width, uint32_t *height);
    /* True when nobody wants the rest, which then ends with STATUS_CANCELLED; asked at least every few hundred thousand bytes. NULL: never. */
    bool (*stop)(void *context);
    void *context; /* of both */
    uint64_t max_entries;     /* files in the folder or zip */
    uint64_t max_bytes;       /* of a zip, unpacked */
    uint64_t max_ratio;       /* unpacked to packed bytes of a zip, looked at past 64 MiB unpacked */
    uint64_t max_label_bytes; /* of one label file */
} DatasetReadOptions;
#define DATASET_READ_DEFAULTS \
    ((DatasetReadOptions){.max_entries = 2000000, .max_bytes = (uint64_t)1 << 40, .max_ratio = 200, .max_label_bytes = (uint64_t)1 << 30})

typedef struct Dataset Dataset;
/* path is a folder, a zip, or one label file whose images lie beside or below it. STATUS_NOT_FOUND, STATUS_BAD_REQUEST (hostile or broken
 * zip), STATUS_PAYLOAD_TOO_LARGE (past a limit). The options are copied, the strings in them borrowed. */
Status dataset_open(Dataset **out, const char *path, const DatasetReadOptions *options, Error *err);
void dataset_close(Dataset *dataset); /* NULL is fine */
/* The format as recognised by looking; NULL when there are only images, or nothing. */
const DatasetFormat *dataset_format(const Dataset *dataset);
/* Files with an image extension. */
size_t dataset_image_count(const Dataset *dataset);

typedef struct DatasetSink {
    void *context;
    /* Called once for each image, in an order that depends on the files alone. Any status but STATUS_OK ends the reading with it. */
    Status (*image)(void *context, const DatasetImage *image, Error *err);
} DatasetSink;

enum { DATASET_WARNINGS_MAX = 1000 };
typedef struct DatasetWarning {
    const char *file; /* relative to the dataset */
    const char *text;
    bool left_out; /* something was not delivered; else it was mended, or taken with a doubt */
} DatasetWarning;

/* Start it with dataset_report_init; all it points to lies in the arena. */
typedef struct DatasetReport {
    Arena *arena;
    const char *name, *description; /* of the dataset, where the format has them; else NULL */
    DatasetKinds kinds;
    DatasetClass *classes; /* in the order of the format, else of first appearance */
    size_t class_count, class_capacity;
    size_t images, labelled_images, annotations;
    size_t left_out; /* annotations that were not delivered; each has its warning */
    DatasetWarning *warnings; /* the first DATASET_WARNINGS_MAX */
    size_t warning_count, warning_total;
} DatasetReport;
void dataset_report_init(DatasetReport *report, Arena *arena);

/* Delivers every image of the dataset. format NULL: images without labels. A broken label file is a warning; STATUS_BAD_REQUEST only when the
 * one file that holds everything cannot be read. */
Status dataset_read(Dataset *dataset, const DatasetFormat *format, const DatasetSink *sink, DatasetReport *report, Error *err);

/* ---- writing ---- */

typedef struct DatasetSource {
    void *context;
    /* Next image into *out; *more false when there is none. Annotations of classes that the DatasetInfo lacks are left out as a loss. Without
     * annotations, to which a pass may change but not back, the image need not bring them. */
    Status (*next)(void *context, bool with_annotations, DatasetImage *out, bool *more, Error *err);
    /* Starts again from the first image with the same data: formats that drop extensions or mix no shapes look twice. */
    Status (*rewind)(void *context, Error *err);
} DatasetSource;

typedef struct DatasetInfo {
    const char *name;
    const DatasetClass *classes;
    size_t class_count;
    bool include_images;  /* with pixels, of those images that have a path */
    bool voc_zero_based;
    const char *description; /* NULL when there is none */
    DatasetKinds kinds;
    size_t *class_counts; /* of each class the annotations that went into the zip: dataset_write fills it, dataset_check compares; NULL: nobody asks */
} DatasetInfo;

enum { DATASET_LOSSES_MAX = 16 };
typedef struct DatasetLoss {
    const char *kind; /* "keypoints_left_out"; static text */
    const char *text; /* "left out: the format holds no keypoints"; static text */
    size_t count;
} DatasetLoss;

typedef struct DatasetWritten {
    size_t images, annotations; /* that went into the zip */
    size_t files;               /* of the zip, MANIFEST.json included */
    uint64_t bytes;             /* of the zip */
    DatasetLoss losses[DATASET_LOSSES_MAX];
    size_t loss_count;
} DatasetWritten;

/* Writes the zip at path, which must not exist; on failure nothing is left there. Not synced: the caller moves it where it stays.
 * Memory does not grow with what is written, but for 8 bytes an image where names lose their extension. */
Status dataset_write(const DatasetFormat *format, const DatasetInfo *info, const DatasetSource *source, const char *path, DatasetWritten *out,
                     Error *err);
/* Reads what dataset_write wrote by the reader of its format, as a user would who has the zip alone, but for the pixels, whose checksums are compared.
 * STATUS_BAD_REQUEST or STATUS_INTERNAL_ERROR when it does not hold what was written: so many files, images and annotations of each class; STATUS_CANCELLED
 * when it was stopped. The folder is as that of DatasetReadOptions, stop and context, too. Memory does not grow with the annotations; it grows by about
 * 500 bytes an image. */
Status dataset_check(const DatasetFormat *format, const char *path, const char *work_folder, const DatasetInfo *info, const DatasetWritten *written,
                     bool (*stop)(void *context), void *context, Error *err);
