/* pictograph-media: arguments, sandbox, and then either the channel or one request typed by hand. media.h describes the methods. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "media/media.h"
#include "media/picture.h"
#include "worker/sandbox.h"
#include "base/banned.h"

enum { CHANNEL_FD = 3, FOLDERS_MAX = 16 };
#define MEMORY_LIMIT ((uint64_t)4 << 30)

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

typedef struct Arguments {
    const char *write_folders[FOLDERS_MAX + 1], *read_folders[FOLDERS_MAX + 1];
    char **command; /* what follows the options */
    int count;
} Arguments;

static bool add_folder(const char **folders, const char *folder) {
    int n = 0;
    while (folders[n]) n++;
    if (n < FOLDERS_MAX) folders[n] = folder;
    return n < FOLDERS_MAX && folder;
}

static bool arguments_read(int argc, char **argv, Arguments *out) {
    int i = 1;
    for (; i < argc && text_starts_with(argv[i], "--"); i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good = text_equal(argv[i], "--write")  ? add_folder(out->write_folders, value)
                    : text_equal(argv[i], "--read") ? add_folder(out->read_folders, value)
                                                    : false;
        if (!good) return false;
    }
    out->command = argv + i;
    out->count = argc - i;
    if (!out->write_folders[0]) out->write_folders[0] = ".";
    return true;
}

/* The parameters of a request that was typed: a command's words go to the keys of its row, in order. */
static const struct {
    const char *method, *keys[4];
    int required;
} COMMANDS[] = {{"inspect", {"path", "convert_to"}, 1}, {"thumbnail", {"path", "size", "output"}, 3}, {"decode", {"path", "output"}, 2}};

static bool write_request(const Arguments *arguments, JsonWriter *w) {
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (!text_equal(COMMANDS[i].method, arguments->command[0])) continue;
        json_begin_object(w);
        for (int k = 0; k + 1 < arguments->count; k++) {
            int64_t number;
            const char *word = arguments->command[k + 1];
            if (!COMMANDS[i].keys[k]) return false;
            if (text_equal(COMMANDS[i].keys[k], "size") && text_to_int(word, &number)) json_field_int(w, "size", number);
            else json_field_string(w, COMMANDS[i].keys[k], word);
        }
        json_end_object(w);
        return arguments->count - 1 >= COMMANDS[i].required;
    }
    return false;
}

static Status call_by_hand(const char *method, yyjson_val *params, Buffer *answer, Error *err) {
    JsonWriter w;
    json_writer_init(&w, answer);
    w.indent = 2;
    WorkerCall call = {.fd = -1, .method = method, .params = params, .result = &w};
    for (const WorkerMethod *m = MEDIA_METHODS; m->name; m++)
        if (text_equal(m->name, method)) return m->run(&call, NULL, err);
    return error_set(err, STATUS_NOT_FOUND, "No such method: %s", method);
}

static int run_by_hand(const Arguments *arguments) {
    Buffer request, answer;
    JsonWriter w;
    Error err = {0};
    buffer_init(&request, CHANNEL_MAXIMUM);
    buffer_init(&answer, CHANNEL_MAXIMUM);
    json_writer_init(&w, &request);
    if (!write_request(arguments, &w)) {
        fputs(HELP, stderr);
        return 2;
    }
    yyjson_doc *doc = json_parse(buffer_text(&request), request.size, &err);
    Status status = doc ? call_by_hand(arguments->command[0], yyjson_doc_get_root(doc), &answer, &err) : err.status;
    if (status == STATUS_OK) puts(buffer_text(&answer));
    else fprintf(stderr, "pictograph-media: %s: %s\n", status_info(status)->slug, err.message);
    yyjson_doc_free(doc);
    buffer_clear(&request);
    buffer_clear(&answer);
    return status == STATUS_OK ? 0 : 1;
}

static bool enter(const Arguments *arguments) {
    Error err = {0};
    SandboxReport report;
    SandboxOptions options = {.write_folders = arguments->write_folders, .memory_bytes = MEMORY_LIMIT,
                              .read_folders = arguments->read_folders[0] ? arguments->read_folders : NULL};
    /* libvips puts what does not fit in memory into files: they belong where we may write. */
    setenv("TMPDIR", arguments->write_folders[0], 1);
    if (sandbox_enter(&options, &report, &err) != STATUS_OK) {
        log_event(LOG_ERROR, "sandbox_failed", "worker", "media", "reason", err.message, NULL);
        return false;
    }
    if (!report.landlock) log_event(LOG_WARNING, "sandbox_without_landlock", "worker", "media", NULL);
    return true;
}

int main(int argc, char **argv) {
    if (argc == 2 && text_equal(argv[1], "--help")) return fputs(HELP, stdout) < 0;
    if (argc == 2 && text_equal(argv[1], "--version")) return puts("pictograph-media " PICTOGRAPH_VERSION) < 0;
    Arguments arguments = {0};
    if (!arguments_read(argc, argv, &arguments)) {
        fputs(HELP, stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (arguments.count == 0 && fcntl(CHANNEL_FD, F_GETFD) < 0) {
        fputs("pictograph-media: file descriptor 3 is not open; see --help\n", stderr);
        return 2;
    }
    Error err = {0};
    if (picture_start(argv[0], &err) != STATUS_OK) {
        log_event(LOG_ERROR, "worker_start_failed", "worker", "media", "reason", err.message, NULL);
        return 1;
    }
    if (!enter(&arguments)) return 1;
    return arguments.count ? run_by_hand(&arguments) : worker_serve(CHANNEL_FD, MEDIA_METHODS, NULL);
}
