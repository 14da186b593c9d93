#include "vision/found_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

typedef struct Entry {
    char *image_key; /* NULL: free */
    long serial, used;
    Detection *detections;
    size_t count;
} Entry;

struct FoundCache {
    long clock;
    Entry entries[FOUND_CACHE_PICTURES];
};

FoundCache *found_cache_new(void) { return xcalloc(1, sizeof(FoundCache)); }

static void entry_clear(Entry *entry) {
    free(entry->image_key);
    free(entry->detections);
    *entry = (Entry){0};
}

void found_cache_free(FoundCache *cache) {
    if (!cache) return;
    for (int i = 0; i < FOUND_CACHE_PICTURES; i++) entry_clear(&cache->entries[i]);
    free(cache);
}

const Detection *found_cache_get(FoundCache *cache, const char *image_key, long serial, size_t *count) {
    for (int i = 0; i < FOUND_CACHE_PICTURES; i++) {
        Entry *entry = &cache->entries[i];
        if (!entry->image_key || entry->serial != serial || strcmp(entry->image_key, image_key) != 0) continue;
        entry->used = ++cache->clock;
        *count = entry->count;
        return entry->detections;
    }
    return NULL;
}

void found_cache_put(FoundCache *cache, const char *image_key, long serial, const Detection *detections, size_t count) {
    Entry *oldest = &cache->entries[0];
    for (int i = 1; i < FOUND_CACHE_PICTURES; i++)
        if (cache->entries[i].used < oldest->used) oldest = &cache->entries[i];
    entry_clear(oldest);
    *oldest = (Entry){.image_key = xstrdup(image_key), .serial = serial, .used = ++cache->clock, .count = count,
                      .detections = xmalloc((count + 1) * sizeof *detections)};
    if (count) memcpy(oldest->detections, detections, count * sizeof *detections);
}
