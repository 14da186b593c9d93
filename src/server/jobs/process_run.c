/* One process for one job: lines of its output to a function, a log file for its errors, a gentle and then a hard end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "server/jobs/process.h"
#include "base/banned.h"

enum { LINE_MAXIMUM = 1 << 20, TICK_MS = 250, READ_SIZE = 65536 };
#define GRACE_SECONDS 2.0

typedef struct Run {
    pid_t pid;
    int output;
    Buffer line; /* begun, not ended */
    bool too_long;
    bool stopping;
    double kill_at;
    bool (*take)(const char *json, void *context);
    void *context;
} Run;

static void tell(Run *run, const char *line) {
    if (run->stopping || run->take(line, run->context)) return;
    run->stopping = true;
    run->kill_at = clock_monotonic() + GRACE_SECONDS;
    kill(-run->pid, SIGTERM);
}

/* A line that is longer than any progress report is left out whole. */
static void take_bytes(Run *run, const char *bytes, size_t size) {
    while (size) {
        const char *end = memchr(bytes, '\n', size);
        size_t length = end ? (size_t)(end - bytes) : size;
        if (!buffer_append(&run->line, bytes, length)) run->too_long = true;
        bytes += length + (end != NULL);
        size -= length + (end != NULL);
        if (!end) return;
        if (!run->too_long && run->line.size) tell(run, buffer_text(&run->line));
        run->too_long = false;
        buffer_reset(&run->line);
    }
}

/* False at the end of the output. */
static bool read_output(Run *run) {
    char chunk[READ_SIZE];
    ssize_t n = read(run->output, chunk, sizeof chunk);
    if (n > 0) take_bytes(run, chunk, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until the output ends, or the process has ended and what it wrote is read: its own children may hold the pipe open. */
static void follow(Run *run) {
    double tick = clock_monotonic();
    for (bool open = true;;) {
        struct pollfd p = {.fd = open ? run->output : -1, .events = POLLIN};
        int ready = poll(&p, 1, TICK_MS);
        if (ready > 0) open = read_output(run);
        else if (process_has_ended(run->pid)) return;
        if (clock_monotonic() - tick >= TICK_MS / 1000.0) {
            tick = clock_monotonic();
            if (process_has_ended(run->pid)) kill(-run->pid, SIGKILL); /* what it started ends with it */
            else tell(run, NULL);
        }
        if (!open && process_has_ended(run->pid)) return;
        if (run->stopping && clock_monotonic() >= run->kill_at) kill(-run->pid, SIGKILL);
    }
}

Status process_run(int *out_exit_code, const char *const argv[], const char *directory, const char *log_path,
                   bool (*line)(const char *json, void *context), void *context, Error *err) {
    int ends[2];
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return error_set_errno(err, errno, "%s", log_path);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        close(log);
        return error_set_errno(err, errno, "pipe");
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    Run run = {.output = ends[0], .take = line, .context = context};
    buffer_init(&run.line, LINE_MAXIMUM);
    Status status = process_start(&run.pid, &(ProcessSpec){argv, directory, ends[1], log, -1}, err);
    close(ends[1]);
    close(log);
    if (status == STATUS_OK) {
        follow(&run);
        *out_exit_code = process_collect(run.pid);
    }
    buffer_clear(&run.line);
    close(ends[0]);
    return status;
}
