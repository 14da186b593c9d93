/* A worker in a child process: answers, errors, cancellation, and a peer that vanishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "worker/channel.h"
#include "base/banned.h"

static Status echo(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    json_value(call->result, call->params);
    return STATUS_OK;
}

static Status refuse(WorkerCall *call, void *context, Error *err) {
    (void)context;
    json_begin_object(call->result); /* a half-written answer must not be seen */
    return error_set(err, STATUS_UNDECODABLE_MEDIA, "no picture");
}

static Status work(WorkerCall *call, void *context, Error *err) {
    (void)context;
    while (worker_progress(call, "0.5")) usleep(1000);
    return error_set(err, STATUS_CANCELLED, "stopped");
}

static const WorkerMethod METHODS[] = {{"echo", echo}, {"refuse", refuse}, {"work", work}, {NULL, NULL}};

static pid_t start(int *fd) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        _exit(worker_serve(pair[1], METHODS, NULL));
    }
    close(pair[1]);
    *fd = pair[0];
    return pid;
}

static void exchange(int fd, const char *request, const char *expected) {
    Buffer reply;
    buffer_init(&reply, CHANNEL_MAXIMUM);
    assert_int_equal(channel_send(fd, request, strlen(request), NULL), STATUS_OK);
    assert_int_equal(channel_receive(fd, 5, &reply, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&reply), expected);
    buffer_clear(&reply);
}

static void a_worker_answers_and_survives_errors(void **state) {
    (void)state;
    int fd;
    pid_t pid = start(&fd);
    exchange(fd, "{\"id\":1,\"method\":\"echo\",\"params\":{\"a\":[1,2]}}", "{\"id\":1,\"result\":{\"a\":[1,2]}}");
    exchange(fd, "{\"id\":2,\"method\":\"refuse\",\"params\":{}}",
             "{\"id\":2,\"error\":{\"status\":39,\"code\":\"undecodable_media\",\"message\":\"no picture\"}}");
    exchange(fd, "{\"id\":3,\"method\":\"echo\",\"params\":7}", "{\"id\":3,\"result\":7}");
    close(fd);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Statuses share slugs, so the number counts, unless it is none that a worker may say. */
static void a_failure_has_the_status_that_was_meant(void **state) {
    (void)state;
    static const struct {
        const char *error;
        Status status;
    } CASES[] = {{"{\"code\":\"undecodable_media\"}", STATUS_UNDECODABLE_MEDIA},
                 {"{\"status\":0,\"code\":\"not_found\"}", STATUS_NOT_FOUND},
                 {"{\"status\":-1,\"code\":\"not_found\"}", STATUS_NOT_FOUND},
                 {"{\"status\":4294967297,\"code\":\"not_found\"}", STATUS_NOT_FOUND},
                 {"{\"status\":18446744073709551615}", STATUS_INTERNAL_ERROR},
                 {"[]", STATUS_INTERNAL_ERROR}};
    static const Status ANY[] = {STATUS_STORAGE_FULL, STATUS_IO, STATUS_OUT_OF_MEMORY, STATUS_COUNT, STATUS_CANCELLED};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        yyjson_doc *doc = json_parse(CASES[i].error, strlen(CASES[i].error), NULL);
        assert_int_equal(channel_failure(yyjson_doc_get_root(doc), NULL), CASES[i].status);
        yyjson_doc_free(doc);
    }
    for (size_t i = 0; i < sizeof ANY / sizeof *ANY; i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"status\":%d,\"code\":\"internal_error\"}", (int)ANY[i]);
        yyjson_doc *doc = json_parse(text, strlen(text), NULL);
        assert_int_equal(channel_failure(yyjson_doc_get_root(doc), NULL), i < 3 ? ANY[i] : STATUS_INTERNAL_ERROR);
        yyjson_doc_free(doc);
    }
}

static void a_cancelled_call_ends(void **state) {
    (void)state;
    int fd;
    pid_t pid = start(&fd);
    Buffer reply;
    buffer_init(&reply, CHANNEL_MAXIMUM);
    const char *request = "{\"id\":9,\"method\":\"work\",\"params\":{}}", *cancel = "{\"cancel\":9}";
    assert_int_equal(channel_send(fd, request, strlen(request), NULL), STATUS_OK);
    assert_int_equal(channel_receive(fd, 5, &reply, NULL), STATUS_OK);
    assert_string_equal(buffer_text(&reply), "{\"id\":9,\"progress\":0.5}");
    assert_int_equal(channel_send(fd, cancel, strlen(cancel), NULL), STATUS_OK);
    do assert_int_equal(channel_receive(fd, 5, &reply, NULL), STATUS_OK);
    while (strstr(buffer_text(&reply), "progress"));
    assert_non_null(strstr(buffer_text(&reply), "stopped"));
    exchange(fd, "{\"id\":10,\"method\":\"echo\",\"params\":null}", "{\"id\":10,\"result\":null}");
    buffer_clear(&reply);
    close(fd);
    waitpid(pid, NULL, 0);
}

static void silence_is_a_timeout(void **state) {
    (void)state;
    int pair[2];
    Buffer reply;
    buffer_init(&reply, 100);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(channel_receive(pair[0], 0.01, &reply, NULL), STATUS_TIMEOUT);
    close(pair[1]);
    assert_int_equal(channel_receive(pair[0], 1, &reply, NULL), STATUS_IO);
    close(pair[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_worker_answers_and_survives_errors), cmocka_unit_test(a_cancelled_call_ends),
                                       cmocka_unit_test(a_failure_has_the_status_that_was_meant),
                                       cmocka_unit_test(silence_is_a_timeout)};
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
