/* The route matcher over the generated table, and the glue between a request and its handler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/api/route.h"
#include "base/banned.h"

/* Every handler, so that the table links without the features: each says that it was called and returns what the test wants. */
static const char *called;
static Status answer;
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define HANDLER(name, arguments) \
    Status name arguments { \
        called = #name; \
        return answer; \
    }
API_HANDLERS(HANDLER)

const char *request_header(const Request *rq, const char *name) {
    return text_equal(name, "Content-Type") ? rq->http : NULL;
}

static Arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_clear(&arena);
    return 0;
}

static RouteMatch match;

/* Operation of a match, or the code of the failure. */
static const char *find(HttpMethod method, const char *path) {
    Error err = {0};
    Status status = route_match(method, path, &arena, &match, &err);
    return status ? status_info(status)->slug : match.route->operation;
}

static void test_paths(void **state) {
    (void)state;
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/"), "listProjects");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects"), "listProjects");
    assert_string_equal(find(HTTP_POST, "/api/v1/developer/projects"), "createProject");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/x"), "getProject");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/x/"), "getProject");
    assert_string_equal(find(HTTP_HEAD, "/api/v1/developer/projects/x"), "getProject");
    assert_string_equal(find(HTTP_GET, "/healthz"), "getHealth");
    assert_string_equal(find(HTTP_GET, "/storage/v1/objects/abc"), "getObject");
    assert_string_equal(find(HTTP_PUT, "/storage/v1/objects/abc"), "putObject");
}

static void test_aliases(void **state) {
    (void)state;
    assert_string_equal(find(HTTP_GET, "/api/v1/api-keys"), "listApiKeys");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/api-keys/"), "listApiKeys");
    assert_string_equal(find(HTTP_PATCH, "/api/v1/developer/api-keys/k"), "updateApiKey");
    assert_string_equal(match.parameters[0], "k");
}

static void test_literals_win_over_parameters(void **state) {
    (void)state;
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/datasets/by-name/x"), "getDatasetByName");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/datasets/by-name"), "getDatasetById");
    assert_string_equal(find(HTTP_POST, "/api/v1/developer/images/upload-url"), "createImageUploadUrl");
    /* the literal path has no GET, although {image_id} has one */
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/images/upload-url"), "method_not_allowed");
    assert_string_equal(match.allow, "POST");
}

static void test_decoding(void **state) {
    (void)state;
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/a%2Fb%20c%e6%97%a5"), "getProject");
    assert_string_equal(match.parameters[0], "a/b c\xe6\x97\xa5");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/a+b"), "getProject");
    assert_string_equal(match.parameters[0], "a+b");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/exports/one/two/download"), "getExportDownload");
    assert_string_equal(match.parameters[0], "one");
    assert_string_equal(match.parameters[1], "two");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/%70rojects/x"), "getProject");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/%ff"), "not_found");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/a%2"), "not_found");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/a%zz"), "not_found");
    assert_string_equal(find(HTTP_GET, "/api/v1/developer/projects/a%00b"), "not_found");
}

static void test_no_such_path(void **state) {
    (void)state;
    static const char *const PATHS[] = {"", "/", "//", "x", "/api", "/api/v1/developer", "/api/v1/developer//projects", "/api/v1/developer/projects//",
                                        "/api/v1/developer/projects/x/y", "/API/v1/developer/projects", "/healthz/x", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
                                        "/{}", "/api/v1/developer/search/unlike", "/api/v1/developer/auto-annotate/sam3/circle"};
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
        if (strcmp(find(HTTP_GET, PATHS[i]), "not_found") != 0) fail_msg("'%s' is %s", PATHS[i], find(HTTP_GET, PATHS[i]));
        assert_null(match.route);
    }
}

static void test_other_methods(void **state) {
    (void)state;
    assert_string_equal(find(HTTP_PUT, "/api/v1/developer/projects/x"), "method_not_allowed");
    assert_string_equal(match.allow, "GET, HEAD, PATCH, DELETE");
    assert_string_equal(find(HTTP_OTHER, "/healthz"), "method_not_allowed");
    assert_string_equal(match.allow, "GET, HEAD");
}

