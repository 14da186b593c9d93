/* Buffer: bytes that grow up to a maximum that the owner must name.
 *
 * A write past the maximum sets `failed` and is dropped whole; later writes are dropped too, so a writer may check once, at
 * its end. data is NUL-terminated whenever it is not NULL.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Buffer {
    char *data; /* NULL while nothing was written */
    size_t size;
    size_t capacity;
    size_t maximum; /* most bytes it may hold */
    bool failed;
} Buffer;

void buffer_init(Buffer *buffer, size_t maximum);
/* Frees the memory; the buffer is as after init. */
void buffer_clear(Buffer *buffer);
/* Forgets the content and the failure, keeps the memory. */
void buffer_reset(Buffer *buffer);

bool buffer_append(Buffer *buffer, const void *bytes, size_t size);
bool buffer_append_text(Buffer *buffer, const char *text);
bool buffer_append_byte(Buffer *buffer, char byte);
/* Text percent-encoded: all but letters, digits and -._~ . */
void buffer_append_escaped(Buffer *buffer, const char *text);
bool buffer_printf(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for size more bytes at data + size (the caller then adds to size), or NULL. */
char *buffer_reserve(Buffer *buffer, size_t size);
/* Hands the memory over (free with free()), "" when empty; the buffer is as after init. NULL after a failure. */
char *buffer_take(Buffer *buffer);
/* The content as a C string; "" when empty. */
const char *buffer_text(const Buffer *buffer);
