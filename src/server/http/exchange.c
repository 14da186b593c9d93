/* The library's three callbacks: a request line came, a request goes on, a request ended. See exchange.h for the phases. */
#include "server/http/exchange.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/http/client_address.h"
#include "server/http/head.h"
#include "server/objects/objects.h"

#include "base/banned.h"

enum { SPARES_MAXIMUM = 64 };

/* --- coming and going --- */

static Exchange *exchange_get(HttpThread *thread) {
    Exchange *x = thread->spare;
    if (x) {
        thread->spare = x->next;
        thread->spare_count--;
    } else {
        x = xcalloc(1, sizeof *x);
    }
    x->thread = thread;
    x->phase = PHASE_LINE;
    x->linger_fd = -1;
    x->previous = NULL;
    x->next = thread->active;
    if (x->next) x->next->previous = x;
    thread->active = x;
    return x;
}

static void exchange_put(Exchange *x) {
    HttpThread *thread = x->thread;
    *(x->previous ? &x->previous->next : &thread->active) = x->next;
    if (x->next) x->next->previous = x->previous;
    request_close(&x->rq);
    if (thread->spare_count >= SPARES_MAXIMUM || x->body.capacity > HTTP_CONNECTION_BUFFER) buffer_clear(&x->body);
    if (thread->spare_count >= SPARES_MAXIMUM) {
        arena_clear(&x->rq.arena);
        free(x);
        return;
    }
    x->next = thread->spare;
    thread->spare = x;
    thread->spare_count++;
}

void exchange_free_spares(HttpThread *thread) {
    for (Exchange *x = thread->spare, *next; x; x = next) {
        next = x->next;
        buffer_clear(&x->body);
        arena_clear(&x->rq.arena);
        free(x);
    }
    thread->spare = NULL;
    thread->spare_count = 0;
}

int exchange_socket(const Exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* From any thread: a request that was parked goes on. */
static void resume(Request *rq) {
    Exchange *x = rq->http;
    handler_pool_submit(x->thread->pool, &x->task);
}

void *exchange_on_line(void *cls, const char *uri, struct MHD_Connection *connection) {
    HttpThread *thread = cls;
    Exchange *x = exchange_get(thread);
    x->connection = connection;
    x->deadline = clock_monotonic() + thread->server->config.body_timeout; /* for the rest of the head */
    Request *rq = &x->rq;
    request_open(rq, thread->server);
    rq->http = x;
    rq->resume = resume;
    if (strncasecmp(uri, "http://", 7) == 0) { /* the form that proxies use */
        const char *path = strchr(uri + 7, '/');
        uri = path ? path : "/";
    }
    const char *question = strchr(uri, '?');
    rq->path = question ? arena_strndup(&rq->arena, uri, (size_t)(question - uri)) : arena_strdup(&rq->arena, uri);
    rq->query = question ? arena_strdup(&rq->arena, question + 1) : "";
    return x;
}

/* Keeps the socket open past the library's close, so that what the peer still sends is read. */
static void keep_for_lingering(Exchange *x) {
    if (x->linger_fd < 0) x->linger_fd = dup(exchange_socket(x));
}

static void start_lingering(Exchange *x) {
    HttpThread *thread = x->thread;
    shutdown(x->linger_fd, SHUT_WR);
    if (thread->lingering_count == LINGERING_MAXIMUM) {
        close(thread->lingering[0].fd);
        thread->lingering[0] = thread->lingering[--thread->lingering_count];
    }
    thread->lingering[thread->lingering_count++] = (Lingering){x->linger_fd, clock_monotonic() + HTTP_LINGER_SECONDS};
    x->linger_fd = -1;
}

void exchange_on_end(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why) {
    (void)cls, (void)connection, (void)why;
    Exchange *x = *state;
    if (!x) return;
    *state = NULL;
    bool waited = x->phase == PHASE_HEAD_WAITING || x->phase == PHASE_PIECE_WAITING || x->phase == PHASE_END_WAITING;
    if (waited) x->thread->suspended--; /* the peer went away meanwhile */
    if (x->phase != PHASE_REPLYING && x->phase != PHASE_REFUSED) pipeline_abandon(&x->rq);
    if (x->linger_fd >= 0) start_lingering(x);
    exchange_put(x);
}

/* --- the head --- */

static HttpMethod method_from_name(const char *name) {
    static const struct {
        const char *name;
        HttpMethod method;
    } METHODS[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST}, {"PUT", HTTP_PUT}, {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++)
        if (strcmp(METHODS[i].name, name) == 0) return METHODS[i].method;
    return HTTP_OTHER;
}

static const char *address_text(struct MHD_Connection *connection, Arena *arena) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr) return "";
    char text[INET6_ADDRSTRLEN] = "";
    if (info->client_addr->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr, text, sizeof text);
        return arena_strdup(arena, strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text);
    }
    inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr, text, sizeof text);
    return arena_strdup(arena, text);
}

