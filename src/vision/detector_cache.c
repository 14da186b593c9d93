#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vision/detector.h"
#include "vision/recent.h"
#include "base/banned.h"

enum { KEPT = 4 };

struct DetectorCache {
    Runtime *runtime;
    long serial; /* of the detector opened last */
    Recent *detectors;
};

static void close_detector(void *detector) { detector_close(detector); }

DetectorCache *detector_cache_new(Runtime *runtime) {
    DetectorCache *cache = xcalloc(1, sizeof *cache);
    *cache = (DetectorCache){.runtime = runtime, .detectors = recent_new(0, KEPT, close_detector)};
    return cache;
}

void detector_cache_free(DetectorCache *cache) {
    if (!cache) return;
    recent_free(cache->detectors);
    free(cache);
}

/* The path and which file it was: one that was replaced is another. Free it. */
static char *key_of(const char *path, int threads, const struct stat *file) {
    size_t size = strlen(path) + 128;
    char *key = xmalloc(size);
    snprintf(key, size, "%llu.%llu %lld %lld.%09ld %d %s", (unsigned long long)file->st_dev, (unsigned long long)file->st_ino, (long long)file->st_size,
             (long long)file->st_mtim.tv_sec, file->st_mtim.tv_nsec, threads, path);
    return key;
}

Status detector_cache_get(DetectorCache *cache, const char *path, int threads, Detector **out, Error *err) {
    struct stat file;
    if (stat(path, &file) != 0) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model file is missing (%s)", strerror(errno));
    char *key = key_of(path, threads, &file);
    *out = recent_find(cache->detectors, key);
    Status status = *out ? STATUS_OK : detector_open(cache->runtime, path, threads, out, err);
    if (status == STATUS_OK && (*out)->serial == 0) {
        (*out)->serial = ++cache->serial;
        recent_add(cache->detectors, key, *out, 0);
    }
    free(key);
    return status;
}

int detector_cache_count(const DetectorCache *cache) { return recent_count(cache->detectors, NULL); }
