/* Bump allocation in blocks that double up to a megabyte; larger requests get a block of their own. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

struct ArenaBlock {
    ArenaBlock *previous;
    size_t size;
    alignas(max_align_t) char data[];
};

static _Noreturn void die_out_of_memory(void) {
    fputs("pictograph: out of memory\n", stderr);
    abort();
}

void *xmalloc(size_t size) {
    void *p = malloc(size ? size : 1);
    if (!p) die_out_of_memory();
    return p;
}

void *xcalloc(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) die_out_of_memory();
    return p;
}

void *xrealloc(void *pointer, size_t size) {
    void *p = realloc(pointer, size ? size : 1);
    if (!p) die_out_of_memory();
    return p;
}

char *xstrdup(const char *text) {
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

void arena_init(Arena *arena, size_t limit) { *arena = (Arena){.limit = limit}; }

static void free_blocks_after(Arena *arena, ArenaBlock *keep) {
    for (ArenaBlock *block = arena->blocks; block != keep;) {
        ArenaBlock *previous = block->previous;
        free(block);
        block = previous;
    }
}

void arena_clear(Arena *arena) {
    free_blocks_after(arena, NULL);
    arena_init(arena, arena->limit);
}

void arena_reset(Arena *arena) {
    ArenaBlock *first = arena->blocks;
    while (first && first->previous) first = first->previous;
    free_blocks_after(arena, first);
    size_t limit = arena->limit;
    *arena = (Arena){.blocks = first, .limit = limit};
    if (!first) return;
    arena->next = first->data;
    arena->end = first->data + first->size;
}

bool arena_exceeded(const Arena *arena) { return arena->used > arena->limit; }

static void add_block(Arena *arena, size_t need) {
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK) size = LARGEST_BLOCK;
    if (size < need) size = need;
    ArenaBlock *block = xmalloc(sizeof *block + size);
    block->previous = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->next = block->data;
    arena->end = block->data + size;
}

/* Memory as it comes, for those who fill it whole. */
static void *take(Arena *arena, size_t size) {
    if (size > SIZE_MAX / 2) die_out_of_memory();
    size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (!arena->next || rounded > (size_t)(arena->end - arena->next)) add_block(arena, rounded);
    void *p = arena->next;
    arena->next += rounded;
    arena->used += rounded;
    return p;
}

void *arena_alloc(Arena *arena, size_t size) { return memset(take(arena, size), 0, size); }

void *arena_array(Arena *arena, size_t count, size_t size) {
    if (size && count > SIZE_MAX / 2 / size) die_out_of_memory();
    return arena_alloc(arena, count * size);
}

char *arena_strndup(Arena *arena, const char *text, size_t length) {
    if (!text) return NULL;
    char *copy = take(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *arena_strdup(Arena *arena, const char *text) { return text ? arena_strndup(arena, text, strlen(text)) : NULL; }

char *arena_vprintf(Arena *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) n = 0;
    char *text = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, args);
    return text;
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}
