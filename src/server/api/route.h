/* Route: one operation of the contract, as the generator writes it (api_routes.c) and the pipeline reads it; and the matcher.
 *
 * Way of a request: route_match → (authenticate, rate limit, role) → route->decode → (idempotency) → route->run → reply.
 * Literal segments win over parameters, a trailing slash makes no difference, aliases are further rows with the same operations.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/api/decode.h"
#include "server/api/request.h"

typedef struct Route {
    const char *operation; /* operationId: "createProject" */
    HttpMethod method;
    const char *path; /* template, for metrics and logs: "/api/v1/developer/projects/{name}" */
    AccessRole role;  /* least role; ACCESS_NONE: no key is needed and none is looked at */
    const char *role_when;   /* what refines it, for people ("permanent=true: admin"); NULL when nothing does */
    const char *credit_slug; /* "sam3_per_minute"; NULL for a free operation */
    bool idempotent;         /* repeating it changes nothing more */
    bool takes_idempotency_key;
    bool quick; /* x-quick of the root document: a short read that may run on an event loop; everything else gets a handler thread */
    bool body_required;
    unsigned body;       /* of RouteBody */
    size_t body_maximum; /* bytes of a body that is collected, by limits.yaml */
    int success_status;  /* of the reply that the glue writes */
    /* Fills rq->input from path, query and body. STATUS_OK; a 422 code with every wrong field in rq->errors; STATUS_NOT_FOUND for a
     * malformed identifier in the path; STATUS_UNSUPPORTED_MEDIA_TYPE, STATUS_MALFORMED_JSON, STATUS_BAD_REQUEST (a malformed form),
     * STATUS_PAYLOAD_TOO_LARGE (the arena's limit). The text is in rq->error. */
    Status (*decode)(Request *rq);
    /* BODY_BYTES only, else NULL: begin_put_object(rq, in), called after decode and before the first byte; it opens rq->pending_object or
     * refuses. run comes after the last byte. */
    Status (*begin)(Request *rq);
    /* Calls the handler with rq->input and, on success, writes its typed reply with success_status. */
    Status (*run)(Request *rq);
} Route;

/* One spelling of a path: no trailing slash, each parameter written {}. Literal segments come before parameters: the first match counts;
 * the operations of one path stand together. */
typedef struct RoutePath {
    const char *pattern; /* "/api/v1/developer/projects/{}" */
    int segment_count;
    const Route *route;
} RoutePath;

/* Generated. All operations, and all their paths and aliases. */
extern const Route route_table[];
extern const size_t route_count;
extern const RoutePath route_paths[];
extern const size_t route_path_count;

/* Place of a route in route_table, for counters. */
#define route_index(route) ((size_t)((route) - route_table))

/* Generated: the served OpenAPI document as JSON text, as /openapi.json answers it. */
extern const char API_DOCUMENT[];
extern const size_t API_DOCUMENT_SIZE;
/* Generated while the tools feature is served: x-tools as the JSON array of the tool registry. */
extern const char API_TOOLS[];
extern const size_t API_TOOLS_SIZE;

typedef struct RouteMatch {
    const Route *route; /* NULL unless STATUS_OK */
    const char *parameters[PATH_PARAMETERS_MAXIMUM]; /* decoded, in the order of the template; in the arena */
    const char *allow; /* value of the Allow header, with STATUS_METHOD_NOT_ALLOWED; in the arena */
} RouteMatch;

/* path is undecoded, without the query; a trailing slash makes no difference; HEAD finds the GET operation. STATUS_OK;
 * STATUS_NOT_FOUND, also for a bad percent escape or bytes that are not UTF-8; STATUS_METHOD_NOT_ALLOWED. */
Status route_match(HttpMethod method, const char *path, Arena *arena, RouteMatch *out, Error *err);

/* What the generated glue is made of. */
typedef Status (*InputReader)(Decoder *decoder, void **input);
Status route_decode(Request *rq, InputReader reader);
Status route_decode_nothing(Request *rq); /* of operations that take no input */
/* A writer at the start of the reply's body; end it with route_reply_end. */
JsonWriter route_reply_begin(Request *rq);
Status route_reply_end(Request *rq, int status);
