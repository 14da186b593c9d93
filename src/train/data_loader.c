/* The loader: threads claim batches in order, draw them, and put them into a ring from which they are taken in order.
 *
 * A claim happens under the lock and copies the picture numbers of its batch out of the epoch's permutation, so that one permutation, made
 * anew whenever a claim enters a new epoch, is enough. */
#include "train/data_loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"

#include "base/banned.h"

enum { SHUFFLE_STREAM = 0x5eed };

/* A batch with its buffers, which outlive its use: released batches are drawn into again. */
typedef struct Pooled {
    TrainBatch batch; /* first, so that a pointer to it is one to this */
    size_t targets_capacity;
    uint32_t *places; /* into the loader's indexes */
    struct Pooled *next;
} Pooled;

struct TrainLoader {
    TrainDataset *dataset;
    TrainCache *cache;
    TrainLoaderOptions options;
    uint32_t *indexes;
    size_t count;
    int batches_per_epoch;
    int64_t total; /* batches of the whole run */

    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t ready, room;
    bool stopping;
    int64_t claimed, taken; /* batches so far */
    uint32_t *order;        /* places of the epoch that is being claimed */
    int order_epoch;
    Pooled **ring; /* drawn batches by number modulo options.ahead */
    Pooled *pool;
    double waited;

    pthread_t *threads;
    int thread_count;
};

/* ---- samples ---- */

/* What the source of a sample needs to know. */
typedef struct Drawing {
    TrainLoader *loader;
    uint32_t place; /* of the sample itself, into loader->indexes */
    float scale;    /* of its picture */
} Drawing;

static Raster get_picture(void *context, uint32_t place, AugmentBoxes *boxes) {
    Drawing *drawing = context;
    TrainLoader *loader = drawing->loader;
    uint32_t index = loader->indexes[place];
    const TrainImage *image = &loader->dataset->images[index];
    float scale;
    Raster picture = train_cache_get(loader->cache, index, &scale);
    if (place == drawing->place) drawing->scale = scale;
    for (size_t i = 0; i < image->box_count && scale > 0; i++) {
        AugmentBox b = image->boxes[i];
        augment_boxes_add(boxes, (AugmentBox){b.x0 * scale, b.y0 * scale, b.x1 * scale, b.y1 * scale, b.class_index});
    }
    return picture;
}

static void give_picture_back(void *context, uint32_t place, Raster picture) {
    TrainLoader *loader = ((Drawing *)context)->loader;
    train_cache_give_back(loader->cache, loader->indexes[place], picture);
}

static size_t value_size(TrainPixels pixels) {
    return pixels == TRAIN_PIXELS_F32_NCHW || pixels == TRAIN_PIXELS_F32_NHWC ? sizeof(float) : 1;
}

/* Brings one 8-bit interleaved picture into the order and type of a batch. */
static void store_pixels(void *out, TrainPixels pixels, const uint8_t *restrict picture, size_t count) {
    uint8_t *restrict bytes = out;
    float *restrict floats = out;
    switch (pixels) {
    case TRAIN_PIXELS_U8_NHWC:
        memcpy(bytes, picture, 3 * count);
        break;
    case TRAIN_PIXELS_F32_NHWC:
        for (size_t i = 0; i < 3 * count; i++) floats[i] = picture[i];
        break;
    case TRAIN_PIXELS_U8_NCHW:
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < count; i++) bytes[c * count + i] = picture[3 * i + c];
        break;
    case TRAIN_PIXELS_F32_NCHW:
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < count; i++) floats[c * count + i] = picture[3 * i + c];
        break;
    }
}

/* ---- batches ---- */

/* Buffers of one thread. */
typedef struct Worker {
    AugmentScratch *scratch;
    uint8_t *pixels;     /* one picture of input size */
    AugmentBoxes *boxes; /* one list a picture of a batch */
} Worker;

static void draw_sample(TrainLoader *loader, Worker *worker, TrainBatch *batch, int i, uint32_t place) {
    const TrainLoaderOptions *o = &loader->options;
    bool closing = batch->epoch >= o->epochs - o->closing_epochs;
    AugmentOptions augment = closing ? augment_without_mosaic(&o->augment) : o->augment;
    Drawing drawing = {.loader = loader, .place = place};
    AugmentSource source = {&drawing, (uint32_t)loader->count, get_picture, give_picture_back};
    Raster out = {o->width, o->height, worker->pixels};
    batch->image_index[i] = loader->indexes[place];
    Random random = random_start(o->seed, (uint64_t)batch->epoch << 32 | batch->image_index[i]);
    worker->boxes[i].count = 0;
    augment_sample(&out, &worker->boxes[i], &source, place, &augment, &random, worker->scratch);
    batch->scales[i] = drawing.scale;
    size_t pixels = (size_t)o->width * (size_t)o->height;
    store_pixels((char *)batch->images + (size_t)i * 3 * pixels * value_size(o->pixels), o->pixels, worker->pixels, pixels);
}

