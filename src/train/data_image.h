/* Decoding for the training data: any picture file to 8-bit BGR at the size that fits the network's input.
 *
 * JPEG goes through libjpeg-turbo, scaled down while it is decoded; every other kind, and JPEG with an EXIF rotation or four inks, through
 * libvips. What remains is scaled by antialiased linear interpolation (a triangle as wide as an output pixel). Transparent pictures are
 * laid on white. Everything here may be called from several threads.
 */
#pragma once
#include "base/error.h"
#include "train/augment.h"

/* Most pixels a file may claim; the contract's limit for uploads. */
enum { TRAIN_IMAGE_MAXIMUM_PIXELS = 1 << 28 };

/* Size in pixels after EXIF rotation, from the header alone. STATUS_UNDECODABLE_MEDIA, STATUS_IMAGE_TOO_LARGE. */
Status train_image_size(int *out_width, int *out_height, const char *path, Error *err);

/* The picture scaled by *scale = min(width / own width, height / own height). out->pixels is malloc'd: free() it. */
Status train_image_decode(AugmentPicture *out, float *scale, const char *path, int width, int height, Error *err);

/* Scales source to the size of out, whose pixels are overwritten. */
void train_image_resize(AugmentPicture *out, const AugmentPicture *source);
