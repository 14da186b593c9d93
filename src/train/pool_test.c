/* Blocks are large enough and apart, come back by size, and survive a change of threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "train/pool.h"
#include "base/banned.h"

enum { LINE = 64 };

static void blocks_hold_what_was_asked_for(void **state) {
    (void)state;
    for (size_t size = 0; size < 70000; size += size < 3000 ? 1 : 997) {
        unsigned char *a = pool_take(size), *b = pool_take(size);
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal((uintptr_t)a % LINE, 0);
        assert_int_equal((uintptr_t)b % LINE, 0);
        memset(a, 1, size);
        memset(b, 2, size);
        assert_true(size == 0 || (a[0] == 1 && a[size - 1] == 1 && b[0] == 2 && b[size - 1] == 2));
        pool_give(a);
        pool_give(b);
    }
    pool_trim();
}

static void what_was_given_back_is_handed_out_again(void **state) {
    (void)state;
    void *first = pool_take(100000), *other = pool_take(5000);
    pool_give(first);
    pool_give(other);
    assert_ptr_equal(pool_take(100000), first);
    assert_ptr_equal(pool_take(5001 - 1), other);
    void *larger = pool_take(200000);
    assert_ptr_not_equal(larger, first);
    pool_give(first);
    pool_give(other);
    pool_give(larger);
    pool_trim();
}

/* Asked by AddressSanitizer, whose malloc would otherwise end the program where others return NULL. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void sizes_beyond_all_memory_are_refused(void **state) {
    (void)state;
    assert_null(pool_take(SIZE_MAX));
    assert_null(pool_take(SIZE_MAX / 4));
    assert_null(pool_take((size_t)1 << 47));
    pool_give(NULL);
}

static void *give_here(void *memory) {
    pool_give(memory);
    return NULL;
}

static void another_thread_may_give_back(void **state) {
    (void)state;
    pthread_t thread;
    void *memory = pool_take(4096);
    memset(memory, 3, 4096);
    assert_int_equal(pthread_create(&thread, NULL, give_here, memory), 0);
    assert_int_equal(pthread_join(thread, NULL), 0); /* its end frees its lists: the leak check sees it otherwise */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_hold_what_was_asked_for),
        cmocka_unit_test(what_was_given_back_is_handed_out_again),
        cmocka_unit_test(sizes_beyond_all_memory_are_refused),
        cmocka_unit_test(another_thread_may_give_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