static void store_targets(Pooled *pooled, const AugmentBoxes *boxes) {
    TrainBatch *batch = &pooled->batch;
    batch->max_boxes = 1;
    for (int i = 0; i < batch->count; i++) {
        batch->box_counts[i] = (int)boxes[i].count;
        if (batch->box_counts[i] > batch->max_boxes) batch->max_boxes = batch->box_counts[i];
    }
    size_t needed = (size_t)batch->count * (size_t)batch->max_boxes * 5;
    if (needed > pooled->targets_capacity) {
        batch->targets = xrealloc(batch->targets, needed * sizeof *batch->targets);
        pooled->targets_capacity = needed;
    }
    memset(batch->targets, 0, needed * sizeof *batch->targets);
    for (int i = 0; i < batch->count; i++) {
        float *row = batch->targets + (size_t)i * (size_t)batch->max_boxes * 5;
        for (size_t k = 0; k < boxes[i].count; k++, row += 5) {
            AugmentBox b = boxes[i].items[k];
            row[0] = (float)b.class_index;
            row[1] = (b.x0 + b.x1) / 2;
            row[2] = (b.y0 + b.y1) / 2;
            row[3] = b.x1 - b.x0;
            row[4] = b.y1 - b.y0;
        }
    }
}

static Pooled *pooled_new(const TrainLoaderOptions *o) {
    Pooled *pooled = xcalloc(1, sizeof *pooled);
    size_t n = (size_t)o->batch;
    pooled->batch.images = xmalloc(n * 3 * (size_t)o->width * (size_t)o->height * value_size(o->pixels));
    pooled->batch.box_counts = xcalloc(n, sizeof *pooled->batch.box_counts);
    pooled->batch.image_index = xcalloc(n, sizeof *pooled->batch.image_index);
    pooled->batch.scales = xcalloc(n, sizeof *pooled->batch.scales);
    pooled->places = xcalloc(n, sizeof *pooled->places);
    return pooled;
}

static void pooled_free(Pooled *pooled) {
    if (!pooled) return;
    free(pooled->batch.images);
    free(pooled->batch.targets);
    free(pooled->batch.box_counts);
    free(pooled->batch.image_index);
    free(pooled->batch.scales);
    free(pooled->places);
    free(pooled);
}

/* ---- threads ---- */

static void make_order(TrainLoader *loader, int epoch) {
    for (size_t i = 0; i < loader->count; i++) loader->order[i] = (uint32_t)i;
    loader->order_epoch = epoch;
    if (!loader->options.shuffle) return;
    Random random = random_start(loader->options.seed ^ SHUFFLE_STREAM, (uint64_t)epoch);
    for (size_t i = loader->count - 1; i > 0; i--) {
        size_t other = random_below(&random, (uint32_t)i + 1);
        uint32_t kept = loader->order[i];
        loader->order[i] = loader->order[other];
        loader->order[other] = kept;
    }
}

/* Waits for room, then takes the next batch number and what belongs to it. NULL at the end. The lock is held. */
static Pooled *claim(TrainLoader *loader, int64_t *number) {
    const TrainLoaderOptions *o = &loader->options;
    while (!loader->stopping && loader->claimed < loader->total && loader->claimed - loader->taken >= o->ahead)
        pthread_cond_wait(&loader->room, &loader->lock);
    if (loader->stopping || loader->claimed >= loader->total) return NULL;
    *number = loader->claimed++;
    Pooled *pooled = loader->pool;
    if (pooled) loader->pool = pooled->next;
    else pooled = pooled_new(o);
    TrainBatch *batch = &pooled->batch;
    batch->epoch = o->first_epoch + (int)(*number / loader->batches_per_epoch);
    batch->index = (int)(*number % loader->batches_per_epoch);
    if (batch->epoch != loader->order_epoch) make_order(loader, batch->epoch);
    size_t first = (size_t)batch->index * (size_t)o->batch, left = loader->count - first;
    batch->count = left < (size_t)o->batch ? (int)left : o->batch;
    memcpy(pooled->places, loader->order + first, (size_t)batch->count * sizeof *pooled->places);
    return pooled;
}

