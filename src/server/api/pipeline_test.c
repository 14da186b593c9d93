/* The steps of a request against a real server: routes, keys, rates, roles, the order of failures, idempotency. Handlers are the fixture's. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/arena.h"
#include "base/clock.h"
#include "server/api/attempts.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/key_secret.h"
#include "server/api/pipeline.h"
#include "server/http/test_server.h"
#include "server/objects/objects.h"
#include "base/banned.h"

#define PROJECTS "/api/v1/developer/projects/"
#define KEYS "/api/v1/api-keys/"
#define JSON "Content-Type: application/json\r\n"
#define NAMED "{\"name\":\"a\"}"

static void expect_get(TestServer *test, const char *key, int status, const char *part) {
    expect(test_request(test, "GET", PROJECTS, key, NULL, NULL), status, part);
}

static void routes(void **state) {
    TestServer *test = *state;
    expect(test_request(test, "GET", "/nothing", NULL, NULL, NULL), 404, "\"error_code\":\"not_found\"");
    expect(test_request(test, "GET", "/nothing", "pk_live_x", NULL, NULL), 401, "invalid_api_key");
    expect(test_request(test, "PUT", PROJECTS, NULL, NULL, NULL), 405, "method_not_allowed");
    expect(test_request(test, "GET", "/nothing", test->key, NULL, NULL), 404, "\"error_code\":\"not_found\"");
    expect(test_request(test, "GET", "/api/v1/developer/projects", test->key, NULL, NULL), 200, NULL);
    expect(test_request(test, "GET", PROJECTS "%ff", test->key, NULL, NULL), 404, "not_found");
    TestReply *reply = test_request(test, "PUT", PROJECTS, test->key, NULL, NULL);
    assert_string_equal(test_header(reply, "Allow"), "GET, HEAD, POST");
    assert_string_equal(test_header(reply, "X-RateLimit-Limit"), "100000");
    expect(reply, 405, "method_not_allowed");
    reply = test_request(test, "GET", PROJECTS, test->key, NULL, NULL);
    char id[64];
    snprintf(id, sizeof id, "%s", test_header(reply, "X-Request-Id"));
    assert_memory_equal(id, "req_", 4);
    assert_string_equal(test_header(reply, "X-RateLimit-Limit"), "100000");
    test_reply_free(reply);
}

static void keys_that_are_no_good(void **state) {
    TestServer *test = *state;
    char expired[64], other[64], id[37], sql[200];
    expect_get(test, NULL, 401, "missing_api_key");
    expect_get(test, "pk_live_x", 401, "invalid_api_key");
    expect_get(test, "pk_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 401, "invalid_api_key");
    test_server_key(test, test->user_id, "member", 0, clock_now_ms() - 1, expired, id);
    expect_get(test, expired, 401, "expired_api_key");
    test_server_key(test, test->user_id, "member", 0, 0, other, id);
    expect_get(test, other, 200, NULL);

    /* what another process writes is noticed by the poll */
    DbSession *session = db_session(test->server.store);
    key_cache_poll(test->server.keys, session);
    snprintf(sql, sizeof sql, "UPDATE api_keys SET is_active = 0, generation = generation + 1 WHERE id = '%s'", id);
    test_server_sql(test, sql);
    key_cache_poll(test->server.keys, session);
    expect_get(test, other, 401, "revoked_api_key");
    snprintf(sql, sizeof sql, "UPDATE api_keys SET is_active = 1 WHERE id = '%s'", id);
    test_server_sql(test, sql);
    key_cache_poll(test->server.keys, session);
    expect_get(test, other, 200, NULL);

    /* the user's present role caps the key; a removed member's keys are dead */
    test_server_sql(test, "UPDATE members SET role = 'viewer'");
    key_cache_poll(test->server.keys, session);
    TestReply *reply = test_request(test, "POST", PROJECTS, test->key, JSON, NAMED);
    expect(reply, 403, "\"context\":{\"required_role\":\"member\",\"role\":\"viewer\"}");
    expect_get(test, test->key, 200, NULL);
    test_server_sql(test, "DELETE FROM members");
    key_cache_poll(test->server.keys, session);
    expect_get(test, test->key, 401, "revoked_api_key");
    db_session_release(test->server.store, session);
}

static void *get_projects(void *argument) {
    TestServer *test = argument;
    return test_request(test, "GET", PROJECTS, test->key, NULL, NULL);
}

