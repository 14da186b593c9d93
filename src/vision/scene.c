#include "vision/scene.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "vision/recent.h"
#include "base/banned.h"

static Level level_new(const Raster *raster) {
    size_t count = (size_t)raster->width * (size_t)raster->height;
    Level level = {.width = raster->width, .height = raster->height, .lab = xmalloc(count * sizeof(Lab))};
    lab_from_rgb(raster->pixels, count, level.lab);
    return level;
}

static int longer_side(const Raster *r) { return r->width > r->height ? r->width : r->height; }

static void shrink_to(const Raster *source, double factor, Raster *out) {
    raster_resize(out, source, (int)fmax(1, lrint(source->width * factor)), (int)fmax(1, lrint(source->height * factor)));
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

/* ---- cache ---- */

struct SceneCache {
    Recent *scenes;
};

static void free_scene(void *scene) { scene_free(scene); }

SceneCache *scene_cache_new(size_t maximum_bytes) {
    SceneCache *cache = xcalloc(1, sizeof *cache);
    cache->scenes = recent_new(maximum_bytes, 0, free_scene);
    return cache;
}

void scene_cache_free(SceneCache *cache) {
    if (!cache) return;
    recent_free(cache->scenes);
    free(cache);
}

Status scene_cache_get(SceneCache *cache, const char *key, const char *path, const Scene **out, bool *fresh, Error *err) {
    Scene *scene = recent_find(cache->scenes, key);
    *fresh = !scene;
    if (!scene) {
        Picture picture;
        Status status = picture_load(path, SCENE_LONGEST_SIDE, SCENE_LONGEST_SIDE, &picture, err);
        if (status != STATUS_OK) return status;
        scene = scene_new(&picture);
        picture_clear(&picture);
        recent_add(cache->scenes, key, scene, scene_bytes(scene));
    }
    *out = scene;
    return STATUS_OK;
}

int scene_cache_count(const SceneCache *cache, size_t *bytes) { return recent_count(cache->scenes, bytes); }
