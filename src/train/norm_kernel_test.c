/* Every set of kernels that this processor runs, against the formulas in double precision: floats and halves, rows with gaps between them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/norm_kernel.h"
#include "train/random.h"
#include "base/banned.h"

enum { ROWS = 301, CHANNELS = 40, GAP = 8, STRIDE = CHANNELS + GAP };

typedef struct Map {
    float values[ROWS * STRIDE];
    uint16_t halves[ROWS * STRIDE];
} Map;

static float as_float(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Numbers that halves hold exactly, the outermost far into where SiLU is flat. */
static void map_fill(Map *map, uint64_t seed) {
    Random random = random_start(seed, 0);
    for (size_t i = 0; i < ROWS * STRIDE; i++) {
        float value = (float)((random_unit(&random) - 0.5) * (i % 97 == 0 ? 400 : 12));
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        map->halves[i] = (uint16_t)(bits >> 16);
        map->values[i] = as_float(map->halves[i]);
    }
}

static NormMap map_of(Map *map, bool half) {
    return half ? (NormMap){map->halves, STRIDE, true} : (NormMap){map->values, STRIDE, false};
}

static double value_at(const Map *map, bool half, size_t place) {
    return half ? (double)as_float(map->halves[place]) : (double)map->values[place];
}

static void assert_close(double found, double wanted, double bound) {
    if (!(fabs(found - wanted) <= bound * fmax(1, fabs(wanted)))) fail_msg("%.9g instead of %.9g", found, wanted);
}

static void check_forward(const NormKernels *k, bool half) {
    Map *x = xcalloc(1, sizeof *x), *y = xcalloc(1, sizeof *y);
    float factor[CHANNELS], rest[CHANNELS];
    double sums[2 * CHANNELS] = {0};
    map_fill(x, 1);
    for (int c = 0; c < CHANNELS; c++) {
        factor[c] = 0.25f + 0.01f * (float)c;
        rest[c] = 0.5f - 0.02f * (float)c;
    }
    k->forward(map_of(y, half), map_of(x, half), 3, ROWS, CHANNELS, factor, rest);
    k->statistics(sums, map_of(x, half), 3, ROWS, CHANNELS);
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0, square = 0;
        for (size_t r = 3; r < ROWS; r++) {
            double in = (double)x->values[r * STRIDE + (size_t)c], z = in * (double)factor[c] + (double)rest[c];
            sum += in;
            square += in * in;
            assert_close(value_at(y, half, r * STRIDE + (size_t)c), z / (1 + exp(-z)), half ? 4e-3 : 2e-6);
        }
        assert_close(sums[c], sum, 1e-5);
        assert_close(sums[CHANNELS + c], square, 1e-5);
    }
    for (size_t i = 0; i < ROWS * STRIDE; i++) /* neither rows before the first nor gaps are written */
        assert_true((i >= 3 * STRIDE && i % STRIDE < CHANNELS) || value_at(y, half, i) == 0);
    free(x);
    free(y);
}

static void check_backward(const NormKernels *k, bool half) {
    Map *x = xcalloc(1, sizeof *x), *g = xcalloc(1, sizeof *g), *inner = xcalloc(1, sizeof *inner);
    float factor[CHANNELS], rest[CHANNELS], mean[CHANNELS], slope[CHANNELS];
    double sums[2 * CHANNELS] = {0};
    map_fill(x, 2);
    map_fill(g, 3);
    for (int c = 0; c < CHANNELS; c++) {
        factor[c] = 0.5f - 0.02f * (float)c;
        rest[c] = 0.3f;
        mean[c] = 0.1f * (float)c;
        slope[c] = 0.2f;
    }
    k->backward_sums(sums, map_of(inner, half), map_of(g, half), map_of(x, half), 0, ROWS, CHANNELS, factor, rest, mean);
    for (int c = 0; c < CHANNELS; c++) {
        double sum = 0, product = 0, size = 0;
        for (size_t r = 0; r < ROWS; r++) {
            size_t place = r * STRIDE + (size_t)c;
            double in = (double)x->values[place], z = in * (double)factor[c] + (double)rest[c], s = 1 / (1 + exp(-z));
            double d = (double)g->values[place] * s * (1 + z * (1 - s));
            assert_close(value_at(inner, half, place), d, half ? 4e-3 : 4e-6);
            sum += d;
            product += d * (in - (double)mean[c]);
            size += fabs(d * (in - (double)mean[c]));
        }
        assert_close(sums[c], sum, 1e-4);
        assert_true(fabs(sums[CHANNELS + c] - product) <= 1e-5 * size);
    }
    Map *before = xmalloc(sizeof *before);
    memcpy(before, inner, sizeof *before);
    k->backward_apply(map_of(inner, half), map_of(x, half), 0, ROWS, CHANNELS, factor, slope, rest);
    for (size_t place = 0; place < ROWS * STRIDE; place++) {
        size_t c = place % STRIDE;
        if (c < CHANNELS)
            assert_close(value_at(inner, half, place), value_at(before, half, place) * (double)factor[c] +
                         (double)slope[c] * (double)x->values[place] + (double)rest[c], half ? 4e-3 : 2e-6);
    }
    free(before);
    free(x);
    free(g);
    free(inner);
}

static void check(const NormKernels *k) {
    for (int half = 0; half < 2; half++) {
        check_forward(k, half);
        check_backward(k, half);
    }
}

static void all_sets_follow_the_formulas(void **state) {
    (void)state;
    check(&norm_kernels_plain);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) check(&norm_kernels_avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) check(&norm_kernels_avx512);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_sets_follow_the_formulas)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
