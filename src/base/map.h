/* StringMap: text to number, in an arena. Open addressing; made once, grows, never shrinks. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef struct StringMapSlot {
    const char *key; /* NULL: free */
    size_t value;
} StringMapSlot;

typedef struct StringMap {
    Arena *arena;
    StringMapSlot *slots;
    size_t count, capacity; /* capacity is 0 or a power of two */
} StringMap;

#define STRING_MAP_NONE ((size_t)-1)

void string_map_init(StringMap *map, Arena *arena);
/* Value of key, STRING_MAP_NONE when it is not in. */
size_t string_map_get(const StringMap *map, const char *key);
/* Sets or replaces; a new key is copied into the arena. */
void string_map_set(StringMap *map, const char *key, size_t value);
/* Value of key; when it is not in, it is put in with this value. */
size_t string_map_get_or_set(StringMap *map, const char *key, size_t value);