static void test_every_row_finds_itself(void **state) {
    (void)state;
    for (size_t i = 0; i < route_count; i++) {
        char path[200] = "";
        for (const char *p = route_table[i].path; *p; p++) {
            bool opens = *p == '{';
            snprintf(path + strlen(path), sizeof path - strlen(path), "%c", opens ? 'x' : *p);
            if (opens) p += strcspn(p, "}");
        }
        assert_string_equal(find(route_table[i].method, path), route_table[i].operation);
        assert_ptr_equal(match.route, &route_table[i]);
        assert_int_equal(route_index(match.route), i);
    }
}

static void test_facts_of_the_rows(void **state) {
    (void)state;
    find(HTTP_POST, "/api/v1/developer/training");
    assert_int_equal(match.route->role, ACCESS_MEMBER);
    assert_string_equal(match.route->credit_slug, "training_{gpu_type}_per_minute");
    assert_true(match.route->takes_idempotency_key);
    assert_false(match.route->idempotent);
    assert_int_equal(match.route->success_status, 202);
    assert_int_equal(match.route->body, BODY_JSON);
    assert_int_equal(match.route->body_maximum, 10485760);
    find(HTTP_POST, "/api/v1/developer/images/register");
    assert_int_equal(match.route->body, BODY_FORM | BODY_JSON);
    find(HTTP_PUT, "/storage/v1/objects/abc");
    assert_int_equal(match.route->body, BODY_BYTES);
    assert_non_null(match.route->begin);
    assert_int_equal(match.route->role, ACCESS_NONE);
    find(HTTP_DELETE, "/api/v1/developer/images/x");
    assert_string_equal(match.route->role_when, "permanent=true: member on own images, admin on any");
}

/* Runs an operation as the pipeline does; gives the handler's status. */
static Status run(Request *rq, HttpMethod method, const char *path, const char *body) {
    *rq = (Request){.method = method, .query = "", .body = body, .body_size = strlen(body)};
    arena_init(&rq->arena, 1 << 20);
    field_errors_init(&rq->errors, &rq->arena);
    buffer_init(&rq->response.body, 1 << 20);
    called = NULL;
    Status status = route_match(method, path, &rq->arena, &match, &rq->error);
    assert_int_equal(status, STATUS_OK);
    memcpy(rq->path_parameters, match.parameters, sizeof rq->path_parameters);
    status = match.route->decode(rq);
    return status ? status : match.route->run(rq);
}

static void release(Request *rq) {
    buffer_clear(&rq->response.body);
    arena_clear(&rq->arena);
}

static void test_glue(void **state) {
    (void)state;
    Request rq;
    answer = STATUS_OK;
    assert_int_equal(run(&rq, HTTP_GET, "/healthz", ""), STATUS_OK);
    assert_string_equal(called, "get_health");
    assert_int_equal(rq.response.status, 200);
    assert_string_equal(buffer_text(&rq.response.body), "{\"status\":\"ok\"}");
    release(&rq);

    assert_int_equal(run(&rq, HTTP_POST, "/api/v1/developer/projects", "{\"name\":\"a\"}"), STATUS_OK);
    assert_string_equal(called, "create_project");
    assert_int_equal(rq.response.status, 201);
    assert_string_equal(((const CreateProjectInput *)rq.input)->body->name, "a");
    release(&rq);

    assert_int_equal(run(&rq, HTTP_DELETE, "/api/v1/developer/exports/a/b", ""), STATUS_OK);
    assert_int_equal(rq.response.status, 204);
    assert_int_equal(rq.response.body.size, 0);
    release(&rq);
}

static void test_glue_of_failures(void **state) {
    (void)state;
    Request rq;
    answer = STATUS_NOT_FOUND;
    assert_int_equal(run(&rq, HTTP_GET, "/api/v1/developer/projects/a", ""), STATUS_NOT_FOUND);
    assert_int_equal(rq.response.body.size, 0);
    release(&rq);
    assert_int_equal(run(&rq, HTTP_POST, "/api/v1/developer/projects", "{}"), STATUS_VALIDATION_ERROR);
    assert_null(called);
    release(&rq);
    assert_int_equal(run(&rq, HTTP_GET, "/api/v1/developer/images/a/metadata", ""), STATUS_NOT_FOUND);
    assert_null(called);
    release(&rq);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_paths),        CASE(test_aliases),         CASE(test_literals_win_over_parameters), CASE(test_decoding),
        CASE(test_no_such_path), CASE(test_other_methods),   CASE(test_every_row_finds_itself),       CASE(test_facts_of_the_rows),
        CASE(test_glue),         CASE(test_glue_of_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
