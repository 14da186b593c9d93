/* Decoding for the training data. See the header. */
#include "train/data_image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <vips/vips.h>

#include "base/arena.h"
#include "base/file.h"
#include "media/bmp.h"
#include "train/data.h"

#include "base/banned.h"

Status train_images_init(const char *program, Error *err) {
    if (VIPS_INIT(program)) return error_set(err, STATUS_CONFIGURATION, "libvips does not start: %s", vips_error_buffer());
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* the loader's threads are the parallelism */
    vips_cache_set_max(0);
    return STATUS_OK;
}

/* ---- what libjpeg does not read ---- */

static Status vips_failure(const char *path, Error *err) {
    char *text = vips_error_buffer_copy();
    Status status = error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: %.200s", path, text);
    g_free(text);
    return status;
}

static Status vips_size(int *width, int *height, const char *path, Error *err) {
    VipsImage *image = vips_image_new_from_file(path, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (!image) return vips_failure(path, err);
    int orientation = vips_image_get_orientation(image);
    bool turned = orientation >= 5 && orientation <= 8;
    *width = turned ? vips_image_get_height(image) : vips_image_get_width(image);
    *height = turned ? vips_image_get_width(image) : vips_image_get_height(image);
    g_object_unref(image);
    return STATUS_OK;
}

/* Makes three 8-bit bands of any image; consumes it. NULL on failure. */
static VipsImage *vips_to_rgb(VipsImage *image) {
    VipsImage *step = NULL;
    int failed = vips_colourspace(image, &step, VIPS_INTERPRETATION_sRGB, NULL);
    g_object_unref(image);
    if (failed) return NULL;
    image = step, step = NULL;
    if (vips_image_hasalpha(image)) {
        VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);
        failed = vips_flatten(image, &step, "background", white, NULL);
        vips_area_unref(VIPS_AREA(white));
        g_object_unref(image);
        if (failed) return NULL;
        image = step, step = NULL;
    }
    failed = vips_cast_uchar(image, &step, NULL);
    g_object_unref(image);
    return failed ? NULL : step;
}

/* Decodes to about twice the wanted size, or to the file's own where that is less; the last step is train_image_resize's. */
static Status vips_decode(Raster *out, const char *path, int width, int height, Error *err) {
    VipsImage *image = NULL;
    if (vips_thumbnail(path, &image, 2 * width, "height", 2 * height, "size", VIPS_SIZE_DOWN, "fail_on", VIPS_FAIL_ON_ERROR, NULL))
        return vips_failure(path, err);
    image = vips_to_rgb(image);
    size_t size = 0;
    uint8_t *rgb = image ? vips_image_write_to_memory(image, &size) : NULL;
    int bands = image ? vips_image_get_bands(image) : 0;
    if (image) {
        out->width = vips_image_get_width(image);
        out->height = vips_image_get_height(image);
        g_object_unref(image);
    }
    size_t pixels = (size_t)out->width * (size_t)out->height;
    if (!rgb || bands != 3 || size != pixels * 3) {
        g_free(rgb);
        return vips_failure(path, err);
    }
    out->pixels = xmalloc(size);
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++) out->pixels[3 * i + (size_t)c] = rgb[3 * i + 2 - (size_t)c];
    g_free(rgb);
    return STATUS_OK;
}

/* ---- BMP, which libvips would hand to ImageMagick ---- */

enum { BMP_FILE_MAXIMUM = 1 << 30 };

static bool starts_like_bmp(const char *path) {
    char magic[2] = {0};
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    size_t got = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return got == sizeof magic && magic[0] == 'B' && magic[1] == 'M';
}

/* From red, green, blue and perhaps opacity to blue, green, red on white. */
static void rgb_to_bgr(uint8_t *out, const uint8_t *in, size_t pixels, int channels) {
    for (size_t i = 0; i < pixels; i++, in += channels, out += 3) {
        int opacity = channels == 4 ? in[3] : 255;
        for (int c = 0; c < 3; c++) out[2 - c] = (uint8_t)((in[c] * opacity + 255 * (255 - opacity) + 127) / 255);
    }
}

