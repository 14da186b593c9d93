/* Decoding for the training data. See the header. */
#include "train/data_image.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <vips/vips.h>

#include "base/arena.h"
#include "train/data.h"

#include "base/banned.h"

Status train_images_init(const char *program, Error *err)
{
    if (VIPS_INIT(program))
        return error_set(err, STATUS_CONFIGURATION, "libvips does not start: %s", vips_error_buffer());
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* the loader's threads are the parallelism */
    vips_cache_set_max(0);
    return STATUS_OK;
}

/* ---- scaling ---- */

/* The weights of one axis: output i is the sum of weights[i * taps + k] × input first[i] + k. */
typedef struct Filter {
    int taps;
    int *first;
    float *weights;
} Filter;

static Filter filter_new(int from, int to)
{
    double step = (double)from / to, reach = fmax(step, 1); /* half the width of the triangle */
    Filter f = {.taps = (int)ceil(2 * reach) + 1};
    if (f.taps > from)
        f.taps = from;
    f.first = xcalloc((size_t)to, sizeof *f.first);
    f.weights = xcalloc((size_t)to * (size_t)f.taps, sizeof *f.weights);
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * step - 0.5, sum = 0;
        int first = (int)ceil(centre - reach);
        f.first[i] = first < 0 ? 0 : first > from - f.taps ? from - f.taps : first;
        float *w = f.weights + (size_t)i * (size_t)f.taps;
        for (int k = 0; k < f.taps; k++) {
            w[k] = (float)fmax(0, 1 - fabs(f.first[i] + k - centre) / reach);
            sum += w[k];
        }
        for (int k = 0; k < f.taps; k++)
            w[k] = (float)(w[k] / sum);
    }
    return f;
}

static void filter_clear(Filter *f)
{
    free(f->first);
    free(f->weights);
}

/* Sum of weighted source rows. */
static void mix_rows(float *restrict line, const AugmentPicture *source, const Filter *f, int row)
{
    size_t stride = (size_t)source->width * 3;
    memset(line, 0, stride * sizeof *line);
    for (int k = 0; k < f->taps; k++) {
        float weight = f->weights[(size_t)row * (size_t)f->taps + (size_t)k];
        const uint8_t *restrict pixels = source->pixels + (size_t)(f->first[row] + k) * stride;
        if (weight != 0)
            for (size_t i = 0; i < stride; i++)
                line[i] += weight * pixels[i];
    }
}

static void mix_columns(uint8_t *out, int width, const float *line, const Filter *f)
{
    for (int x = 0; x < width; x++, out += 3) {
        const float *weights = f->weights + (size_t)x * (size_t)f->taps, *pixel = line + (size_t)f->first[x] * 3;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (int k = 0; k < f->taps; k++, pixel += 3)
            for (int c = 0; c < 3; c++)
                sum[c] += weights[k] * pixel[c];
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)sum[c];
    }
}

void train_image_resize(AugmentPicture *out, const AugmentPicture *source)
{
    Filter across = filter_new(source->width, out->width), down = filter_new(source->height, out->height);
    float *line = xcalloc((size_t)source->width * 3, sizeof *line);
    for (int y = 0; y < out->height; y++) {
        mix_rows(line, source, &down, y);
        mix_columns(out->pixels + (size_t)y * (size_t)out->width * 3, out->width, line, &across);
    }
    free(line);
    filter_clear(&across);
    filter_clear(&down);
}

/* ---- JPEG ---- */

typedef struct JpegFailure {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to this */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
} JpegFailure;

static void jpeg_fail(j_common_ptr info)
{
    JpegFailure *failure = (JpegFailure *)info->err;
    info->err->format_message(info, failure->text);
    longjmp(failure->jump, 1);
}

static void jpeg_stay_silent(j_common_ptr info) { (void)info; }

