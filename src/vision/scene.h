/* Scene: what the segmenter keeps of an image between prompts: its colours in Lab, from a bounded full size down in halves. A cache of
 * scenes, bounded in bytes, makes the second click fast: nothing is read or converted again.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "vision/gmm.h"
#include "vision/picture.h"

enum {
    SCENE_LONGEST_SIDE = 2048, /* of the finest level; outlines of larger pictures are exact to a pixel of it */
    SCENE_COARSEST_SIDE = 96,  /* the last level is the first whose longer side is at most this */
    SCENE_LEVELS = 8,
};

typedef struct Level {
    int width, height;
    Lab *lab; /* owned by the scene; width * height */
} Level;

typedef struct Scene {
    int full_width, full_height; /* of the file, upright: the unit of prompts and results */
    Level levels[SCENE_LEVELS];  /* [0] is the finest */
    int level_count;
} Scene;

/* Takes the picture's size and colours; the picture stays the caller's. */
Scene *scene_new(const Picture *picture);
void scene_free(Scene *scene);
size_t scene_bytes(const Scene *scene);

typedef struct SceneCache SceneCache;
SceneCache *scene_cache_new(size_t maximum_bytes);
void scene_cache_free(SceneCache *cache);
/* The scene under a key, read from path when it is not there (then *fresh is true). Borrowed until the next call. The least lately used
 * scenes are dropped to keep the bound; one scene alone may exceed it. Failures are those of picture_load. */
Status scene_cache_get(SceneCache *cache, const char *key, const char *path, const Scene **out, bool *fresh, Error *err);
/* Scenes in the cache, and their bytes. */
int scene_cache_count(const SceneCache *cache, size_t *bytes);
