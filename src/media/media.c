#include "media/media.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "media/picture.h"
#include "media/pixels.h"
#include "media/video.h"
#include "worker/sandbox.h"
#include "base/banned.h"

enum { CPU_SECONDS = 60, THUMBNAIL_MAX = 4096, THUMBNAIL_QUALITY = 82 };

/* What every method is asked: one file. */
typedef struct Job {
    const char *path;
    const char *name; /* for messages */
    const char *output;
    int64_t max_pixels;
} Job;

static Status job_read(yyjson_val *params, const char *output_key, bool output_required, Job *out, Error *err) {
    Job job = {.path = json_get_string(params, "path", NULL), .output = json_get_string(params, output_key, NULL),
               .max_pixels = json_get_int(params, "max_pixels", PICTURE_MAX_PIXELS)};
    if (!job.path) return error_set(err, STATUS_VALIDATION_ERROR, "'path' is missing");
    if (output_required && !job.output) return error_set(err, STATUS_VALIDATION_ERROR, "'%s' is missing", output_key);
    if (job.max_pixels < 1 || job.max_pixels > PICTURE_MAX_PIXELS) job.max_pixels = PICTURE_MAX_PIXELS;
    job.name = json_get_string(params, "filename", NULL);
    if (!job.name) job.name = file_base_name(job.path);
    sandbox_limit_cpu(CPU_SECONDS);
    *out = job;
    return STATUS_OK;
}

/* libvips names neither the cause nor errno apart: what can go wrong while an output is written is the input or the disk. */
static Status output_failure(const Job *job, Error *err) {
    const char *text = vips_error_buffer();
    bool disk_full = strstr(text, strerror(ENOSPC)) || strstr(text, strerror(EDQUOT));
    bool not_writable = strstr(text, "unable to open") || strstr(text, strerror(EACCES));
    unlink(job->output);
    if (!disk_full && !not_writable) return picture_failure(job->name, err);
    vips_error_clear();
    return disk_full ? error_set(err, STATUS_STORAGE_FULL, "No room for what is made of %s", job->name)
                     : error_set(err, STATUS_IO, "What is made of %s cannot be written", job->name);
}

/* ---- inspect ---- */

static Status convert_to_png(const Job *job, Picture *picture, Error *err) {
    /* Light compression: a 12-megapixel photograph takes seconds at the usual level and is hardly smaller. */
    int rc = vips_pngsave(picture->image, job->output, "compression", 2, "filter", VIPS_FOREIGN_PNG_FILTER_SUB, NULL);
    return rc == 0 ? STATUS_OK : output_failure(job, err);
}

static void write_facts(const Job *job, const Picture *p, bool converted, JsonWriter *w) {
    json_begin_object(w);
    json_field_string(w, "mime_type", converted ? "image/png" : p->type->mime_type);
    json_field_string(w, "extension", converted ? ".png" : p->type->extension);
    json_field_int(w, "width", p->width);
    json_field_int(w, "height", p->height);
    json_field_int(w, "orientation", p->orientation);
    json_field_int(w, "pages", p->pages);
    json_field_int(w, "size", file_size(converted ? job->output : job->path));
    if (converted) json_field_string(w, "converted_path", job->output);
    json_end_object(w);
}

static Status inspect(WorkerCall *call, void *context, Error *err) {
    (void)context;
    Job job;
    Picture picture;
    Status status = job_read(call->params, "convert_to", false, &job, err);
    if (status == STATUS_OK) status = picture_open(job.path, job.name, job.max_pixels, &picture, err);
    if (status != STATUS_OK) return status;
    bool convert = job.output && text_equal(picture.type->mime_type, "image/heic");
    status = convert ? convert_to_png(&job, &picture, err) : picture_check_pixels(&picture, job.name, err);
    if (status == STATUS_OK) write_facts(&job, &picture, convert, call->result);
    picture_close(&picture);
    return status;
}

/* ---- thumbnail ---- */

typedef struct ThumbnailType {
    const char *extension, *mime_type;
    int (*save)(VipsImage *image, const char *path, int quality);
    bool alpha;
} ThumbnailType;

static int save_jpeg(VipsImage *image, const char *path, int quality) {
    return vips_jpegsave(image, path, "Q", quality, "optimize_coding", TRUE, "strip", TRUE, NULL);
}
static int save_png(VipsImage *image, const char *path, int quality) {
    (void)quality;
    return vips_pngsave(image, path, "compression", 6, "strip", TRUE, NULL);
}
static int save_webp(VipsImage *image, const char *path, int quality) {
    return vips_webpsave(image, path, "Q", quality, "strip", TRUE, NULL);
}

static const ThumbnailType THUMBNAIL_TYPES[] = {{".jpg", "image/jpeg", save_jpeg, false}, {".jpeg", "image/jpeg", save_jpeg, false},
                                                {".png", "image/png", save_png, true}, {".webp", "image/webp", save_webp, true}};

static const ThumbnailType *thumbnail_type(const char *path) {
    for (size_t i = 0; i < sizeof THUMBNAIL_TYPES / sizeof *THUMBNAIL_TYPES; i++)
        if (text_equal_ignoring_case(file_extension(path), THUMBNAIL_TYPES[i].extension)) return &THUMBNAIL_TYPES[i];
    return NULL;
}

/* JPEG can be decoded at 1/2, 1/4 and 1/8 of its size for a fraction of the time; what is left for the resampling filter is at least
 * this factor, below which thumbnails lose sharpness. */
#define FACTOR_LEFT 1.5

static int open_jpeg_shrunk(const Job *job, const Picture *picture, int size, VipsImage **out) {
    int longer = picture->width > picture->height ? picture->width : picture->height, factor = 8;
    while (factor > 1 && (double)longer / factor < size * FACTOR_LEFT) factor /= 2;
    return vips_jpegload(job->path, out, "shrink", factor, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR, NULL);
}

