/* LANES channels at a time: their nine weights, or the nine sums of their gradient, stay in registers along a row of pixels. A row above or below
 * the map is a row of zeros. Compiled with AVX2 and FMA.
 */
#include "train/depthwise.h"

#include <stdlib.h>

#include "base/arena.h"
#include "train/vector8.h"
#include "base/banned.h"

enum { TAPS = 9 };

static size_t row_floats(DepthwiseShape s) {
    return (size_t)s.width * (size_t)s.channels;
}

/* weights by tap, channels next to each other; flipped: those that carry a gradient back */
static float *taps_new(const float *weights, int channels, bool flipped) {
    float *taps = xmalloc((size_t)channels * TAPS * sizeof *taps);
    for (int c = 0; c < channels; c++) {
        for (int t = 0; t < TAPS; t++) taps[(flipped ? TAPS - 1 - t : t) * channels + c] = weights[c * TAPS + t];
    }
    return taps;
}

/* The input rows of output row y, zeros for those outside. */
static void find_rows(const float *rows[3], const float *image, const float *zeros, int y, DepthwiseShape s) {
    for (int k = 0; k < 3; k++) {
        int from = y * s.stride + k - 1;
        rows[k] = from < 0 || from >= s.height ? zeros : image + (size_t)from * row_floats(s);
    }
}

/* Sum over columns first … end - 1 of the taps; at is the offset of the middle one. */
static inline __attribute__((always_inline)) Vector sum_taps(const float *const rows[3], const Vector weights[TAPS], size_t at, size_t pixel,
                                                             int first, int end) {
    Vector sum = {0};
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ky++) {
#pragma GCC unroll 3
        for (int kx = first; kx < end; kx++) sum += weights[ky * 3 + kx] * load(rows[ky] + at + (size_t)kx * pixel - pixel);
    }
    return sum;
}

static void forward_row(float *y, const float *const rows[3], const float *taps, DepthwiseShape s) {
    size_t pixel = (size_t)s.channels, step = pixel * (size_t)s.stride;
    int columns = s.width / s.stride;
    bool cut = s.stride == 1; /* the last column reaches beyond the map */
    for (int c = 0; c < s.channels; c += LANES) {
        Vector weights[TAPS];
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; t++) weights[t] = load(taps + t * s.channels + c);
        const float *const from[3] = {rows[0] + c, rows[1] + c, rows[2] + c};
        float *to = y + c;
        if (s.width == 1) {
            store(to, sum_taps(from, weights, 0, pixel, 1, 2));
            continue;
        }
        store(to, sum_taps(from, weights, 0, pixel, 1, 3));
        size_t at = step;
        for (int x = 1; x < columns - cut; x++, at += step) store(to + (size_t)x * pixel, sum_taps(from, weights, at, pixel, 0, 3));
        if (cut) store(to + (size_t)(columns - 1) * pixel, sum_taps(from, weights, at, pixel, 0, 2));
    }
}

static void convolve(float *y, const float *x, const float *taps, DepthwiseShape s) {
    float *zeros = xcalloc(row_floats(s), sizeof *zeros);
    const float *rows[3];
    for (int n = 0; n < s.count; n++) {
        const float *image = x + (size_t)n * (size_t)s.height * row_floats(s);
        for (int row = 0; row < s.height / s.stride; row++, y += row_floats(s) / (size_t)s.stride) {
            find_rows(rows, image, zeros, row, s);
            forward_row(y, rows, taps, s);
        }
    }
    free(zeros);
}

void depthwise_forward(float *y, const float *x, const float *weights, DepthwiseShape shape) {
    float *taps = taps_new(weights, shape.channels, false);
    convolve(y, x, taps, shape);
    free(taps);
}