/* Fields that decide what a request is: one that comes twice has no meaning, or another one for a proxy than for us. */
typedef enum SingleField { FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING, FIELD_HOST, FIELD_API_KEY, FIELD_CONTENT_TYPE, FIELD_IDEMPOTENCY_KEY, SINGLE_FIELDS } SingleField;

static const struct {
    const char *name;
    size_t length;
} SINGLE[SINGLE_FIELDS] = {{"Content-Length", 14}, {"Transfer-Encoding", 17}, {"Host", 4}, {"X-API-Key", 9}, {"Content-Type", 12}, {"Idempotency-Key", 15}};

typedef struct HeadFields {
    int count[SINGLE_FIELDS];
    const char *value[SINGLE_FIELDS];
    const char *forwarded_for; /* the last one: nearest to us */
    bool malformed;            /* one of all fields is */
} HeadFields;

static enum MHD_Result see_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value, size_t value_size) {
    (void)kind;
    HeadFields *fields = cls;
    if (!head_field_is_sound(name, name_size, value, value ? value_size : 0)) fields->malformed = true;
    if (name_size == 15 && strcasecmp(name, "X-Forwarded-For") == 0) fields->forwarded_for = value;
    for (int i = 0; i < SINGLE_FIELDS; i++) {
        if (SINGLE[i].length != name_size || strcasecmp(name, SINGLE[i].name) != 0) continue;
        fields->count[i]++;
        fields->value[i] = value ? value : "";
    }
    return MHD_YES;
}

static int64_t announced_length(const HeadFields *fields) {
    if (fields->count[FIELD_TRANSFER_ENCODING]) return -1;
    return fields->count[FIELD_CONTENT_LENGTH] ? head_content_length(fields->value[FIELD_CONTENT_LENGTH]) : 0;
}

/* What makes a head ambiguous or too large, in the words of the reply; NULL when it is sound. Two readers of one ambiguous head (a proxy and we)
 * would disagree about where the next request begins. */
static const char *head_fault(const HeadFields *fields, size_t size, bool http_1_0, Arena *arena) {
    if (size > HTTP_HEADER_BYTES_MAXIMUM) return "Header fields exceed 32 KB";
    if (fields->malformed) return "A header field is malformed";
    for (int i = 0; i < SINGLE_FIELDS; i++)
        if (fields->count[i] > 1) return arena_printf(arena, "More than one %s", SINGLE[i].name);
    bool chunked = fields->count[FIELD_TRANSFER_ENCODING] > 0;
    if (chunked && fields->count[FIELD_CONTENT_LENGTH]) return "Both Content-Length and Transfer-Encoding";
    if (!chunked && announced_length(fields) < 0) return "Content-Length is not a number";
    if (chunked && (strcasecmp(fields->value[FIELD_TRANSFER_ENCODING], "chunked") != 0 || http_1_0)) return "Unsupported Transfer-Encoding";
    return NULL;
}

