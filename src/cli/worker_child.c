/* Starts, calls and ends a worker. */
#include "cli/worker_child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "worker/channel.h"

#include "base/banned.h"

extern char **environ;

enum { CHANNEL_FD = 3, PATH_SIZE = 4096, NAP_MS = 200 };

/* Path of a program that lies beside this one. */
static bool find_program(char out[PATH_SIZE], const char *name) {
    const char *folder = getenv("PICTOGRAPH_BIN");
    char own[PATH_SIZE];
    if (!folder || text_is_blank(folder)) {
        ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
        if (length <= 0) return false;
        own[length] = '\0';
        *strrchr(own, '/') = '\0';
        folder = own;
    }
    return snprintf(out, PATH_SIZE, "%s/%s", folder, name) < PATH_SIZE && access(out, X_OK) == 0;
}

Status worker_child_start(WorkerChild *child, const char *name, const char *write_folder, Error *err) {
    *child = (WorkerChild){.name = name, .fd = -1};
    char path[PATH_SIZE];
    if (!find_program(path, name)) return error_set(err, STATUS_CONFIGURATION, "%s is not installed beside this program", name);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return error_set_errno(err, errno, "%s", name);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], CHANNEL_FD);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setpgroup(&attributes, 0); /* Ctrl-C is ours to handle */
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    char *arguments[] = {(char *)name, write_folder ? (char *)"--write" : NULL, (char *)write_folder, NULL};
    int failure = posix_spawn(&child->pid, path, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    child->fd = ends[0];
    if (failure) {
        close(child->fd);
        child->pid = 0;
        return error_set_errno(err, failure, "%s", path);
    }
    return STATUS_OK;
}

/* Takes a message: the answer to the present call, or NULL in *out for anything else. */
static Status take_message(const WorkerChild *child, const Buffer *message, yyjson_doc **out, Error *err) {
    yyjson_doc *doc = json_parse(buffer_text(message), message->size, err);
    yyjson_val *root = yyjson_doc_get_root(doc), *error = yyjson_obj_get(root, "error");
    if (!doc) return error_set(err, STATUS_IO, "%s sent rubbish", child->name);
    if (json_get_int(root, "id", 0) == child->last_id && yyjson_obj_get(root, "result")) {
        *out = doc;
        return STATUS_OK;
    }
    Status status = error ? channel_failure(error, err) : STATUS_OK;
    yyjson_doc_free(doc);
    return status;
}

/* Waits a moment. A message that has begun is then received whole: giving up in its middle would lose the place in the stream. */
static bool wait_readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, NAP_MS) > 0;
}

Status worker_child_call(WorkerChild *child, const char *method, const Buffer *params, double timeout_seconds, bool (*stop)(void *context),
                         void *context, yyjson_doc **out, Error *err) {
    *out = NULL;
    Buffer message;
    buffer_init(&message, CHANNEL_MAXIMUM);
    double deadline = clock_monotonic() + timeout_seconds;
    Status status = channel_request(child->fd, ++child->last_id, method, buffer_text(params), err);
    while (!status && !*out) {
        double left = deadline - clock_monotonic();
        if (stop && stop(context))
            status = error_set(err, STATUS_CANCELLED, "Cancelled");
        else if (left <= 0)
            status = error_set(err, STATUS_TIMEOUT, "%s did not answer in %g s", child->name, timeout_seconds);
        else if (wait_readable(child->fd) && !(status = channel_receive(child->fd, left, &message, err)))
            status = take_message(child, &message, out, err);
    }
    buffer_clear(&message);
    return status;
}

void worker_child_stop(WorkerChild *child) {
    if (child->pid == 0) return;
    close(child->fd); /* asks it to end */
    bool ended = false;
    for (int i = 0; i < 40 && !(ended = waitpid(child->pid, NULL, WNOHANG) != 0); i++) clock_sleep(0.05);
    if (!ended) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    *child = (WorkerChild){.fd = -1};
}
