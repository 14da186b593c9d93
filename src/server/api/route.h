<<<<<<< HEAD
/* Route: one operation of the contract, as the generator writes it (api_routes.c) and the pipeline reads it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/api/request.h"

typedef enum BodyKind {
    BODY_NONE,      /* whatever came is dropped */
    BODY_JSON,      /* application/json */
    BODY_FORM,      /* application/x-www-form-urlencoded */
    BODY_MULTIPART, /* multipart/form-data */
    BODY_STREAM,    /* bytes that go to an object as they arrive: putObject */
} BodyKind;

struct Route {
    const char *operation_id; /* "getProject" */
    HttpMethod method;
    const char *path;     /* template, for metrics and logs: "/api/v1/developer/projects/{name}" */
    AccessRole role;      /* x-role; ACCESS_NONE: no key is asked for */
    bool quick;           /* x-quick: a short read that may run on the event loop; everything else gets a handler thread */
    bool idempotency_key; /* takes Idempotency-Key: POST, PUT and PATCH with a key */
    BodyKind body;
    bool body_required;
    size_t body_maximum; /* bytes of a collected body */
    /* The names of the path parameters in the order of the template: {"image_id"}; ended by NULL. */
    const char *path_names[PATH_PARAMETERS_MAXIMUM + 1];
    /* Reads path, query and body into rq->input and every wrong field into rq->errors. STATUS_OK, the status of rq->errors, or
     * STATUS_MALFORMED_JSON and STATUS_NOT_FOUND (a malformed id in the path) with their text in rq->error. */
    Status (*decode)(Request *rq);
    /* Streams only: called after decode and before the first byte; opens rq->pending_object or refuses. NULL otherwise. */
    Status (*begin)(Request *rq);
    /* Calls the typed handler and, when that returns STATUS_OK, writes its reply into rq->response. */
    Status (*run)(Request *rq);
};

/* One spelling of a path: no trailing slash, each parameter written {}. Literal segments come before parameters: the first match counts. */
typedef struct RoutePath {
    const char *pattern; /* "/api/v1/developer/projects/{}" */
    const Route *route;
} RoutePath;

/* Generated. All operations, and all their paths and aliases. */
extern const Route ROUTES[];
extern const size_t ROUTE_COUNT;
extern const RoutePath ROUTE_PATHS[];
extern const size_t ROUTE_PATH_COUNT;

/* Place of a route in ROUTES, for counters. */
#define route_index(route) ((size_t)((route) - ROUTES))
=======
/* Route: which operation a request means. The tables are generated from the contract (tools/apigen.py writes api_routes.c); this is
 * what they look like, and the matcher.
 *
 * Way of a request: route_match → (authenticate, rate limit, role) → route->decode → (idempotency) → route->run → reply.
 * Literal segments win over parameters, a trailing slash makes no difference, aliases are further rows with the same operations.
 */
#pragma once
#include "server/api/decode.h"
#include "server/api/request.h"

/* What an operation accepts as a body; several may be set. */
typedef enum RouteBody {
    BODY_NONE = 0,
    BODY_JSON = 1,      /* application/json */
    BODY_FORM = 2,      /* application/x-www-form-urlencoded */
    BODY_MULTIPART = 4, /* multipart/form-data, whole in memory */
    BODY_BYTES = 8,     /* streamed to the handler as it is; its type is the handler's to judge */
} RouteBody;

typedef struct Route {
    const char *operation; /* operationId: "createProject" */
    HttpMethod method;
    const char *path; /* "/api/v1/developer/projects/{name}" */
    AccessRole role;  /* least role; ACCESS_NONE: no key is needed and none is looked at */
    const char *role_when;  /* what refines it, for people ("permanent=true: admin"); NULL when nothing does */
    bool idempotent;        /* repeating it changes nothing more */
    bool takes_idempotency_key;
    bool body_required;
    unsigned body; /* of RouteBody */
    const char *credit_slug; /* "sam3_per_minute"; NULL for a free operation */
    int success_status;      /* of the reply that the glue writes */
    bool quick;              /* x-quick: a short read that may run on an event loop; everything else gets a handler thread */
    /* Fills rq->input from path, query and body. STATUS_OK; STATUS_NOT_FOUND for a malformed identifier in the path;
     * STATUS_UNSUPPORTED_MEDIA_TYPE, STATUS_MALFORMED_JSON, STATUS_BAD_REQUEST; STATUS_VALIDATION_ERROR or a more special 422 code with
     * every wrong field in rq->errors. */
    Status (*decode)(Request *rq);
    /* BODY_BYTES only, else NULL: begin_put_object(rq, in), called after decode and before the first byte; it opens rq->pending_object or
     * refuses. run comes after the last byte. */
    Status (*begin)(Request *rq);
    /* Calls the handler with rq->input and, on success, writes its typed reply with success_status. */
    Status (*run)(Request *rq);
} Route;

/* One template and its operations. */
typedef struct RoutePath {
    const char *const *segments; /* NULL stands for a parameter */
    int segment_count;
    const Route *routes; /* one a method */
    int route_count;
    const char *allow; /* "GET, HEAD, POST" */
} RoutePath;

/* Generated, the more special template before the more general one. */
extern const RoutePath route_paths[];
extern const int route_path_count;
extern const Route route_table[];
extern const int route_count;
/* Generated: the served OpenAPI document as JSON text, as /openapi.json answers it. */
extern const char api_document[];
extern const size_t api_document_size;

typedef struct RouteMatch {
    const Route *route; /* NULL unless STATUS_OK */
    const char *parameters[PATH_PARAMETERS_MAXIMUM]; /* decoded, in the order of the template; in the arena */
    const char *allow; /* for the Allow header, with STATUS_METHOD_NOT_ALLOWED */
} RouteMatch;

/* path is undecoded, without the query. HEAD finds the GET operation. STATUS_OK; STATUS_NOT_FOUND; STATUS_METHOD_NOT_ALLOWED;
 * STATUS_BAD_REQUEST for a bad percent escape or bytes that are not UTF-8. */
Status route_match(HttpMethod method, const char *path, Arena *arena, RouteMatch *out, Error *err);

/* What the generated rows are made of. */
typedef Status (*InputReader)(Decoder *decoder, void **input);
Status route_decode(Request *rq, InputReader reader);
Status route_decode_nothing(Request *rq); /* of operations that take no input */
/* A writer positioned at the start of the reply's body; end it with route_reply_end. */
JsonWriter route_reply_begin(Request *rq);
Status route_reply_end(Request *rq, int status);
>>>>>>> b611b3c (wip)
