/* Picture: an uploaded file opened as a libvips image, its size checked by the header before a pixel is decoded.
 *
 * The loader is picked by sniff.h, never by the name; libvips' own guess is not asked. Of an animation or a multi-page file the
 * first page is read. Decoding is strict: damage and truncation are failures when the pixels are pulled. Samples that are no 8 or 16 bits
 * (floats of 0 to 1, elevations, Hounsfield units) are spread over 8 bits, for which the file is decoded once more.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <vips/vips.h>

#include "base/error.h"
#include "media/sniff.h"

#define PICTURE_MAX_PIXELS ((int64_t)16384 * 16384) /* of one page */
enum { PICTURE_MAX_PAGES = 4096 };

typedef struct Picture {
    const MediaType *type;
    VipsImage *image; /* owned; sequential: its pixels can be pulled once, from the top; not yet turned */
    int width, height; /* after the turn that orientation asks for */
    int orientation;   /* EXIF, 1 to 8 */
    int pages;
    /* private */
    unsigned char *pixels;
} Picture;

/* Once a process, before anything else here; loads the modules that are needed and no others. argv0 as main got it. */
Status picture_start(const char *argv0, Error *err);
/* name is what messages call the file. STATUS_NOT_FOUND, STATUS_UNDECODABLE_MEDIA (another type, broken header) or
 * STATUS_IMAGE_TOO_LARGE; out then needs no close. */
Status picture_open(const char *path, const char *name, int64_t max_pixels, Picture *out, Error *err);
void picture_close(Picture *picture);

/* Pulls every pixel through the decoder and keeps none. */
Status picture_check_pixels(Picture *picture, const char *name, Error *err);
/* A new image (unref it): turned upright, 8 bits, 3 bands sRGB, or 4 with keep_alpha where there is an alpha band; without
 * keep_alpha, transparency is laid on white. */
Status picture_to_rgb(VipsImage *image, bool keep_alpha, VipsImage **out, Error *err);
/* STATUS_UNDECODABLE_MEDIA with the first line that libvips has to say; empties its error text. */
Status picture_failure(const char *name, Error *err);
