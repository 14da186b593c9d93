/* Envelopes as the contract's ErrorResponse, ValidationErrorResponse and PaymentRequiredResponse; Range and If-None-Match; common headers. */
#include "server/api/reply.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/api/conditional.h"
#include "server/api/pipeline.h"

#include "base/banned.h"

/* Seconds after which a new attempt makes sense, when the failure itself does not say. */
enum { RETRY_UNAVAILABLE = 5, RETRY_IN_PROGRESS = 1 };

/* --- failures --- */

static void write_tail(JsonWriter *w, const Request *rq, const StatusInfo *info, const char *message) {
    json_field_string(w, "error_code", info->slug);
    json_field_string(w, "message", message);
    json_field_string(w, "request_id", rq->id);
}

/* detail lists every wrong field; a rule about the request as a whole is a list of one. */
static void write_validation(JsonWriter *w, Request *rq, const StatusInfo *info) {
    const char *message = rq->error.message;
    if (rq->errors.total == 0) field_error(&rq->errors, &FIELD_ROOT("body"), NULL, info->slug, "%s", message);
    else if (!message[0] || strcmp(message, info->slug) == 0) message = field_errors_summary(&rq->errors);
    json_key(w, "detail");
    field_errors_write(&rq->errors, w);
    write_tail(w, rq, info, message);
}

/* The figures come from the error context, absent ones are null. */
static void write_payment(JsonWriter *w, Request *rq, const StatusInfo *info) {
    static const char *const FIGURES[] = {"required", "remaining", "operation", "limit"};
    yyjson_doc *doc = rq->context.size ? json_parse(rq->context.data, rq->context.size, NULL) : NULL;
    json_key(w, "detail");
    json_begin_object(w);
    json_field_string(w, "message", rq->error.message);
    json_field_string(w, "upgrade_url", rq->server->config.upgrade_url);
    for (size_t i = 0; i < sizeof FIGURES / sizeof FIGURES[0]; i++) {
        yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(doc), FIGURES[i]);
        json_key(w, FIGURES[i]);
        if (value) json_value(w, value);
        else json_null(w);
    }
    json_end_object(w);
    write_tail(w, rq, info, rq->error.message);
    yyjson_doc_free(doc);
}

/* What went wrong inside is for the log, not for the caller. */
static void hide_internal(Request *rq, const StatusInfo *info) {
    if (info->http != 500 && info->http != 507) return;
    log_event(LOG_ERROR, "request_failed", "request_id", rq->id, "operation", rq->route ? rq->route->operation : "", "error", rq->error.message, NULL);
    if (info->http == 507) error_outward(&rq->error, NULL, NULL);
    else error_set(&rq->error, STATUS_INTERNAL_ERROR, "Internal error");
}

static void add_failure_headers(Request *rq, const StatusInfo *info) {
    const Passage *p = rq->passage;
    if (info->http == 401) response_header(rq, "WWW-Authenticate", "ApiKey header=\"X-API-Key\"");
    int64_t retry = 0;
    if (info->http == 429) retry = p->rate.retry_after ? p->rate.retry_after : p->retry_after;
    else if (info->http == 503 || info->http == 507) retry = rq->error.status == STATUS_IDEMPOTENCY_IN_PROGRESS ? RETRY_IN_PROGRESS : RETRY_UNAVAILABLE;
    if (retry) response_header(rq, "Retry-After", arena_printf(&rq->arena, "%lld", (long long)retry));
}

static void write_failure(Request *rq) {
    Response *r = &rq->response;
    const StatusInfo *info = status_info(rq->error.status);
    hide_internal(rq, info);
    if (rq->error_context) json_end_object(rq->error_context);
    if (r->file_fd >= 0) close(r->file_fd);
    r->file_fd = -1;
    r->etag = NULL;
    r->status = info->http;
    r->content_type = "application/json";
    buffer_reset(&r->body);
    JsonWriter w;
    json_writer_init(&w, &r->body);
    json_begin_object(&w);
    if (info->http == 422) {
        write_validation(&w, rq, info);
    } else if (info->http == 402) {
        write_payment(&w, rq, info);
    } else {
        json_field_string(&w, "detail", rq->error.message);
        write_tail(&w, rq, info, rq->error.message);
        if (rq->error_context) {
            json_key(&w, "context");
            json_raw(&w, rq->context.data, rq->context.size);
        }
    }
    json_end_object(&w);
    add_failure_headers(rq, info);
}

/* --- conditional requests --- */

static void drop_content(Response *r) {
    if (r->file_fd >= 0) close(r->file_fd);
    r->file_fd = -1;
    buffer_reset(&r->body);
}

static void apply_range(Request *rq) {
    Response *r = &rq->response;
    int64_t size = r->file_length;
    const char *if_range = request_header(rq, "If-Range");
    if (if_range && (!r->etag || strcmp(if_range, r->etag) != 0)) return;
    ByteRange range = conditional_range(request_header(rq, "Range"), size);
    if (range.kind == RANGE_WHOLE) return;
    if (range.kind == RANGE_OUTSIDE) {
        response_header(rq, "Content-Range", arena_printf(&rq->arena, "bytes */%lld", (long long)size));
        request_fail(rq, STATUS_RANGE_NOT_SATISFIABLE, "Range not satisfiable");
        write_failure(rq);
        return;
    }
    r->status = 206;
    r->file_offset = range.first;
    r->file_length = range.length;
    response_header(rq, "Content-Range", arena_printf(&rq->arena, "bytes %lld-%lld/%lld", (long long)range.first,
                                                      (long long)(range.first + range.length - 1), (long long)size));
}

static void apply_conditions(Request *rq) {
    Response *r = &rq->response;
    if (rq->method != HTTP_GET && rq->method != HTTP_HEAD) return;
    if (r->etag && (r->status == 304 || conditional_matches(request_header(rq, "If-None-Match"), r->etag))) {
        r->status = 304;
        drop_content(r);
    } else if (r->file_fd >= 0) {
        apply_range(rq);
    }
}

/* --- all replies --- */

static void add_common_headers(Request *rq) {
    const RateVerdict *rate = &rq->passage->rate;
    response_header(rq, "X-Request-Id", rq->id);
    if (rq->response.etag) response_header(rq, "ETag", rq->response.etag);
    if (rq->passage->replayed) response_header(rq, "Idempotency-Replayed", "true");
    if (!rate->limit) return;
    response_header(rq, "X-RateLimit-Limit", arena_printf(&rq->arena, "%lld", (long long)rate->limit));
    response_header(rq, "X-RateLimit-Remaining", arena_printf(&rq->arena, "%lld", (long long)rate->remaining));
    response_header(rq, "X-RateLimit-Reset", arena_printf(&rq->arena, "%lld", (long long)rate->reset));
}

void reply_finish(Request *rq) {
    if (rq->error.status != STATUS_OK) write_failure(rq);
    else if (rq->response.status == 200 || rq->response.status == 304) apply_conditions(rq);
    add_common_headers(rq);
}
