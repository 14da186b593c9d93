/* Arena: memory that is given back all at once. One per request and one per job; nothing in it is freed singly.
 *
 * arena_alloc never returns NULL. Past its limit an arena goes on working but arena_exceeded() turns true: whoever loops over
 * input checks it, and the request pipeline refuses the request. Running out of real memory ends the process.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *blocks;
    char *next; /* first free byte of the present block */
    char *end;
    size_t used;  /* bytes handed out since init or clear */
    size_t limit; /* bytes after which arena_exceeded() is true */
} Arena;

/* An empty arena that allocates nothing until it is used; limit in bytes. */
void arena_init(Arena *arena, size_t limit);
/* Gives all memory back but one block, so that a reused arena does not go to the allocator. */
void arena_reset(Arena *arena);
/* Gives all memory back; the arena stays usable. */
void arena_clear(Arena *arena);
bool arena_exceeded(const Arena *arena);

/* size bytes, zeroed, aligned for any type. */
void *arena_alloc(Arena *arena, size_t size);
/* count elements of size bytes, zeroed; an overflowing product ends the process. */
void *arena_array(Arena *arena, size_t count, size_t size);
/* Copies; NULL gives NULL. */
char *arena_strdup(Arena *arena, const char *text);
char *arena_strndup(Arena *arena, const char *text, size_t length);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0), nonnull(2)));

#define arena_new(arena, Type) ((Type *)arena_alloc((arena), sizeof(Type)))
#define arena_new_array(arena, Type, count) ((Type *)arena_array((arena), (count), sizeof(Type)))

/* Heap memory for what outlives a request; these end the process instead of returning NULL. Free with free(). */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *text);
