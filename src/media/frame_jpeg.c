/* libswscale turns the decoder's pixels into RGB, libjpeg-turbo writes them, turned row by row. libjpeg's errors come by longjmp: what a failure must
 * free lies in a struct outside the frame that jumps. */
#include "media/frame_jpeg.h"

#include <errno.h>
#include <fcntl.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "base/file.h"
#include "base/banned.h"

enum { JPEG_QUALITY = 92, HD_HEIGHT = 576 }; /* above it, a stream that does not say has the colours of HD television */
/* libswscale writes whole vectors: rows begin at multiples of this many pixels, and some bytes follow the last one. */
enum { ROW_PIXELS = 64, PADDING = 64, CHANNELS = 3 };

void frame_converter_clear(FrameConverter *converter) {
    sws_freeContext(converter->scaler);
    converter->scaler = NULL;
}

/* ---- RGB ---- */

static int colour_space(const AVFrame *frame) {
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_FCC: return SWS_CS_FCC;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return SWS_CS_BT2020;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return SWS_CS_ITU601;
    default: return frame->height > HD_HEIGHT ? SWS_CS_ITU709 : SWS_CS_ITU601;
    }
}

/* Of the conversions without scaling the fast one is right: it gives the pixels of a square of chroma the same chroma, and the encoder's average of
 * that square is the chroma of the video again. */
static struct SwsContext *scaler_for(FrameConverter *converter, const AVFrame *frame) {
    enum { UNIT = 1 << 16, FULL = 1 };
    struct SwsContext *scaler = sws_getCachedContext(converter->scaler, frame->width, frame->height, (enum AVPixelFormat)frame->format, frame->width,
                                                     frame->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    converter->scaler = scaler;
    if (scaler)
        sws_setColorspaceDetails(scaler, sws_getCoefficients(colour_space(frame)), frame->color_range == AVCOL_RANGE_JPEG, sws_getCoefficients(SWS_CS_DEFAULT), FULL,
                                 0, UNIT, UNIT);
    return scaler;
}

typedef struct Rgb {
    unsigned char *pixels; /* malloc'd */
    size_t stride;
    int width, height, orientation;
    bool fine_chroma;
} Rgb;

static bool to_rgb(FrameConverter *converter, const AVFrame *frame, int orientation, Rgb *out) {
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    struct SwsContext *scaler = scaler_for(converter, frame);
    *out = (Rgb){.stride = (size_t)((frame->width + ROW_PIXELS - 1) / ROW_PIXELS * ROW_PIXELS) * CHANNELS, .width = frame->width, .height = frame->height,
                 .orientation = orientation, .fine_chroma = format && format->log2_chroma_w == 0};
    out->pixels = scaler ? malloc(out->stride * (size_t)frame->height + PADDING) : NULL;
    if (!out->pixels) return false;
    uint8_t *planes[4] = {out->pixels};
    int strides[4] = {(int)out->stride};
    return sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, strides) == frame->height;
}

/* ---- turning ---- */

static bool is_turned(const Rgb *rgb) { return rgb->orientation >= 5; }
static int upright_width(const Rgb *rgb) { return is_turned(rgb) ? rgb->height : rgb->width; }
static int upright_height(const Rgb *rgb) { return is_turned(rgb) ? rgb->width : rgb->height; }

/* Row y of the upright picture, in place or put together in `room`. */
static unsigned char *upright_row(const Rgb *rgb, int y, unsigned char *room) {
    /* does the stored picture run from right to left, from bottom to top? */
    static const struct {
        bool leftwards, upwards;
    } RUNS[9] = {[2] = {true, false}, [3] = {true, true}, [4] = {false, true}, [6] = {false, true}, [7] = {true, true}, [8] = {true, false}};
    bool leftwards = RUNS[rgb->orientation].leftwards, upwards = RUNS[rgb->orientation].upwards, turned = is_turned(rgb);
    if (rgb->orientation == 1) return rgb->pixels + (size_t)y * rgb->stride;
    for (int x = 0; x < upright_width(rgb); x++) {
        int column = turned ? y : x, row = turned ? x : y;
        if (leftwards) column = rgb->width - 1 - column;
        if (upwards) row = rgb->height - 1 - row;
        memcpy(room + (size_t)x * CHANNELS, rgb->pixels + (size_t)row * rgb->stride + (size_t)column * CHANNELS, CHANNELS);
    }
    return room;
}

/* ---- JPEG ---- */

typedef struct Encoding {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to this */
    jmp_buf jump;
    struct jpeg_compress_struct info;
    unsigned char *bytes, *row;
    unsigned long size;
} Encoding;

static void fail(j_common_ptr info) { longjmp(((Encoding *)(void *)info->err)->jump, 1); }
static void stay_silent(j_common_ptr info) { (void)info; }

static void set_up(Encoding *e, const Rgb *rgb) {
    struct jpeg_compress_struct *info = &e->info;
    jpeg_create_compress(info);
    jpeg_mem_dest(info, &e->bytes, &e->size);
    info->image_width = (JDIMENSION)upright_width(rgb);
    info->image_height = (JDIMENSION)upright_height(rgb);
    info->input_components = CHANNELS;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, JPEG_QUALITY, TRUE);
    /* 4:2:0, the default, is what nearly all video has: finer chroma would be bytes without content */
    if (rgb->fine_chroma) info->comp_info[0].h_samp_factor = info->comp_info[0].v_samp_factor = 1;
}

static bool encode(Encoding *e, const Rgb *rgb) {
    e->info.err = jpeg_std_error(&e->manager);
    e->manager.error_exit = fail;
    e->manager.output_message = stay_silent;
    e->row = malloc((size_t)upright_width(rgb) * CHANNELS);
    if (!e->row) return false;
    if (setjmp(e->jump)) {
        jpeg_destroy_compress(&e->info);
        e->bytes = NULL; /* libjpeg may have moved the buffer without saying so yet */
        return false;
    }
    set_up(e, rgb);
    jpeg_start_compress(&e->info, TRUE);
    while (e->info.next_scanline < e->info.image_height) {
        JSAMPROW row = upright_row(rgb, (int)e->info.next_scanline, e->row);
        jpeg_write_scanlines(&e->info, &row, 1);
    }
    jpeg_finish_compress(&e->info);
    jpeg_destroy_compress(&e->info);
    return true;
}

/* No fsync: whoever takes the file over sees to that. */
static Status write_file(const char *path, const void *bytes, size_t size, Error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_errno(err, errno, "%s", file_base_name(path));
    Status status = file_write_all(fd, bytes, size, err);
    if (close(fd) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "%s", file_base_name(path));
    if (status != STATUS_OK) unlink(path);
    return status;
}

Status frame_write_jpeg(FrameConverter *converter, const AVFrame *frame, int orientation, const char *path, const char *name, FrameFile *out, Error *err) {
    Rgb rgb;
    Encoding *encoding = calloc(1, sizeof *encoding);
    Status status = STATUS_OK;
    if (!to_rgb(converter, frame, orientation, &rgb)) status = error_set(err, STATUS_UNDECODABLE_MEDIA, "A frame of video '%s' cannot be turned into RGB", name);
    else if (!encoding || !encode(encoding, &rgb)) status = error_set(err, STATUS_UNDECODABLE_MEDIA, "A frame of video '%s' cannot be written as JPEG", name);
    else status = write_file(path, encoding->bytes, encoding->size, err);
    *out = (FrameFile){upright_width(&rgb), upright_height(&rgb)};
    if (encoding) {
        free(encoding->bytes);
        free(encoding->row);
    }
    free(encoding);
    free(rgb.pixels);
    return status;
}