static uint32_t exif_number(const uint8_t *at, int bytes, bool big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

/* Orientation of an EXIF block (1 to 8), 1 where there is none. Layout: "Exif\0\0", a TIFF header, a directory of 12-byte entries. */
static uint32_t exif_orientation(const uint8_t *data, size_t size)
{
    enum { PREFIX = 6, HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112 };
    if (size < PREFIX + HEADER + 2 || memcmp(data, "Exif\0\0", PREFIX))
        return 1;
    const uint8_t *tiff = data + PREFIX;
    size -= PREFIX;
    bool big = tiff[0] == 'M';
    size_t directory = exif_number(tiff + 4, 4, big);
    if (directory > size - 2)
        return 1;
    uint32_t entries = exif_number(tiff + directory, 2, big);
    for (size_t at = directory + 2; entries-- > 0 && at + ENTRY <= size; at += ENTRY)
        if (exif_number(tiff + at, 2, big) == ORIENTATION)
            return exif_number(tiff + at + 8, 2, big);
    return 1;
}

/* True for what libjpeg-turbo cannot bring into the right form by itself. */
static bool jpeg_is_special(const struct jpeg_decompress_struct *info)
{
    if (info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK)
        return true;
    for (jpeg_saved_marker_ptr marker = info->marker_list; marker; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1 && exif_orientation(marker->data, marker->data_length) > 1)
            return true;
    return false;
}

/* Decodes to the smallest of libjpeg's sizes that is not below the wanted one; a wanted width of 0 reads the header only. */
typedef struct JpegJob {
    FILE *file;
    int width, height; /* of the file, after the header */
    bool special;      /* leave it to libvips */
    uint8_t *pixels;   /* malloc'd */
    int decoded_width, decoded_height;
} JpegJob;

static double fitting_scale(int own_width, int own_height, int width, int height)
{
    return fmin((double)width / own_width, (double)height / own_height);
}

static void jpeg_choose_scale(struct jpeg_decompress_struct *info, int width, int height)
{
    double wanted = fitting_scale((int)info->image_width, (int)info->image_height, width, height);
    info->scale_denom = 8;
    info->scale_num = (unsigned)fmin(8, fmax(1, ceil(wanted * 8 - 1e-9)));
    info->out_color_space = JCS_EXT_BGR;
}

static Status jpeg_run(JpegJob *job, int width, int height, Error *err)
{
    struct jpeg_decompress_struct info = {0};
    JpegFailure failure;
    info.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = jpeg_fail;
    failure.manager.output_message = jpeg_stay_silent;
    if (setjmp(failure.jump)) {
        jpeg_destroy_decompress(&info);
        return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s", failure.text);
    }
    jpeg_create_decompress(&info);
    jpeg_stdio_src(&info, job->file);
    jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&info, TRUE);
    job->width = (int)info.image_width;
    job->height = (int)info.image_height;
    job->special = jpeg_is_special(&info);
    if (width > 0 && !job->special && (int64_t)job->width * job->height <= TRAIN_IMAGE_MAXIMUM_PIXELS) {
        jpeg_choose_scale(&info, width, height);
        jpeg_start_decompress(&info);
        job->decoded_width = (int)info.output_width;
        job->decoded_height = (int)info.output_height;
        job->pixels = xmalloc((size_t)info.output_width * info.output_height * 3);
        while (info.output_scanline < info.output_height) {
            JSAMPROW row = job->pixels + (size_t)info.output_scanline * info.output_width * 3;
            jpeg_read_scanlines(&info, &row, 1);
        }
        jpeg_finish_decompress(&info);
    }
    jpeg_destroy_decompress(&info);
    return STATUS_OK;
}

static bool starts_like_jpeg(FILE *file)
{
    unsigned char magic[3] = {0};
    size_t got = fread(magic, 1, sizeof magic, file);
    rewind(file);
    return got == sizeof magic && magic[0] == 0xff && magic[1] == 0xd8 && magic[2] == 0xff;
}

/* Leaves job->special set for whatever libvips must do. */
static Status jpeg_try(JpegJob *job, const char *path, int width, int height, Error *err)
{
    job->file = fopen(path, "rb");
    if (!job->file)
        return error_set_errno(err, errno, "%s", path);
    Status status = STATUS_OK;
    if (starts_like_jpeg(job->file))
        status = jpeg_run(job, width, height, err);
    else
        job->special = true;
    fclose(job->file);
    if (status) {
        free(job->pixels);
        job->pixels = NULL;
        error_prefix(err, "%s", path);
    }
    return status;
}

