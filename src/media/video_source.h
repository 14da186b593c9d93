/* VideoSource: a video file opened with FFmpeg, its frames read in the order of time.
 *
 * The container is told by the first bytes (a table of eight), never guessed by FFmpeg; decoders are those of a short list; nothing else can be
 * opened from within a file (references, playlists), there is no network; sizes are checked by the header before a frame is decoded. Frames that
 * the decoder itself calls damaged are passed over.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define VIDEO_MAX_PIXELS (8192 * 4352) /* of a frame: 8K */
enum { VIDEO_MAX_SIDE = 16384 };

typedef struct VideoFacts {
    double duration;     /* seconds; 0 when it cannot be told */
    bool duration_is_firm; /* it is the picture stream's own, by the container's index */
    bool duration_is_said; /* or at least the container says it, of all its streams together; otherwise it is a guess */
    double fps;          /* frames a second on average; 0 when it cannot be told */
    int width, height;   /* upright */
    int orientation;     /* EXIF, 1 to 8: the turn that the container asks for */
    const char *codec;   /* "h264", static */
    int64_t frame_count; /* 0 when the container does not say */
} VideoFacts;

typedef struct VideoSource VideoSource;
struct AVFrame;

/* name is what messages call the file. STATUS_UNSUPPORTED_MEDIA_TYPE: no video, or a codec that is not read. STATUS_UNDECODABLE_MEDIA: damaged.
 * STATUS_IMAGE_TOO_LARGE, STATUS_NOT_FOUND. */
Status video_open(VideoSource **out, const char *path, const char *name, Error *err);
/* NULL is fine. */
void video_close(VideoSource *source);
const VideoFacts *video_facts(const VideoSource *source);
/* Fills in what the container does not say by walking through its packets, for at most so many seconds; later frames are then gone. */
void video_complete_facts(VideoSource *source, double seconds);

/* The next good frame and its time, in seconds since the start of the stream. *out is borrowed until the next call, NULL at the end. A failure is
 * damage from which there is no way on. */
Status video_next(VideoSource *source, struct AVFrame **out, double *out_time, Error *err);
/* Next comes a frame at or before `time`, as near as key frames allow; the first frame when the container cannot tell. */
Status video_seek(VideoSource *source, double time, Error *err);
/* Frames nearest to instants from `time` on are all that is wanted until the next call: saves decoding the others, by a jump where a key frame lies
 * far enough before `time` and ahead of the present position, else by leaving out frames that none leans on and that one nearer to `time` follows. */
void video_skip_towards(VideoSource *source, double time);
/* Bad packets and frames that were passed over so far. */
int64_t video_damaged(const VideoSource *source);

/* The EXIF orientation (1 to 8) of a display matrix: nine numbers as FFmpeg has them. Slanted ones go to the nearest quarter turn. */
int video_orientation(const int32_t matrix[9]);