/* Fills the request from the head; a faulty one is refused. */
static void read_head(Exchange *x, const char *method, const char *version) {
    Request *rq = &x->rq;
    HeadFields fields = {0};
    MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, see_field, &fields);
    rq->method = method_from_name(method);
    rq->content_length = announced_length(&fields);
    const Config *config = &rq->server->config;
    rq->remote_address = client_address(config->trusted_proxies, address_text(x->connection, &rq->arena), fields.forwarded_for, &rq->arena);
    if (config->public_url) rq->base_url = config->public_url;
    else if (head_host_is_plain(fields.value[FIELD_HOST])) rq->base_url = arena_printf(&rq->arena, "http://%s", fields.value[FIELD_HOST]);
    else rq->base_url = arena_printf(&rq->arena, "http://%s:%d", config->listen_host, config->listen_port);

    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *fault = head_fault(&fields, info ? info->header_size : 0, strcmp(version, "HTTP/1.0") == 0, &rq->arena);
    if (fault) {
        if (rq->content_length == 0) rq->content_length = -1; /* whether a body follows is anyone's guess */
        pipeline_refuse(rq, STATUS_BAD_REQUEST, "%s", fault);
    }
}

const char *request_header(const Request *rq, const char *name) {
    const Exchange *x = rq->http;
    return x ? MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name) : NULL;
}

/* --- going on --- */

static void write_piece(Exchange *x) {
    Request *rq = &x->rq;
    Error err = {0};
    Status status = object_writer_write(rq->pending_object, x->body.data, x->body.size, &err);
    x->state = status == STATUS_OK ? PIPELINE_BODY : PIPELINE_REPLY;
    if (status != STATUS_OK) pipeline_refuse(rq, status, "%s", err.message);
}

/* On a handler thread. */
static void work(HandlerTask *task) {
    Exchange *x = (Exchange *)(void *)((char *)task - offsetof(Exchange, task));
    if (x->phase == PHASE_PIECE_WAITING) {
        write_piece(x);
        atomic_store(&x->piece_done, true);
    } else {
        PipelineState state = pipeline_run(&x->rq, true);
        if (state == PIPELINE_PARKED) return; /* another thread may run x already */
        x->state = state;
    }
    HttpThread *thread = x->thread; /* x may be gone the moment its connection goes on */
    MHD_resume_connection(x->connection);
    http_thread_wake(thread);
}

static enum MHD_Result hand_over(Exchange *x, ExchangePhase phase) {
    x->phase = phase;
    atomic_store(&x->piece_done, false);
    x->thread->suspended++;
    MHD_suspend_connection(x->connection);
    x->task.run = work;
    handler_pool_submit(x->thread->pool, &x->task);
    return MHD_YES;
}

static enum MHD_Result expect_body(Exchange *x) {
    x->phase = PHASE_BODY;
    x->deadline = clock_monotonic() + x->thread->server->config.body_timeout;
    x->body.maximum = x->rq.passage->body_maximum;
    buffer_reset(&x->body);
    return MHD_YES;
}

/* A reply to a head whose body has not been read ends the connection. */
static enum MHD_Result reply_to_head(Exchange *x) {
    if (x->rq.content_length != 0) keep_for_lingering(x);
    return reply_queue(x);
}

static enum MHD_Result run_head(Exchange *x) {
    switch (pipeline_run(&x->rq, false)) {
    case PIPELINE_WAIT: return hand_over(x, PHASE_HEAD_WAITING);
    case PIPELINE_BODY: return expect_body(x);
    default: return reply_to_head(x);
    }
}

static enum MHD_Result run_end(Exchange *x) {
    Request *rq = &x->rq;
    if (rq->route->body != BODY_BYTES) {
        rq->body = buffer_text(&x->body);
        rq->body_size = x->body.size;
    }
    return pipeline_run(rq, false) == PIPELINE_WAIT ? hand_over(x, PHASE_END_WAITING) : reply_queue(x);
}

