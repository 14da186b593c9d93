#include "vision/found_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "vision/recent.h"
#include "base/banned.h"

typedef struct Found {
    size_t count;
    Detection detections[];
} Found;

struct FoundCache {
    Recent *pictures;
};

/* Detector and picture in one text; free it. */
static char *key_of(const char *image_key, long serial) {
    size_t size = strlen(image_key) + 32;
    char *key = xmalloc(size);
    snprintf(key, size, "%ld %s", serial, image_key);
    return key;
}

FoundCache *found_cache_new(void) {
    FoundCache *cache = xcalloc(1, sizeof *cache);
    cache->pictures = recent_new(0, FOUND_CACHE_PICTURES, free);
    return cache;
}

void found_cache_free(FoundCache *cache) {
    if (!cache) return;
    recent_free(cache->pictures);
    free(cache);
}

const Detection *found_cache_get(FoundCache *cache, const char *image_key, long serial, size_t *count) {
    char *key = key_of(image_key, serial);
    const Found *found = recent_find(cache->pictures, key);
    free(key);
    if (!found) return NULL;
    *count = found->count;
    return found->detections;
}

void found_cache_put(FoundCache *cache, const char *image_key, long serial, const Detection *detections, size_t count) {
    size_t bytes = sizeof(Found) + count * sizeof *detections;
    Found *found = xmalloc(bytes);
    char *key = key_of(image_key, serial);
    found->count = count;
    if (count) memcpy(found->detections, detections, count * sizeof *detections);
    recent_add(cache->pictures, key, found, bytes);
    free(key);
}
