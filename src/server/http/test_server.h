/* For tests: a server on a free port over an empty data folder, whose handlers all call one function, and a client that speaks raw HTTP. */
#pragma once
#include <stddef.h>

#include "server/api/request.h"
#include "server/api/route.h"

typedef struct TestServer {
    Server server;
    char directory[64];
    char organization_id[37], user_id[37], key_id[37];
    char key[64]; /* of the owner */
    int port;
    /* What every handler does; NULL: succeed at once. begin: for the start of a stream. */
    Status (*handle)(struct TestServer *test, Request *rq);
    Status (*begin)(struct TestServer *test, Request *rq);
    atomic_int calls; /* of handlers */
    double delay;     /* seconds that the default handler of createProject takes */
} TestServer;

/* For cmocka: before a test, *state becomes a TestServer, and after it. */
int test_server_start(void **state);
int test_server_stop(void **state);

/* A further key; user_id NULL: of nobody. expires_at 0: never. out needs 64 bytes, id 37. */
void test_server_key(TestServer *test, const char *user_id, const char *role, int64_t rate_limit, int64_t expires_at, char *out, char *id);
/* Runs one statement as another process would: past the server's own writer. */
void test_server_sql(TestServer *test, const char *sql);

/* Connection to the server; reads give up after ten seconds. */
int test_dial(const TestServer *test);
void test_send(int fd, const void *data, size_t size);
void test_print(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef struct TestReply {
    int status; /* 0: the connection ended without a reply */
    char head[8192];
    char body[65536]; /* cut */
    size_t size;      /* of the body, by Content-Length */
    bool closes;
    char value[1024]; /* see test_header */
} TestReply;

/* One reply; after_head: the request was HEAD, or the status has no body. */
TestReply *test_read(int fd, bool head_only);
/* Value of a header, valid until the next call for this reply; NULL when absent. */
const char *test_header(TestReply *reply, const char *name);
/* Dials, sends one request with the key and further header lines, each ended by \r\n, reads, closes. key NULL: none. */
TestReply *test_request(const TestServer *test, const char *method, const char *path, const char *key, const char *headers, const char *body);
void test_reply_free(TestReply *reply);
/* Fails the test unless the reply has this status and this in its body; part NULL: whatever. Frees the reply. */
void expect(TestReply *reply, int status, const char *part);
