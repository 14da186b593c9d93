/* JPEG files as rasters: scaled down while they are decoded, turned upright by their EXIF orientation. Everything here may be called from several
 * threads.
 */
#pragma once
#include "base/error.h"
#include "picture/raster.h"

/* Most pixels a file may claim; the contract's limit for uploads. */
enum { JPEG_MAXIMUM_PIXELS = 1 << 28 };

typedef enum JpegOrder { JPEG_BGR, JPEG_RGB } JpegOrder; /* of the channels in memory */

/* Width and height, upright, from the header alone. The status as below. */
Status jpeg_file_size(int *width, int *height, const char *path, Error *err);

/* Decodes to the smallest of libjpeg's sizes (eighths) at which the picture, fitted into width × height, need not be made larger; to
 * its own size where that is smaller. own_width and own_height are those of the file, upright. Clear out with raster_clear.
 * STATUS_UNSUPPORTED_MEDIA_TYPE: no JPEG, or one with four inks; STATUS_UNDECODABLE_MEDIA: damaged; STATUS_IMAGE_TOO_LARGE. */
Status jpeg_file_read(Raster *out, int *own_width, int *own_height, const char *path, int width, int height, JpegOrder order, Error *err);

/* Writes a file, whole or not at all; quality from 1 to 100. */
Status jpeg_file_write(const char *path, const Raster *raster, JpegOrder order, int quality, Error *err);
