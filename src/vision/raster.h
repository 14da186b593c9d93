/* Raster: an upright picture in memory, 8-bit RGB, and where it comes from: a JPEG file, or pixels that pictograph-media decoded.
 *
 * JPEG is read by libjpeg-turbo, scaled down while it is decoded and turned as EXIF asks; no other decoder is in this process.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"

#define RASTER_MAX_PIXELS ((int64_t)16384 * 16384)

typedef struct Raster {
    int width, height;
    unsigned char *rgb; /* owned, malloc; width * height * 3 */
} Raster;

/* A picture as loaded: perhaps smaller than its file. */
typedef struct Picture {
    Raster raster;
    int full_width, full_height; /* upright, of the file */
} Picture;

/* Reads path. Where it is a JPEG, the smallest of libjpeg's sizes that still covers a fit into max_width x max_height is decoded;
 * anything else must be in the layout of media/pixels.h, and is kept whole.
 * STATUS_UNSUPPORTED_MEDIA_TYPE: have pictograph-media decode it (also JPEG with four inks); STATUS_UNDECODABLE_MEDIA: damaged. */
Status picture_load(const char *path, int max_width, int max_height, Picture *out, Error *err);
void picture_clear(Picture *picture);

/* Factor by which a picture of width x height fills a frame, keeping its proportions; may be above 1. */
double raster_fit(int width, int height, int frame_width, int frame_height);
/* Antialiased linear interpolation (a triangle as wide as a pixel of the larger of both grids) into a new raster. */
void raster_resize(const Raster *source, int width, int height, Raster *out);
/* Turns in place by an EXIF orientation, 1 to 8. */
void raster_turn(Raster *raster, int orientation);
void raster_clear(Raster *raster);
