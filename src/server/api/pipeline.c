/* The steps of every request, in their order. What a step does in depth lies in the file of its name beside this one. */
#include "server/api/pipeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/api/access_log.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/metrics.h"
#include "server/api/reply.h"
#include "server/api/resources.h"

#include "base/banned.h"

typedef enum StepResult {
    STEP_NEXT,  /* go on */
    STEP_REPLY, /* the reply is decided, or rq->error says why there is none: on to the reply */
    STEP_WAIT,  /* this step may wait: again, on a handler thread */
    STEP_BODY,  /* go on once the body has come */
    STEP_PARKED /* the request is no longer ours, see PIPELINE_PARKED */
} StepResult;

enum {
    DROPPED_BODY_MAXIMUM = 1 << 20,    /* of operations that read none */
    PIECE_MAXIMUM = 1 << 20,           /* of a stream */
    DECODED_INLINE_MAXIMUM = 32 << 10, /* a larger body is decoded on a handler thread */
};

static StepResult fail(Request *rq, Status status) {
    if (rq->error.status != status) error_set(&rq->error, status, "%s", status_info(status)->slug);
    return STEP_REPLY;
}

/* What leads nowhere is refused by require_route: a request with a key is counted all the same. */
static StepResult route(Request *rq, Passage *p) {
    (void)p;
    RouteMatch match = {0};
    Error none = {0};
    if (route_match(rq->method, rq->path, &rq->arena, &match, &none) != STATUS_OK) return STEP_NEXT;
    rq->route = match.route;
    memcpy(rq->path_parameters, match.parameters, sizeof rq->path_parameters);
    return STEP_NEXT;
}

static bool needs_no_key(const Request *rq, const Passage *p) { return p->nested || (rq->route ? rq->route->role == ACCESS_NONE : !request_header(rq, "X-API-Key")); }

/* The request around it may have waited for long: its key may be none any more. */
static StepResult authenticate_again(Request *rq) {
    Status status = principal_recheck(request_db(rq), &rq->principal, &rq->error);
    return status == STATUS_OK ? STEP_NEXT : fail(rq, status);
}

static StepResult authenticate(Request *rq, Passage *p) {
    if (p->nested) return authenticate_again(rq);
    if (needs_no_key(rq, p)) return STEP_NEXT;
    switch (authenticate_request(rq, p->may_wait)) {
    case AUTHENTICATED: return STEP_NEXT;
    case AUTHENTICATION_WAITS: return STEP_WAIT;
    case AUTHENTICATION_PARKED: return STEP_PARKED;
    default: return STEP_REPLY;
    }
}

static StepResult limit_rate(Request *rq, Passage *p) {
    if (needs_no_key(rq, p)) return STEP_NEXT;
    p->rate = rate_limiter_take(rq->server->rate_limiter, rq->principal.key_id, rq->principal.rate_limit, clock_now_ms() / 1000);
    if (p->rate.allowed) return STEP_NEXT;
    json_field_int(request_error_context(rq), "retry_after", p->rate.retry_after);
    return fail(rq, request_fail(rq, STATUS_RATE_LIMITED, "Rate limit exceeded; retry in %lld s", (long long)p->rate.retry_after));
}

static StepResult require_route(Request *rq, Passage *p) {
    (void)p;
    RouteMatch match = {0};
    if (rq->route) return STEP_NEXT;
    Status status = route_match(rq->method, rq->path, &rq->arena, &match, &rq->error);
    if (status == STATUS_METHOD_NOT_ALLOWED) response_header(rq, "Allow", match.allow);
    return fail(rq, status);
}

/* Whoever may not do a thing must not learn from a 403 or a 422 what another organization has: what the path names is looked up first. That takes
 * a query only when the request fails anyhow. */
static StepResult fail_unless_missing(Request *rq, Status status) {
    int http = status_info(status)->http;
    Error error = rq->error;
    if ((http == 403 || http == 422) && resource_is_missing(rq)) {
        rq->error_context = NULL; /* it spoke of the other failure */
        buffer_reset(&rq->context);
        return STEP_REPLY;
    }
    rq->error = error;
    return fail(rq, status);
}

static StepResult check_role(Request *rq, Passage *p) {
    (void)p;
    if (rq->route->role == ACCESS_NONE) return STEP_NEXT;
    Status status = request_require_role(rq, rq->route->role);
    return status == STATUS_OK ? STEP_NEXT : fail_unless_missing(rq, status);
}

static StepResult decode(Request *rq, Passage *p) {
    if (p->decoded || !rq->route->decode) return STEP_NEXT;
    if (!p->may_wait && rq->body_size > DECODED_INLINE_MAXIMUM) return STEP_WAIT;
    Status status = rq->route->decode(rq);
    p->decoded = true;
    if (status == STATUS_OK) return STEP_NEXT;
    return fail_unless_missing(rq, status);
}

const char *pipeline_too_large(Request *rq) {
    return arena_printf(&rq->arena, "Body exceeds %zu MB%s", rq->passage->body_maximum >> 20,
                        rq->route->body & BODY_MULTIPART ? "; a larger file goes to the address that upload-url answers with" : "");
}

