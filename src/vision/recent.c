#include "vision/recent.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

/* A list, latest first; few entries, so it is searched. */
typedef struct Entry {
    struct Entry *next;
    char *key;
    void *value;
    size_t bytes;
} Entry;

struct Recent {
    Entry *latest;
    size_t bytes, maximum_bytes;
    int count, maximum_count;
    void (*free_value)(void *value);
};

Recent *recent_new(size_t maximum_bytes, int maximum_count, void (*free_value)(void *value)) {
    Recent *recent = xcalloc(1, sizeof *recent);
    *recent = (Recent){.maximum_bytes = maximum_bytes, .maximum_count = maximum_count, .free_value = free_value};
    return recent;
}

static void drop(Recent *recent, Entry **link) {
    Entry *entry = *link;
    *link = entry->next;
    recent->bytes -= entry->bytes;
    recent->count--;
    recent->free_value(entry->value);
    free(entry->key);
    free(entry);
}

void recent_clear(Recent *recent) {
    while (recent->latest) drop(recent, &recent->latest);
}

void recent_free(Recent *recent) {
    if (!recent) return;
    recent_clear(recent);
    free(recent);
}

/* The pointer that leads to an entry; to NULL at the end of the list where there is none. */
static Entry **link_to(Recent *recent, const char *key) {
    Entry **link = &recent->latest;
    while (*link && strcmp((*link)->key, key) != 0) link = &(*link)->next;
    return link;
}

void *recent_find(Recent *recent, const char *key) {
    Entry **link = link_to(recent, key), *entry = *link;
    if (!entry) return NULL;
    *link = entry->next;
    entry->next = recent->latest;
    recent->latest = entry;
    return entry->value;
}

static bool is_over(const Recent *recent) {
    return (recent->maximum_bytes && recent->bytes > recent->maximum_bytes) || (recent->maximum_count && recent->count > recent->maximum_count);
}

void recent_add(Recent *recent, const char *key, void *value, size_t bytes) {
    Entry *entry = xcalloc(1, sizeof *entry), **old = link_to(recent, key);
    if (*old) drop(recent, old);
    *entry = (Entry){.next = recent->latest, .key = xstrdup(key), .value = value, .bytes = bytes};
    recent->latest = entry;
    recent->bytes += bytes;
    recent->count++;
    while (recent->count > 1 && is_over(recent)) {
        Entry **link = &recent->latest;
        while ((*link)->next) link = &(*link)->next;
        drop(recent, link);
    }
}

int recent_count(const Recent *recent, size_t *bytes) {
    if (bytes) *bytes = recent->bytes;
    return recent->count;
}
