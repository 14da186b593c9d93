/* Pixels: a decoded image in a plain file, handed from one worker to another so that only pictograph-media maps decoders of rare types.
 *
 * Layout: "PGPIXEL1", width and height as 4-byte little-endian numbers, then height rows of width RGB triples, 8 bits, no padding.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"

enum { PIXELS_HEADER = 16 };

typedef struct Pixels {
    uint32_t width, height;
    unsigned char *rgb; /* owned, malloc */
} Pixels;

void pixels_header(uint32_t width, uint32_t height, unsigned char out[PIXELS_HEADER]);
/* Reads a whole file of at most max_pixels; STATUS_UNDECODABLE_MEDIA when header and length do not agree. */
Status pixels_read(const char *path, int64_t max_pixels, Pixels *out, Error *err);
void pixels_clear(Pixels *pixels);
