/* FramePicker: which frames of a video stand for the instants start, start + 1/fps, start + 2/fps ... below end.
 *
 * For each instant the frame nearest to it is meant, by its timestamp, the earlier one of two equally near. Instants are computed from their number,
 * so that nothing drifts; a frame that is the nearest to several instants is taken once, so that there are never more pictures than the source
 * has. Whether a frame is wanted is known when its successor arrives, hence one frame is always held back.
 *
 *     while ((frame = next())) { if (frame_picker_offer(&p, time)) take(held); held = frame; }
 *     if (frame_picker_finish(&p, duration)) take(held);
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct FramePlan {
    double start, end; /* seconds; end INFINITY: to the end of the video */
    double fps;
    int64_t max_frames; /* INT64_MAX: no cap */
} FramePlan;

typedef struct FramePicker {
    FramePlan plan;
    int64_t slot;     /* number of the next instant that no frame was found for yet */
    bool held;        /* a frame is held back, of time held_time */
    bool held_wanted;
    double held_time;
    int64_t taken;    /* frames that were taken */
} FramePicker;

/* Timestamps come rounded to the container's unit, milliseconds at worst: what misses start or end by less than this does not miss it. */
#define FRAME_TIME_SLACK 0.001

void frame_picker_init(FramePicker *picker, const FramePlan *plan);
/* The next frame in the order of time. True: the frame that was held until now is to be taken. Frames before start are ignored and not held. */
bool frame_picker_offer(FramePicker *picker, double time);
/* Nothing follows before `end_of_video`. True: the held frame is to be taken. */
bool frame_picker_finish(FramePicker *picker, double end_of_video);
/* No further frame can matter: this one lies at or past the end, or the cap is reached. */
bool frame_picker_is_done(const FramePicker *picker, double time);
/* The instant that is looked for next. */
double frame_picker_next_instant(const FramePicker *picker);
