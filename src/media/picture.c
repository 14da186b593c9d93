#include "media/picture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "media/bmp.h"
#include "media/wide_tiff.h"
#include "base/banned.h"

/* A raw 32-bit bitmap at the pixel limit, and its header. */
#define BMP_MAX_BYTES ((size_t)PICTURE_MAX_PIXELS * 4 + 65536)

/* ---- start ---- */

/* Debian builds libvips' HEIC reader as a module, which lies beside the library. The other modules (ImageMagick, PDF, OpenSlide …)
 * are kept out of this process: VIPSHOME points libvips' own search to a folder that does not exist. */
static void load_heif_module(void) {
    Dl_info library;
    if (!dladdr(dlsym(RTLD_DEFAULT, "vips_init"), &library) || !library.dli_fname) return;
    char *folder = g_path_get_dirname(library.dli_fname);
    char *path = g_strdup_printf("%s/vips-modules-%d.%d/vips-heif.so", folder, vips_version(0), vips_version(1));
    GModule *module = g_module_open(path, G_MODULE_BIND_LAZY);
    if (module) g_module_make_resident(module);
    g_free(path);
    g_free(folder);
}

/* What libvips warns of is damage in somebody's file: the answer says it, standard error is for our own log. */
static void drop_warning(const char *domain, GLogLevelFlags level, const char *message, void *context) {
    (void)domain, (void)level, (void)message, (void)context;
}

Status picture_start(const char *argv0, Error *err) {
    setenv("VIPSHOME", "/nonexistent", 1);
    if (vips_init(argv0) != 0) return error_set(err, STATUS_CONFIGURATION, "libvips does not start: %s", vips_error_buffer());
    load_heif_module();
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, drop_warning, NULL);
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* workers run side by side: throughput comes from them */
    vips_cache_set_max(0);   /* a path may hold another file the next time */
    return STATUS_OK;
}

/* ---- failures ---- */

Status picture_failure(const char *name, Error *err) {
    const char *text = vips_error_buffer();
    int length = (int)strcspn(text, "\n");
    /* Paths of the server are no business of the client. */
    if (memchr(text, '/', (size_t)length)) length = 0;
    error_set(err, STATUS_UNDECODABLE_MEDIA, "Image '%s' cannot be decoded%s%.*s", name, length ? ": " : "", length, text);
    vips_error_clear();
    return STATUS_UNDECODABLE_MEDIA;
}

static Status check_size(const char *name, int64_t width, int64_t height, int pages, int64_t max_pixels, Error *err) {
    if (width * height > max_pixels)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "Image '%s' has %lld x %lld pixels; the limit is %lld megapixels", name,
                         (long long)width, (long long)height, (long long)(max_pixels / 1000000));
    if (pages > PICTURE_MAX_PAGES)
        return error_set(err, STATUS_IMAGE_TOO_LARGE, "Image '%s' has %d pages; the limit is %d", name, pages, PICTURE_MAX_PAGES);
    return STATUS_OK;
}

/* ---- opening ---- */

