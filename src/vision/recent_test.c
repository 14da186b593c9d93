/* What was used last stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/arena.h"
#include "vision/recent.h"
#include "base/banned.h"

static int freed;

static void count_free(void *value) {
    freed++;
    free(value);
}

static int *number(int n) {
    int *value = xmalloc(sizeof *value);
    *value = n;
    return value;
}

static int known(Recent *recent, const char *key) {
    const int *value = recent_find(recent, key);
    return value ? *value : -1;
}

static void the_least_lately_used_goes_first(void **state) {
    (void)state;
    size_t bytes = 1;
    freed = 0;
    Recent *recent = recent_new(0, 3, count_free);
    assert_int_equal(recent_count(recent, &bytes), 0);
    assert_int_equal(bytes, 0);
    assert_null(recent_find(recent, "a"));
    recent_add(recent, "a", number(1), 10);
    recent_add(recent, "b", number(2), 20);
    recent_add(recent, "c", number(3), 30);
    assert_int_equal(known(recent, "a"), 1); /* now used after b */
    recent_add(recent, "d", number(4), 40);
    assert_int_equal(freed, 1);
    assert_int_equal(known(recent, "b"), -1);
    assert_int_equal(known(recent, "c"), 3);
    assert_int_equal(known(recent, "a"), 1);
    assert_int_equal(known(recent, "d"), 4);
    assert_int_equal(recent_count(recent, &bytes), 3);
    assert_int_equal(bytes, 80);
    recent_clear(recent);
    assert_int_equal(freed, 4);
    assert_int_equal(recent_count(recent, &bytes), 0);
    assert_int_equal(bytes, 0);
    recent_free(recent);
    assert_int_equal(freed, 4);
}

static void bytes_are_bounded_and_the_latest_stays(void **state) {
    (void)state;
    size_t bytes;
    freed = 0;
    Recent *recent = recent_new(100, 0, count_free);
    for (int i = 0; i < 5; i++) recent_add(recent, (const char[]){(char)('a' + i), '\0'}, number(i), 25);
    assert_int_equal(recent_count(recent, &bytes), 4); /* exactly the bound */
    assert_int_equal(known(recent, "a"), -1);
    recent_add(recent, "large", number(9), 1000);
    assert_int_equal(recent_count(recent, &bytes), 1);
    assert_int_equal(bytes, 1000);
    assert_int_equal(known(recent, "large"), 9);
    recent_add(recent, "small", number(8), 1);
    assert_int_equal(recent_count(recent, NULL), 1);
    assert_int_equal(known(recent, "small"), 8);
    recent_free(recent);
    assert_int_equal(freed, 7);
}

static void a_key_is_in_once(void **state) {
    (void)state;
    size_t bytes;
    freed = 0;
    Recent *recent = recent_new(100, 4, count_free);
    recent_add(recent, "a", number(1), 10);
    recent_add(recent, "b", number(2), 10);
    recent_add(recent, "a", number(3), 15);
    assert_int_equal(freed, 1);
    assert_int_equal(recent_count(recent, &bytes), 2);
    assert_int_equal(bytes, 25);
    assert_int_equal(known(recent, "a"), 3);
    recent_free(recent);
    recent_free(NULL);
    assert_int_equal(freed, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_lately_used_goes_first),
        cmocka_unit_test(bytes_are_bounded_and_the_latest_stays),
        cmocka_unit_test(a_key_is_in_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
