#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vision/detector.h"
#include "base/banned.h"

enum { KEPT = 4 };

typedef struct Slot {
    Detector *detector; /* NULL: free */
    char *path;
    struct stat file; /* as it was when it was loaded */
    long used;        /* the higher, the later */
} Slot;

struct DetectorCache {
    Runtime *runtime;
    int threads;
    long clock;
    Slot slots[KEPT];
};

DetectorCache *detector_cache_new(Runtime *runtime, int threads) {
    DetectorCache *cache = xcalloc(1, sizeof *cache);
    cache->runtime = runtime;
    cache->threads = threads;
    return cache;
}

static void slot_clear(Slot *slot) {
    detector_close(slot->detector);
    free(slot->path);
    *slot = (Slot){0};
}

void detector_cache_free(DetectorCache *cache) {
    if (!cache) return;
    for (int i = 0; i < KEPT; i++) slot_clear(&cache->slots[i]);
    free(cache);
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The slot that holds the file, or else the one to give up: a free one, or the least lately used. */
static Slot *slot_for(DetectorCache *cache, const char *path, const struct stat *file) {
    Slot *oldest = &cache->slots[0];
    for (int i = 0; i < KEPT; i++) {
        Slot *slot = &cache->slots[i];
        if (slot->detector && strcmp(slot->path, path) == 0 && same_file(&slot->file, file)) return slot;
        if (slot->used < oldest->used) oldest = slot;
    }
    slot_clear(oldest);
    return oldest;
}

Status detector_cache_get(DetectorCache *cache, const char *path, Detector **out, Error *err) {
    struct stat file;
    if (stat(path, &file) != 0) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model file is missing (%s)", strerror(errno));
    Slot *slot = slot_for(cache, path, &file);
    if (!slot->detector) {
        Status status = detector_open(cache->runtime, path, cache->threads, &slot->detector, err);
        if (status != STATUS_OK) return status;
        slot->detector->serial = cache->clock + 1;
        slot->path = xstrdup(path);
        slot->file = file;
    }
    slot->used = ++cache->clock;
    *out = slot->detector;
    return STATUS_OK;
}

int detector_cache_count(const DetectorCache *cache) {
    int count = 0;
    for (int i = 0; i < KEPT; i++) count += cache->slots[i].detector != NULL;
    return count;
}
