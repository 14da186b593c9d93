/* Decoding for the training data: any picture file to 8-bit BGR at the size that fits the network's input.
 *
 * JPEG goes through libjpeg-turbo, scaled down while it is decoded; BMP through media/bmp.h; every other kind, and JPEG with four
 * inks, through libvips. What remains is scaled by raster_resize. Transparent pictures are laid on white. Everything here may be called
 * from several threads.
 */
#pragma once
#include "base/error.h"
#include "picture/jpeg_file.h"
#include "train/augment.h"

/* Size in pixels after EXIF rotation, from the header alone. STATUS_UNDECODABLE_MEDIA, STATUS_IMAGE_TOO_LARGE. */
Status train_image_size(int *out_width, int *out_height, const char *path, Error *err);

/* The picture scaled by *scale = min(width / own width, height / own height). out->pixels is malloc'd: free() it. */
Status train_image_decode(Raster *out, float *scale, const char *path, int width, int height, Error *err);
