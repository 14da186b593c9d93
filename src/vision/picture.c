#include "vision/picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "media/pixels.h"
#include "picture/jpeg_file.h"
#include "base/banned.h"

static bool holds_pixels(const char *path) {
    static const char magic[] = {'P', 'G', 'P', 'I', 'X', 'E', 'L', '1'};
    char head[sizeof magic] = {0};
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    return n == sizeof head && memcmp(head, magic, sizeof magic) == 0;
}

static Status load_pixels(const char *path, Picture *out, Error *err) {
    Pixels pixels;
    Status status = pixels_read(path, JPEG_MAXIMUM_PIXELS, &pixels, err);
    if (status != STATUS_OK) return status;
    out->raster = (Raster){.width = (int)pixels.width, .height = (int)pixels.height, .pixels = pixels.rgb};
    out->full_width = out->raster.width;
    out->full_height = out->raster.height;
    return STATUS_OK;
}

Status picture_load(const char *path, int max_width, int max_height, Picture *out, Error *err) {
    *out = (Picture){0};
    Status status = jpeg_file_read(&out->raster, &out->full_width, &out->full_height, path, max_width, max_height, JPEG_RGB, err);
    if (status == STATUS_UNSUPPORTED_MEDIA_TYPE && holds_pixels(path)) status = load_pixels(path, out, err);
    if (status != STATUS_OK) picture_clear(out);
    return status;
}

void picture_clear(Picture *picture) { raster_clear(&picture->raster); }