static Status sniff_file(const char *path, const char *name, const MediaType **out, Error *err) {
    unsigned char head[SNIFF_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_set(err, STATUS_NOT_FOUND, "Image '%s' cannot be opened", name);
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    *out = n > 0 ? media_sniff(head, (size_t)n) : NULL;
    if (*out) return STATUS_OK;
    return error_set(err, STATUS_UNDECODABLE_MEDIA, "Image '%s' is %s", name,
                     n == 0 ? "empty" : "none of JPEG, PNG, WebP, BMP, TIFF, GIF and HEIC");
}

static Status bmp_pixels(const Buffer *file, const char *name, int64_t max_pixels, Picture *p, Error *err) {
    const unsigned char *data = (const unsigned char *)file->data;
    BmpHeader header;
    Status status = bmp_read_header(data, file->size, &header, err);
    if (status == STATUS_OK) status = check_size(name, header.width, header.height, 1, max_pixels, err);
    if (status != STATUS_OK) return status;
    size_t size = (size_t)header.width * header.height * (size_t)header.channels;
    p->pixels = calloc(size, 1);
    if (!p->pixels) return error_set(err, STATUS_OUT_OF_MEMORY, "No memory for %zu bytes of pixels", size);
    status = bmp_decode(data, file->size, &header, p->pixels, err);
    if (status != STATUS_OK) return status;
    p->image = vips_image_new_from_memory(p->pixels, size, (int)header.width, (int)header.height, header.channels, VIPS_FORMAT_UCHAR);
    if (!p->image) return picture_failure(name, err);
    p->image->Type = VIPS_INTERPRETATION_sRGB;
    return STATUS_OK;
}

static Status open_bmp(const char *path, const char *name, int64_t max_pixels, Picture *p, Error *err) {
    Buffer file;
    buffer_init(&file, BMP_MAX_BYTES);
    Status status = file_read(path, &file, err);
    if (status == STATUS_OK) status = bmp_pixels(&file, name, max_pixels, p, err);
    if (status == STATUS_UNDECODABLE_MEDIA) error_prefix(err, "Image '%s' cannot be decoded", name);
    buffer_clear(&file);
    return status;
}

/* ---- samples that are no bytes ---- */

/* One band more than the colours. Several more, as microscopes and satellites write them, are measurements, not opacity. */
static bool has_alpha(VipsImage *in) { return vips_image_hasalpha(in) && (in->Bands == 2 || in->Bands == 4); }

/* Odd band counts (a grey TIFF with several extra bands) lose what is not colour. */
static int drop_bands(VipsImage *in, VipsImage **out) {
    int colours = in->Bands < 3 ? 1 : 3 + has_alpha(in);
    return vips_extract_band(in, out, 0, "n", colours, NULL);
}

/* Floats, and integers of more than 16 bits or with a sign: of what unit they are, only their range can tell. */
static bool is_measured(const VipsImage *in) {
    bool is_colour = in->Type == VIPS_INTERPRETATION_LAB || in->Type == VIPS_INTERPRETATION_LABS || in->Type == VIPS_INTERPRETATION_XYZ;
    return !is_colour && in->BandFmt != VIPS_FORMAT_UCHAR && in->BandFmt != VIPS_FORMAT_USHORT;
}

typedef struct Range {
    double low, high; /* of the finite samples */
} Range;

static int widen_range(VipsRegion *region, VipsRect *area, void *context) {
    Range *range = context;
    for (int y = 0; y < area->height; y++) {
        const double *row = (const double *)VIPS_REGION_ADDR(region, area->left, area->top + y);
        for (int i = 0; i < area->width * region->im->Bands; i++) {
            if (!isfinite(row[i])) continue;
            range->low = fmin(range->low, row[i]);
            range->high = fmax(range->high, row[i]);
        }
    }
    return 0;
}

/* 0 to 1 is black to white; any other range is stretched to that. `again` is the same file, whose pixels are pulled here. */
static int spread_range(VipsImage *again, VipsImage *in, VipsImage **out) {
    VipsObject *scope = VIPS_OBJECT(vips_image_new());
    VipsImage **steps = (VipsImage **)vips_object_local_array(scope, 4);
    Range range = {INFINITY, -INFINITY};
    int rc = drop_bands(again, &steps[0]);
    if (rc == 0) rc = vips_cast_double(steps[0], &steps[1], NULL);
    if (rc == 0) rc = vips_sink_disc(steps[1], widen_range, &range);
    bool is_unit = range.low >= 0 && range.high <= 1;
    double low = is_unit ? 0 : range.low, factor = is_unit ? 255 : range.high > range.low ? 255 / (range.high - range.low) : 0;
    if (rc == 0) rc = drop_bands(in, &steps[2]);
    if (rc == 0) rc = vips_linear1(steps[2], &steps[3], factor, factor > 0 ? -low * factor : 0, "uchar", TRUE, NULL);
    if (rc == 0) rc = vips_copy(steps[3], out, "interpretation", steps[3]->Bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
    g_object_unref(scope);
    return rc;
}

static int load(const char *path, const Picture *p, VipsImage **out) {
    /* The loaders read the header now and decode when pixels are pulled. */
    return vips_call(p->type->loader, path, out, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_ERROR, NULL);
}

static Status wide_pixels(const WideTiff *tiff, const char *name, int64_t max_pixels, Picture *p, Error *err) {
    p->pages = tiff->pages;
    Status status = check_size(name, tiff->width, tiff->height, tiff->pages, max_pixels, err);
    if (status != STATUS_OK) return status;
    size_t size = (size_t)tiff->width * tiff->height * (size_t)tiff->bands;
    p->pixels = calloc(size, 1);
    if (!p->pixels) return error_set(err, STATUS_OUT_OF_MEMORY, "No memory for %zu bytes of pixels", size);
    if (wide_tiff_decode(tiff, p->pixels)) p->image = vips_image_new_from_memory(p->pixels, size, (int)tiff->width, (int)tiff->height, tiff->bands, VIPS_FORMAT_UCHAR);
    if (!p->image) return picture_failure(name, err);
    p->image->Type = tiff->bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    vips_image_set_int(p->image, VIPS_META_ORIENTATION, tiff->orientation);
    return STATUS_OK;
}

static Status open_vips(const char *path, const char *name, int64_t max_pixels, Picture *p, Error *err) {
    WideTiff tiff;
    if (text_equal(p->type->extension, ".tiff") && wide_tiff_open(path, &tiff)) {
        Status decoded = wide_pixels(&tiff, name, max_pixels, p, err);
        wide_tiff_close(&tiff);
        return decoded;
    }
    vips_error_clear(); /* of an attempt at a file that is none */
    if (load(path, p, &p->image) != 0) return picture_failure(name, err);
    if (vips_image_get_typeof(p->image, VIPS_META_N_PAGES)) vips_image_get_int(p->image, VIPS_META_N_PAGES, &p->pages);
    Status status = check_size(name, p->image->Xsize, p->image->Ysize, p->pages, max_pixels, err);
    if (status != STATUS_OK || !is_measured(p->image)) return status;
    VipsImage *measured = p->image, *again = NULL;
    p->image = NULL;
    if (load(path, p, &again) != 0 || spread_range(again, measured, &p->image) != 0) status = picture_failure(name, err);
    g_object_unref(measured);
    if (again) g_object_unref(again);
    return status;
}

Status picture_open(const char *path, const char *name, int64_t max_pixels, Picture *out, Error *err) {
    Picture p = {.pages = 1};
    Status status = sniff_file(path, name, &p.type, err);
    if (status == STATUS_OK) status = (p.type->reader == MEDIA_BMP ? open_bmp : open_vips)(path, name, max_pixels, &p, err);
    if (status != STATUS_OK) {
        picture_close(&p);
        return status;
    }
    p.orientation = vips_image_get_orientation(p.image);
    bool turned = vips_image_get_orientation_swap(p.image);
    p.width = turned ? p.image->Ysize : p.image->Xsize;
    p.height = turned ? p.image->Xsize : p.image->Ysize;
    *out = p;
    return STATUS_OK;
}

void picture_close(Picture *picture) {
    if (picture->image) g_object_unref(picture->image);
    free(picture->pixels);
    *picture = (Picture){0};
}

/* ---- pixels ---- */

static int drop_strip(VipsRegion *region, VipsRect *area, void *context) {
    (void)region, (void)area, (void)context;
    return 0;
}

Status picture_check_pixels(Picture *picture, const char *name, Error *err) {
    return vips_sink_disc(picture->image, drop_strip, NULL) == 0 ? STATUS_OK : picture_failure(name, err);
}

/* The operations from a decoded image to plain RGB, each looking for itself whether there is anything to do. */
static int to_srgb(VipsImage *in, VipsImage **out) {
    return in->Type == VIPS_INTERPRETATION_sRGB ? vips_copy(in, out, NULL) : vips_colourspace(in, out, VIPS_INTERPRETATION_sRGB, NULL);
}

static int lay_on_white(VipsImage *in, VipsImage **out) {
    if (!has_alpha(in)) return vips_copy(in, out, NULL);
    VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
    int rc = vips_flatten(in, out, "background", white, NULL);
    vips_area_unref(VIPS_AREA(white));
    return rc;
}

static int to_bytes(VipsImage *in, VipsImage **out) { return vips_cast_uchar(in, out, NULL); }

static int upright(VipsImage *in, VipsImage **out) {
    enum { MIRRORED = 2 }; /* up to here rows keep their order, beyond it the whole image must lie in memory */
    if (vips_image_get_orientation(in) <= MIRRORED) return vips_autorot(in, out, NULL);
    VipsImage *memory = vips_image_copy_memory(in);
    if (!memory) return -1;
    int rc = vips_autorot(memory, out, NULL);
    g_object_unref(memory);
    return rc;
}

static int spread_grey(VipsImage *in, VipsImage **out) {
    VipsImage *three[3] = {in, in, in};
    return in->Bands == 1 ? vips_bandjoin(three, out, 3, NULL) : vips_copy(in, out, NULL);
}

Status picture_to_rgb(VipsImage *image, bool keep_alpha, VipsImage **out, Error *err) {
    int (*const steps[])(VipsImage *, VipsImage **) = {to_srgb, to_bytes, keep_alpha ? drop_bands : lay_on_white, drop_bands,
                                                       spread_grey, upright};
    g_object_ref(image);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        VipsImage *next = NULL;
        int rc = steps[i](image, &next);
        g_object_unref(image);
        if (rc != 0) return picture_failure("", err);
        image = next;
    }
    *out = image;
    return STATUS_OK;
}
