/* The sliding hour: exact for few requests, never generous for many, and remembered across a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/file.h"
#include "server/api/rate_limit.h"
#include "base/banned.h"

enum { START = 1000000000 };
static const char KEY[] = "9f1c2d3e-0000-4000-8000-000000000001";

static void the_window_slides_to_the_second(void **state) {
    (void)state;
    RateLimiter *limiter = rate_limiter_new();
    for (int i = 0; i < 5; i++) {
        RateVerdict verdict = rate_limiter_take(limiter, KEY, 5, START + 10 * i);
        assert_true(verdict.allowed);
        assert_int_equal(verdict.remaining, 4 - i);
        assert_int_equal(verdict.reset, START + 10 * i + 3600);
    }
    RateVerdict refused = rate_limiter_take(limiter, KEY, 5, START + 100);
    assert_false(refused.allowed);
    assert_int_equal(refused.remaining, 0);
    assert_int_equal(refused.retry_after, 3500);
    assert_false(rate_limiter_take(limiter, KEY, 5, START + 3599).allowed);
    assert_true(rate_limiter_take(limiter, KEY, 5, START + 3600).allowed);
    assert_false(rate_limiter_take(limiter, KEY, 5, START + 3609).allowed); /* the refused ones counted nothing, the second leaves at 3610 */
    assert_true(rate_limiter_take(limiter, KEY, 5, START + 3610).allowed);
    rate_limiter_free(limiter);
}

static void a_clock_that_is_set_right_locks_nobody_out(void **state) {
    (void)state;
    RateLimiter *limiter = rate_limiter_new();
    for (int i = 0; i < 5; i++) rate_limiter_take(limiter, KEY, 5, START + 86400 + 10 * i);
    RateVerdict refused = rate_limiter_take(limiter, KEY, 5, START);
    assert_false(refused.allowed);
    assert_int_equal(refused.retry_after, 3600);
    assert_int_equal(refused.reset, START + 3600);
    assert_true(rate_limiter_take(limiter, KEY, 5, START + 3600).allowed);
    rate_limiter_free(limiter);
}

/* More seconds than entries: whatever is merged, no hour ever sees more than the limit. */
static void a_busy_key_never_gets_more(void **state) {
    (void)state;
    enum { SECONDS = 3 * 3600, LIMIT = 1000 };
    RateLimiter *limiter = rate_limiter_new();
    int *allowed = calloc(SECONDS, sizeof *allowed);
    int64_t in_hour = 0, whole = 0;
    for (int s = 0; s < SECONDS; s++) {
        if (s >= 3600) in_hour -= allowed[s - 3600];
        for (int i = 0; i < 1 + s % 3; i++) allowed[s] += rate_limiter_take(limiter, KEY, LIMIT, START + s).allowed;
        in_hour += allowed[s];
        whole += allowed[s];
        assert_true(in_hour <= LIMIT);
    }
    assert_true(whole > LIMIT * 5 / 2); /* nor much less than it may have */
    free(allowed);
    rate_limiter_free(limiter);
}

static void keys_have_their_own_window_and_a_bound(void **state) {
    (void)state;
    RateLimiter *limiter = rate_limiter_new();
    char key[40];
    for (int i = 0; i < RATE_KEYS_MAXIMUM + 10; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(rate_limiter_take(limiter, key, 10, START).remaining, 9);
    }
    assert_int_equal(rate_limiter_take(limiter, key, 10, START).remaining, 8);
    assert_int_equal(rate_limiter_take(limiter, "key-0", 10, START).remaining, 9); /* the oldest was forgotten */
    rate_limiter_free(limiter);
}

static void a_restart_remembers(void **state) {
    (void)state;
    char directory[] = "/tmp/rate_test_XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/p.db", directory);
    Error err = {0};
    Store *store;
    assert_int_equal(store_open(&store, path, &err), STATUS_OK);
    RateLimiter *limiter = rate_limiter_new();
    for (int i = 0; i < 7; i++) rate_limiter_take(limiter, KEY, 10, START + i);
    rate_limiter_save(limiter, store, START + 30);
    rate_limiter_free(limiter);
    store_close(store); /* waits for the write */
    assert_int_equal(store_open(&store, path, &err), STATUS_OK);
    limiter = rate_limiter_new();
    assert_int_equal(rate_limiter_load(limiter, store, START + 60, &err), STATUS_OK);
    assert_int_equal(rate_limiter_take(limiter, KEY, 10, START + 60).remaining, 2);
    rate_limiter_free(limiter);
    store_close(store);
    file_remove_tree(directory, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_slides_to_the_second), cmocka_unit_test(a_busy_key_never_gets_more), cmocka_unit_test(a_clock_that_is_set_right_locks_nobody_out),
        cmocka_unit_test(keys_have_their_own_window_and_a_bound), cmocka_unit_test(a_restart_remembers),
    };
    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
