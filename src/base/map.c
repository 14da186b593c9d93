/* See the header. */
#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

void string_map_init(StringMap *map, Arena *arena) { *map = (StringMap){.arena = arena}; }

/* Slot of key, or the free one where it belongs. */
static StringMapSlot *find(const StringMap *map, const char *key) {
    uint64_t hash = text_hash(key, strlen(key));
    size_t mask = map->capacity - 1, at = (size_t)(hash ^ hash >> 32) & mask;
    while (map->slots[at].key && strcmp(map->slots[at].key, key) != 0) at = (at + 1) & mask;
    return &map->slots[at];
}

static void grow(StringMap *map) {
    StringMap bigger = {map->arena, NULL, map->count, map->capacity ? 2 * map->capacity : 64};
    bigger.slots = arena_new_array(map->arena, StringMapSlot, bigger.capacity);
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key) *find(&bigger, map->slots[i].key) = map->slots[i];
    }
    *map = bigger;
}

size_t string_map_get(const StringMap *map, const char *key) {
    if (!map->capacity) return STRING_MAP_NONE;
    const StringMapSlot *slot = find(map, key);
    return slot->key ? slot->value : STRING_MAP_NONE;
}

static StringMapSlot *slot_for(StringMap *map, const char *key, size_t value) {
    if (2 * map->count >= map->capacity) grow(map);
    StringMapSlot *slot = find(map, key);
    if (!slot->key) {
        *slot = (StringMapSlot){arena_strdup(map->arena, key), value};
        map->count++;
    }
    return slot;
}

void string_map_set(StringMap *map, const char *key, size_t value) { slot_for(map, key, value)->value = value; }

size_t string_map_get_or_set(StringMap *map, const char *key, size_t value) { return slot_for(map, key, value)->value; }
