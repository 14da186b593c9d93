#include "media/frame_jpeg.h"

#include <errno.h>
#include <libavutil/frame.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "media/picture.h"
#include "base/banned.h"

enum { JPEG_QUALITY = 92, HD_HEIGHT = 576 }; /* above it, a stream that does not say has the colours of HD television */
/* libswscale writes whole vectors: rows begin at multiples of this many pixels, and some bytes follow the last one. */
enum { ROW_PIXELS = 64, PADDING = 64, CHANNELS = 3 };

void frame_converter_clear(FrameConverter *converter) {
    sws_freeContext(converter->scaler);
    converter->scaler = NULL;
}

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

static struct SwsContext *scaler_for(FrameConverter *converter, const AVFrame *frame) {
    struct SwsContext *scaler = sws_getCachedContext(converter->scaler, frame->width, frame->height, (enum AVPixelFormat)frame->format, frame->width,
                                                     frame->height, AV_PIX_FMT_RGB24, SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    converter->scaler = scaler;
    enum { UNIT = 1 << 16, FULL = 1 };
    if (scaler)
        sws_setColorspaceDetails(scaler, sws_getCoefficients(colour_space(frame)), frame->color_range == AVCOL_RANGE_JPEG, sws_getCoefficients(SWS_CS_DEFAULT), FULL,
                                 0, UNIT, UNIT);
    return scaler;
}

/* RGB in rows of *row_pixels, malloc'd. NULL: no conversion or no memory. */
static unsigned char *to_rgb(FrameConverter *converter, const AVFrame *frame, int *row_pixels) {
    struct SwsContext *scaler = scaler_for(converter, frame);
    *row_pixels = (frame->width + ROW_PIXELS - 1) / ROW_PIXELS * ROW_PIXELS;
    unsigned char *rgb = scaler ? malloc((size_t)*row_pixels * CHANNELS * (size_t)frame->height + PADDING) : NULL;
    if (!rgb) return NULL;
    uint8_t *planes[4] = {rgb};
    int strides[4] = {*row_pixels * CHANNELS};
    if (sws_scale(scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, strides) == frame->height) return rgb;
    free(rgb);
    return NULL;
}

/* 4:2:0 is what nearly all video has: finer chroma would be bytes without content. */
static bool has_fine_chroma(const AVFrame *frame) {
    const AVPixFmtDescriptor *format = av_pix_fmt_desc_get((enum AVPixelFormat)frame->format);
    return format && format->log2_chroma_w == 0;
}

static Status save(VipsImage *rgb, int width, int orientation, bool fine_chroma, const char *path, const char *name, FrameFile *out, Error *err) {
    VipsImage *cut = NULL, *upright = NULL;
    Status status = vips_extract_area(rgb, &cut, 0, 0, width, rgb->Ysize, NULL) == 0 ? STATUS_OK : picture_failure(name, err);
    if (status == STATUS_OK) {
        vips_image_set_int(cut, VIPS_META_ORIENTATION, orientation);
        status = picture_to_rgb(cut, false, &upright, err);
    }
    if (status == STATUS_OK) {
        int subsampling = fine_chroma ? VIPS_FOREIGN_SUBSAMPLE_OFF : VIPS_FOREIGN_SUBSAMPLE_ON;
        errno = 0;
        if (vips_jpegsave(upright, path, "Q", JPEG_QUALITY, "strip", TRUE, "subsample_mode", subsampling, NULL) != 0) {
            bool full = errno == ENOSPC || errno == EDQUOT;
            vips_error_clear();
            unlink(path);
            status = error_set(err, full ? STATUS_STORAGE_FULL : STATUS_IO, "A frame of video '%s' cannot be written", name);
        }
        *out = (FrameFile){upright->Xsize, upright->Ysize};
    }
    if (upright) g_object_unref(upright);
    if (cut) g_object_unref(cut);
    return status;
}

Status frame_write_jpeg(FrameConverter *converter, const AVFrame *frame, int orientation, const char *path, const char *name, FrameFile *out, Error *err) {
    int row_pixels;
    unsigned char *pixels = to_rgb(converter, frame, &row_pixels);
    if (!pixels) return error_set(err, STATUS_UNDECODABLE_MEDIA, "A frame of video '%s' cannot be turned into RGB", name);
    size_t size = (size_t)row_pixels * CHANNELS * (size_t)frame->height;
    VipsImage *image = vips_image_new_from_memory(pixels, size, row_pixels, frame->height, CHANNELS, VIPS_FORMAT_UCHAR);
    Status status = STATUS_OK;
    if (image) image->Type = VIPS_INTERPRETATION_sRGB;
    else status = picture_failure(name, err);
    if (status == STATUS_OK) status = save(image, frame->width, orientation, has_fine_chroma(frame), path, name, out, err);
    if (image) g_object_unref(image);
    free(pixels);
    return status;
}
