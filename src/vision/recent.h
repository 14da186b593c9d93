/* Recent: the few things that were used last, each under a text, so that the next question about one costs nothing. Bounded in bytes and in number: the
 * least lately used make room; what was added last stays, even where it alone exceeds the bound.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct Recent Recent;

/* A bound of 0 is none. free_value frees what was added. */
Recent *recent_new(size_t maximum_bytes, int maximum_count, void (*free_value)(void *value));
void recent_free(Recent *recent);
/* The value under a key, or NULL; it is then the one used last. Borrowed until the next recent_add or recent_clear. */
void *recent_find(Recent *recent, const char *key);
/* Takes the value over. A key that is in already gets the new value. */
void recent_add(Recent *recent, const char *key, void *value, size_t bytes);
void recent_clear(Recent *recent);
/* How many there are, and their bytes (NULL: not asked). */
int recent_count(const Recent *recent, size_t *bytes);
