/* Unit tests of the pure parts: retry rules, addresses, the configuration file, results, failures, reports. What needs a server is tested
 * in tests/client against a stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <pictograph/annotations.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/backoff.h"
#include "client/config.h"
#include "client/exchange.h"
#include "client/failure.h"
#include "client/pager.h"
#include "client/report.h"
#include "client/result.h"
#include "client/upload.h"
#include "base/banned.h"

static void retries_follow_method_key_and_status(void **state) {
    (void)state;
    static const struct {
        const char *method;
        bool key;
        int status;
        bool repeat;
    } rows[] = {
        {"GET", false, 503, true},   {"GET", false, 500, true},   {"GET", false, 408, true},  {"GET", false, 0, true},
        {"GET", false, 404, false},  {"GET", false, 501, false},  {"GET", false, 302, false}, {"DELETE", false, 502, true},
        {"POST", true, 504, true},   {"POST", false, 504, false}, {"POST", false, 0, false},  {"POST", false, 429, true},
        {"PATCH", true, 0, true},    {"PATCH", true, 422, false}, {"PUT", false, 500, true},  {"POST", true, 409, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(backoff_may_repeat(rows[i].method, rows[i].key, rows[i].status), rows[i].repeat);
}

static void delays_grow_with_jitter_up_to_the_cap(void **state) {
    (void)state;
    for (int attempt = 0; attempt < 3; attempt++) {
        double base = 1 << attempt;
        assert_float_equal(backoff_delay(attempt, 0), base * 0.75, 1e-9);
        assert_float_equal(backoff_delay(attempt, 1), base * 1.25, 1e-9);
    }
    assert_float_equal(backoff_delay(5, 1), 30, 1e-9);
    assert_float_equal(backoff_delay(500, 0), 22.5, 1e-9);
}

static void retry_after_is_a_number_or_a_date(void **state) {
    (void)state;
    double seconds = -1;
    int64_t now = 0;
    assert_true(backoff_retry_after("17", 0, &seconds));
    assert_float_equal(seconds, 17, 1e-9);
    assert_true(clock_parse("2026-11-24T10:00:00Z", &now));
    assert_true(backoff_retry_after("Tue, 24 Nov 2026 10:01:30 GMT", now, &seconds));
    assert_float_equal(seconds, 90, 1e-6);
    assert_true(backoff_retry_after("Tue, 24 Nov 2026 09:00:00 GMT", now, &seconds));
    assert_float_equal(seconds, 0, 1e-9);
    assert_false(backoff_retry_after("-5", 0, &seconds));
    assert_false(backoff_retry_after("soon", 0, &seconds));
}

static PictographClient *make_client(const char *base_url) {
    PictographOptions options = PICTOGRAPH_OPTIONS_DEFAULTS;
    options.api_key = "pk_live_test";
    options.base_url = base_url;
    PictographClient *client = pictograph_new(&options, NULL);
    assert_non_null(client);
    return client;
}

static void addresses_encode_every_name(void **state) {
    (void)state;
    PictographClient *client = make_client("http://host:1///");
    assert_string_equal(pictograph_base_url(client), "http://host:1");
    Exchange exchange;
    exchange_init(&exchange, client, "GET");
    exchange_set_path(&exchange, "exports/{}/{}/download", (const char *const[]){"a b/ü?#%", "x"});
    exchange_add_query(&exchange, "limit", "5");
    exchange_add_query(&exchange, "left_out", NULL);
    exchange_add_query(&exchange, "q", "a&b=c");
    assert_string_equal(exchange.url.data, "http://host:1/api/v1/developer/exports/a%20b%2F%C3%BC%3F%23%25/x/download?limit=5&q=a%26b%3Dc");
    assert_string_equal(exchange.idempotency_key, "");
    exchange_clear(&exchange);
    exchange_init(&exchange, client, "POST");
    assert_int_equal(strlen(exchange.idempotency_key), 32);
    exchange_set_signed_url(&exchange, "http://other/object");
    assert_false(exchange.keyed);
    exchange_clear(&exchange);
    pictograph_free(client);
}

static char *temporary_folder(void) {
    char *folder = xstrdup("/tmp/client_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    return folder;
}

static void the_config_file_comes_back_and_is_private(void **state) {
    (void)state;
    char *folder = temporary_folder(), path[128];
    snprintf(path, sizeof path, "%s/.pictograph/config.toml", folder);
    assert_int_equal(config_write(path, "pk_live_\"\\x", "http://here", NULL), STATUS_OK);
    char *key = config_read(path, "api_key"), *url = config_read(path, "base_url");
    assert_string_equal(key, "pk_live_\"\\x");
    assert_string_equal(url, "http://here");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/.pictograph", folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    free(key);
    free(url);
    file_remove_tree(folder, NULL);
    free(folder);
}

static void the_config_file_is_read_with_care(void **state) {
    (void)state;
    char *folder = temporary_folder(), path[128];
    snprintf(path, sizeof path, "%s/config.toml", folder);
    static const char text[] = "# a remark\n[other]\napi_key = \"wrong\"\n[default]\napi_key_old = \"no\"\n  api_key='literal \\n' # end\nbase_url = 7\n";
    assert_int_equal(file_write_atomic(path, text, sizeof text - 1, 0600, NULL), STATUS_OK);
    char *key = config_read(path, "api_key");
    assert_string_equal(key, "literal \\n");
    assert_null(config_read(path, "base_url"));
    assert_null(config_read("/nowhere/config.toml", "api_key"));
    free(key);
    file_remove_tree(folder, NULL);
    free(folder);
}

static void settings_come_in_order_and_are_checked(void **state) {
    (void)state;
    unsetenv("PICTOGRAPH_API_KEY");
    unsetenv("PICTOGRAPH_BASE_URL");
    PictographError error = {0};
    assert_null(pictograph_new(NULL, &error));
    assert_int_equal(error.status, PICTOGRAPH_CONFIGURATION);
    setenv("PICTOGRAPH_API_KEY", "   ", 1); /* blank counts as unset */
    assert_null(pictograph_new(NULL, &error));
    setenv("PICTOGRAPH_API_KEY", " pk_live_env\n", 1);
    PictographClient *client = pictograph_new(NULL, &error);
    assert_non_null(client);
    assert_string_equal(pictograph_base_url(client), "http://localhost:8080");
    pictograph_free(client);
    static const struct {
        const char *name, *value;
    } wrong[] = {{"PICTOGRAPH_TIMEOUT", "0"}, {"PICTOGRAPH_TIMEOUT", "fast"}, {"PICTOGRAPH_MAX_RETRIES", "-1"}, {"PICTOGRAPH_BASE_URL", "ftp://x"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv(wrong[i].name, wrong[i].value, 1);
        assert_null(pictograph_new(NULL, &error));
        assert_int_equal(error.status, PICTOGRAPH_CONFIGURATION);
        unsetenv(wrong[i].name);
    }
    unsetenv("PICTOGRAPH_API_KEY");
    pictograph_error_clear(&error);
}

