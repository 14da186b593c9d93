#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

#include "base/file.h"
#include "media/pixels.h"
#include "vision/raster.h"
#include "base/banned.h"

/* ---- EXIF ---- */

static unsigned exif_get(const unsigned char *p, int bytes, int big) {
    unsigned v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | p[big ? i : bytes - 1 - i];
    return v;
}

/* Orientation in an APP1 segment, 1 where there is none. */
static int exif_orientation(const unsigned char *data, size_t size) {
    enum { NAME = 6, ENTRY = 12, ORIENTATION = 0x0112 };
    if (size < NAME + 10 || memcmp(data, "Exif\0\0", NAME) != 0) return 1;
    const unsigned char *tiff = data + NAME;
    size -= NAME;
    int big = tiff[0] == 'M';
    size_t at = exif_get(tiff + 4, 4, big);
    if (at > size - 2) return 1;
    unsigned count = exif_get(tiff + at, 2, big);
    for (at += 2; count > 0 && at + ENTRY <= size; at += ENTRY, count--)
        if (exif_get(tiff + at, 2, big) == ORIENTATION) {
            unsigned value = exif_get(tiff + at + 8, 2, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    return 1;
}

/* ---- JPEG ---- */

typedef struct Failure {
    struct jpeg_error_mgr manager; /* first: libjpeg knows only this part */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} Failure;

static void fail(j_common_ptr info) {
    Failure *failure = (Failure *)info->err;
    info->err->format_message(info, failure->text);
    longjmp(failure->jump, 1);
}

/* Truncation is only a warning to libjpeg; here it is a failure, as in pictograph-media. */
static void notice(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) fail(info);
}

typedef struct Jpeg {
    struct jpeg_decompress_struct info;
    Failure failure;
    int orientation;
} Jpeg;

static int segment_orientation(const struct jpeg_decompress_struct *info) {
    int orientation = 1;
    for (jpeg_saved_marker_ptr m = info->marker_list; m && orientation == 1; m = m->next)
        if (m->marker == JPEG_APP0 + 1) orientation = exif_orientation(m->data, m->data_length);
    return orientation;
}

static Status jpeg_size(Jpeg *j, const char *path, Picture *out, Error *err) {
    struct jpeg_decompress_struct *info = &j->info;
    if ((int64_t)info->image_width * info->image_height > RASTER_MAX_PIXELS)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "%s has %u x %u pixels", file_base_name(path), info->image_width, info->image_height);
    if (info->num_components == 4)
        return error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "%s: a JPEG with four inks needs decoding first", file_base_name(path));
    j->orientation = segment_orientation(info);
    out->full_width = (int)(j->orientation > 4 ? info->image_height : info->image_width);
    out->full_height = (int)(j->orientation > 4 ? info->image_width : info->image_height);
    return STATUS_OK;
}

static void jpeg_rows(struct jpeg_decompress_struct *info, Raster *out) {
    jpeg_start_decompress(info);
    size_t stride = (size_t)info->output_width * 3;
    out->width = (int)info->output_width;
    out->height = (int)info->output_height;
    out->rgb = malloc(stride * info->output_height);
    if (!out->rgb) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = out->rgb + stride * info->output_scanline;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info);
}

/* Everything between setjmp and the end: out is the caller's, so that what longjmp leaves behind can be freed there. */
static Status jpeg_decode(Jpeg *j, FILE *file, const char *path, int max_width, int max_height, Picture *out, Error *err) {
    struct jpeg_decompress_struct *info = &j->info;
    info->err = jpeg_std_error(&j->failure.manager);
    j->failure.manager.error_exit = fail;
    j->failure.manager.emit_message = notice;
    if (setjmp(j->failure.jump)) return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: %s", file_base_name(path), j->failure.text);
    jpeg_create_decompress(info);
    jpeg_stdio_src(info, file);
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(info, TRUE);
    Status status = jpeg_size(j, path, out, err);
    if (status != STATUS_OK) return status;
    double eighths = ceil(raster_fit(out->full_width, out->full_height, max_width, max_height) * 8 - 1e-9);
    info->scale_num = (unsigned)fmin(8, fmax(1, eighths));
    info->scale_denom = 8;
    info->out_color_space = JCS_RGB;
    jpeg_rows(info, &out->raster);
    return STATUS_OK;
}

static Status load_jpeg(FILE *file, const char *path, int max_width, int max_height, Picture *out, Error *err) {
    Jpeg j = {0};
    Status status = jpeg_decode(&j, file, path, max_width, max_height, out, err);
    jpeg_destroy_decompress(&j.info);
    if (status == STATUS_OK) raster_turn(&out->raster, j.orientation);
    return status;
}

/* ---- both kinds ---- */

static Status load_pixels(const char *path, Picture *out, Error *err) {
    Pixels pixels;
    Status status = pixels_read(path, RASTER_MAX_PIXELS, &pixels, err);
    if (status != STATUS_OK) return status;
    out->raster = (Raster){.width = (int)pixels.width, .height = (int)pixels.height, .rgb = pixels.rgb};
    out->full_width = out->raster.width;
    out->full_height = out->raster.height;
    return STATUS_OK;
}

Status picture_load(const char *path, int max_width, int max_height, Picture *out, Error *err) {
    unsigned char head[8] = {0};
    *out = (Picture){0};
    FILE *file = fopen(path, "rbe");
    if (!file) return error_set_errno(err, errno, "%s", path);
    size_t n = fread(head, 1, sizeof head, file);
    rewind(file);
    Status status;
    if (n >= 3 && memcmp(head, "\xFF\xD8\xFF", 3) == 0) status = load_jpeg(file, path, max_width, max_height, out, err);
    else if (n == 8 && memcmp(head, "PGPIXEL1", 8) == 0) status = load_pixels(path, out, err);
    else status = error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "%s: only JPEG and decoded pixels are read here", file_base_name(path));
    fclose(file);
    if (status != STATUS_OK) picture_clear(out);
    return status;
}

void picture_clear(Picture *picture) { raster_clear(&picture->raster); }
