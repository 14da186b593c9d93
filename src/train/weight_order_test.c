/* Every weight lands in its place, rounded as bfloat16 rounds, and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "train/weight_order.h"
#include "base/banned.h"

static void orders_are_each_others_reverse(void **state) {
    (void)state;
    static const WeightShape shapes[] = {{1, 1, 1}, {3, 1, 9}, {2, 5, 9}, {16, 24, 9}, {7, 40, 1}, {4, 3, 25}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        WeightShape shape = shapes[s];
        size_t in = (size_t)shape.in, taps = (size_t)shape.taps, count = (size_t)shape.out * in * taps;
        float *weights = xmalloc(count * sizeof *weights), *back = xmalloc(count * sizeof *back);
        uint16_t *half = xmalloc(count * sizeof *half);
        for (size_t i = 0; i < count; i++)
            weights[i] = (float)(i % 251) - 125; /* whole numbers below 256 are bfloat16 */
        weights_to_half(half, weights, shape);
        for (size_t o = 0; o < (size_t)shape.out; o++) {
            for (size_t i = 0; i < in; i++) {
                for (size_t tap = 0; tap < taps; tap++) {
                    uint32_t bits = (uint32_t)half[(o * taps + tap) * in + i] << 16;
                    float value;
                    memcpy(&value, &bits, sizeof value);
                    assert_true(value == weights[(o * in + i) * taps + tap]);
                }
            }
        }
        weights_from_half(back, half, shape);
        assert_memory_equal(back, weights, count * sizeof *back);
        free(weights);
        free(back);
        free(half);
    }
}

static void halves_are_rounded_to_nearest_even(void **state) {
    (void)state;
    static const float given[] = {1.0f + 1.0f / 256, 1.0f + 3.0f / 256, 1.0f + 1.1f / 256, -(1.0f + 0.9f / 256), 3e38f};
    static const uint16_t wanted[] = {0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x7f62};
    uint16_t half[5];
    weights_to_half(half, given, (WeightShape){1, 5, 1});
    assert_memory_equal(half, wanted, sizeof half);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_each_others_reverse),
        cmocka_unit_test(halves_are_rounded_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
