/* TIFF files whose samples libvips does not read: of 64 bits, as numpy writes them, and floats of 16.
 *
 * They are spread over 8 bits as picture.c does it for all samples that are no bytes, in two passes row by row or tile by tile.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tiffio.h>

typedef struct WideTiff {
    TIFF *tiff;
    uint32_t width, height, block_width, block_height;
    uint16_t samples, bits, format, orientation;
    int pages;
    int bands;         /* of what comes out: 1 or 3, the colours */
    bool is_separate;  /* a plane a sample */
    bool is_inverted;  /* 0 is white */
} WideTiff;

/* False for any other file; else it is closed by wide_tiff_close. */
bool wide_tiff_open(const char *path, WideTiff *out);
void wide_tiff_close(WideTiff *tiff);
/* width * height * bands bytes; false when the file is damaged, which libvips' error text tells. */
bool wide_tiff_decode(const WideTiff *tiff, unsigned char *pixels);
