/* Training data: an export, or any labelled data set that src/formats reads, taken in once; its pictures are decoded on demand and kept
 * in memory at input size.
 *
 * Boxes come from rectangles and from the enclosing rectangles of polygons; other kinds are passed over. A box without area or wholly
 * outside its picture is left out with a warning that names the file, and so is a picture that is not there. Pictures that no label file
 * speaks of are passed over; those that are labelled as empty are kept.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "train/augment.h"

/* Told what was left out and why, and of which picture (NULL: of none in particular); called from several threads, one call at a time. */
typedef void (*TrainWarning)(void *context, const char *file, const char *text);

typedef struct TrainImage {
    char *name;        /* virtual folders and file name: "a/b/c.jpg" */
    char *path;        /* file to open */
    int width, height; /* pixels as annotated, after EXIF rotation */
    AugmentBox *boxes; /* in those pixels, cut to the picture */
    size_t box_count;
} TrainImage;

typedef struct TrainDataset {
    char *name;
    char **class_names; /* in the order in which the data set lists them */
    size_t class_count;
    TrainImage *images; /* sorted by name; pictures without boxes are kept as background */
    size_t image_count;
    size_t box_count;
    TrainWarning warn; /* may be NULL */
    void *warn_context;
    pthread_mutex_t warn_lock;
} TrainDataset;

/* Once per process, before anything is decoded. */
Status train_images_init(const char *program, Error *err);

/* Reads a data set. path is its folder, or its .zip, which is unpacked into work_folder/dataset first (work_folder may be NULL for a
 * folder). STATUS_NOT_FOUND when there is nothing, STATUS_BAD_REQUEST for a broken or hostile zip, STATUS_VALIDATION_ERROR when there are
 * no labels, no class or no picture. The files must stay where they are as long as the data set is used. Free it. */
Status train_dataset_open(TrainDataset **out, const char *path, const char *work_folder, TrainWarning warn, void *warn_context, Error *err);
void train_dataset_free(TrainDataset *dataset);
/* Says something to the warning function. */
void train_dataset_warn(TrainDataset *dataset, const char *file, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Splits by a hash of the names, so that the same picture falls on the same side in every run and whatever else is there: about
 * `fraction` of the pictures are held out (at least one when there are two or more and fraction > 0). Both arrays hold indexes into
 * dataset->images in ascending order; free() them. */
void train_dataset_split(const TrainDataset *dataset, double fraction, uint32_t **train, size_t *train_count, uint32_t **held_out,
                         size_t *held_out_count);

/* Pictures scaled to fit width × height, kept while they fit into `limit` bytes and decoded again each time beyond that. Thread-safe. */
typedef struct TrainCache TrainCache;
TrainCache *train_cache_new(TrainDataset *dataset, int width, int height, size_t limit);
void train_cache_free(TrainCache *cache);
/* The scaled picture, its longer side fitting; `scale` maps annotated pixels to its pixels. Give it back with the same index. A picture
 * that does not decode comes as one grey pixel with scale 0 and is warned of once. */
Raster train_cache_get(TrainCache *cache, uint32_t index, float *scale);
void train_cache_give_back(TrainCache *cache, uint32_t index, Raster picture);
