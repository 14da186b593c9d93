/* A decoded frame as an upright JPEG file. */
#pragma once
#include "base/error.h"

struct AVFrame;

/* The conversion from the decoder's pixels to RGB, kept from frame to frame. Start it as {0}. */
typedef struct FrameConverter {
    void *scaler;
} FrameConverter;

void frame_converter_clear(FrameConverter *converter);

typedef struct FrameFile {
    int width, height; /* upright */
} FrameFile;

/* Colours follow what the stream says of itself (BT.601, BT.709, BT.2020, limited or full range); orientation is EXIF's. STATUS_STORAGE_FULL, STATUS_IO,
 * STATUS_UNDECODABLE_MEDIA for pixels that cannot be converted. name is the video's, for messages. */
Status frame_write_jpeg(FrameConverter *converter, const struct AVFrame *frame, int orientation, const char *path, const char *name, FrameFile *out, Error *err);
