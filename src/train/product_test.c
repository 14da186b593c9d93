/* The three products against sums in double precision: odd numbers of rows, channels that end in half a panel, rows with gaps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/product.h"
#include "train/random.h"
#include "base/banned.h"

enum { GAP = 8 };

static float *numbers_new(size_t count, uint64_t seed) {
    Random random = random_start(seed, 0);
    float *numbers = xmalloc(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = (float)random_between(&random, -1, 1);
    return numbers;
}

static void assert_sum(float found, double wanted, double size) {
    if (!(fabs((double)found - wanted) <= 2e-6 * size + 1e-9)) fail_msg("%.9g instead of %.9g", (double)found, wanted);
}

static void check(size_t rows, int in_channels, int out_channels) {
    size_t in = (size_t)in_channels, out = (size_t)out_channels, x_stride = in + GAP, g_stride = out + GAP;
    float *x = numbers_new(rows * x_stride, 1), *g = numbers_new(rows * g_stride, 2), *w = numbers_new(in * out, 3);
    float *y = numbers_new(rows * g_stride, 4), *dx = numbers_new(rows * x_stride, 5), *dw = numbers_new(in * out, 6);
    float gap = y[out], x_gap = dx[in];
    ProductShape shape = {rows, in_channels, out_channels};
    product_forward(y, g_stride, x, x_stride, w, shape);
    product_by_input(dx, x_stride, g, g_stride, w, shape);
    product_by_weights(dw, g, g_stride, x, x_stride, shape);
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < out; o++) {
            double sum = 0;
            for (size_t i = 0; i < in; i++) sum += (double)x[r * x_stride + i] * (double)w[o * in + i];
            assert_sum(y[r * g_stride + o], sum, (double)in);
        }
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t o = 0; o < out; o++) sum += (double)g[r * g_stride + o] * (double)w[o * in + i];
            assert_sum(dx[r * x_stride + i], sum, (double)out);
        }
    }
    for (size_t o = 0; o < out; o++) {
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t r = 0; r < rows; r++) sum += (double)g[r * g_stride + o] * (double)x[r * x_stride + i];
            assert_sum(dw[o * in + i], sum, (double)rows);
        }
    }
    if (rows > 1) { /* gaps are not written */
        assert_true(y[out] == gap);
        assert_true(dx[in] == x_gap);
    }
    float *all[] = {x, g, w, y, dx, dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void products_are_sums(void **state) {
    (void)state;
    if (!product_available()) skip();
    check(1, 8, 8);
    check(7, 16, 24);
    check(301, 24, 16);
    check(129, 64, 40);
    check(65, 264, 8);
    check(131, 8, 256);
    check(2050, 16, 16);
}

static void check_square(SquareShape s) {
    int high = s.height / s.stride, wide = s.width / s.stride;
    size_t x_count = (size_t)(s.count * s.height * s.width * s.in), g_count = (size_t)(s.count * high * wide * s.out);
    size_t weights = (size_t)(s.in * s.out * 9);
    float *x = numbers_new(x_count, 1), *g = numbers_new(g_count, 2), *dw = numbers_new(weights, 3);
    square_by_weights(dw, g, x, s);
    for (int w = 0; w < (int)weights; w++) {
        int tap = w % 9, i = w / 9 % s.in, o = w / 9 / s.in;
        double sum = 0;
        for (int p = 0; p < s.count * high * wide; p++) {
            int iy = p / wide % high * s.stride + tap / 3 - 1, ix = p % wide * s.stride + tap % 3 - 1, n = p / wide / high;
            if (iy >= 0 && iy < s.height && ix >= 0 && ix < s.width)
                sum += (double)g[p * s.out + o] * (double)x[((n * s.height + iy) * s.width + ix) * s.in + i];
        }
        assert_sum(dw[w], sum, s.count * high * wide);
    }
    free(x);
    free(g);
    free(dw);
}

static void square_products_are_sums(void **state) {
    (void)state;
    if (!product_available()) skip();
    check_square((SquareShape){2, 9, 7, 12, 8, 1});
    check_square((SquareShape){1, 3, 130, 24, 16, 1});
    check_square((SquareShape){2, 16, 32, 16, 8, 2});
    check_square((SquareShape){1, 1, 1, 8, 4, 1});
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_sums), cmocka_unit_test(square_products_are_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
