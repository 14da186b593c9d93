/* The pictures of a data set at input size. A slot is filled once and then never changes, so what get lends needs no lock; what does not
 * fit into the limit is private to its borrower and freed when it comes back. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "train/data.h"
#include "train/data_image.h"

#include "base/banned.h"

typedef struct Slot {
    Raster picture; /* pixels NULL while empty */
    float scale;
} Slot;

struct TrainCache {
    TrainDataset *dataset;
    int width, height;
    size_t limit, used;
    pthread_mutex_t lock; /* of used and slots */
    Slot *slots;          /* one per picture */
};

TrainCache *train_cache_new(TrainDataset *dataset, int width, int height, size_t limit) {
    TrainCache *cache = xcalloc(1, sizeof *cache);
    *cache = (TrainCache){.dataset = dataset, .width = width, .height = height, .limit = limit};
    cache->slots = xcalloc(dataset->image_count + 1, sizeof *cache->slots);
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void train_cache_free(TrainCache *cache) {
    if (!cache) return;
    for (size_t i = 0; i < cache->dataset->image_count; i++) free(cache->slots[i].picture.pixels);
    free(cache->slots);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Stands for a picture that does not decode. */
static Slot grey_pixel(void) {
    Slot slot = {.picture = {1, 1, xmalloc(3)}};
    memset(slot.picture.pixels, AUGMENT_FILL, 3);
    return slot;
}

static Slot decode(TrainCache *cache, uint32_t index, bool *failed) {
    TrainDataset *dataset = cache->dataset;
    const TrainImage *image = &dataset->images[index];
    Slot slot = {0};
    Error err = {0};
    *failed = train_image_decode(&slot.picture, &slot.scale, image->path, cache->width, cache->height, &err) != STATUS_OK;
    if (*failed) {
        train_dataset_warn(dataset, image->name, "The picture cannot be read and is trained as an empty one: %s", err.message);
        slot = grey_pixel();
    }
    return slot;
}

Raster train_cache_get(TrainCache *cache, uint32_t index, float *scale) {
    pthread_mutex_lock(&cache->lock);
    Slot slot = cache->slots[index];
    pthread_mutex_unlock(&cache->lock);
    if (!slot.picture.pixels) {
        bool failed;
        slot = decode(cache, index, &failed);
        size_t size = (size_t)slot.picture.width * (size_t)slot.picture.height * 3;
        pthread_mutex_lock(&cache->lock);
        /* A failure always stays, so that it is warned of once. A slot that was filled meanwhile keeps what it has. */
        if (!cache->slots[index].picture.pixels && (failed || cache->used + size <= cache->limit)) {
            cache->slots[index] = slot;
            cache->used += size;
        }
        pthread_mutex_unlock(&cache->lock);
    }
    *scale = slot.scale;
    return slot.picture;
}

void train_cache_give_back(TrainCache *cache, uint32_t index, Raster picture) {
    pthread_mutex_lock(&cache->lock);
    bool is_private = cache->slots[index].picture.pixels != picture.pixels;
    pthread_mutex_unlock(&cache->lock);
    if (is_private) free(picture.pixels);
}