static atomic_int verifications;

/* In place of the real one, which it calls. */
bool __real_key_secret_matches(const char *text, const char *hash);
bool __wrap_key_secret_matches(const char *text, const char *hash);
bool __wrap_key_secret_matches(const char *text, const char *hash) {
    atomic_fetch_add(&verifications, 1);
    return __real_key_secret_matches(text, hash);
}

static void a_cold_key_is_verified_once(void **state) {
    TestServer *test = *state;
    enum { COUNT = 12 };
    pthread_t threads[COUNT];
    atomic_store(&verifications, 0);
    for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, get_projects, test);
    for (int i = 0; i < COUNT; i++) {
        TestReply *reply;
        pthread_join(threads[i], (void **)&reply);
        expect(reply, 200, NULL);
    }
    assert_int_equal(atomic_load(&verifications), 1);
}

static void a_database_that_fails_makes_no_key_wrong(void **state) {
    TestServer *test = *state;
    test_server_sql(test, "ALTER TABLE api_keys RENAME COLUMN prefix TO hidden");
    expect_get(test, test->key, 500, "internal_error");
    test_server_sql(test, "ALTER TABLE api_keys RENAME COLUMN hidden TO prefix");
    expect_get(test, test->key, 200, NULL);
}

static void guessing_is_slowed_down(void **state) {
    TestServer *test = *state;
    char wrong[64];
    expect_get(test, test->key, 200, NULL); /* known from here on */
    for (int i = 0; i < FAILED_ATTEMPTS_PER_MINUTE; i++) {
        snprintf(wrong, sizeof wrong, "pk_live_%043d", i);
        TestReply *reply = test_request(test, "GET", PROJECTS, wrong, NULL, NULL);
        assert_true(reply->status == 401 || reply->status == 429); /* a minute may begin in between */
        test_reply_free(reply);
    }
    for (int i = 0; i < FAILED_ATTEMPTS_PER_MINUTE; i++) {
        TestReply *reply = test_request(test, "GET", PROJECTS, wrong, NULL, NULL);
        bool refused = reply->status == 429;
        if (refused) assert_non_null(test_header(reply, "Retry-After"));
        test_reply_free(reply);
        if (refused) break;
        assert_true(i + 1 < FAILED_ATTEMPTS_PER_MINUTE);
    }
    expect_get(test, test->key, 200, NULL); /* a good key from the same address is not touched */
    expect_get(test, NULL, 401, "missing_api_key");
}

static void rates(void **state) {
    TestServer *test = *state;
    char key[64], id[37];
    test_server_key(test, NULL, "viewer", 3, 0, key, id);
    expect_get(test, key, 200, NULL);
    expect(test_request(test, "POST", PROJECTS, key, JSON, NAMED), 403, "insufficient_role"); /* counts as well */
    TestReply *reply = test_request(test, "GET", PROJECTS, key, NULL, NULL);
    assert_string_equal(test_header(reply, "X-RateLimit-Limit"), "3");
    assert_string_equal(test_header(reply, "X-RateLimit-Remaining"), "0");
    expect(reply, 200, NULL);
    for (int i = 0; i < 2; i++) {
        reply = test_request(test, "POST", PROJECTS, key, JSON, "{"); /* 429 before 403 and 400 */
        assert_in_range(strtol(test_header(reply, "Retry-After"), NULL, 10), 3590, 3600);
        expect(reply, 429, "\"context\":{\"retry_after\":3");
    }
}

static void failures_have_an_order(void **state) {
    TestServer *test = *state;
    char viewer[64], id[37], sql[400];
    test_server_key(test, NULL, "viewer", 0, 0, viewer, id);
    snprintf(sql, sizeof sql,
             "INSERT INTO projects (id, organization_id, name, annotation_types, classes, created_at, updated_at)"
             " VALUES ('p1', '%s', 'here', '[]', '[]', 1, 1)", test->organization_id);
    test_server_sql(test, sql);
    expect(test_request(test, "PATCH", PROJECTS "there", viewer, JSON, "{\"x\":1}"), 404, "Project 'there' not found");
    expect(test_request(test, "PATCH", PROJECTS "here", viewer, JSON, "{\"x\":1}"), 403, "insufficient_role");
    expect(test_request(test, "PATCH", PROJECTS "there", test->key, JSON, "{\"x\":1}"), 404, "Project 'there' not found");
    expect(test_request(test, "PATCH", PROJECTS "here", test->key, JSON, "{\"x\":1}"), 422, "\"loc\":[\"body\",\"x\"]");
    expect(test_request(test, "POST", PROJECTS, test->key, JSON, "{\"name\":3,\"x\":1}"), 422, "2 fields failed validation");
}