static void *run_thread(void *context) {
    TrainLoader *loader = context;
    const TrainLoaderOptions *o = &loader->options;
    Worker worker = {.scratch = augment_scratch_new(),
                     .pixels = xmalloc((size_t)o->width * (size_t)o->height * 3),
                     .boxes = xcalloc((size_t)o->batch, sizeof *worker.boxes)};
    Pooled *pooled;
    int64_t number;
    pthread_mutex_lock(&loader->lock);
    while ((pooled = claim(loader, &number)) != NULL) {
        pthread_mutex_unlock(&loader->lock);
        for (int i = 0; i < pooled->batch.count; i++) draw_sample(loader, &worker, &pooled->batch, i, pooled->places[i]);
        store_targets(pooled, worker.boxes);
        pthread_mutex_lock(&loader->lock);
        loader->ring[number % o->ahead] = pooled;
        pthread_cond_broadcast(&loader->ready);
    }
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < o->batch; i++) augment_boxes_clear(&worker.boxes[i]);
    free(worker.boxes);
    free(worker.pixels);
    augment_scratch_free(worker.scratch);
    return NULL;
}

static int at_least_one(int value) { return value < 1 ? 1 : value; }

Status train_loader_new(TrainLoader **out, TrainDataset *dataset, TrainCache *cache, const uint32_t *indexes, size_t count,
                        const TrainLoaderOptions *options, Error *err) {
    int code = 0;
    TrainLoader *loader = xcalloc(1, sizeof *loader);
    *loader = (TrainLoader){.dataset = dataset, .cache = cache, .options = *options, .count = count, .order_epoch = -1};
    TrainLoaderOptions *o = &loader->options;
    o->batch = at_least_one(o->batch);
    o->threads = at_least_one(o->threads);
    o->ahead = at_least_one(o->ahead);
    size_t batch = (size_t)o->batch;
    loader->batches_per_epoch = at_least_one((int)(o->drop_last ? count / batch : (count + batch - 1) / batch));
    loader->total = (int64_t)loader->batches_per_epoch * (o->epochs > o->first_epoch ? o->epochs - o->first_epoch : 0);
    loader->indexes = xcalloc(count, sizeof *indexes);
    memcpy(loader->indexes, indexes, count * sizeof *indexes);
    loader->order = xcalloc(count, sizeof *loader->order);
    loader->ring = xcalloc((size_t)o->ahead, sizeof *loader->ring);
    loader->threads = xcalloc((size_t)o->threads, sizeof *loader->threads);
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->ready, NULL);
    pthread_cond_init(&loader->room, NULL);
    while (loader->thread_count < o->threads && (code = pthread_create(&loader->threads[loader->thread_count], NULL, run_thread, loader)) == 0)
        loader->thread_count++;
    *out = loader;
    if (loader->thread_count) return STATUS_OK;
    *out = NULL;
    train_loader_free(loader);
    return error_set_errno(err, code, "No thread to draw batches");
}

void train_loader_free(TrainLoader *loader) {
    if (!loader) return;
    pthread_mutex_lock(&loader->lock);
    loader->stopping = true;
    pthread_cond_broadcast(&loader->room);
    pthread_cond_broadcast(&loader->ready);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->thread_count; i++) pthread_join(loader->threads[i], NULL);
    for (int i = 0; i < loader->options.ahead; i++) pooled_free(loader->ring[i]);
    while (loader->pool) {
        Pooled *next = loader->pool->next;
        pooled_free(loader->pool);
        loader->pool = next;
    }
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->room);
    free(loader->threads);
    free(loader->ring);
    free(loader->order);
    free(loader->indexes);
    free(loader);
}

int train_loader_batches_per_epoch(const TrainLoader *loader) { return loader->batches_per_epoch; }

TrainBatch *train_loader_next(TrainLoader *loader) {
    Pooled *pooled = NULL;
    double start = clock_monotonic();
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        if (loader->stopping || loader->taken == loader->total) break;
        Pooled **slot = &loader->ring[loader->taken % loader->options.ahead];
        if (*slot) {
            pooled = *slot;
            *slot = NULL;
            loader->taken++;
            pthread_cond_broadcast(&loader->room);
            break;
        }
        pthread_cond_wait(&loader->ready, &loader->lock);
    }
    loader->waited += clock_monotonic() - start;
    pthread_mutex_unlock(&loader->lock);
    return pooled ? &pooled->batch : NULL;
}

void train_batch_release(TrainLoader *loader, TrainBatch *batch) {
    if (!batch) return;
    Pooled *pooled = (Pooled *)batch;
    pthread_mutex_lock(&loader->lock);
    pooled->next = loader->pool;
    loader->pool = pooled;
    pthread_mutex_unlock(&loader->lock);
}

double train_loader_waited(TrainLoader *loader) {
    pthread_mutex_lock(&loader->lock);
    double waited = loader->waited;
    pthread_mutex_unlock(&loader->lock);
    return waited;
}
