#include "vision/sam_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* A list, latest first; few entries, so it is searched. */
typedef struct Entry {
    struct Entry *next;
    char *key;
    SamImage *image;
} Entry;

struct SamCache {
    Entry *latest;
    size_t bytes, maximum;
    int count;
};

SamCache *sam_cache_new(size_t maximum_bytes) {
    SamCache *cache = xcalloc(1, sizeof *cache);
    cache->maximum = maximum_bytes;
    return cache;
}

static void drop(SamCache *cache, Entry **link) {
    Entry *entry = *link;
    *link = entry->next;
    cache->bytes -= entry->image->bytes;
    cache->count--;
    sam_image_free(entry->image);
    free(entry->key);
    free(entry);
}

void sam_cache_drop_all(SamCache *cache) {
    while (cache->latest) drop(cache, &cache->latest);
}

void sam_cache_free(SamCache *cache) {
    if (!cache) return;
    sam_cache_drop_all(cache);
    free(cache);
}

const SamImage *sam_cache_find(SamCache *cache, const char *key) {
    for (Entry **link = &cache->latest; *link; link = &(*link)->next) {
        Entry *entry = *link;
        if (strcmp(entry->key, key) != 0) continue;
        *link = entry->next;
        entry->next = cache->latest;
        cache->latest = entry;
        return entry->image;
    }
    return NULL;
}

void sam_cache_add(SamCache *cache, const char *key, SamImage *image) {
    Entry *entry = xcalloc(1, sizeof *entry);
    *entry = (Entry){.next = cache->latest, .key = xstrdup(key), .image = image};
    cache->latest = entry;
    cache->bytes += image->bytes;
    cache->count++;
    while (cache->bytes > cache->maximum && cache->count > 1) {
        Entry **link = &cache->latest;
        while ((*link)->next) link = &(*link)->next;
        drop(cache, link);
    }
}

int sam_cache_count(const SamCache *cache, size_t *bytes) {
    *bytes = cache->bytes;
    return cache->count;
}