/* --- what handlers do to replies --- */

static Status fail_inside(TestServer *test, Request *rq) {
    (void)test;
    return request_fail(rq, STATUS_IO, "/secret/path: no");
}

static Status lack_credits(TestServer *test, Request *rq) {
    (void)test;
    json_field_int(request_error_context(rq), "required", 300);
    json_field_int(request_error_context(rq), "remaining", 0);
    return request_fail(rq, STATUS_INSUFFICIENT_CREDITS, "Not enough credits");
}

static Status break_a_rule(TestServer *test, Request *rq) {
    (void)test;
    request_field_error(rq, "unknown_class", "Unknown class 'x'", "body", "annotations", "2", "name", NULL);
    return request_fail(rq, STATUS_UNKNOWN_CLASS, "Unknown class 'x'");
}

static Status be_busy(TestServer *test, Request *rq) {
    (void)test;
    return request_fail(rq, STATUS_MODEL_UNAVAILABLE, "Segmenter unavailable");
}

static void envelopes(void **state) {
    TestServer *test = *state;
    test->handle = fail_inside;
    expect_get(test, test->key, 500, "\"detail\":\"Internal error\",\"error_code\":\"internal_error\"");
    test->handle = lack_credits;
    expect_get(test, test->key, 402, "\"detail\":{\"message\":\"Not enough credits\",\"upgrade_url\":null,\"required\":300,\"remaining\":0,\"operation\":null,\"limit\":null}");
    test->handle = break_a_rule;
    expect_get(test, test->key, 422, "\"loc\":[\"body\",\"annotations\",2,\"name\"],\"msg\":\"Unknown class 'x'\",\"type\":\"unknown_class\"}],\"error_code\":\"unknown_class\"");
    test->handle = be_busy;
    TestReply *reply = test_request(test, "GET", PROJECTS, test->key, NULL, NULL);
    assert_non_null(test_header(reply, "Retry-After"));
    expect(reply, 503, "model_unavailable");
}

static Status write_nothing(DbSession *tx, void *context, Error *err) {
    *(bool *)context = true;
    return db_exec(tx, err, "UPDATE settings SET value = value");
}

static Status write_after_revocation(TestServer *test, Request *rq) {
    bool written = false;
    test_server_sql(test, "UPDATE api_keys SET revoked_at = 1, generation = generation + 1");
    Status status = request_write(rq, write_nothing, &written);
    assert_false(written);
    return status;
}

static void a_key_revoked_meanwhile_writes_nothing(void **state) {
    TestServer *test = *state;
    test->handle = write_after_revocation;
    expect(test_request(test, "POST", PROJECTS, test->key, JSON, NAMED), 401, "revoked_api_key");
}

/* --- idempotency --- */

static Status take_a_while(TestServer *test, Request *rq) {
    (void)rq;
    clock_sleep(test->delay);
    return STATUS_OK;
}

static void *post_project(void *argument) {
    TestServer *test = argument;
    return test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k2\r\n", NAMED);
}

static bool is_replay(TestReply *reply) { return test_header(reply, "Idempotency-Replayed") != NULL; }

