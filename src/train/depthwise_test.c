/* Depthwise convolutions against their definition in double precision. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/depthwise.h"
#include "train/product.h"
#include "train/random.h"
#include "base/banned.h"

static float *numbers_new(size_t count, uint64_t seed) {
    Random random = random_start(seed, 0);
    float *numbers = xmalloc(count * sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = (float)random_between(&random, -1, 1);
    return numbers;
}

static void assert_sums(const float *found, const double *wanted, size_t count, double size) {
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)found[i] - wanted[i]) <= 1e-6 * size)) fail_msg("%.9g instead of %.9g at %zu", (double)found[i], wanted[i], i);
    }
}

static void check(DepthwiseShape s) {
    int high = s.height / s.stride, wide = s.width / s.stride;
    size_t in = (size_t)(s.count * s.height * s.width * s.channels), out = in / (size_t)(s.stride * s.stride), weight = (size_t)s.channels * 9;
    float *x = numbers_new(in, 1), *g = numbers_new(out, 2), *w = numbers_new(weight, 3);
    float *y = numbers_new(out, 4), *dx = numbers_new(in, 5), *dw = numbers_new(weight, 6);
    double *y_wanted = xcalloc(out, sizeof(double)), *dx_wanted = xcalloc(in, sizeof(double)), *dw_wanted = xcalloc(weight, sizeof(double));
    depthwise_forward(y, x, w, s);
    depthwise_by_input(dx, g, w, s);
    depthwise_by_weights(dw, g, x, s);
    for (size_t o = 0; o < out; o++) {
        int c = (int)o % s.channels, pixel = (int)o / s.channels, column = pixel % wide, row = pixel / wide % high, n = pixel / wide / high;
        for (int t = 0; t < 9; t++) {
            int iy = row * s.stride + t / 3 - 1, ix = column * s.stride + t % 3 - 1;
            if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) continue;
            size_t i = (size_t)(((n * s.height + iy) * s.width + ix) * s.channels + c), k = (size_t)(c * 9 + t);
            y_wanted[o] += (double)x[i] * (double)w[k];
            dx_wanted[i] += (double)g[o] * (double)w[k];
            dw_wanted[k] += (double)g[o] * (double)x[i];
        }
    }
    assert_sums(y, y_wanted, out, 9);
    assert_sums(dx, dx_wanted, in, 9);
    assert_sums(dw, dw_wanted, weight, (double)(s.count * high * wide));
    void *all[] = {x, g, w, y, dx, dw, y_wanted, dx_wanted, dw_wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void convolutions_are_sums(void **state) {
    (void)state;
    if (!product_available()) skip();
    check((DepthwiseShape){2, 8, 8, 16, 1});
    check((DepthwiseShape){1, 1, 1, 8, 1});
    check((DepthwiseShape){3, 1, 5, 8, 1});
    check((DepthwiseShape){1, 7, 2, 24, 1});
    check((DepthwiseShape){2, 8, 8, 16, 2});
    check((DepthwiseShape){1, 2, 2, 8, 2});
    check((DepthwiseShape){2, 2, 10, 40, 2});
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions_are_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