static PictographResult *parsed(const char *text) {
    PictographResult *result = result_parse(text, strlen(text), NULL);
    assert_non_null(result);
    return result;
}

static void results_are_read_by_pointer(void **state) {
    (void)state;
    PictographResult *result = parsed("{\"a\":{\"b\":[1,\"two\",3.5,true,null]},\"n\":-4}");
    assert_int_equal(pictograph_integer(result, "/a/b/0", 0), 1);
    assert_string_equal(pictograph_text(result, "/a/b/1"), "two");
    assert_float_equal(pictograph_number(result, "/a/b/2", 0), 3.5, 0);
    assert_true(pictograph_flag(result, "/a/b/3", false));
    assert_null(pictograph_text(result, "/a/b/4"));
    assert_int_equal(pictograph_integer(result, "/n", 0), -4);
    assert_int_equal(pictograph_integer(result, "/missing", 7), 7);
    assert_int_equal(pictograph_count(result, "/a/b"), 5);
    assert_int_equal(pictograph_count(NULL, ""), 0);
    char *text = pictograph_json(result, "/a/b", false);
    assert_string_equal(text, "[1,\"two\",3.5,true,null]");
    free(text);
    pictograph_result_free(result);
}

static void refusals_tell_all_they_know(void **state) {
    (void)state;
    PictographError error = {0};
    failure_from_answer(&error, 422, NULL, -1,
                        parsed("{\"detail\":[{\"loc\":[\"body\",\"annotations\",2,\"name\"],\"msg\":\"No such class\",\"type\":\"unknown_class\"},"
                               "{\"loc\":[\"body\",\"x\"],\"msg\":\"m\",\"type\":\"t\"}],\"error_code\":\"unknown_class\",\"message\":\"2 fields failed\","
                               "\"request_id\":\"req_1\"}"));
    PictographFieldError field;
    assert_int_equal(error.status, PICTOGRAPH_VALIDATION);
    assert_string_equal(error.message, "body.annotations.2.name: No such class (and 1 more)");
    assert_string_equal(error.request_id, "req_1");
    assert_string_equal(error.error_code, "unknown_class");
    assert_true(pictograph_error_field(&error, 1, &field));
    assert_string_equal(field.location, "body.x");
    assert_false(pictograph_error_field(&error, 2, &field));

    failure_from_answer(&error, 402, "req_2", -1,
                        parsed("{\"detail\":{\"message\":\"Not enough\",\"required\":300,\"remaining\":0,\"upgrade_url\":\"https://x\"},\"message\":\"Not enough\"}"));
    assert_int_equal(error.status, PICTOGRAPH_PAYMENT_REQUIRED);
    assert_int_equal(error.credits_required, 300);
    assert_int_equal(error.credits_remaining, 0);
    assert_string_equal(error.upgrade_url, "https://x");
    char *text = pictograph_error_text(&error);
    assert_string_equal(text, "Not enough (status=402, request_id=req_2)\nFix: Top up the credits or the plan of the organization.");
    free(text);

    failure_from_answer(&error, 418, NULL, -1, NULL);
    assert_int_equal(error.status, PICTOGRAPH_API_ERROR);
    assert_string_equal(error.message, "HTTP 418");
    failure_set(&error, PICTOGRAPH_FILE, "%s again", error.message); /* its own text as an argument */
    assert_string_equal(error.message, "HTTP 418 again");
    pictograph_error_clear(&error);
}

