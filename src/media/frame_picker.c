#include "media/frame_picker.h"

#include <math.h>

#include "base/banned.h"

/* Beyond this a timestamp is rubbish, and numbers of instants would lose their last digits. */
#define LATEST_SECONDS 1e9

void frame_picker_init(FramePicker *picker, const FramePlan *plan) { *picker = (FramePicker){.plan = *plan}; }

static double instant(const FramePicker *picker, int64_t slot) { return picker->plan.start + (double)slot / picker->plan.fps; }

double frame_picker_next_instant(const FramePicker *picker) { return instant(picker, picker->slot); }

/* Number of the last instant that is not after time; -1 before the first. Rounding must not lose an instant that a frame hits exactly. */
static int64_t last_slot(const FramePicker *picker, double time) {
    double slots = floor((time - picker->plan.start) * picker->plan.fps + 1e-6);
    return slots < 0 ? -1 : (int64_t)slots;
}

static bool take(FramePicker *picker) {
    bool wanted = picker->held && picker->held_wanted && picker->taken < picker->plan.max_frames;
    picker->taken += wanted;
    return wanted;
}

bool frame_picker_offer(FramePicker *picker, double time) {
    if (time < picker->plan.start - FRAME_TIME_SLACK || time > LATEST_SECONDS) return false;
    int64_t last = last_slot(picker, time < picker->plan.start ? picker->plan.start : time);
    bool wanted = false;
    if (last >= picker->slot) { /* instants between the held frame and this one: the first half belongs to the held one */
        double middle = picker->held ? (picker->held_time + time) / 2 + 1e-6 : -INFINITY;
        if (instant(picker, picker->slot) <= middle) picker->held_wanted = true;
        wanted = instant(picker, last) > middle;
        picker->slot = last + 1;
    }
    bool taken = take(picker);
    picker->held = true;
    picker->held_time = time;
    picker->held_wanted = wanted;
    return taken;
}

bool frame_picker_finish(FramePicker *picker, double end_of_video) {
    double end = fmin(picker->plan.end, end_of_video);
    if (picker->held && frame_picker_next_instant(picker) < end - FRAME_TIME_SLACK) picker->held_wanted = true;
    bool taken = take(picker);
    picker->held = false;
    return taken;
}

bool frame_picker_is_done(const FramePicker *picker, double time) {
    return time >= picker->plan.end - FRAME_TIME_SLACK || picker->taken >= picker->plan.max_frames;
}
