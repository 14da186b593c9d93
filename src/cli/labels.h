/* Labels: a folder of images with what its label files say, in memory, and the part that each image plays.
 *
 * Pixels stay on disk. Annotations are kept twice: as the JSON text that the API takes, and as boxes for the evaluation.
 */
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "evaluation/evaluation.h"
#include "cli/server_images.h"
#include "formats/dataset.h"

typedef enum LabelsPart { PART_NONE, PART_TRAIN, PART_VAL, PART_TEST } LabelsPart;
enum { PART_COUNT = PART_TEST + 1, LABELS_FEWEST_TO_TRAIN = 5 /* limits.yaml training.min_images */ };

typedef struct LabelsImage {
    const char *path;          /* file here; NULL: a label file names it but it is not here. Of a zip it is gone after the reading */
    int64_t size;              /* its bytes; -1 when it is not here */
    const char *folder, *name; /* place in the dataset: "/" or "/a/b", and the file name */
    bool labelled;             /* a label file speaks of it */
    LabelsPart part;           /* PART_NONE: without labels, or in none of the splits */
    const char *json;          /* array of annotations; NULL when there are none */
    size_t annotation_count;
    EvaluationBox *boxes;      /* of the annotations that have one; `image` is the index of this image */
    size_t box_count;
} LabelsImage;

typedef struct Labels {
    Arena memory;
    const char *format; /* "pascal_voc"; NULL: no label files */
    LabelsImage *images;
    size_t count, capacity;
    DatasetReport report; /* classes, warnings */
    bool split_by_hash;   /* the folder names no held-out part: about a fifth was chosen by the hash of its path */
} Labels;

/* Reads path (a folder, a zip, which is unpacked for so long, or one label file). Labels without any image beside them are those of images at the
 * server (NULL: of images that are missing). Clear it in either case. */
Status labels_read(Labels *labels, const char *path, const ServerImages *images, Error *err);
void labels_clear(Labels *labels);
/* Gives each labelled image its part: the splits that the folder names, else about a fifth val, by the hash of its path, and the rest train: at
 * least one is held out, unless fewer than LABELS_FEWEST_TO_TRAIN with annotations would be left. */
void labels_split(Labels *labels);
size_t labels_count_part(const Labels *labels, LabelsPart part);
/* Index of a class; -1 when there is none. */
int labels_class(const Labels *labels, const char *name);
/* "file: text" for each warning, on standard error. */
void labels_print_warnings(const Labels *labels);
