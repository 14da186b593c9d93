/* Fuzz target: whatever calls itself a video, opened and its first frames decoded. Built with -Dfuzz=true; its corpus is replayed by the unit tests. */
#include <libavutil/frame.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "media/frame_picker.h"
#include "media/video_source.h"
#include "base/banned.h"

enum { FRAMES = 8, PATH_SIZE = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_frames(const char *path) {
    VideoSource *source;
    AVFrame *frame;
    FramePicker picker;
    double time;
    frame_picker_init(&picker, &(FramePlan){.start = 0.1, .end = 1e6, .fps = 3, .max_frames = FRAMES});
    if (video_open(&source, path, "fuzz", NULL) != STATUS_OK) return;
    for (int i = 0; i < FRAMES; i++) {
        if (i == FRAMES / 2) video_skip_towards(source, 5);
        if (video_next(source, &frame, &time, NULL) != STATUS_OK || !frame) break;
        frame_picker_offer(&picker, time);
    }
    if (video_seek(source, 1.5, NULL) == STATUS_OK) video_next(source, &frame, &time, NULL);
    video_complete_facts(source, 0.1);
    video_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[PATH_SIZE];
    int fd = memfd_create("video", MFD_CLOEXEC);
    if (fd < 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) read_frames(path);
    close(fd);
    return 0;
}
