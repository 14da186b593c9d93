/* BMP: a reader for Windows and OS/2 bitmaps in memory. Pure: bytes in, pixels out, nothing else touched.
 *
 * Reads headers of every published length (12, 40, 52, 56, 64, 108, 124 bytes), 1, 2, 4, 8, 16, 24 and 32 bits a pixel, RLE4 and
 * RLE8, bit fields with any masks, top-down and bottom-up. Embedded JPEG and PNG (for printers only) are refused. Strict: missing
 * pixel bytes are STATUS_UNDECODABLE_MEDIA. Pixels that RLE jumps over are black. Colour profiles are ignored.
 *
 * Source: the structures of Microsoft's "Bitmap Storage" reference pages (BITMAPFILEHEADER … BITMAPV5HEADER).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct BmpHeader {
    uint32_t width, height; /* at least 1, at most INT32_MAX */
    int channels;           /* of the pixels bmp_decode writes: 3 (RGB), or 4 (RGBA) where the file has an alpha mask */
    /* of the file */
    int bits;             /* per pixel */
    uint32_t compression; /* BI_RGB 0, BI_RLE8 1, BI_RLE4 2, BI_BITFIELDS 3, BI_ALPHABITFIELDS 6 */
    int top_down;
    uint32_t masks[4]; /* red, green, blue, alpha, for 16 and 32 bits */
    size_t palette_at; /* offset in the file */
    int palette_entry; /* bytes of one entry: 3 or 4 */
    uint32_t palette_count;
    size_t pixels_at; /* offset in the file */
} BmpHeader;

/* Reads the header alone; no pixel is looked at and nothing is allocated. */
Status bmp_read_header(const unsigned char *data, size_t size, BmpHeader *out, Error *err);

/* Decodes into out: width * height * channels bytes, zeroed (what RLE jumps over is not touched, so that a small file cannot fill
 * memory), rows from the top, without padding. */
Status bmp_decode(const unsigned char *data, size_t size, const BmpHeader *header, unsigned char *out, Error *err);
