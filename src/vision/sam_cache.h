/* Encoded images between prompts, so that the second click on an image runs the decoder only. Bounded in bytes: the least lately used are
 * dropped; one image alone may exceed the bound.
 */
#pragma once
#include "vision/sam.h"

typedef struct SamCache SamCache;
SamCache *sam_cache_new(size_t maximum_bytes);
void sam_cache_free(SamCache *cache);
/* The image under a key that names model and content, or NULL. Borrowed until the next call that adds or drops. */
const SamImage *sam_cache_find(SamCache *cache, const char *key);
/* Takes the image over. */
void sam_cache_add(SamCache *cache, const char *key, SamImage *image);
/* Forgets everything: the models have changed. */
void sam_cache_drop_all(SamCache *cache);
int sam_cache_count(const SamCache *cache, size_t *bytes);
