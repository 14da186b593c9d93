#include "vision/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

static Level level_new(const Raster *raster) {
    size_t count = (size_t)raster->width * (size_t)raster->height;
    Level level = {.width = raster->width, .height = raster->height, .lab = xmalloc(count * sizeof(Lab))};
    lab_from_rgb(raster->rgb, count, level.lab);
    return level;
}

static int longer_side(const Raster *r) { return r->width > r->height ? r->width : r->height; }

static void shrink_to(const Raster *source, double factor, Raster *out) {
    raster_resize(source, (int)fmax(1, lrint(source->width * factor)), (int)fmax(1, lrint(source->height * factor)), out);
}

Scene *scene_new(const Picture *picture) {
    Scene *scene = xcalloc(1, sizeof *scene);
    scene->full_width = picture->full_width;
    scene->full_height = picture->full_height;
    Raster own = {0}, half;
    const Raster *at = &picture->raster;
    if (longer_side(at) > SCENE_LONGEST_SIDE) {
        shrink_to(at, (double)SCENE_LONGEST_SIDE / longer_side(at), &own);
        at = &own;
    }
    scene->levels[scene->level_count++] = level_new(at);
    while (longer_side(at) > SCENE_COARSEST_SIDE && scene->level_count < SCENE_LEVELS) {
        shrink_to(at, 0.5, &half);
        raster_clear(&own);
        own = half;
        at = &own;
        scene->levels[scene->level_count++] = level_new(at);
    }
    raster_clear(&own);
    return scene;
}

void scene_free(Scene *scene) {
    if (!scene) return;
    for (int i = 0; i < scene->level_count; i++) free(scene->levels[i].lab);
    free(scene);
}

size_t scene_bytes(const Scene *scene) {
    size_t bytes = sizeof *scene;
    for (int i = 0; i < scene->level_count; i++)
        bytes += (size_t)scene->levels[i].width * (size_t)scene->levels[i].height * sizeof(Lab);
    return bytes;
}

/* ---- cache: a list, latest first; few entries, so it is searched ---- */

typedef struct Entry {
    struct Entry *next;
    char *key;
    Scene *scene;
} Entry;

struct SceneCache {
    Entry *latest;
    size_t bytes, maximum;
    int count;
};

SceneCache *scene_cache_new(size_t maximum_bytes) {
    SceneCache *cache = xcalloc(1, sizeof *cache);
    cache->maximum = maximum_bytes;
    return cache;
}

static void drop(SceneCache *cache, Entry **link) {
    Entry *entry = *link;
    *link = entry->next;
    cache->bytes -= scene_bytes(entry->scene);
    cache->count--;
    scene_free(entry->scene);
    free(entry->key);
    free(entry);
}

void scene_cache_free(SceneCache *cache) {
    if (!cache) return;
    while (cache->latest) drop(cache, &cache->latest);
    free(cache);
}

/* Drops the oldest until the bound holds or only the latest is left. */
static void keep_bound(SceneCache *cache) {
    while (cache->bytes > cache->maximum && cache->count > 1) {
        Entry **link = &cache->latest;
        while ((*link)->next) link = &(*link)->next;
        drop(cache, link);
    }
}

static Entry *find_and_lift(SceneCache *cache, const char *key) {
    for (Entry **link = &cache->latest; *link; link = &(*link)->next) {
        Entry *entry = *link;
        if (strcmp(entry->key, key) != 0) continue;
        *link = entry->next;
        entry->next = cache->latest;
        return cache->latest = entry;
    }
    return NULL;
}

static Entry *insert(SceneCache *cache, const char *key, Scene *scene) {
    Entry *entry = xcalloc(1, sizeof *entry);
    *entry = (Entry){.next = cache->latest, .key = xstrdup(key), .scene = scene};
    cache->latest = entry;
    cache->bytes += scene_bytes(scene);
    cache->count++;
    keep_bound(cache);
    return entry;
}

Status scene_cache_get(SceneCache *cache, const char *key, const char *path, const Scene **out, bool *fresh, Error *err) {
    Entry *entry = find_and_lift(cache, key);
    *fresh = !entry;
    if (!entry) {
        Picture picture;
        Status status = picture_load(path, SCENE_LONGEST_SIDE, SCENE_LONGEST_SIDE, &picture, err);
        if (status != STATUS_OK) return status;
        entry = insert(cache, key, scene_new(&picture));
        picture_clear(&picture);
    }
    *out = entry->scene;
    return STATUS_OK;
}

int scene_cache_count(const SceneCache *cache, size_t *bytes) {
    *bytes = cache->bytes;
    return cache->count;
}
