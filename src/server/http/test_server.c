/* The fixture of http_test.c and pipeline_test.c. */
#include "server/http/test_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "annotation/annotation.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/api/access_log.h"
#include "server/api/api_handlers.h"
#include "server/api/attempts.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/metrics.h"
#include "server/api/rate_limit.h"
#include "server/api_keys/api_keys.h"
#include "server/http/http.h"
#include "server/objects/objects.h"
#include "server/organizations/organizations.h"
#include "base/banned.h"

static TestServer *present; /* the handlers' only way to their test */

static Status handle(Request *rq) {
    atomic_fetch_add(&present->calls, 1);
    return present->handle ? present->handle(present, rq) : STATUS_OK;
}

/* All handlers of the contract; what they get and give beside the request does not matter here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define HANDLER(name, arguments) \
    Status name arguments { return strncmp(#name, "begin_", 6) == 0 ? (present->begin ? present->begin(present, rq) : STATUS_OK) : handle(rq); }
API_HANDLERS(HANDLER)
#pragma GCC diagnostic pop

/* --- the server --- */

static Status found(DbSession *tx, void *context, Error *err) {
    return organization_create(tx, context, err);
}

static Status insert_key(DbSession *tx, void *context, Error *err) { return api_key_insert(tx, context, err); }

void test_server_key(TestServer *test, const char *user_id, const char *role, int64_t rate_limit, int64_t expires_at, char *out, char *id) {
    KeySecret secret;
    assert_int_equal(key_secret_make(&secret, NULL), STATUS_OK);
    NewApiKey key = {.organization_id = test->organization_id, .user_id = user_id, .name = "test", .role = role, .created_by = "test",
                     .rate_limit = rate_limit, .expires_at = expires_at, .created_at = clock_now_ms(), .secret = &secret};
    assert_int_equal(db_write(test->server.store, insert_key, &key, NULL), STATUS_OK);
    memcpy(out, secret.text, sizeof secret.text);
    memcpy(id, key.id, 37);
}

int test_server_start(void **state) {
    TestServer *test = calloc(1, sizeof *test);
    Server *server = &test->server;
    Error err = {0};
    present = test;
    log_set_level(LOG_ERROR);
    snprintf(test->directory, sizeof test->directory, "/tmp/http_test_XXXXXX");
    assert_non_null(mkdtemp(test->directory));
    char path[96];
    snprintf(path, sizeof path, "%s/p.db", test->directory);
    server->config = (Config){.data_directory = test->directory, .listen_host = "127.0.0.1", .http_threads = 2, .handler_threads = 16,
                              .program_directory = test->directory, .body_timeout = 30};
    assert_int_equal(store_open(&server->store, path, &err), STATUS_OK);
    assert_int_equal(objects_open(&server->objects, test->directory, &err), STATUS_OK);
    server->keys = key_cache_new();
    server->attempts = attempts_new();
    server->rate_limiter = rate_limiter_new();
    server->idempotency = idempotency_new();
    server->metrics = metrics_new();
    server->access_log = access_log_new(-1);
    NewOrganization organization = {.name = "Test", .email = "o@example.org"};
    assert_int_equal(db_write(server->store, found, &organization, &err), STATUS_OK);
    memcpy(test->organization_id, organization.id, 37);
    memcpy(test->user_id, organization.user_id, 37);
    test_server_key(test, test->user_id, "owner", 0, 0, test->key, test->key_id);
    if (http_open(&server->http, server, &err) != STATUS_OK) fail_msg("%s", err.message);
    test->port = http_port(server->http);
    *state = test;
    return 0;
}

int test_server_stop(void **state) {
    TestServer *test = *state;
    Server *server = &test->server;
    http_close(server->http);
    store_close(server->store);
    objects_close(server->objects);
    idempotency_free(server->idempotency);
    rate_limiter_free(server->rate_limiter);
    key_cache_free(server->keys);
    attempts_free(server->attempts);
    access_log_free(server->access_log);
    metrics_free(server->metrics);
    file_remove_tree(test->directory, NULL);
    free(test);
    return 0;
}

void test_server_sql(TestServer *test, const char *sql) {
    char path[96], *message = NULL;
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/p.db", test->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

/* --- the client --- */

int test_dial(const TestServer *test) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)test->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){60, 0}, sizeof(struct timeval));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){60, 0}, sizeof(struct timeval));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void test_send(int fd, const void *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the server has heard enough */
        data = (const char *)data + sent;
        size -= (size_t)sent;
    }
}

void test_print(int fd, const char *format, ...) {
    char text[16384];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_in_range(size, 1, sizeof text - 1);
    test_send(fd, text, (size_t)size);
}

/* Up to and with the empty line. */
static bool read_head(int fd, TestReply *reply) {
    size_t size = 0;
    while (size + 1 < sizeof reply->head) {
        if (recv(fd, reply->head + size, 1, 0) != 1) return false;
        reply->head[++size] = '\0';
        if (size >= 4 && memcmp(reply->head + size - 4, "\r\n\r\n", 4) == 0) return true;
    }
    return false;
}

static void read_body(int fd, TestReply *reply) {
    size_t got = 0;
    while (got < reply->size) {
        char rest[4096], *into = got < sizeof reply->body - 1 ? reply->body + got : rest;
        size_t room = got < sizeof reply->body - 1 ? sizeof reply->body - 1 - got : sizeof rest;
        ssize_t n = recv(fd, into, room < reply->size - got ? room : reply->size - got, 0);
        if (n <= 0) {
            reply->status = 0;
            return;
        }
        got += (size_t)n;
    }
}

TestReply *test_read(int fd, bool head_only) {
    TestReply *reply = calloc(1, sizeof *reply);
    if (!read_head(fd, reply) || sscanf(reply->head, "HTTP/1.1 %d", &reply->status) != 1) return reply;
    const char *length = test_header(reply, "Content-Length");
    reply->size = length ? strtoul(length, NULL, 10) : 0;
    const char *connection = test_header(reply, "Connection");
    reply->closes = connection && strncasecmp(connection, "close", 5) == 0;
    if (!head_only && reply->status != 204 && reply->status != 304) read_body(fd, reply);
    return reply;
}

const char *test_header(TestReply *reply, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) != 0 || line[2 + length] != ':') continue;
        snprintf(reply->value, sizeof reply->value, "%.*s", (int)strcspn(line + 4 + length, "\r"), line + 4 + length);
        return reply->value;
    }
    return NULL;
}

TestReply *test_request(const TestServer *test, const char *method, const char *path, const char *key, const char *headers, const char *body) {
    int fd = test_dial(test);
    char length[64] = "", credentials[128] = "";
    if (body) snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    if (key) snprintf(credentials, sizeof credentials, "X-API-Key: %s\r\n", key);
    test_print(fd, "%s %s HTTP/1.1\r\nHost: test\r\n%s%s%s\r\n%s", method, path, credentials, headers ? headers : "", length, body ? body : "");
    TestReply *reply = test_read(fd, strcmp(method, "HEAD") == 0);
    close(fd);
    return reply;
}

void test_reply_free(TestReply *reply) { free(reply); }

void expect(TestReply *reply, int status, const char *part) {
    if (reply->status != status) fail_msg("status %d, wanted %d: %s%s", reply->status, status, reply->head, reply->body);
    if (part && !strstr(reply->body, part)) fail_msg("'%s' is not in %s", part, reply->body);
    test_reply_free(reply);
}
