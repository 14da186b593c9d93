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
