#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

void buffer_init(Buffer *buffer, size_t maximum) { *buffer = (Buffer){.maximum = maximum}; }

void buffer_clear(Buffer *buffer) {
    free(buffer->data);
    buffer_init(buffer, buffer->maximum);
}

void buffer_reset(Buffer *buffer) {
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->data) buffer->data[0] = '\0';
}

char *buffer_reserve(Buffer *buffer, size_t size) {
    if (buffer->failed || size > buffer->maximum - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    size_t need = buffer->size + size + 1;
    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity < 128 ? 256 : buffer->capacity * 2;
        if (capacity < need) capacity = need + need / 8; /* something usually follows */
        buffer->data = xrealloc(buffer->data, capacity);
        buffer->data[buffer->size] = '\0';
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

bool buffer_append(Buffer *buffer, const void *bytes, size_t size) {
    char *room = buffer_reserve(buffer, size);
    if (!room) return false;
    if (size) memcpy(room, bytes, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return true;
}

bool buffer_append_text(Buffer *buffer, const char *text) { return buffer_append(buffer, text, strlen(text)); }

bool buffer_append_byte(Buffer *buffer, char byte) { return buffer_append(buffer, &byte, 1); }

void buffer_append_escaped(Buffer *buffer, const char *text) {
    static const char HEX[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || strchr("-._~", byte);
        if (plain) buffer_append_byte(buffer, *text);
        else buffer_append(buffer, (char[]){'%', HEX[byte >> 4], HEX[byte & 15]}, 3);
    }
}

bool buffer_printf(Buffer *buffer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *room = n < 0 ? NULL : buffer_reserve(buffer, (size_t)n);
    if (!room) {
        buffer->failed = true;
        return false;
    }
    va_start(args, format);
    vsnprintf(room, (size_t)n + 1, format, args);
    va_end(args);
    buffer->size += (size_t)n;
    return true;
}

char *buffer_take(Buffer *buffer) {
    if (buffer->failed) {
        buffer_clear(buffer);
        return NULL;
    }
    char *data = buffer->data ? buffer->data : xstrdup("");
    buffer_init(buffer, buffer->maximum);
    return data;
}

const char *buffer_text(const Buffer *buffer) { return buffer->data ? buffer->data : ""; }
