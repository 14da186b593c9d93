/* Pipeline: the way of every request, one function a step: route, authenticate, rate limit, role, body, decode, idempotency, handler,
 * reply, access log.
 *
 * The http room fills a Request's head and calls pipeline_run until it says PIPELINE_REPLY:
 *     PIPELINE_WAIT   the next step may wait: call again from a handler thread with may_wait
 *     PIPELINE_BODY   collect the body (route->body_maximum bytes at most) or, for a stream, write it to pending_object; then call again
 *     PIPELINE_PARKED the request waits for something without a thread: whoever it waits for calls rq->resume(rq), perhaps before this call has
 *                     returned, so that the caller may not touch it any more; resume calls again from a handler thread
 *     PIPELINE_REPLY  rq->response is complete and the exchange is logged
 * Which thread calls does not matter, as long as it is one at a time.
 */
#pragma once
#include <stdbool.h>

#include "server/api/rate_limit.h"
#include "server/api/request.h"
#include "server/api/route.h"

typedef enum PipelineState { PIPELINE_REPLY, PIPELINE_BODY, PIPELINE_WAIT, PIPELINE_PARKED } PipelineState;

typedef struct IdempotencyTicket IdempotencyTicket;

/* What the steps tell each other. Lives in Request.passage. */
typedef struct Passage {
    int step;        /* of the table in pipeline.c */
    bool may_wait;   /* of the present call */
    bool decoded;    /* streams are decoded before their body */
    bool nested;     /* see pipeline_nested: the caller is known and counted */
    size_t body_maximum; /* bytes that may be collected, set before PIPELINE_BODY */
    double started;      /* clock_monotonic */
    RateVerdict rate; /* limit 0: not counted */
    IdempotencyTicket *ticket; /* held while this request is the first try under its key */
    bool replayed;
    const char *secret_name, *secret_id; /* see request_reply_is_secret */
    Request *next_parked; /* see KeyCache.parked */
    int64_t retry_after; /* seconds, of a 429 that is not the rate limit's */
} Passage;

/* Makes rq ready for a new exchange; its arena and buffers may hold memory of an earlier one. The caller then fills method, path, query,
 * base_url, remote_address, content_length and http. */
void request_open(Request *rq, Server *server);
/* Gives back what the reply does not need, before it is sent: the session, which others may wait for, and the file of an object that came to
 * nothing, of which whoever reads the reply should find no trace. */
void request_release(Request *rq);
/* The rest: open file, buffers, the memory of the arena but one block. */
void request_close(Request *rq);

PipelineState pipeline_run(Request *rq, bool may_wait);
/* Ends the passage where it stands with a failure that the http room found (408, 413, 400): reply and access log are made. */
void pipeline_refuse(Request *rq, Status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The text of a 413, of a body that is longer than passage->body_maximum. */
const char *pipeline_too_large(Request *rq);
/* The peer went away before its reply: noted in the log, and a first try under an idempotency key is given up. */
void pipeline_abandon(Request *rq);

/* The reply to a nested request, in the arena of the request that made it. */
typedef struct NestedReply {
    int status;
    const char *body; /* "" when there is none */
    size_t size;
} NestedReply;
/* Runs another operation on behalf of a request that is being handled on a handler thread: as its caller, with its role, as if it had come over
 * HTTP, but neither authenticated nor counted again. target is path and query; body is JSON text or NULL. Operations that take or give a stream of
 * bytes are refused with 422. */
void pipeline_nested(Request *rq, HttpMethod method, const char *target, const char *body, NestedReply *out);
