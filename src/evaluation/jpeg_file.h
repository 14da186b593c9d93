/* JPEG files as 8-bit BGR pictures, scaled down while they are decoded, turned upright by their EXIF orientation; and antialiased scaling.
 * Everything here may be called from several threads.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Most pixels a file may claim; the contract's limit for uploads. */
enum { JPEG_MAXIMUM_PIXELS = 1 << 28 };

typedef struct BgrPicture {
    uint8_t *pixels; /* rows without gaps */
    int width, height;
} BgrPicture;

/* Width and height, upright, from the header alone. The status as below. */
Status jpeg_file_size(int *width, int *height, const char *path, Error *err);

/* Decodes to the smallest of libjpeg's sizes (eighths) at which the picture, fitted into width × height, need not be made larger; to
 * its own size where that is smaller. out->pixels is malloc'd; own_width and own_height are those of the file, upright.
 * STATUS_UNSUPPORTED_MEDIA_TYPE: no JPEG, or one with four inks; STATUS_UNDECODABLE_MEDIA: damaged; STATUS_IMAGE_TOO_LARGE. */
Status jpeg_file_read(BgrPicture *out, int *own_width, int *own_height, const char *path, int width, int height, Error *err);

/* Writes a picture, whole or not at all; quality from 1 to 100. */
Status jpeg_file_write(const char *path, const BgrPicture *picture, int quality, Error *err);

/* The factor by which width × height fits into a frame, keeping its proportions. */
double picture_fit(int width, int height, int frame_width, int frame_height);

/* Scales source to the size of out, whose pixels are overwritten: linear interpolation, by a triangle as wide as an output pixel where
 * the picture becomes smaller. */
void picture_scale(BgrPicture *out, const BgrPicture *source);
