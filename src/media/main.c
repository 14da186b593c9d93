/* pictograph-media: worker/program.h with the methods of media.h. */
#include "media/media.h"
#include "media/picture.h"
#include "media/video.h"
#include "worker/program.h"
#include "base/banned.h"

static const char HELP[] =
    "Usage: pictograph-media [--write DIR]... [--read DIR]...            serve requests on file descriptor 3\n"
    "       pictograph-media [options] inspect FILE [CONVERT_TO]         type, size and soundness of an image, as JSON\n"
    "       pictograph-media [options] thumbnail FILE SIZE OUTPUT        write a smaller image\n"
    "       pictograph-media [options] decode FILE OUTPUT                write raw RGB pixels\n"
    "       pictograph-media [options] probe_video FILE                  length, rate, size and codec of a video\n"
    "       pictograph-media [options] extract_frames FILE FOLDER FPS    write the first frames as JPEG; start=, end=, max_frames=, frames=\n"
    "\n"
    "Decodes images (JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC) and videos for the server. Runs in a sandbox.\n"
    "  --write DIR   folder in which outputs may be written (default: the present folder)\n"
    "  --read DIR    folder from which inputs may be read (default: everywhere)\n"
    "  --version     print the version\n";

static const WorkerCommand COMMANDS[] = {
    {"inspect", {"path", "convert_to"}}, {"thumbnail", {"path", "size", "output"}}, {"decode", {"path", "output", "max_side"}},
    {"probe_video", {"path"}}, {"extract_frames", {"path", "folder", "fps"}}, {0}};

static Status start(void **context, const char *argv0, Error *err) {
    *context = video_desk_new();
    return picture_start(argv0, err);
}

static void stop(void *context) { video_desk_free(context); }

int main(int argc, char **argv) {
    const WorkerMain program = {.name = "pictograph-media", .help = HELP, .methods = MEDIA_METHODS, .commands = COMMANDS,
                                   .memory_bytes = (uint64_t)4 << 30, .writes = true, .start = start, .stop = stop};
    return worker_main(&program, argc, argv);
}
