/* Found cache: what a detector said of the last few pictures, so that another word on the same picture runs no model. */
#pragma once
#include <stddef.h>

#include "vision/nms.h"

enum { FOUND_CACHE_PICTURES = 64 };

typedef struct FoundCache FoundCache;

FoundCache *found_cache_new(void);
void found_cache_free(FoundCache *cache);
/* The detections of a picture by the detector of that serial number, borrowed until the next call; NULL when they are not known. */
const Detection *found_cache_get(FoundCache *cache, const char *image_key, long serial, size_t *count);
/* Keeps a copy; the least lately used picture makes room. */
void found_cache_put(FoundCache *cache, const char *image_key, long serial, const Detection *detections, size_t count);
