/* JPEG by libjpeg-turbo. Its errors come by longjmp: everything that a failure must free lies in structs outside the frame that jumps. */
#include "picture/jpeg_file.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/arena.h"
#include "base/file.h"

#include "base/banned.h"

typedef struct Failure {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to this */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} Failure;

static void fail(j_common_ptr info) {
    Failure *failure = (Failure *)info->err;
    info->err->format_message(info, failure->text);
    longjmp(failure->jump, 1);
}

static void stay_silent(j_common_ptr info) {
    (void)info;
}

/* Truncation is only a warning to libjpeg; here it is damage, as it is to pictograph-media. */
static void notice(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) fail(info);
}

static void failure_init(Failure *failure) {
    jpeg_std_error(&failure->manager);
    failure->manager.error_exit = fail;
    failure->manager.output_message = stay_silent;
    failure->manager.emit_message = notice;
}

/* ---- EXIF ---- */

static uint32_t exif_number(const uint8_t *at, int bytes, bool big_endian) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

/* Orientation of an EXIF block, 1 to 8, 1 where there is none. Layout: "Exif\0\0", a TIFF header, a directory of 12-byte entries. */
static int exif_orientation(const uint8_t *data, size_t size) {
    enum { PREFIX = 6, HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112 };
    if (size < PREFIX + HEADER + 2 || memcmp(data, "Exif\0\0", PREFIX)) return 1;
    const uint8_t *tiff = data + PREFIX;
    size -= PREFIX;
    bool big = tiff[0] == 'M';
    size_t directory = exif_number(tiff + 4, 4, big);
    if (directory > size - 2) return 1;
    uint32_t entries = exif_number(tiff + directory, 2, big);
    for (size_t at = directory + 2; entries-- > 0 && at + ENTRY <= size; at += ENTRY)
        if (exif_number(tiff + at, 2, big) == ORIENTATION) {
            uint32_t value = exif_number(tiff + at + 8, 2, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    return 1;
}

static int orientation_of(const struct jpeg_decompress_struct *info) {
    for (jpeg_saved_marker_ptr marker = info->marker_list; marker; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1 && exif_orientation(marker->data, marker->data_length) > 1)
            return exif_orientation(marker->data, marker->data_length);
    return 1;
}

static bool is_turned(int orientation) {
    return orientation >= 5;
}

/* ---- reading ---- */

static J_COLOR_SPACE colours(JpegOrder order) {
    return order == JPEG_RGB ? JCS_EXT_RGB : JCS_EXT_BGR;
}

typedef struct Reading {
    FILE *file;
    int frame_width, frame_height; /* to fit into, upright; 0: the header only */
    int width, height;             /* of the file, upright */
    int orientation;
    JpegOrder order;
    Raster raster; /* as stored */
    Status status;      /* why nothing was decoded although libjpeg did not complain */
} Reading;

static void read_header(Reading *r, struct jpeg_decompress_struct *info) {
    jpeg_stdio_src(info, r->file);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    r->orientation = orientation_of(info);
    r->width = (int)(is_turned(r->orientation) ? info->image_height : info->image_width);
    r->height = (int)(is_turned(r->orientation) ? info->image_width : info->image_height);
    if (info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK) r->status = STATUS_UNSUPPORTED_MEDIA_TYPE;
    else if ((int64_t)r->width * r->height > JPEG_MAXIMUM_PIXELS) r->status = STATUS_IMAGE_TOO_LARGE;
}

static void read_pixels(Reading *r, struct jpeg_decompress_struct *info) {
    double wanted = raster_fit(r->width, r->height, r->frame_width, r->frame_height);
    info->scale_denom = 8;
    info->scale_num = (unsigned)fmin(8, fmax(1, ceil(wanted * 8 - 1e-9)));
    info->out_color_space = colours(r->order);
    jpeg_start_decompress(info);
    r->raster = (Raster){(int)info->output_width, (int)info->output_height, xmalloc((size_t)info->output_width * info->output_height * 3)};
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = r->raster.pixels + (size_t)info->output_scanline * info->output_width * 3;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info);
}

static Status run_reading(Reading *r, Error *err) {
    struct jpeg_decompress_struct info = {0};
    Failure failure;
    failure_init(&failure);
    info.err = &failure.manager;
    if (setjmp(failure.jump)) {
        jpeg_destroy_decompress(&info);
        raster_clear(&r->raster);
        return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s", failure.text);
    }
    jpeg_create_decompress(&info);
    read_header(r, &info);
    if (!r->status && r->frame_width > 0) read_pixels(r, &info);
    jpeg_destroy_decompress(&info);
    return r->status ? error_set(err, r->status, "%d × %d pixels, or colours of this kind, are not read", r->width, r->height) : STATUS_OK;
}

static bool starts_like_jpeg(FILE *file) {
    unsigned char magic[3] = {0};
    size_t got = fread(magic, 1, sizeof magic, file);
    rewind(file);
    return got == sizeof magic && magic[0] == 0xff && magic[1] == 0xd8 && magic[2] == 0xff;
}

static Status read_file(Reading *r, const char *path, Error *err) {
    r->file = fopen(path, "rb");
    if (!r->file) return error_set_errno(err, errno, "%s", file_base_name(path));
    Status status = starts_like_jpeg(r->file) ? run_reading(r, err) : error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "only JPEG files are read here");
    fclose(r->file);
    if (status) error_prefix(err, "%s", file_base_name(path));
    return status;
}

Status jpeg_file_size(int *width, int *height, const char *path, Error *err) {
    Reading r = {0};
    Status status = read_file(&r, path, err);
    *width = r.width;
    *height = r.height;
    return status;
}

Status jpeg_file_read(Raster *out, int *own_width, int *own_height, const char *path, int width, int height, JpegOrder order, Error *err) {
    Reading r = {.frame_width = width, .frame_height = height, .order = order};
    Status status = read_file(&r, path, err);
    if (!status) raster_turn(&r.raster, r.orientation);
    *out = r.raster;
    *own_width = r.width;
    *own_height = r.height;
    return status;
}

/* ---- writing ---- */

/* The encoder's output lands in memory, so that the file is written in one go. */
static Status encode(unsigned char **bytes, unsigned long *size, const Raster *raster, JpegOrder order, int quality, Error *err) {
    struct jpeg_compress_struct info = {0};
    Failure failure;
    failure_init(&failure);
    info.err = &failure.manager;
    if (setjmp(failure.jump)) {
        jpeg_destroy_compress(&info);
        *bytes = NULL; /* libjpeg may have moved the buffer without saying so yet */
        return error_set(err, STATUS_INTERNAL_ERROR, "%s", failure.text);
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, bytes, size);
    info.image_width = (JDIMENSION)raster->width;
    info.image_height = (JDIMENSION)raster->height;
    info.input_components = 3;
    info.in_color_space = colours(order);
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = raster->pixels + (size_t)info.next_scanline * info.image_width * 3;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return STATUS_OK;
}

Status jpeg_file_write(const char *path, const Raster *raster, JpegOrder order, int quality, Error *err) {
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    Status status = encode(&bytes, &size, raster, order, quality, err);
    if (!status) status = file_write_atomic(path, bytes, size, 0644, err);
    free(bytes);
    return status;
}