/* A shrunk upright image (unref it). Colours are converted only where a profile asks for it, which costs as much as the rest. */
static Status shrink(const Job *job, const Picture *picture, int size, VipsImage **out, Error *err) {
    VipsImage *in = picture->image;
    g_object_ref(in);
    if (text_equal(picture->type->loader, "jpegload")) {
        g_object_unref(in);
        if (open_jpeg_shrunk(job, picture, size, &in) != 0) return picture_failure(job->name, err);
    }
    const char *profile = vips_image_get_typeof(in, VIPS_META_ICC_NAME) ? "srgb" : NULL;
    int rc = vips_thumbnail_image(in, out, size, "height", size, "size", VIPS_SIZE_DOWN, "export_profile", profile, NULL);
    g_object_unref(in);
    return rc == 0 ? STATUS_OK : picture_failure(job->name, err);
}

/* Shrinks the file of a job to size on the longer side and turns it into plain RGB(A). */
static Status shrunk_rgb(const Job *job, int size, bool alpha, VipsImage **out, Picture *picture, Error *err) {
    VipsImage *small = NULL;
    Status status = shrink(job, picture, size, &small, err);
    if (status == STATUS_OK) status = picture_to_rgb(small, alpha, out, err);
    if (small) g_object_unref(small);
    return status;
}

static Status thumbnail(WorkerCall *call, void *context, Error *err) {
    (void)context;
    Job job;
    Picture picture;
    VipsImage *image = NULL;
    Status status = job_read(call->params, "output", true, &job, err);
    if (status != STATUS_OK) return status;
    int64_t size = json_get_int(call->params, "size", 0), quality = json_get_int(call->params, "quality", THUMBNAIL_QUALITY);
    const ThumbnailType *type = thumbnail_type(job.output);
    if (size < 1 || size > THUMBNAIL_MAX) return error_set(err, STATUS_VALIDATION_ERROR, "'size' must be 1 to %d", THUMBNAIL_MAX);
    if (quality < 1 || quality > 100) return error_set(err, STATUS_VALIDATION_ERROR, "'quality' must be 1 to 100");
    if (!type) return error_set(err, STATUS_VALIDATION_ERROR, "'output' must end in .jpg, .png or .webp");
    status = picture_open(job.path, job.name, job.max_pixels, &picture, err);
    if (status != STATUS_OK) return status;
    status = shrunk_rgb(&job, (int)size, type->alpha, &image, &picture, err);
    if (status == STATUS_OK && type->save(image, job.output, (int)quality) != 0) status = output_failure(&job, err);
    if (status == STATUS_OK) {
        json_begin_object(call->result);
        json_field_int(call->result, "width", image->Xsize);
        json_field_int(call->result, "height", image->Ysize);
        json_field_string(call->result, "mime_type", type->mime_type);
        json_end_object(call->result);
    }
    if (image) g_object_unref(image);
    picture_close(&picture);
    return status;
}

/* ---- decode ---- */

typedef struct Rows {
    int fd;
    Status status;
    Error *err;
} Rows;

/* libvips hands strips over in order, from the top. */
static int write_rows(VipsRegion *region, VipsRect *area, void *context) {
    Rows *rows = context;
    for (int y = 0; y < area->height && rows->status == STATUS_OK; y++)
        rows->status = file_write_all(rows->fd, VIPS_REGION_ADDR(region, area->left, area->top + y),
                                      (size_t)area->width * (size_t)region->im->Bands, rows->err);
    return rows->status == STATUS_OK ? 0 : -1;
}

static Status write_pixels(const Job *job, VipsImage *image, Error *err) {
    unsigned char header[PIXELS_HEADER];
    Rows rows = {.err = err, .fd = open(job->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (rows.fd < 0) return error_set_errno(err, errno, "What is made of %s", job->name);
    pixels_header((uint32_t)image->Xsize, (uint32_t)image->Ysize, header);
    Status status = file_write_all(rows.fd, header, sizeof header, err);
    if (status == STATUS_OK && vips_sink_disc(image, write_rows, &rows) != 0)
        status = rows.status != STATUS_OK ? rows.status : picture_failure(job->name, err);
    if (close(rows.fd) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "What is made of %s", job->name);
    if (status != STATUS_OK) unlink(job->output);
    return status;
}

static Status decode(WorkerCall *call, void *context, Error *err) {
    (void)context;
    Job job;
    Picture picture;
    VipsImage *image = NULL;
    Status status = job_read(call->params, "output", true, &job, err);
    if (status == STATUS_OK) status = picture_open(job.path, job.name, job.max_pixels, &picture, err);
    if (status != STATUS_OK) return status;
    int64_t max_side = json_get_int(call->params, "max_side", 0);
    bool smaller = max_side > 0 && (picture.width > max_side || picture.height > max_side);
    status = smaller ? shrunk_rgb(&job, (int)max_side, false, &image, &picture, err) : picture_to_rgb(picture.image, false, &image, err);
    if (status == STATUS_OK) status = write_pixels(&job, image, err);
    if (status == STATUS_OK) {
        json_begin_object(call->result);
        json_field_int(call->result, "width", image->Xsize);
        json_field_int(call->result, "height", image->Ysize);
        json_end_object(call->result);
    }
    if (image) g_object_unref(image);
    picture_close(&picture);
    return status;
}

const WorkerMethod MEDIA_METHODS[] = {{"inspect", inspect},
                                      {"thumbnail", thumbnail},
                                      {"decode", decode},
                                      {"probe_video", video_probe_method},
                                      {"extract_frames", video_extract_method},
                                      {NULL, NULL}};
