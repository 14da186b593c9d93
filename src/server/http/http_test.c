/* The adapter: connections, heads, bodies, streams, ranges, the end. Handlers are the fixture's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "server/api/api_handlers.h"
#include "server/http/http.h"
#include "server/http/test_server.h"
#include "server/objects/objects.h"
#include "base/banned.h"

#define QUICK "/healthz"  /* runs on the event loop */
#define WAITING "/readyz" /* runs on a handler thread */
#define PROJECTS "/api/v1/developer/projects/"
#define OBJECT "/storage/v1/objects/0123456789abcdef?expires=1&signature=0123456789012345678901234567890123456789012"

static void ask(int fd, const char *path) { test_print(fd, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); }

static void connections_live_on(void **state) {
    TestServer *test = *state;
    int fd = test_dial(test);
    for (int i = 0; i < 6; i++) {
        ask(fd, i % 2 ? QUICK : WAITING);
        TestReply *reply = test_read(fd, false);
        assert_false(reply->closes);
        expect(reply, 200, NULL);
    }
    test_print(fd, "GET " QUICK " HTTP/1.1\r\nHost: test\r\n\r\nGET " WAITING " HTTP/1.1\r\nHost: test\r\n\r\nHEAD " QUICK " HTTP/1.1\r\nHost: test\r\n\r\n");
    expect(test_read(fd, false), 200, NULL);
    expect(test_read(fd, false), 200, NULL);
    TestReply *head = test_read(fd, true);
    assert_true(head->size > 0);
    expect(head, 200, NULL);
    /* a body that is read whole leaves the connection as it was */
    test_print(fd, "POST " PROJECTS " HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc");
    expect(test_read(fd, false), 401, "missing_api_key");
    close(fd);

    fd = test_dial(test);
    test_print(fd, "GET " QUICK " HTTP/1.0\r\n\r\n");
    TestReply *reply = test_read(fd, false);
    assert_true(reply->closes);
    expect(reply, 200, NULL);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* Exactly 128 n events at once freeze a daemon that polls by itself; ours is polled from outside. */
static void many_connections_at_once(void **state) {
    TestServer *test = *state;
    static const int COUNTS[] = {128, 256};
    for (size_t c = 0; c < sizeof COUNTS / sizeof COUNTS[0]; c++) {
        int fds[256];
        for (int i = 0; i < COUNTS[c]; i++) fds[i] = test_dial(test);
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < COUNTS[c]; i++) ask(fds[i], round % 2 ? WAITING : QUICK);
            for (int i = 0; i < COUNTS[c]; i++) expect(test_read(fds[i], false), 200, NULL);
        }
        for (int i = 0; i < COUNTS[c]; i++) close(fds[i]);
    }
}

static void ambiguous_heads_are_refused(void **state) {
    TestServer *test = *state;
    static const char *const BAD[] = {
        "Content-Length: 3\r\nContent-Length: 3\r\n",     "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Content-Length: +3\r\n",
        "Content-Length: 3, 3\r\n",                       "Transfer-Encoding: gzip\r\n",                         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        TestReply *reply = test_request(test, "POST", PROJECTS, test->key, BAD[i], NULL);
        assert_true(reply->status == 400 || reply->status == 0);
        assert_true(reply->closes || reply->status == 0);
        test_reply_free(reply);
    }
    int fd = test_dial(test);
    test_print(fd, "GET " QUICK " HTTP/1.1\r\nHost: test\r\n");
    for (int i = 0; i < 33; i++) {
        char line[1025];
        memset(line, 'x', sizeof line);
        memcpy(line, "X-A: ", 5);
        memcpy(line + 1022, "\r\n", 2);
        test_send(fd, line, 1024);
    }
    test_print(fd, "\r\n");
    TestReply *reply = test_read(fd, false);
    assert_int_equal(reply->status / 100, 4);
    test_reply_free(reply);
    close(fd);
    expect(test_request(test, "GET", QUICK, NULL, NULL, NULL), 200, NULL); /* and it still serves */
}

