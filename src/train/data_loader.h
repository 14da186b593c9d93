/* Loader: threads that draw the batches of a run ahead of their use.
 *
 * A batch depends on seed, epoch and place alone, whatever the number of threads. Batches come in order, epoch after epoch, with no pause
 * between epochs.
 *
 *     TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
 *     o.batch = 4; o.epochs = 50; o.closing_epochs = 8; o.augment = (AugmentOptions)AUGMENT_DEFAULTS; o.shuffle = true;
 *     TrainLoader *loader;
 *     Status status = train_loader_new(&loader, dataset, cache, indexes, count, &o, err);
 *     TrainBatch *batch;
 *     while ((batch = train_loader_next(loader)) != NULL) { ...; train_batch_release(loader, batch); }
 *     train_loader_free(loader);
 */
#pragma once
#include "train/data.h"

/* How the pixels of a batch lie in memory. NHWC is what torch calls channels_last. */
typedef enum TrainPixels { TRAIN_PIXELS_U8_NCHW, TRAIN_PIXELS_U8_NHWC, TRAIN_PIXELS_F32_NCHW, TRAIN_PIXELS_F32_NHWC } TrainPixels;

typedef struct TrainLoaderOptions {
    int width, height; /* of the input; must be those of the cache */
    int batch;
    int threads;
    int ahead; /* finished batches that may wait */
    TrainPixels pixels;
    uint64_t seed;
    bool shuffle;   /* a new order each epoch */
    bool drop_last; /* an incomplete last batch is left out, unless it is the only one of its epoch */
    int first_epoch, epochs; /* epochs first_epoch … epochs - 1 are drawn; first_epoch > 0 resumes a run */
    int closing_epochs;      /* the last ones of these, drawn without mosaic and mixup */
    AugmentOptions augment;
} TrainLoaderOptions;

#define TRAIN_LOADER_DEFAULTS                                                                                                       \
    { .width = 416, .height = 416, .batch = 8, .threads = 2, .ahead = 4, .pixels = TRAIN_PIXELS_U8_NHWC, .epochs = 1,               \
      .augment = AUGMENT_NONE }

typedef struct TrainBatch {
    int epoch;      /* from 0 */
    int index;      /* within the epoch, from 0 */
    int count;      /* N, pictures in this batch */
    void *images;   /* N × 3 × height × width BGR values 0–255, of the type and order of options.pixels */
    float *targets; /* N × max_boxes × 5: class, cx, cy, w, h in pixels of the input; zeros behind the last box of a picture */
    int max_boxes;  /* M, the most boxes a picture of this batch has, at least 1 */
    int *box_counts;        /* N */
    uint32_t *image_index;  /* N, into dataset->images */
    float *scales;          /* N, from annotated pixels to pixels of the input; meaningful without mosaic only */
} TrainBatch;

typedef struct TrainLoader TrainLoader;

/* Starts the threads; fails, with *out NULL, when the system gives none. dataset and cache must outlive the loader; indexes (into
 * dataset->images, count > 0) are copied. */
Status train_loader_new(TrainLoader **out, TrainDataset *dataset, TrainCache *cache, const uint32_t *indexes, size_t count,
                        const TrainLoaderOptions *options, Error *err);
/* Stops the threads and frees everything; all batches must have been released. NULL is fine. */
void train_loader_free(TrainLoader *loader);
int train_loader_batches_per_epoch(const TrainLoader *loader);
/* The next batch, waiting for it; NULL after the last. Any thread may call it; hand it back with train_batch_release from any thread. */
TrainBatch *train_loader_next(TrainLoader *loader);
void train_batch_release(TrainLoader *loader, TrainBatch *batch);
/* Seconds that train_loader_next had to wait in all: what the loader cost the training. */
double train_loader_waited(TrainLoader *loader);
