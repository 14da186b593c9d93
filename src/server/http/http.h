/* HTTP: libmicrohttpd as the server's ears. It parses heads, collects or streams bodies, sends replies; what a request means is the
 * pipeline's business (server/api/pipeline.h).
 *
 * config.http_threads event loops, each with a daemon and a listening socket of its own (SO_REUSEPORT), so that the kernel spreads the
 * connections. A loop polls its daemon's epoll descriptor and runs it from outside; the library's own epoll thread must never be used: it
 * freezes all connections when exactly 128 n events are ready (http_test.c has the proof). A request that may wait is handed to a handler
 * thread while its connection is suspended.
 */
#pragma once
#include "base/error.h"
#include "server/server.h"

typedef struct HttpServer HttpServer;

enum {
    HTTP_HEADER_BYTES_MAXIMUM = 32 << 10,
    HTTP_CONNECTION_BUFFER = 64 << 10,
    HTTP_CONNECTIONS_MAXIMUM = 8192, /* per loop */
    HTTP_BODY_TIMEOUT = 60,          /* seconds, unless configured: for a whole collected body, or between two pieces of a stream */
    HTTP_IDLE_TIMEOUT = 75,          /* seconds without a byte */
    HTTP_DRAIN_TIMEOUT = 20,         /* seconds that http_close grants to requests under way, before server_hurry */
    HTTP_LINGER_SECONDS = 5,         /* how long a refused body is still read, so that the reply is not lost to a reset */
};

/* Binds config.listen_host and listen_port (0: any free one) and serves. STATUS_CONFIGURATION when the address is bad or taken. */
Status http_open(HttpServer **out, Server *server, Error *err);
/* The port that was bound. */
int http_port(const HttpServer *http);
/* Requests that no handler thread has begun. NULL is fine: none. */
size_t http_waiting(const HttpServer *http);
/* Stops accepting, lets requests under way end, closes. NULL is fine. */
void http_close(HttpServer *http);