static void bodies_have_bounds(void **state) {
    TestServer *test = *state;
    TestReply *reply = test_request(test, "POST", PROJECTS, test->key, "Content-Type: application/json\r\nContent-Length: 10485761\r\n", NULL);
    assert_true(reply->closes);
    expect(reply, 413, "payload_too_large");

    /* in chunks, past the limit: the reply comes although the peer goes on sending */
    int fd = test_dial(test);
    char *piece = malloc(1 << 20);
    memset(piece, ' ', 1 << 20);
    test_print(fd, "POST " PROJECTS " HTTP/1.1\r\nHost: test\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", test->key);
    for (int i = 0; i < 12; i++) {
        test_print(fd, "100000\r\n");
        test_send(fd, piece, 1 << 20);
        test_print(fd, "\r\n");
    }
    expect(test_read(fd, false), 413, "payload_too_large");
    close(fd);
    free(piece);

    expect(test_request(test, "POST", PROJECTS, test->key, "Content-Type: application/json\r\n", "{"), 400, "malformed_json");
    expect(test_request(test, "POST", PROJECTS, test->key, "Content-Type: text/plain\r\n", "{}"), 415, "unsupported_media_type");
    expect(test_request(test, "POST", PROJECTS, test->key, "Content-Type: application/json\r\n", "{}"), 422, "missing");
    expect(test_request(test, "POST", PROJECTS, NULL, "Content-Type: application/json\r\n", "{}"), 401, "missing_api_key");
}

static void a_late_body_is_refused(void **state) {
    TestServer *test = *state;
    test->server.config.body_timeout = 1;
    int fd = test_dial(test);
    test_print(fd, "POST " PROJECTS " HTTP/1.1\r\nHost: test\r\nX-API-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", test->key);
    double start = clock_monotonic();
    expect(test_read(fd, false), 408, "request_timeout");
    assert_true(clock_monotonic() - start < 25); /* without the setting: 30 s */
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* --- streams and files --- */

static Status begin_stream(TestServer *test, Request *rq) {
    return object_writer_begin(&rq->pending_object, test->server.objects, 3 << 20, &rq->error);
}

static Status refuse_stream(TestServer *test, Request *rq) {
    (void)test;
    return request_fail(rq, STATUS_SIGNATURE_INVALID, "no");
}

static char stored[SHA256_HEX_SIZE];

static Status end_stream(TestServer *test, Request *rq) {
    (void)test;
    ObjectWriter *writer = rq->pending_object;
    ObjectInfo info;
    rq->pending_object = NULL;
    Status status = object_writer_commit(writer, &info, &rq->error);
    memcpy(stored, info.sha256, sizeof stored);
    return status;
}

static void streams_go_to_objects(void **state) {
    TestServer *test = *state;
    enum { SIZE = 1000003 };
    char *data = malloc(SIZE), wanted[SHA256_HEX_SIZE];
    for (int i = 0; i < SIZE; i++) data[i] = (char)(i * 7 + i / 251);
    unsigned char digest[SHA256_SIZE];
    hash_sha256(data, SIZE, digest);
    hash_hex(digest, sizeof digest, wanted);
    test->begin = begin_stream;
    test->handle = end_stream;

    int fd = test_dial(test);
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", SIZE);
    test_send(fd, data, SIZE);
    expect(test_read(fd, false), 200, NULL);
    assert_string_equal(stored, wanted);

    stored[0] = '\0';
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"); /* on the same connection */
    for (int at = 0, n = 1; at < SIZE; at += n, n = n * 3 % 70001 + 1) {
        if (n > SIZE - at) n = SIZE - at;
        test_print(fd, "%x\r\n", (unsigned)n);
        test_send(fd, data + at, (size_t)n);
        test_print(fd, "\r\n");
    }
    test_print(fd, "0\r\n\r\n");
    expect(test_read(fd, false), 200, NULL);
    assert_string_equal(stored, wanted);
    close(fd);

    /* more than the address allows, in chunks: nobody knows before it comes */
    fd = test_dial(test);
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        test_print(fd, "%x\r\n", (unsigned)SIZE);
        test_send(fd, data, SIZE);
        test_print(fd, "\r\n");
    }
    expect(test_read(fd, false), 413, "payload_too_large");
    close(fd);

    /* refused by the head: the reply arrives before the body, and is not lost when the body comes all the same */
    test->begin = refuse_stream;
    fd = test_dial(test);
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nContent-Length: 5000000\r\n\r\n");
    expect(test_read(fd, false), 403, "signature_invalid");
    close(fd);
    fd = test_dial(test);
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nContent-Length: 5000000\r\n\r\n");
    for (int i = 0; i < 5; i++) test_send(fd, data, SIZE);
    expect(test_read(fd, false), 403, "signature_invalid");
    close(fd);

    /* a peer that goes away in the middle leaves nothing behind */
    test->begin = begin_stream;
    fd = test_dial(test);
    test_print(fd, "PUT " OBJECT " HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", SIZE);
    test_send(fd, data, SIZE / 2);
    close(fd);
    test->handle = NULL;
    expect(test_request(test, "GET", QUICK, NULL, NULL, NULL), 200, NULL);
    free(data);
}