/* ---- everything else ---- */

static Status vips_failure(const char *path, Error *err)
{
    char *text = vips_error_buffer_copy();
    Status status = error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: %.200s", path, text);
    g_free(text);
    return status;
}

static Status vips_size(int *width, int *height, const char *path, Error *err)
{
    VipsImage *image = vips_image_new_from_file(path, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    if (!image)
        return vips_failure(path, err);
    int orientation = vips_image_get_orientation(image);
    bool turned = orientation >= 5 && orientation <= 8;
    *width = turned ? vips_image_get_height(image) : vips_image_get_width(image);
    *height = turned ? vips_image_get_width(image) : vips_image_get_height(image);
    g_object_unref(image);
    return STATUS_OK;
}

/* Makes three 8-bit bands of any image; consumes it. NULL on failure. */
static VipsImage *vips_to_rgb(VipsImage *image)
{
    VipsImage *step = NULL;
    int failed = vips_colourspace(image, &step, VIPS_INTERPRETATION_sRGB, NULL);
    g_object_unref(image);
    if (failed)
        return NULL;
    image = step, step = NULL;
    if (vips_image_hasalpha(image)) {
        VipsArrayDouble *white = vips_array_double_newv(3, 255.0, 255.0, 255.0);
        failed = vips_flatten(image, &step, "background", white, NULL);
        vips_area_unref(VIPS_AREA(white));
        g_object_unref(image);
        if (failed)
            return NULL;
        image = step, step = NULL;
    }
    failed = vips_cast_uchar(image, &step, NULL);
    g_object_unref(image);
    return failed ? NULL : step;
}

/* Decodes to about twice the wanted size, or to the file's own where that is less; the last step is train_image_resize's. */
static Status vips_decode(AugmentPicture *out, const char *path, int width, int height, Error *err)
{
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
        for (int c = 0; c < 3; c++)
            out->pixels[3 * i + (size_t)c] = rgb[3 * i + 2 - (size_t)c];
    g_free(rgb);
    return STATUS_OK;
}

/* ---- both ---- */

static Status check_size(int width, int height, const char *path, Error *err)
{
    if (width < 1 || height < 1)
        return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: the picture is empty", path);
    if ((int64_t)width * height > TRAIN_IMAGE_MAXIMUM_PIXELS)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "%s: %d × %d pixels are too many", path, width, height);
    return STATUS_OK;
}

Status train_image_size(int *out_width, int *out_height, const char *path, Error *err)
{
    JpegJob job = {0};
    Status status = jpeg_try(&job, path, 0, 0, err);
    *out_width = job.width;
    *out_height = job.height;
    if (!status && job.special)
        status = vips_size(out_width, out_height, path, err);
    return status ? status : check_size(*out_width, *out_height, path, err);
}

Status train_image_decode(AugmentPicture *out, float *scale, const char *path, int width, int height, Error *err)
{
    JpegJob job = {0};
    *out = (AugmentPicture){0};
    Status status = jpeg_try(&job, path, width, height, err);
    AugmentPicture decoded = {job.pixels, job.decoded_width, job.decoded_height};
    if (!status && job.special)
        status = vips_size(&job.width, &job.height, path, err);
    if (!status)
        status = check_size(job.width, job.height, path, err);
    if (!status && job.special)
        status = vips_decode(&decoded, path, width, height, err);
    if (status)
        goto out;
    double factor = fitting_scale(job.width, job.height, width, height);
    AugmentPicture fitted = {.width = (int)fmax(1, fmin(width, lrint(job.width * factor))),
                             .height = (int)fmax(1, fmin(height, lrint(job.height * factor)))};
    fitted.pixels = xmalloc((size_t)fitted.width * (size_t)fitted.height * 3);
    train_image_resize(&fitted, &decoded);
    *out = fitted;
    *scale = (float)factor;
out:
    free(decoded.pixels);
    return status;
}