/* Two input rows of stride 2 from the gradient's rows `upper` and `lower`: even pixels lie under the middle tap, odd ones under two outer ones. */
static void spread_rows(float *even_row, float *odd_row, const float *upper, const float *lower, const float *taps, DepthwiseShape s) {
    size_t pixel = (size_t)s.channels;
    int columns = s.width / 2;
    for (int c = 0; c < s.channels; c += LANES) {
        Vector w[TAPS];
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; t++) w[t] = load(taps + t * s.channels + c);
        Vector above = load(upper + c), below = load(lower + c);
        for (int x = 0; x < columns; x++) {
            size_t at = (size_t)x * pixel + (size_t)c, to = at + (size_t)x * pixel;
            bool last = x == columns - 1;
            Vector next_above = last ? (Vector){0} : load(upper + at + pixel), next_below = last ? (Vector){0} : load(lower + at + pixel);
            store(even_row + to, w[4] * above);
            store(even_row + to + pixel, w[5] * above + w[3] * next_above);
            store(odd_row + to, w[7] * above + w[1] * below);
            store(odd_row + to + pixel, w[8] * above + w[6] * next_above + w[2] * below + w[0] * next_below);
            above = next_above;
            below = next_below;
        }
    }
}

void depthwise_by_input(float *x_gradient, const float *gradient, const float *weights, DepthwiseShape shape) {
    float *taps = taps_new(weights, shape.channels, shape.stride == 1);
    if (shape.stride == 1) {
        convolve(x_gradient, gradient, taps, shape);
        free(taps);
        return;
    }
    size_t row = row_floats(shape), half = row / 2;
    float *zeros = xcalloc(half, sizeof *zeros);
    int rows = shape.height / 2;
    for (int n = 0; n < shape.count; n++) {
        for (int y = 0; y < rows; y++, gradient += half, x_gradient += 2 * row)
            spread_rows(x_gradient, x_gradient + row, gradient, y + 1 < rows ? gradient + half : zeros, taps, shape);
    }
    free(zeros);
    free(taps);
}

static inline __attribute__((always_inline)) void add_taps(Vector sums[TAPS], Vector g, const float *const rows[3], size_t at, size_t pixel,
                                                          int first, int end) {
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ky++) {
#pragma GCC unroll 3
        for (int kx = first; kx < end; kx++) sums[ky * 3 + kx] += g * load(rows[ky] + at + (size_t)kx * pixel - pixel);
    }
}

static void weights_row(float *taps, const float *gradient, const float *const rows[3], DepthwiseShape s) {
    size_t pixel = (size_t)s.channels, step = pixel * (size_t)s.stride;
    int columns = s.width / s.stride;
    bool cut = s.stride == 1;
    for (int c = 0; c < s.channels; c += LANES) {
        const float *const from[3] = {rows[0] + c, rows[1] + c, rows[2] + c}, *g = gradient + c;
        Vector sums[TAPS] = {0};
        if (s.width == 1) add_taps(sums, load(g), from, 0, pixel, 1, 2);
        else add_taps(sums, load(g), from, 0, pixel, 1, 3);
        size_t at = step;
        for (int x = 1; x < columns - cut; x++, at += step) add_taps(sums, load(g + (size_t)x * pixel), from, at, pixel, 0, 3);
        if (cut && columns > 1) add_taps(sums, load(g + (size_t)(columns - 1) * pixel), from, at, pixel, 0, 2);
#pragma GCC unroll 9
        for (int t = 0; t < TAPS; t++) {
            float *to = taps + t * s.channels + c;
            store(to, load(to) + sums[t]);
        }
    }
}

void depthwise_by_weights(float *weight_gradient, const float *gradient, const float *x, DepthwiseShape shape) {
    float *zeros = xcalloc(row_floats(shape), sizeof *zeros), *taps = xcalloc((size_t)shape.channels * TAPS, sizeof *taps);
    const float *rows[3];
    for (int n = 0; n < shape.count; n++) {
        const float *image = x + (size_t)n * (size_t)shape.height * row_floats(shape);
        for (int row = 0; row < shape.height / shape.stride; row++, gradient += row_floats(shape) / (size_t)shape.stride) {
            find_rows(rows, image, zeros, row, shape);
            weights_row(taps, gradient, rows, shape);
        }
    }
    for (int c = 0; c < shape.channels; c++) {
        for (int t = 0; t < TAPS; t++) weight_gradient[c * TAPS + t] = taps[t * shape.channels + c];
    }
    free(taps);
    free(zeros);
}
