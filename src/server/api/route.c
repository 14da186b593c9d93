/* Finding the route of a request, and what the generated glue is made of. */
#include "server/api/route.h"

#include <string.h>

#include "base/text.h"
#include "base/banned.h"

enum { MOST_SEGMENTS = 16 };

typedef struct Segments {
    const char *items[MOST_SEGMENTS]; /* decoded */
    bool has_nul[MOST_SEGMENTS];      /* the decoded bytes go on behind a NUL */
    int count;
} Segments;

/* Splits at slashes, then decodes, so that an encoded slash stays inside its segment. */
static Status split(const char *path, Arena *arena, Segments *out, Error *err) {
    while (*path == '/') {
        const char *start = path + 1;
        size_t size = strcspn(start, "/");
        path = start + size;
        if (size == 0 && *path == '\0' && out->count > 0) return STATUS_OK; /* trailing slash */
        if (out->count == MOST_SEGMENTS) return error_set(err, STATUS_NOT_FOUND, "Not found");
        size_t decoded = 0;
        char *segment = percent_decode(arena, start, size, false, &decoded);
        if (!segment) return error_set(err, STATUS_NOT_FOUND, "Not found: the path has a bad percent escape or is not UTF-8");
        out->has_nul[out->count] = strlen(segment) != decoded;
        out->items[out->count++] = segment;
    }
    return *path ? error_set(err, STATUS_NOT_FOUND, "Not found") : STATUS_OK;
}

/* Behind the segment of the pattern when it is the given one, else NULL. Open-coded: it runs for each row of the table. */
static const char *skip_segment(const char *wanted, const char *given) {
    while (*given && *wanted == *given) wanted++, given++;
    return *given == '\0' && (*wanted == '/' || *wanted == '\0') ? wanted : NULL;
}

static bool fits(const RoutePath *path, const Segments *segments) {
    if (path->segment_count != segments->count) return false;
    const char *wanted = path->pattern;
    for (int i = 0; i < segments->count; i++) {
        wanted++;
        bool parameter = wanted[0] == '{';
        wanted = parameter ? wanted + strlen("{}") : skip_segment(wanted, segments->items[i]);
        if (!wanted || segments->has_nul[i] || (parameter && segments->items[i][0] == '\0')) return false;
    }
    return true;
}

static void take_parameters(const RoutePath *path, const Segments *segments, RouteMatch *out) {
    int n = 0;
    const char *wanted = path->pattern;
    for (int i = 0; i < segments->count && n < PATH_PARAMETERS_MAXIMUM; i++) {
        if (*++wanted == '{') out->parameters[n++] = segments->items[i];
        wanted += strcspn(wanted, "/");
    }
}

/* "GET, HEAD, POST" of the rows from first on that spell the same path. */
static const char *allowed(Arena *arena, const RoutePath *first) {
    static const char *const NAMES[] = {[HTTP_GET] = "GET, HEAD", [HTTP_POST] = "POST", [HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH",
                                        [HTTP_DELETE] = "DELETE"};
    const char *list = NULL;
    for (const RoutePath *p = first; p < route_paths + route_path_count && strcmp(p->pattern, first->pattern) == 0; p++) {
        const char *name = NAMES[p->route->method];
        list = list ? arena_printf(arena, "%s, %s", list, name) : name;
    }
    return list;
}

Status route_match(HttpMethod method, const char *path, Arena *arena, RouteMatch *out, Error *err) {
    *out = (RouteMatch){0};
    Segments segments = {.count = 0};
    Status status = split(path, arena, &segments, err);
    if (status) return status;
    if (method == HTTP_HEAD) method = HTTP_GET;
    const RoutePath *template = NULL; /* the first that fits; only its own methods count */
    for (const RoutePath *p = route_paths; p < route_paths + route_path_count; p++) {
        if (template ? strcmp(p->pattern, template->pattern) != 0 : !fits(p, &segments)) continue;
        template = p;
        if (p->route->method != method) continue;
        out->route = p->route;
        take_parameters(p, &segments, out);
        return STATUS_OK;
    }
    if (!template) return error_set(err, STATUS_NOT_FOUND, "Not found: there is no such path; /openapi.json lists those that are served");
    while (template > route_paths && strcmp(template[-1].pattern, template->pattern) == 0) template--;
    out->allow = allowed(arena, template);
    return error_set(err, STATUS_METHOD_NOT_ALLOWED, "Method not allowed; allowed are %s", out->allow);
}

Status route_decode(Request *rq, InputReader reader) {
    Decoder decoder = {.arena = &rq->arena, .errors = &rq->errors, .err = &rq->error, .path = rq->path_parameters, .query = rq->query,
                       .content_type = request_header(rq, "Content-Type"), .body = rq->body, .body_size = rq->body_size};
    return reader(&decoder, &rq->input);
}

Status route_decode_nothing(Request *rq) {
    rq->input = NULL;
    return STATUS_OK;
}

JsonWriter route_reply_begin(Request *rq) {
    JsonWriter writer;
    json_writer_init(&writer, &rq->response.body);
    return writer;
}

Status route_reply_end(Request *rq, int status) {
    if (rq->response.body.failed) return error_set(&rq->error, STATUS_INTERNAL_ERROR, "The reply exceeds its size limit");
    if (!rq->response.status) rq->response.status = status; /* a handler may have chosen another one */
    return STATUS_OK;
}