static void the_second_gets_the_firsts_answer(void **state) {
    TestServer *test = *state;
    TestReply *first = test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k1\r\n", NAMED);
    assert_int_equal(first->status, 201);
    assert_false(is_replay(first));
    for (int i = 0; i < 2; i++) { /* from memory, then from the store */
        TestReply *again = test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k1\r\n", NAMED);
        assert_int_equal(again->status, 201);
        assert_true(is_replay(again));
        assert_string_equal(again->body, first->body);
        test_reply_free(again);
        Idempotency *memory = test->server.idempotency;
        clock_sleep(0.3);
        test->server.idempotency = idempotency_new();
        idempotency_free(memory);
    }
    test_reply_free(first);
    assert_int_equal(test->calls, 1);
    expect(test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k1\r\n", "{\"name\":\"b\"}"), 409, "idempotency_conflict");
    expect(test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: a b\r\n", NAMED), 422, "Idempotency-Key");

    test->handle = take_a_while;
    test->delay = 0.5;
    test->calls = 0;
    enum { COUNT = 6 };
    pthread_t threads[COUNT];
    int replays = 0;
    for (int i = 0; i < COUNT; i++) pthread_create(&threads[i], NULL, post_project, test);
    for (int i = 0; i < COUNT; i++) {
        TestReply *reply;
        pthread_join(threads[i], (void **)&reply);
        replays += is_replay(reply);
        expect(reply, 201, NULL);
    }
    assert_int_equal(replays, COUNT - 1);
    assert_int_equal(test->calls, 1);
}

static void only_successes_are_kept(void **state) {
    TestServer *test = *state;
    test->handle = be_busy;
    expect(test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k\r\n", NAMED), 503, NULL);
    test->handle = NULL;
    TestReply *reply = test_request(test, "POST", PROJECTS, test->key, JSON "Idempotency-Key: k\r\n", NAMED);
    assert_false(is_replay(reply));
    expect(reply, 201, NULL);
}

/* Whoever reads that an upload failed may look at the disk at once. */
static void an_object_that_came_to_nothing_is_gone_before_its_reply(void **state) {
    TestServer *test = *state;
    Request rq = {0};
    arena_init(&rq.arena, 0);
    request_open(&rq, &test->server);
    rq.path = "/";
    assert_int_equal(object_writer_begin(&rq.pending_object, test->server.objects, 10, &rq.error), STATUS_OK);
    char path[128];
    snprintf(path, sizeof path, "%s/objects/tmp", test->directory);
    assert_int_equal(rmdir(path), -1);
    pipeline_refuse(&rq, STATUS_STORAGE_FULL, "No space left on device");
    assert_int_equal(rq.response.status, 507);
    assert_int_equal(rmdir(path), 0); /* it is empty */
    request_close(&rq);
    arena_clear(&rq.arena);
}

static _Atomic int64_t seconds_ahead;

/* In place of libc's: time passes as the test wants. */
int clock_gettime(clockid_t id, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, id, out);
    if (id == CLOCK_REALTIME) out->tv_sec += seconds_ahead;
    return failed;
}

static int stop_time(void **state) {
    seconds_ahead = 0;
    return test_server_stop(state);
}

static Status make_secret(TestServer *test, Request *rq) {
    (void)test;
    request_reply_is_secret(rq, "key_id", "the-id");
    return STATUS_OK;
}

static void secrets_are_not_stored(void **state) {
    TestServer *test = *state;
    char body[200];
    snprintf(body, sizeof body, "{\"organization_id\":\"%s\",\"name\":\"n\",\"role\":\"viewer\"}", test->organization_id);
    test->handle = make_secret;
    expect(test_request(test, "POST", KEYS, test->key, JSON "Idempotency-Key: s\r\n", body), 201, NULL);
    TestReply *reply = test_request(test, "POST", KEYS, test->key, JSON "Idempotency-Key: s\r\n", body);
    assert_true(is_replay(reply));
    expect(reply, 201, NULL);
    clock_sleep(0.3);
    for (seconds_ahead = 590; seconds_ahead <= 601; seconds_ahead += 11) { /* it is told for ten minutes */
        idempotency_sweep(test->server.idempotency, test->server.store, false);
        bool told = seconds_ahead == 590;
        expect(test_request(test, "POST", KEYS, test->key, JSON "Idempotency-Key: s\r\n", body), told ? 201 : 409, told ? NULL : "\"context\":{\"key_id\":\"the-id\"}");
    }
    DbSession *session = db_session(test->server.store);
    assert_int_equal(db_get_int(session, NULL, -1, "SELECT count(*) FROM idempotency WHERE reply <> '{\"key_id\":\"the-id\"}'"), 0);
    db_session_release(test->server.store, session);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_server_start, test_server_stop)
    const struct CMUnitTest tests[] = {
        TEST(routes), TEST(keys_that_are_no_good), TEST(a_cold_key_is_verified_once), TEST(a_database_that_fails_makes_no_key_wrong), TEST(guessing_is_slowed_down),
        TEST(rates), TEST(failures_have_an_order),
        TEST(envelopes), TEST(a_key_revoked_meanwhile_writes_nothing), TEST(the_second_gets_the_firsts_answer), TEST(only_successes_are_kept),
        TEST(an_object_that_came_to_nothing_is_gone_before_its_reply),
        cmocka_unit_test_setup_teardown(secrets_are_not_stored, test_server_start, stop_time),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
