/* Tiles of the input and the weights are transformed once; a product of matrices for each of the 36 positions of a tile takes the place of the
 * convolution; its result is transformed back. Some tiles at a time, that their transforms stay in the second-level cache, and of the result
 * PRODUCT_PANEL channels at a time. Compiled with AVX2 and FMA.
 */
#include "train/winograd.h"

#include <stdlib.h>

#include "base/arena.h"
#include "train/winograd_tile.h"
#include "base/banned.h"

enum { BLOCK_BYTES = 384 << 10, LEAST_TILES = 24, MOST_TILES = 96 };

/* Which number of the weights belongs to input channel k and output channel n of the convolution that is done. */
typedef struct WeightOrder {
    size_t k, n; /* floats from one to the next */
    bool flipped;
} WeightOrder;

static inline __attribute__((always_inline)) void transform_weights(float *to, size_t step, const float *from, WeightOrder order) {
    Vector w[3][3], lines[3][OUTER], turned[3], line[OUTER];
    for (int t = 0; t < 9; t++) {
        for (int l = 0; l < LANES; l++) w[t % 3][t / 3][l] = from[(size_t)l * order.n + (size_t)(order.flipped ? 8 - t : t)];
    }
    for (int x = 0; x < 3; x++) weight_line(lines[x], w[x]);
#pragma GCC unroll 6
    for (int y = 0; y < OUTER; y++) {
        for (int x = 0; x < 3; x++) turned[x] = lines[x][y];
        weight_line(line, turned);
#pragma GCC unroll 6
        for (int x = 0; x < OUTER; x++) store(to + (size_t)(y * OUTER + x) * step, line[x]);
    }
}

/* Of each position: the panels that product_multiply() wants. */
static float *transformed_weights_new(const float *weights, int depth, int columns, WeightOrder order) {
    size_t step = (size_t)depth * (size_t)columns;
    float *all = xmalloc(step * POSITIONS * sizeof *all), *to = all;
    for (int first = 0; first < columns; first += PRODUCT_PANEL) {
        int end = columns - first < PRODUCT_PANEL ? columns : first + PRODUCT_PANEL;
        for (int k = 0; k < depth; k++) {
            for (int n = first; n < end; n += LANES, to += LANES)
                transform_weights(to, step, weights + (size_t)k * order.k + (size_t)n * order.n, order);
        }
    }
    return all;
}

/* Positions, `step` floats apart, to pixels. */
static void transform_output(float *const places[INNER * INNER], const float *from, size_t step, int channels) {
    for (int c = 0; c < channels; c += LANES, from += LANES) {
        Vector lines[INNER][OUTER];
#pragma GCC unroll 6
        for (int x = 0; x < OUTER; x++) {
            Vector positions[OUTER], line[INNER];
#pragma GCC unroll 6
            for (int y = 0; y < OUTER; y++) positions[y] = load(from + (size_t)(y * OUTER + x) * step);
            output_line(line, positions);
#pragma GCC unroll 4
            for (int y = 0; y < INNER; y++) lines[y][x] = line[y];
        }
#pragma GCC unroll 4
        for (int y = 0; y < INNER; y++) {
            Vector line[INNER];
            output_line(line, lines[y]);
#pragma GCC unroll 4
            for (int x = 0; x < INNER; x++) store(places[y * INNER + x] + c, line[x]);
        }
    }
}

/* The pixels of a tile's result; what lies outside the map goes nowhere. */
static void find_targets(float **targets, float *maps, float *nowhere, Tiles tiles, size_t tile, int channels) {
    size_t offsets[INNER * INNER];
    find_pixels(offsets, tiles, tile, INNER, 0, channels);
    for (int i = 0; i < INNER * INNER; i++) targets[i] = offsets[i] == WINOGRAD_OUTSIDE ? nowhere : maps + offsets[i];
}

static size_t tiles_of_block(SquareShape s) {
    size_t most = BLOCK_BYTES / sizeof(float) / POSITIONS / (size_t)(s.in + s.out);
    return most < LEAST_TILES ? LEAST_TILES : most > MOST_TILES ? MOST_TILES : most / 6 * 6;
}

/* weights are transformed */
static void convolve(float *y, const float *x, const float *weights, SquareShape s) {
    Tiles tiles = tiles_of(s);
    size_t in = (size_t)s.in, out = (size_t)s.out, block = tiles_of_block(s), step = block * in + FLOATS_OF_LINE, product_step = block * out + FLOATS_OF_LINE;
    float *input = xmalloc(POSITIONS * step * sizeof *input), *product = xmalloc(POSITIONS * product_step * sizeof *product);
    float *zeros = xcalloc(in, sizeof *zeros), *nowhere = xmalloc(out * sizeof *nowhere);
    const float *sources[POSITIONS];
    float *targets[INNER * INNER];
    for (size_t first = 0; first < tiles.count; first += block) {
        size_t count = tiles.count - first < block ? tiles.count - first : block;
        for (size_t t = 0; t < count; t++) {
            find_sources(sources, x, zeros, tiles, first + t, OUTER, 1, s.in);
            for (int c = 0; c < s.in; c += LANES) input_tile(input + t * in + c, step, sources, c);
        }
        for (size_t p = 0; p < POSITIONS; p++)
            product_multiply(product + p * product_step, out, input + p * step, in, weights + p * in * out, count, s.in, s.out);
        for (size_t t = 0; t < count; t++) {
            find_targets(targets, y, nowhere, tiles, first + t, s.out);
            transform_output(targets, product + t * out, product_step, s.out);
        }
    }
    free(input);
    free(product);
    free(zeros);
    free(nowhere);
}

void winograd_forward(float *y, const float *x, const float *weights, SquareShape shape) {
    WeightOrder order = {.k = 9, .n = 9 * (size_t)shape.in};
    float *transformed = transformed_weights_new(weights, shape.in, shape.out, order);
    convolve(y, x, transformed, shape);
    free(transformed);
}

void winograd_by_input(float *x_gradient, const float *gradient, const float *weights, SquareShape shape) {
    WeightOrder order = {.k = 9 * (size_t)shape.in, .n = 9, .flipped = true};
    float *transformed = transformed_weights_new(weights, shape.out, shape.in, order);
    SquareShape back = {.count = shape.count, .height = shape.height, .width = shape.width, .in = shape.out, .out = shape.in, .stride = 1};
    convolve(x_gradient, gradient, transformed, back);
    free(transformed);
}