static StepResult receive_body(Request *rq, Passage *p) {
    const char *coding = request_header(rq, "Content-Encoding");
    if (coding && rq->route->body != BODY_NONE && rq->content_length != 0 && !text_equal_ignoring_case(coding, "identity"))
        return fail(rq, request_fail(rq, STATUS_UNSUPPORTED_MEDIA_TYPE, "Content-Encoding %.40s is not supported; send the body as it is", coding));
    bool stream = rq->route->body == BODY_BYTES;
    p->body_maximum = rq->route->body == BODY_NONE ? DROPPED_BODY_MAXIMUM : stream ? PIECE_MAXIMUM : rq->route->body_maximum;
    if (!stream && rq->content_length > (int64_t)p->body_maximum)
        return fail(rq, request_fail(rq, STATUS_PAYLOAD_TOO_LARGE, "%s", pipeline_too_large(rq)));
    if (!stream) return rq->content_length == 0 ? STEP_NEXT : STEP_BODY;
    if (!p->may_wait) return STEP_WAIT; /* it looks into the database */
    StepResult result = decode(rq, p);
    if (result != STEP_NEXT) return result;
    Status status = rq->route->begin(rq);
    if (status != STATUS_OK) return fail(rq, status);
    return rq->content_length == 0 ? STEP_NEXT : STEP_BODY;
}

static StepResult check_idempotency(Request *rq, Passage *p) {
    const char *key = rq->route->takes_idempotency_key ? request_header(rq, "Idempotency-Key") : NULL;
    if (!key) return STEP_NEXT;
    if (!p->may_wait) return STEP_WAIT;
    switch (idempotency_begin(rq->server->idempotency, rq, key, &p->ticket)) {
    case IDEMPOTENCY_FIRST: return STEP_NEXT;
    case IDEMPOTENCY_REPLAY: p->replayed = true; return STEP_REPLY;
    default: return STEP_REPLY;
    }
}

static StepResult handle(Request *rq, Passage *p) {
    if (!p->may_wait && !rq->route->quick) return STEP_WAIT;
    Status status = rq->route->run(rq);
    if (status == STATUS_OK && rq->response.body.failed) status = request_fail(rq, STATUS_INTERNAL_ERROR, "The reply is too large");
    if (status != STATUS_OK) return fail_unless_missing(rq, status);
    rq->error.status = STATUS_OK; /* of something that the handler got over */
    return STEP_REPLY;
}

static StepResult reply(Request *rq, Passage *p) {
    request_release(rq);
    reply_finish(rq);
    if (p->ticket) idempotency_finish(rq->server->idempotency, p->ticket, rq);
    p->ticket = NULL;
    return STEP_NEXT;
}

static StepResult write_log(Request *rq, Passage *p) {
    double seconds = clock_monotonic() - p->started;
    const Response *r = &rq->response;
    metrics_observe(rq->server->metrics, rq->route, r->status, seconds, rq->received, r->file_fd >= 0 ? r->file_length : (int64_t)r->body.size);
    access_log_write(rq->server->access_log, rq, seconds);
    return STEP_NEXT;
}

typedef StepResult (*Step)(Request *rq, Passage *p);

static const Step STEPS[] = {route, authenticate, limit_rate, require_route, check_role, receive_body, decode, check_idempotency, handle, reply, write_log};
enum { STEP_COUNT = sizeof STEPS / sizeof STEPS[0], STEP_OF_REPLY = STEP_COUNT - 2 };

PipelineState pipeline_run(Request *rq, bool may_wait) {
    Passage *p = rq->passage;
    p->may_wait = may_wait;
    while (p->step < STEP_COUNT) {
        switch (STEPS[p->step](rq, p)) {
        case STEP_NEXT: p->step++; break;
        case STEP_REPLY: p->step = STEP_OF_REPLY; break;
        case STEP_BODY: p->step++; return PIPELINE_BODY;
        case STEP_WAIT: return PIPELINE_WAIT;
        case STEP_PARKED: return PIPELINE_PARKED;
        }
    }
    return PIPELINE_REPLY;
}

void pipeline_refuse(Request *rq, Status status, const char *format, ...) {
    char text[sizeof rq->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    request_fail(rq, status, "%s", text);
    rq->passage->step = STEP_OF_REPLY;
    pipeline_run(rq, false);
}

void pipeline_nested(Request *rq, HttpMethod method, const char *target, const char *body, NestedReply *out) {
    Request inner = {0};
    const char *query = strchr(target, '?');
    arena_init(&inner.arena, 0);
    request_open(&inner, rq->server);
    inner.method = method;
    inner.path = query ? arena_strndup(&inner.arena, target, (size_t)(query - target)) : target;
    inner.query = query ? query + 1 : "";
    inner.base_url = rq->base_url;
    inner.remote_address = rq->remote_address;
    inner.principal = rq->principal;
    inner.body = body ? body : "";
    inner.body_size = strlen(inner.body);
    inner.content_length = (int64_t)inner.body_size;
    inner.passage->nested = true;
    PipelineState state = pipeline_run(&inner, true);
    if (state == PIPELINE_BODY && inner.route->body == BODY_BYTES) pipeline_refuse(&inner, STATUS_VALIDATION_ERROR, "This operation takes bytes");
    else if (state == PIPELINE_BODY) pipeline_run(&inner, true);
    *out = (NestedReply){inner.response.status, arena_strndup(&rq->arena, buffer_text(&inner.response.body), inner.response.body.size), inner.response.body.size};
    request_close(&inner);
    arena_clear(&inner.arena);
}

void pipeline_abandon(Request *rq) {
    Passage *p = rq->passage;
    if (p->ticket) idempotency_finish(rq->server->idempotency, p->ticket, rq); /* response.status is no success */
    p->ticket = NULL;
    if (p->step == 0 || p->step == STEP_COUNT) return; /* not even a head, which the library has answered as it could; or logged already */
    rq->response.status = 499; /* never on the wire: nginx's number for a peer that went away */
    write_log(rq, p);
}
