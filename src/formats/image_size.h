/* Size of an image from its header, for label formats that need it where no decoder is linked. Not a check of the image. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* JPEG, PNG, GIF, BMP, WebP, TIFF; as shown, that is after EXIF rotation of a JPEG or TIFF. false: another format, or broken. */
bool image_size_of_file(const char *path, uint32_t *width, uint32_t *height);
/* The same from the first bytes of a file; a JPEG may need many. */
bool image_size_of_bytes(const unsigned char *bytes, size_t size, uint32_t *width, uint32_t *height);
