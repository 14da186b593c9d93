/* pictograph-media: worker/program.h with the methods of media.h. */
#include "media/media.h"
#include "media/picture.h"
#include "worker/program.h"
#include "base/banned.h"

static const char HELP[] =
    "Usage: pictograph-media [--write DIR]... [--read DIR]...            serve requests on file descriptor 3\n"
    "       pictograph-media [options] inspect FILE [CONVERT_TO]         type, size and soundness of an image, as JSON\n"
    "       pictograph-media [options] thumbnail FILE SIZE OUTPUT        write a smaller image\n"
    "       pictograph-media [options] decode FILE OUTPUT                write raw RGB pixels\n"
    "\n"
    "Decodes images for the server: JPEG, PNG, WebP, BMP, TIFF, GIF and HEIC. Runs in a sandbox.\n"
    "  --write DIR   folder in which outputs may be written (default: the present folder)\n"
    "  --read DIR    folder from which inputs may be read (default: everywhere)\n"
    "  --version     print the version\n";

static const WorkerCommand COMMANDS[] = {
    {"inspect", {"path", "convert_to"}}, {"thumbnail", {"path", "size", "output"}}, {"decode", {"path", "output", "max_side"}}, {0}};

static Status start(void **context, const char *argv0, Error *err) {
    *context = NULL;
    return picture_start(argv0, err);
}

int main(int argc, char **argv) {
    const WorkerMain program = {.name = "pictograph-media", .help = HELP, .methods = MEDIA_METHODS, .commands = COMMANDS,
                                   .memory_bytes = (uint64_t)4 << 30, .writes = true, .start = start};
    return worker_main(&program, argc, argv);
}
