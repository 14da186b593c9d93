/* The part of YAML that data.yaml files of YOLO datasets are written in: top-level keys with a scalar, a list or a map of scalars, in
 * flow ("[a, b]", "{0: a}") or block form, quotes and comments. Anchors, tags, nested collections and documents are passed over. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef struct YamlItem {
    const char *key;   /* of a map; NULL in a list and for a scalar */
    const char *value; /* unquoted */
} YamlItem;

typedef struct YamlEntry {
    const char *key;
    YamlItem *items; /* one for a scalar, with `is_scalar` */
    size_t count, capacity;
    bool is_scalar;
} YamlEntry;

typedef struct Yaml {
    YamlEntry *entries;
    size_t count, capacity;
} Yaml;

/* Never fails: what it does not understand it leaves out. Everything lies in the arena. */
void yaml_read(Arena *arena, const char *text, Yaml *out);
/* NULL when there is no such key. */
const YamlEntry *yaml_get(const Yaml *yaml, const char *key);