static void pagers_refuse_negative_sizes(void **state) {
    (void)state;
    PictographClient *client = make_client("http://host");
    PictographError error = {0};
    PagerPlan plan = {.call = {.method = "GET", .path = "projects/"}, .items = "/projects", .page_size = 50};
    assert_null(pager_new(client, &plan, &(PictographList){.page_size = -1}, &error));
    assert_int_equal(error.status, PICTOGRAPH_VALIDATION);
    assert_null(pager_new(client, &plan, &(PictographList){.max_total = -1}, &error));
    pictograph_free(client);
    pictograph_error_clear(&error);
}

/* An id that makes no address is the fault of its item alone; nothing is sent. */
static void what_is_too_large_fails_alone(void **state) {
    (void)state;
    enum { COUNT = 20 };
    PictographClient *client = make_client("http://host");
    PictographError error = {0};
    PictographAnnotationsItem items[COUNT];
    char *id = xmalloc(1 << 17);
    memset(id, 'a', 1 << 17);
    id[(1 << 17) - 1] = '\0';
    for (int i = 0; i < COUNT; i++) items[i] = (PictographAnnotationsItem){.image_id = id, .json = "[]"};
    assert_int_equal(pictograph_annotations_save_many(client, items, COUNT, NULL, NULL, &error), PICTOGRAPH_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(items[i].status, PICTOGRAPH_VALIDATION);
        assert_string_equal(items[i].reason, "The request is too large");
    }
    free(id);
    pictograph_free(client);
    pictograph_error_clear(&error);
}

static void images_are_known_by_their_names(void **state) {
    (void)state;
    assert_string_equal(upload_content_type("a.JPG"), "image/jpeg");
    assert_string_equal(upload_content_type("x/y.heif"), "image/heif");
    assert_null(upload_content_type("a.txt"));
    assert_null(upload_content_type("jpg"));
}

static void reports_grow(void **state) {
    (void)state;
    PictographFailure *rows = NULL;
    size_t count = 0;
    for (int i = 0; i < 100; i++) report_failure(&rows, &count, "path", i % 2 ? "image" : NULL, "reason");
    assert_int_equal(count, 100);
    assert_string_equal(rows[99].kind, "image");
    report_clear(&rows, &count);
    assert_int_equal(count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retries_follow_method_key_and_status),
        cmocka_unit_test(delays_grow_with_jitter_up_to_the_cap),
        cmocka_unit_test(retry_after_is_a_number_or_a_date),
        cmocka_unit_test(addresses_encode_every_name),
        cmocka_unit_test(the_config_file_comes_back_and_is_private),
        cmocka_unit_test(the_config_file_is_read_with_care),
        cmocka_unit_test(settings_come_in_order_and_are_checked),
        cmocka_unit_test(results_are_read_by_pointer),
        cmocka_unit_test(refusals_tell_all_they_know),
        cmocka_unit_test(pagers_refuse_negative_sizes),
        cmocka_unit_test(what_is_too_large_fails_alone),
        cmocka_unit_test(images_are_known_by_their_names),
        cmocka_unit_test(reports_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