/* In the middle of a body the library takes no reply: it is written to the socket, and the connection ends. */
static enum MHD_Result refuse_body(Exchange *x) {
    reply_write_raw(x);
    keep_for_lingering(x);
    x->phase = PHASE_REFUSED;
    return MHD_NO;
}

static enum MHD_Result take_piece(Exchange *x, const char *data, size_t *size) {
    Request *rq = &x->rq;
    bool stream = rq->route->body == BODY_BYTES;
    if (stream) buffer_reset(&x->body);
    bool taken = buffer_append(&x->body, data, *size);
    rq->received += (int64_t)*size;
    *size = 0;
    if (!taken) {
        pipeline_refuse(rq, STATUS_PAYLOAD_TOO_LARGE, "%s", pipeline_too_large(rq));
        return refuse_body(x);
    }
    return stream ? hand_over(x, PHASE_PIECE_WAITING) : MHD_YES;
}

/* With several chunks in its buffer the library goes on calling for a connection that was suspended a moment ago: nothing is taken then. */
static bool is_suspended(const Exchange *x) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
    return info && info->suspended == MHD_YES;
}

enum MHD_Result exchange_on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
                                    const char *upload, size_t *upload_size, void **state) {
    (void)connection, (void)url;
    Exchange *x = *state;
    switch (x->phase) {
    case PHASE_LINE:
        read_head(x, method, version);
        if (x->rq.response.status) return reply_to_head(x);
        if (x->rq.content_length != 0) return run_head(x);
        x->phase = PHASE_BARE;
        return MHD_YES;
    case PHASE_BARE: return run_head(x);
    case PHASE_HEAD_WAITING:
        ((HttpThread *)cls)->suspended--;
        return x->state == PIPELINE_BODY ? expect_body(x) : reply_to_head(x);
    case PHASE_PIECE_WAITING:
        if (is_suspended(x)) return MHD_YES;
        ((HttpThread *)cls)->suspended--;
        if (x->state == PIPELINE_REPLY) return refuse_body(x);
        x->phase = PHASE_BODY;
        x->deadline = clock_monotonic() + x->thread->server->config.body_timeout;
        __attribute__((fallthrough));
    case PHASE_BODY: return *upload_size ? take_piece(x, upload, upload_size) : run_end(x);
    case PHASE_END_WAITING:
        ((HttpThread *)cls)->suspended--;
        return reply_queue(x);
    default: return MHD_NO; /* a request that was refused between two pieces */
    }
}

/* A piece is written and no further byte has come, so that the library has not called: the wait for the next piece begins, or its failure is
 * answered. */
static void settle_piece(Exchange *x, double now) {
    if (x->phase != PHASE_PIECE_WAITING || !atomic_load(&x->piece_done) || is_suspended(x)) return;
    x->thread->suspended--;
    x->phase = PHASE_BODY;
    x->deadline = now + x->thread->server->config.body_timeout;
    if (x->state != PIPELINE_REPLY) return;
    refuse_body(x);
    shutdown(exchange_socket(x), SHUT_RDWR);
}

void exchange_sweep(HttpThread *thread, double now) {
    for (Exchange *x = thread->active; x; x = x->next) {
        settle_piece(x, now);
        if (now < x->deadline) continue;
        if (x->phase != PHASE_BODY && x->phase != PHASE_LINE) continue;
        pipeline_refuse(&x->rq, STATUS_REQUEST_TIMEOUT, x->phase == PHASE_BODY ? "Request body timed out" : "Request header timed out");
        reply_write_raw(x);
        x->phase = PHASE_REFUSED;
        shutdown(exchange_socket(x), SHUT_RDWR); /* the library sees the end and calls exchange_on_end */
    }
}
