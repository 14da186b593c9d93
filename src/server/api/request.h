/* Request: one exchange, from the parsed head to the reply. It lives in its own arena, which is cleared once the reply is sent.
 *
 * A handler gets typed, valid input and returns a Status: STATUS_OK with its typed reply filled, or a failure whose text it put into
 * request->error, by
 *     return request_fail(rq, STATUS_NOT_FOUND, "Image not found");
 * For 422 it may name fields first: request_field_error(rq, "value_error", "Unknown class 'x'", "body", "annotations", "0", "name", NULL).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/field_errors.h"
#include "base/json.h"
#include "server/server.h"
#include "server/store/db.h"

typedef struct Route Route;               /* server/api/route.h; the table is generated */
typedef struct ObjectWriter ObjectWriter; /* server/objects/objects.h */

typedef enum AccessRole { ACCESS_NONE, ACCESS_VIEWER, ACCESS_MEMBER, ACCESS_ADMIN, ACCESS_OWNER } AccessRole;
/* "viewer" … "owner"; NULL for ACCESS_NONE */
const char *access_role_name(AccessRole role);
/* ACCESS_NONE when unknown */
AccessRole access_role_from_name(const char *name);

/* Who calls. Empty strings where there is no key (operations with role none). */
typedef struct Principal {
    char key_id[37];
    char organization_id[37];
    char user_id[37]; /* "" for a key without user */
    AccessRole role;  /* the key's, capped by the present role of its user */
    int64_t rate_limit;
    int64_t generation; /* of the key when it was checked; compared again before a write commits */
} Principal;

typedef enum HttpMethod { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_OTHER } HttpMethod;

enum { RESPONSE_HEADERS_MAXIMUM = 20, PATH_PARAMETERS_MAXIMUM = 4 };

/* A handler of a typed reply touches only `status` (and only where the operation has several good ones) and the headers; the generated
 * writer does the rest. Strings are literals or live in the request's arena. */
typedef struct Response {
    int status;
    Buffer body;              /* unless file_fd is set */
    const char *content_type; /* "application/json" at start */
    int file_fd;              /* body from this file instead, see response_file; -1: none */
    int64_t file_offset, file_length;
    const char *etag; /* quoted; If-None-Match is answered with 304 by it */
    struct { const char *name, *value; } headers[RESPONSE_HEADERS_MAXIMUM];
    int header_count;
} Response;

typedef struct Request {
    Arena arena;
    Server *server;
    const Route *route;
    Principal principal;
    char id[32]; /* req_…, equals X-Request-Id */
    HttpMethod method;
    const char *path;           /* undecoded, without the query */
    const char *query;          /* undecoded, "" when there is none */
    const char *base_url;       /* of absolute addresses: config.public_url or scheme://Host */
    const char *remote_address; /* "127.0.0.1"; for limits per address */
    const char *path_parameters[PATH_PARAMETERS_MAXIMUM]; /* decoded, in the order of the template */
    const char *body; /* whole, NUL-terminated body of JSON, form and multipart operations; "" when there is none */
    size_t body_size;
    int64_t received;       /* bytes of the body that came, streamed ones too */
    int64_t content_length; /* of the announced body; -1 when it comes in chunks, 0 without a body */
    void *input;            /* decoded input, set by route->decode */
    void *http;             /* the adapter's own state */
    void (*resume)(struct Request *rq); /* see PIPELINE_PARKED; set by the adapter */
    FieldErrors errors; /* fields that failed; a 422 lists them */
    Error error;
    JsonWriter *error_context; /* see request_error_context */
    Buffer context;
    DbSession *session; /* lazily borrowed by request_db */
    Response response;
    /* Streamed body: route->begin opens it, the http room writes what arrives, route->run commits it (and sets NULL). Whatever is left
     * here at the end is aborted. */
    ObjectWriter *pending_object;
    void *upload;            /* what begin leaves for run, in the arena */
    struct Passage *passage; /* the pipeline's own state */
} Request;

/* Value of a request header, case-insensitive; NULL when absent. Borrowed for the life of the request. */
const char *request_header(const Request *rq, const char *name);
/* Session for reading, borrowed for the life of the request. */
DbSession *request_db(Request *rq);
/* db_write, preceded in the same transaction by the check that the caller's key is still good (decisions.md 33), and followed by the note that the
 * request under its Idempotency-Key took effect. Failure text goes to rq->error. */
Status request_write(Request *rq, DbFunction function, void *context);
/* Cancels a job that the caller may cancel, and waits up to five seconds for its end. What is over already is no failure. */
Status request_cancel_job(Request *rq, const char *id);

Status request_fail(Request *rq, Status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One wrong field; loc as strings ended by NULL, a string of digits is an array index. */
void request_field_error(Request *rq, const char *type, const char *message, ...) __attribute__((sentinel));
/* Writer for members of the error's `context` object (403: required_role, role), or of `detail` of a 402 (required, remaining, operation, limit). */
JsonWriter *request_error_context(Request *rq);
/* 404 text of every feature: "Image not found". */
Status request_not_found(Request *rq, const char *noun);
/* True when the caller made it: same user, or same key when it has no user. created_by is a user id or a key id. */
bool request_owns(const Request *rq, const char *created_by);
/* What is stored as created_by: user of the key, else the key's id. */
const char *request_creator(const Request *rq);
/* STATUS_OK, or a 403 whose context says which role this very request needs. */
Status request_require_role(Request *rq, AccessRole role);
/* STATUS_OK, or a 403: nobody hands out or handles a role above their own. */
Status request_require_at_most_own(Request *rq, AccessRole role, Error *err);

/* The reply holds a secret: it is kept out of the idempotency table, replayed from memory for ten minutes and afterwards answered with
 * 409 already_exists, whose context names what was made by {name: id}. */
void request_reply_is_secret(Request *rq, const char *name, const char *id);

void response_header(Request *rq, const char *name, const char *value);
/* Answers with a file of this machine: Range, If-None-Match and HEAD are then seen to. md5 (hex, may be NULL) becomes
 * ETag and Content-MD5; download_name (may be NULL) becomes Content-Disposition. A file that is gone gives 404 "Object not found". */
Status response_file(Request *rq, const char *path, const char *content_type, const char *md5, const char *download_name);
/* The ETag of a reply that is made of these bytes. */
void response_etag(Request *rq, const void *bytes, size_t size);
/* Answers with bytes that are no JSON, or with JSON that is stored as text; the memory is copied. */
void response_bytes(Request *rq, const char *content_type, const void *data, size_t size);
