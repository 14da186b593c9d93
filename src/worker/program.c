#include "worker/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "worker/sandbox.h"
#include "base/banned.h"

enum { CHANNEL_FD = 3, FOLDERS_MAX = 16 };

/* ---- arguments ---- */

typedef struct Arguments {
    const char *write_folders[FOLDERS_MAX + 1], *read_folders[FOLDERS_MAX + 1];
    char **words; /* what follows the options */
    int count;
} Arguments;

static bool add_folder(const char **folders, const char *folder) {
    int n = 0;
    while (folders[n]) n++;
    if (n < FOLDERS_MAX) folders[n] = folder;
    return n < FOLDERS_MAX && folder;
}

static bool read_arguments(const WorkerMain *program, int argc, char **argv, Arguments *out) {
    int i = 1;
    for (; i < argc && text_starts_with(argv[i], "--"); i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL, **folders = NULL;
        if (text_equal(argv[i], "--write")) folders = out->write_folders;
        if (text_equal(argv[i], "--read")) folders = out->read_folders;
        if (!folders || !add_folder(folders, value)) return false;
    }
    out->words = argv + i;
    out->count = argc - i;
    if (program->writes && !out->write_folders[0]) out->write_folders[0] = ".";
    return true;
}

/* ---- a request by hand ---- */

/* Numbers, lists and objects as they are, everything else as text. */
static void write_value(JsonWriter *w, const char *text) {
    yyjson_doc *doc = strchr("[{-0123456789", text[0]) ? json_parse(text, strlen(text), NULL) : NULL;
    if (doc) json_value(w, yyjson_doc_get_root(doc));
    else json_string(w, text);
    yyjson_doc_free(doc);
}

static bool write_word(JsonWriter *w, const WorkerCommand *command, int *place, const char *word) {
    char key[64];
    size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
    bool named = length > 0 && length < sizeof key && word[length] == '=';
    const char *plain = named ? NULL : command->keys[*place];
    if (!named && !plain) return false;
    snprintf(key, sizeof key, "%.*s", named ? (int)length : 63, named ? word : plain);
    json_key(w, key);
    write_value(w, named ? word + length + 1 : word);
    *place += !named;
    return true;
}

static bool write_request(const WorkerMain *program, const Arguments *arguments, Buffer *out) {
    const WorkerCommand *command = program->commands;
    while (command->method && !text_equal(command->method, arguments->words[0])) command++;
    JsonWriter w;
    int place = 0;
    json_writer_init(&w, out);
    json_begin_object(&w);
    bool good = command->method != NULL;
    for (int i = 1; good && i < arguments->count; i++) good = write_word(&w, command, &place, arguments->words[i]);
    json_end_object(&w);
    return good;
}

static Status call_method(const WorkerMain *program, const char *name, yyjson_val *params, void *context, Buffer *answer, Error *err) {
    JsonWriter w;
    json_writer_init(&w, answer);
    w.indent = 2;
    WorkerCall call = {.fd = -1, .method = name, .params = params, .result = &w};
    for (const WorkerMethod *m = program->methods; m->name; m++)
        if (text_equal(m->name, name)) return m->run(&call, context, err);
    return error_set(err, STATUS_NOT_FOUND, "No such method: %s", name);
}

static int run_by_hand(const WorkerMain *program, const Arguments *arguments, void *context) {
    Buffer request, answer;
    Error err = {0};
    buffer_init(&request, CHANNEL_MAXIMUM);
    buffer_init(&answer, CHANNEL_MAXIMUM);
    int code = 2;
    if (write_request(program, arguments, &request)) {
        yyjson_doc *doc = json_parse(buffer_text(&request), request.size, &err);
        Status status = doc ? call_method(program, arguments->words[0], yyjson_doc_get_root(doc), context, &answer, &err) : err.status;
        if (status == STATUS_OK) puts(buffer_text(&answer));
        else fprintf(stderr, "%s: %s: %s\n", program->name, status_info(status)->slug, err.message);
        yyjson_doc_free(doc);
        code = status == STATUS_OK ? 0 : 1;
    } else {
        fputs(program->help, stderr);
    }
    buffer_clear(&request);
    buffer_clear(&answer);
    return code;
}

/* ---- start ---- */

static bool enter_sandbox(const WorkerMain *program, const Arguments *arguments) {
    Error err = {0};
    SandboxReport report;
    SandboxOptions options = {.write_folders = arguments->write_folders, .memory_bytes = program->memory_bytes,
                              .read_folders = arguments->read_folders[0] ? arguments->read_folders : NULL};
    /* what a library puts into a temporary file belongs where we may write */
    if (arguments->write_folders[0]) setenv("TMPDIR", arguments->write_folders[0], 1);
    if (sandbox_enter(&options, &report, &err) != STATUS_OK) {
        log_event(LOG_ERROR, "sandbox_failed", "worker", program->name, "reason", err.message, NULL);
        return false;
    }
    if (!report.landlock) log_event(LOG_WARNING, "sandbox_without_landlock", "worker", program->name, NULL);
    return true;
}

static int run(const WorkerMain *program, const Arguments *arguments, const char *argv0) {
    Error err = {0};
    void *context = NULL;
    if (program->start(&context, argv0, &err) != STATUS_OK) {
        log_event(LOG_ERROR, "worker_start_failed", "worker", program->name, "reason", err.message, NULL);
        return 1;
    }
    int code = 1;
    if (enter_sandbox(program, arguments))
        code = arguments->count ? run_by_hand(program, arguments, context) : worker_serve(CHANNEL_FD, program->methods, context);
    if (program->stop) program->stop(context);
    return code;
}

int worker_main(const WorkerMain *program, int argc, char **argv) {
    if (argc == 2 && text_equal(argv[1], "--help")) return fputs(program->help, stdout) < 0;
    if (argc == 2 && text_equal(argv[1], "--version")) return printf("%s %s\n", program->name, PICTOGRAPH_VERSION) < 0;
    Arguments arguments = {0};
    if (!read_arguments(program, argc, argv, &arguments)) {
        fputs(program->help, stderr);
        return 2;
    }
    if (arguments.count == 0 && fcntl(CHANNEL_FD, F_GETFD) < 0) {
        fprintf(stderr, "%s: file descriptor 3 is not open; see --help\n", program->name);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    return run(program, &arguments, argv[0]);
}
