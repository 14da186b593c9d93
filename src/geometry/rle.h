/* Run-length encoded masks as COCO writes them: runs go down the columns, column by column, and the first run counts zeros.
 *
 * A pixel belongs to a polygon when its centre does, by the even-odd rule; clipped to the image.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "geometry/geometry.h"
#include "geometry/mask.h"

typedef struct Rle {
    uint32_t width, height;
    uint32_t *counts; /* zeros, ones, zeros, ...; their sum is width * height */
    size_t count;
} Rle;

/* All of these put what they make into the arena. width * height is at most UINT32_MAX, else STATUS_BAD_REQUEST. */
/* STATUS_PAYLOAD_TOO_LARGE when points times columns get out of hand (10^8 crossings). */
Status rle_from_polygon(Arena *arena, const Polygon *polygon, uint32_t width, uint32_t height, Rle *out, Error *err);
Status rle_from_mask(Arena *arena, const Mask *mask, Rle *out, Error *err);
/* Pixels are 0 and 1. */
Mask rle_to_mask(Arena *arena, const Rle *rle);
/* Only the part inside box (whole numbers, inside the image), so that a small shape in a large image costs little. */
Mask rle_to_mask_within(Arena *arena, const Rle *rle, Box box);

size_t rle_area(const Rle *rle);
Box rle_box(const Rle *rle);
/* The printable form of `counts`, NUL-terminated. */
char *rle_to_string(Arena *arena, const Rle *rle);
/* Reads the printable form; STATUS_BAD_REQUEST when it is malformed or its runs do not fill the image exactly. */
Status rle_from_string(Arena *arena, const char *text, uint32_t width, uint32_t height, Rle *out, Error *err);
/* Checks and copies runs that came as numbers. */
Status rle_from_counts(Arena *arena, const uint32_t *counts, size_t count, uint32_t width, uint32_t height, Rle *out, Error *err);
