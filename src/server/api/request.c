/* What handlers and steps ask of a Request: failures, database, replies. */
#include "server/api/request.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/pipeline.h"
#include "server/jobs/jobs.h"
#include "server/objects/objects.h"

#include "base/banned.h"

enum {
    ARENA_MAXIMUM = 192 << 20, /* a JSON body of 10 MB, parsed, with room */
    REPLY_MAXIMUM = 256 << 20,
    CONTEXT_MAXIMUM = 64 << 10,
    CANCEL_SECONDS = 5, /* what runs stops within two */
};

static const char *const ROLE_NAMES[] = {NULL, "viewer", "member", "admin", "owner"};

const char *access_role_name(AccessRole role) { return ROLE_NAMES[role]; }

AccessRole access_role_from_name(const char *name) {
    for (int i = ACCESS_VIEWER; name && i <= ACCESS_OWNER; i++)
        if (strcmp(ROLE_NAMES[i], name) == 0) return (AccessRole)i;
    return ACCESS_NONE;
}

/* Unique while the process lives, and not to be guessed from another one. A bijection of a counter (splitmix64), in 13 letters. */
static void make_id(Server *server, char out[32]) {
    static const char LETTERS[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t x = server->request_seed + atomic_fetch_add(&server->request_count, 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    memcpy(out, "req_", 4);
    for (int i = 0; i < 13; i++) out[4 + i] = LETTERS[(x >> (5 * i)) & 31];
    out[17] = '\0';
}

void request_open(Request *rq, Server *server) {
    Arena arena = rq->arena;
    arena.limit = ARENA_MAXIMUM;
    *rq = (Request){.arena = arena, .server = server, .query = "", .body = "", .base_url = "", .remote_address = ""};
    rq->passage = arena_new(&rq->arena, Passage);
    rq->passage->started = clock_monotonic();
    make_id(server, rq->id);
    field_errors_init(&rq->errors, &rq->arena);
    rq->response.content_type = "application/json";
    rq->response.file_fd = -1;
    buffer_init(&rq->response.body, REPLY_MAXIMUM);
    buffer_init(&rq->context, CONTEXT_MAXIMUM);
}

void request_release(Request *rq) {
    if (rq->session) db_session_release(rq->server->store, rq->session);
    object_writer_abort(rq->pending_object);
    rq->session = NULL;
    rq->pending_object = NULL;
}

void request_close(Request *rq) {
    request_release(rq);
    if (rq->response.file_fd >= 0) close(rq->response.file_fd);
    buffer_clear(&rq->response.body);
    buffer_clear(&rq->context);
    rq->response.file_fd = -1;
    arena_reset(&rq->arena);
}

/* --- failures --- */

Status request_fail(Request *rq, Status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(&rq->arena, format, args);
    va_end(args);
    return error_set(&rq->error, status, "%s", text);
}

Status request_not_found(Request *rq, const char *noun) { return request_fail(rq, STATUS_NOT_FOUND, "%s not found", noun); }

static FieldPath path_step(const FieldPath *parent, const char *name) {
    int64_t index;
    bool is_index = name[0] >= '0' && name[0] <= '9' && text_to_int(name, &index);
    return (FieldPath){parent, is_index ? NULL : name, is_index ? (size_t)index : 0};
}

void request_field_error(Request *rq, const char *type, const char *message, ...) {
    enum { DEEPEST = 12 };
    FieldPath steps[DEEPEST];
    int count = 0;
    va_list args;
    va_start(args, message);
    for (const char *name; (name = va_arg(args, const char *)) && count < DEEPEST; count++)
        steps[count] = path_step(count ? &steps[count - 1] : NULL, name);
    va_end(args);
    field_error(&rq->errors, count ? &steps[count - 1] : NULL, NULL, type, "%s", message);
}

JsonWriter *request_error_context(Request *rq) {
    if (!rq->error_context) {
        rq->error_context = arena_new(&rq->arena, JsonWriter);
        json_writer_init(rq->error_context, &rq->context);
        json_begin_object(rq->error_context);
    }
    return rq->error_context;
}

/* --- who calls --- */

const char *request_creator(const Request *rq) { return rq->principal.user_id[0] ? rq->principal.user_id : rq->principal.key_id; }

bool request_owns(const Request *rq, const char *created_by) { return text_equal(request_creator(rq), created_by); }

Status request_require_role(Request *rq, AccessRole role) {
    if (rq->principal.role >= role) return STATUS_OK;
    JsonWriter *w = request_error_context(rq);
    json_field_string(w, "required_role", access_role_name(role));
    json_field_string(w, "role", access_role_name(rq->principal.role));
    return request_fail(rq, STATUS_INSUFFICIENT_ROLE, "This operation needs the %s role", access_role_name(role));
}

Status request_require_at_most_own(Request *rq, AccessRole role, Error *err) {
    if (role <= rq->principal.role) return STATUS_OK;
    JsonWriter *w = request_error_context(rq);
    json_field_string(w, "required_role", access_role_name(role));
    json_field_string(w, "role", access_role_name(rq->principal.role));
    return error_set(err, STATUS_INSUFFICIENT_ROLE, "The role %s is above your own", access_role_name(role));
}

/* --- database --- */

DbSession *request_db(Request *rq) {
    if (!rq->session) rq->session = db_session(rq->server->store);
    return rq->session;
}

typedef struct CheckedWrite {
    Request *rq;
    DbFunction function;
    void *context;
} CheckedWrite;

static Status checked_write(DbSession *tx, void *context, Error *err) {
    const CheckedWrite *write = context;
    Request *rq = write->rq;
    if (rq->principal.key_id[0]) {
        Status status = principal_recheck(tx, &rq->principal, err);
        if (status != STATUS_OK) return status;
    }
    Status status = write->function(tx, write->context, err);
    IdempotencyTicket *ticket = rq->passage->ticket;
    return status == STATUS_OK && ticket ? idempotency_note(tx, ticket, rq, err) : status;
}

Status request_write(Request *rq, DbFunction function, void *context) {
    return db_write(rq->server->store, checked_write, &(CheckedWrite){rq, function, context}, &rq->error);
}

typedef struct Cancellation {
    Jobs *jobs;
    const char *id;
} Cancellation;

static Status cancel_job(DbSession *tx, void *context, Error *err) {
    const Cancellation *c = context;
    return job_cancel(tx, c->jobs, c->id, err);
}

Status request_cancel_job(Request *rq, const char *id) {
    Status status = request_write(rq, cancel_job, &(Cancellation){rq->server->jobs, id});
    if (status != STATUS_OK) return status;
    jobs_wake(rq->server->jobs);
    double deadline = clock_monotonic() + CANCEL_SECONDS;
    while (clock_monotonic() < deadline && db_get_int(request_db(rq), NULL, 0, "SELECT 1 FROM jobs WHERE id = $1", DB_TEXT(id))) clock_sleep(0.02);
    return STATUS_OK;
}

/* --- replies --- */

void request_reply_is_secret(Request *rq, const char *name, const char *id) {
    rq->passage->secret_name = name;
    rq->passage->secret_id = id;
}

void response_header(Request *rq, const char *name, const char *value) {
    Response *r = &rq->response;
    if (r->header_count == RESPONSE_HEADERS_MAXIMUM) abort(); /* a handler with that many is a mistake of ours */
    r->headers[r->header_count].name = name;
    r->headers[r->header_count++].value = value;
}

/* RFC 6266: a plain form for old readers, where what is not plain becomes '_', and the exact one. */
static const char *content_disposition(Arena *arena, const char *name) {
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    Buffer text;
    buffer_init(&text, 8192);
    buffer_append_text(&text, "attachment; filename=\"");
    for (const char *p = name; *p; p++) buffer_append_byte(&text, strchr(PLAIN, *p) || *p == ' ' ? *p : '_');
    buffer_append_text(&text, "\"; filename*=UTF-8''");
    buffer_append_escaped(&text, name);
    const char *value = text.failed ? "attachment" : arena_strdup(arena, text.data);
    buffer_clear(&text);
    return value;
}

static void add_md5(Request *rq, const char *md5) {
    unsigned char bytes[MD5_SIZE];
    for (int i = 0; i < MD5_SIZE; i++) {
        char pair[3] = {md5[2 * i], md5[2 * i + 1], '\0'};
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    char text[4 * ((MD5_SIZE + 2) / 3) + 1];
    hash_base64(bytes, sizeof bytes, text);
    response_header(rq, "Content-MD5", arena_strdup(&rq->arena, text));
    rq->response.etag = arena_printf(&rq->arena, "\"%s\"", md5);
}

void response_etag(Request *rq, const void *bytes, size_t size) {
    unsigned char digest[SHA256_SIZE];
    char tag[SHA256_HEX_SIZE];
    hash_sha256(bytes, size, digest);
    hash_hex(digest, sizeof digest, tag);
    rq->response.etag = arena_printf(&rq->arena, "\"%s\"", tag);
}

Status response_file(Request *rq, const char *path, const char *content_type, const char *md5, const char *download_name) {
    Response *r = &rq->response;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat facts;
    if (fd < 0) return request_not_found(rq, "Object");
    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        close(fd);
        return request_not_found(rq, "Object");
    }
    r->status = 200;
    r->file_fd = fd;
    r->file_offset = 0;
    r->file_length = facts.st_size;
    r->content_type = content_type;
    response_header(rq, "Accept-Ranges", "bytes");
    if (md5 && strlen(md5) == MD5_HEX_SIZE - 1) add_md5(rq, md5);
    if (download_name) response_header(rq, "Content-Disposition", content_disposition(&rq->arena, download_name));
    return STATUS_OK;
}

void response_bytes(Request *rq, const char *content_type, const void *data, size_t size) {
    rq->response.status = 200;
    rq->response.content_type = content_type;
    buffer_reset(&rq->response.body);
    buffer_append(&rq->response.body, data, size);
}