static const char FILE_TEXT[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static Status send_file(TestServer *test, Request *rq) {
    const char *path = arena_printf(&rq->arena, "%s/file", test->directory);
    return response_file(rq, path, "text/plain", "0123456789abcdef0123456789abcdef", "grüße \"x\".txt");
}

static void files_have_ranges(void **state) {
    TestServer *test = *state;
    char path[96];
    snprintf(path, sizeof path, "%s/file", test->directory);
    file_write_atomic(path, FILE_TEXT, 36, 0600, NULL);
    test->handle = send_file;

    TestReply *reply = test_request(test, "GET", OBJECT, NULL, NULL, NULL);
    assert_string_equal(reply->body, FILE_TEXT);
    assert_string_equal(test_header(reply, "ETag"), "\"0123456789abcdef0123456789abcdef\"");
    assert_string_equal(test_header(reply, "Content-MD5"), "ASNFZ4mrze8BI0VniavN7w==");
    assert_string_equal(test_header(reply, "Accept-Ranges"), "bytes");
    assert_string_equal(test_header(reply, "Content-Disposition"), "attachment; filename=\"gr____e _x_.txt\"; filename*=UTF-8''gr%C3%BC%C3%9Fe%20%22x%22.txt");
    expect(reply, 200, NULL);

    reply = test_request(test, "GET", OBJECT, NULL, "Range: bytes=10-12\r\n", NULL);
    assert_string_equal(reply->body, "abc");
    assert_string_equal(test_header(reply, "Content-Range"), "bytes 10-12/36");
    expect(reply, 206, NULL);
    reply = test_request(test, "GET", OBJECT, NULL, "Range: bytes=40-\r\n", NULL);
    assert_string_equal(test_header(reply, "Content-Range"), "bytes */36");
    expect(reply, 416, "range_not_satisfiable");
    reply = test_request(test, "GET", OBJECT, NULL, "Range: bytes=1-2\r\nIf-Range: \"other\"\r\n", NULL);
    expect(reply, 200, FILE_TEXT);
    expect(test_request(test, "GET", OBJECT, NULL, "If-None-Match: \"0123456789abcdef0123456789abcdef\"\r\n", NULL), 304, NULL);
    reply = test_request(test, "HEAD", OBJECT, NULL, NULL, NULL);
    assert_int_equal(reply->size, 36);
    expect(reply, 200, NULL);

    unlink(path);
    expect(test_request(test, "GET", OBJECT, NULL, NULL, NULL), 404, "not_found");
}

/* --- the end --- */

static Status take_time(TestServer *test, Request *rq) {
    (void)test, (void)rq;
    clock_sleep(0.5);
    return STATUS_OK;
}

static void *ask_slowly(void *argument) { return test_request(argument, "GET", WAITING, NULL, NULL, NULL); }

static void requests_under_way_are_finished(void **state) {
    TestServer *test = *state;
    test->handle = take_time;
    int idle = test_dial(test);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, ask_slowly, test);
    while (atomic_load(&test->calls) < 4) clock_sleep(0.01);
    double start = clock_monotonic();
    http_close(test->server.http);
    test->server.http = NULL;
    assert_true(clock_monotonic() - start < 25);
    for (int i = 0; i < 4; i++) {
        TestReply *reply;
        pthread_join(threads[i], (void **)&reply);
        assert_true(reply->closes);
        expect(reply, 200, NULL);
    }
    close(idle);
}

static void a_taken_port_is_said(void **state) {
    TestServer *test = *state;
    Server other = {.config = test->server.config};
    other.config.listen_port = test->port;
    HttpServer *http;
    Error err = {0};
    assert_int_equal(http_open(&http, &other, &err), STATUS_CONFIGURATION);
    assert_non_null(strstr(err.message, "Address already in use"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_live_on, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(many_connections_at_once, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(ambiguous_heads_are_refused, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(bodies_have_bounds, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(a_late_body_is_refused, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(streams_go_to_objects, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(files_have_ranges, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(requests_under_way_are_finished, test_server_start, test_server_stop),
        cmocka_unit_test_setup_teardown(a_taken_port_is_said, test_server_start, test_server_stop),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
