/* Exchange: one request on one connection, between the library's callbacks and the pipeline. Internal to the http room.
 *
 * Phases, in order; those marked * are skipped when nothing has to wait or there is no body:
 *     LINE          the request line is there, header fields still come
 *     BARE          there is no body: everything happens in the library's second call, because it closes a connection whose reply comes in the first
 *     HEAD_WAITING* suspended: a handler thread runs the first steps, or for requests without a body all of them
 *     BODY*         pieces arrive
 *     PIECE_WAITING* suspended: a handler thread writes a piece of a stream
 *     END_WAITING*  suspended: a handler thread runs the remaining steps
 *     REPLYING      the reply was queued
 *     REFUSED       a reply was written past the library, because it takes none in the middle of a body; the connection closes
 */
#pragma once
#include <microhttpd.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "server/api/pipeline.h"
#include "server/http/http.h"
#include "server/http/pool.h"

typedef enum ExchangePhase {
    PHASE_LINE,
    PHASE_BARE,
    PHASE_HEAD_WAITING,
    PHASE_BODY,
    PHASE_PIECE_WAITING,
    PHASE_END_WAITING,
    PHASE_REPLYING,
    PHASE_REFUSED,
} ExchangePhase;

typedef struct HttpThread HttpThread;

typedef struct Exchange {
    Request rq;
    HandlerTask task;
    HttpThread *thread;
    struct MHD_Connection *connection;
    ExchangePhase phase;
    PipelineState state;    /* what the handler thread's run ended with */
    Buffer body;            /* collected body, or the present piece of a stream */
    atomic_bool piece_done; /* the handler thread is through with the piece; the library may have nothing to call for */
    double deadline;        /* clock_monotonic at which a body that has not come is refused */
    int linger_fd;          /* duplicate of a socket whose body was refused; -1: none */
    struct Exchange *previous, *next; /* all of the thread that are under way */
} Exchange;

enum { LINGERING_MAXIMUM = 64 };

/* A connection that was answered before its body had come: read to its end, so that the kernel does not answer the peer's bytes with a reset
 * that destroys the reply. */
typedef struct Lingering {
    int fd;
    double deadline;
} Lingering;

struct HttpThread {
    Server *server;
    HandlerPool *pool;
    struct MHD_Daemon *daemon;
    int wake_fd;      /* eventfd that ends the loop's wait */
    Exchange *active; /* under way, newest first */
    Exchange *spare;  /* ended ones, kept for their memory */
    int spare_count;
    int suspended;    /* exchanges that a handler thread has */
    bool draining;    /* replies say Connection: close */
    Lingering lingering[LINGERING_MAXIMUM];
    int lingering_count;
};

/* From any thread. Resuming a connection does not wake a daemon that is polled from outside, so whoever resumes wakes. */
void http_thread_wake(HttpThread *thread);

/* The library's callbacks. cls is the HttpThread. */
void *exchange_on_line(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                    const char *upload, size_t *upload_size, void **state);
void exchange_on_end(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why);

/* Refuses bodies that are late; call about once a second. */
void exchange_sweep(HttpThread *thread, double now);
void exchange_free_spares(HttpThread *thread);

/* reply.c: hands rq->response to the library. */
enum MHD_Result reply_queue(Exchange *exchange);
/* The same past the library: writes status line, headers and body to the socket as they are. */
void reply_write_raw(Exchange *exchange);
int exchange_socket(const Exchange *exchange);