static Status bmp_decode_bytes(Raster *out, const Buffer *file, Error *err) {
    const unsigned char *bytes = (const unsigned char *)file->data;
    BmpHeader header;
    Status status = bmp_read_header(bytes, file->size, &header, err);
    if (status) return status;
    size_t pixels = (size_t)header.width * header.height;
    if (pixels > JPEG_MAXIMUM_PIXELS) return error_set(err, STATUS_IMAGE_TOO_LARGE, "%u × %u pixels are too many", header.width, header.height);
    uint8_t *decoded = xcalloc(pixels, (size_t)header.channels);
    status = bmp_decode(bytes, file->size, &header, decoded, err);
    if (!status) {
        *out = (Raster){(int)header.width, (int)header.height, xmalloc(3 * pixels)};
        rgb_to_bgr(out->pixels, decoded, pixels, header.channels);
    }
    free(decoded);
    return status;
}

static Status bmp_decode_file(Raster *out, const char *path, Error *err) {
    Buffer file;
    buffer_init(&file, BMP_FILE_MAXIMUM);
    Status status = file_read(path, &file, err);
    if (!status && bmp_decode_bytes(out, &file, err)) {
        status = err ? err->status : STATUS_UNDECODABLE_MEDIA;
        error_prefix(err, "%s", path);
    }
    buffer_clear(&file);
    return status;
}

/* Decodes it all: this is asked for only where a label file does not tell the size. */
static Status bmp_size(int *width, int *height, const char *path, Error *err) {
    Raster picture = {0};
    Status status = bmp_decode_file(&picture, path, err);
    *width = picture.width;
    *height = picture.height;
    free(picture.pixels);
    return status;
}

/* ---- all kinds ---- */

static Status check_size(int width, int height, const char *path, Error *err) {
    if (width < 1 || height < 1) return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: the picture is empty", path);
    if ((int64_t)width * height > JPEG_MAXIMUM_PIXELS)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "%s: %d × %d pixels are too many", path, width, height);
    return STATUS_OK;
}

Status train_image_size(int *out_width, int *out_height, const char *path, Error *err) {
    Status status = jpeg_file_size(out_width, out_height, path, err);
    if (status == STATUS_UNSUPPORTED_MEDIA_TYPE) status = (starts_like_bmp(path) ? bmp_size : vips_size)(out_width, out_height, path, err);
    return status ? status : check_size(*out_width, *out_height, path, err);
}

/* The picture at its own size or some smaller one that still is no smaller than wanted. */
static Status decode_near(Raster *out, int *own_width, int *own_height, const char *path, int width, int height, Error *err) {
    Status status = jpeg_file_read(out, own_width, own_height, path, width, height, JPEG_BGR, err);
    if (status != STATUS_UNSUPPORTED_MEDIA_TYPE) return status;
    if (starts_like_bmp(path)) {
        status = bmp_decode_file(out, path, err);
        *own_width = out->width;
        *own_height = out->height;
        return status;
    }
    status = vips_size(own_width, own_height, path, err);
    if (!status) status = check_size(*own_width, *own_height, path, err);
    return status ? status : vips_decode(out, path, width, height, err);
}

Status train_image_decode(Raster *out, float *scale, const char *path, int width, int height, Error *err) {
    Raster decoded = {0};
    int own_width, own_height;
    *out = (Raster){0};
    Status status = decode_near(&decoded, &own_width, &own_height, path, width, height, err);
    if (status) return status;
    double factor = raster_fit(own_width, own_height, width, height);
    raster_resize(out, &decoded, (int)fmax(1, fmin(width, lrint(own_width * factor))), (int)fmax(1, fmin(height, lrint(own_height * factor))));
    raster_clear(&decoded);
    *scale = (float)factor;
    return STATUS_OK;
}
