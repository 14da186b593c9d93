/* Convolutions against sums in double precision: maps lower than a tile, odd sizes, tiles that end a block, channels that end in half a panel. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/random.h"
#include "train/winograd.h"
#include "base/banned.h"

static float *numbers_new(size_t count, uint64_t seed) {
    Random random = random_start(seed, 0);
    float *numbers = xmalloc((count + 1) * sizeof *numbers);
    for (size_t i = 0; i < count; i++) numbers[i] = (float)random_between(&random, -1, 1);
    return numbers;
}

/* Sums in double precision of all three products, in one walk over pixels and taps. */
static void reference(double *y, double *dx, double *dw, const float *x, const float *g, const float *w, SquareShape s) {
    int pixels = s.count * s.height * s.width;
    for (int p = 0; p < pixels; p++) {
        for (int tap = 0; tap < 9; tap++) {
            int py = p / s.width % s.height + tap / 3 - 1, px = p % s.width + tap % 3 - 1, n = p / s.width / s.height;
            if (py < 0 || py >= s.height || px < 0 || px >= s.width) continue;
            int q = (n * s.height + py) * s.width + px;
            for (int o = 0; o < s.out; o++) {
                for (int i = 0; i < s.in; i++) {
                    double weight = (double)w[(o * s.in + i) * 9 + tap], in = (double)x[q * s.in + i], gradient = (double)g[p * s.out + o];
                    y[p * s.out + o] += weight * in;
                    dx[q * s.in + i] += weight * gradient;
                    dw[(o * s.in + i) * 9 + tap] += gradient * in;
                }
            }
        }
    }
}

/* Errors of single numbers and their root mean square, in units of the root of the number of summands, which such random sums are the size of. */
static void assert_near(const char *what, const float *found, const double *wanted, size_t count, double summands) {
    double square = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)found[i] - wanted[i]) / sqrt(summands);
        most = off > most || isnan(off) ? off : most;
        square += off * off;
    }
    if (!(most <= 4e-6) || !(sqrt(square / fmax(1, (double)count)) <= 6e-7))
        fail_msg("%s: off by %g, %g on the average", what, most, sqrt(square / (double)count));
}

static void check(SquareShape s) {
    size_t pixels = (size_t)(s.count * s.height * s.width), in = (size_t)s.in, out = (size_t)s.out, weights = in * out * 9;
    float *x = numbers_new(pixels * in, 1), *g = numbers_new(pixels * out, 2), *w = numbers_new(weights, 3);
    float *y = numbers_new(pixels * out, 4), *dx = numbers_new(pixels * in, 5), *dw = numbers_new(weights, 6);
    double *sums = xcalloc(pixels * (in + out) + weights, sizeof *sums), *dx_sums = sums + pixels * out, *dw_sums = dx_sums + pixels * in;
    reference(sums, dx_sums, dw_sums, x, g, w, s);
    y[pixels * out] = dx[pixels * in] = dw[weights] = 42;
    winograd_forward(y, x, w, s);
    winograd_by_input(dx, g, w, s);
    winograd_by_weights(dw, g, x, s);
    assert_near("forward", y, sums, pixels * out, 9.0 * s.in);
    assert_near("by input", dx, dx_sums, pixels * in, 9.0 * s.out);
    assert_near("by weights", dw, dw_sums, weights, fmax(1, (double)pixels));
    assert_true(y[pixels * out] == 42 && dx[pixels * in] == 42 && dw[weights] == 42); /* nothing is written past the end */
    float *all[] = {x, g, w, y, dx, dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(sums);
}

static void convolutions_are_sums(void **state) {
    (void)state;
    if (!product_available()) skip();
    check((SquareShape){1, 1, 1, 8, 8, 1});
    check((SquareShape){2, 3, 2, 16, 8, 1});
    check((SquareShape){1, 4, 4, 8, 24, 1});
    check((SquareShape){3, 5, 9, 24, 16, 1});
    check((SquareShape){1, 52, 52, 24, 24, 1}); /* more than one block */
    check((SquareShape){4, 13, 13, 48, 40, 1});
    check((SquareShape){2, 7, 26, 40, 136, 1});
    check((SquareShape){1, 8, 8, 256, 64, 1});
    check((SquareShape){1, 6, 5, 8, 256, 1});
}

static void nothing_gives_nothing(void **state) {
    (void)state;
    if (!product_available()) skip();
    check((SquareShape){0, 8, 8, 8, 16, 1}); /* no image: no pixels, and weights have no gradient */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions_are_sums), cmocka_unit_test(nothing_gives_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
