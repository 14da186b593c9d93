/* Picture: what a prompt or a model looks at, upright, red first, and where it comes from: a JPEG file, or pixels that pictograph-media decoded. No
 * other decoder is in this process.
 */
#pragma once
#include "base/error.h"
#include "picture/raster.h"

/* As loaded: perhaps smaller than its file. */
typedef struct Picture {
    Raster raster;
    int full_width, full_height; /* upright, of the file */
} Picture;

/* Reads path. Where it is a JPEG, the smallest of libjpeg's sizes that still covers a fit into max_width x max_height is decoded;
 * anything else must be in the layout of media/pixels.h, and is kept whole.
 * STATUS_UNSUPPORTED_MEDIA_TYPE: have pictograph-media decode it (also JPEG with four inks); STATUS_UNDECODABLE_MEDIA: damaged. */
Status picture_load(const char *path, int max_width, int max_height, Picture *out, Error *err);
void picture_clear(Picture *picture);
