/* The gradient of the weights is the transpose of the convolution in the weights: tiles of the gradient are transformed as a result is transformed
 * back, the other way round; their products with the transformed input are summed over all tiles; one transform of those sums ends it.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "train/winograd.h"
#include "train/winograd_tile.h"
#include "base/banned.h"

enum { BLOCK_BYTES = 768 << 10, LEAST_TILES = 32, MOST_TILES = 96 };

/* Transforms of some tiles: of each position panels of PRODUCT_PANEL channels, tile by tile. */
typedef struct Panels {
    float *floats;
    size_t position, panel; /* floats from one to the next */
} Panels;

static Panels panels_new(int channels, size_t tiles) {
    size_t count = ((size_t)channels + PRODUCT_PANEL - 1) / PRODUCT_PANEL, panel = tiles * PRODUCT_PANEL, position = count * panel + FLOATS_OF_LINE;
    return (Panels){xmalloc(POSITIONS * position * sizeof(float)), position, panel};
}

static float *place_in(Panels panels, size_t tile, int channel) {
    return panels.floats + (size_t)(channel / PRODUCT_PANEL) * panels.panel + tile * PRODUCT_PANEL + channel % PRODUCT_PANEL;
}

static void transform_gradient(Panels to, size_t tile, const float *const places[INNER * INNER], int channels) {
    for (int c = 0; c < channels; c += LANES) {
        float *place = place_in(to, tile, c);
        Vector lines[OUTER][INNER];
#pragma GCC unroll 4
        for (int x = 0; x < INNER; x++) {
            Vector pixels[INNER], line[OUTER];
#pragma GCC unroll 4
            for (int y = 0; y < INNER; y++) pixels[y] = load(places[y * INNER + x] + c);
            gradient_line(line, pixels);
#pragma GCC unroll 6
            for (int y = 0; y < OUTER; y++) lines[y][x] = line[y];
        }
#pragma GCC unroll 6
        for (int y = 0; y < OUTER; y++) {
            Vector line[OUTER];
            gradient_line(line, lines[y]);
#pragma GCC unroll 6
            for (int x = 0; x < OUTER; x++) store(place + (size_t)(y * OUTER + x) * to.position, line[x]);
        }
    }
}

/* LANES input channels of one output channel: sums, `step` floats from one position to the next, to 9 weights of each. */
static void transform_sums(float *weight_gradient, const float *sums, size_t step) {
    Vector lines[3][OUTER], line[3];
#pragma GCC unroll 6
    for (int x = 0; x < OUTER; x++) {
        Vector positions[OUTER];
#pragma GCC unroll 6
        for (int y = 0; y < OUTER; y++) positions[y] = load(sums + (size_t)(y * OUTER + x) * step);
        sum_line(line, positions);
        for (int y = 0; y < 3; y++) lines[y][x] = line[y];
    }
    for (int y = 0; y < 3; y++) {
        sum_line(line, lines[y]);
        for (int x = 0; x < 3; x++) {
            for (int l = 0; l < LANES; l++) weight_gradient[l * 9 + y * 3 + x] = line[x][l];
        }
    }
}

static size_t tiles_of_block(SquareShape s) {
    size_t most = BLOCK_BYTES / sizeof(float) / POSITIONS / (size_t)(s.in + s.out);
    return most < LEAST_TILES ? LEAST_TILES : most > MOST_TILES ? MOST_TILES : most;
}

/* Adds the products of some tiles to sums: position, output channel, input channel. */
static void add_products(float *sums, size_t step, Panels gradient, Panels input, size_t tiles, SquareShape s) {
    size_t in = (size_t)s.in;
    for (size_t p = 0; p < POSITIONS; p++, sums += step) {
        for (int n = 0; n < s.in; n += PRODUCT_PANEL) {
            const float *right = place_in(input, 0, n) + p * input.position;
            int width = s.in - n < PRODUCT_PANEL ? s.in - n : PRODUCT_PANEL;
            for (int m = 0; m < s.out; m += PRODUCT_PANEL) {
                const float *left = place_in(gradient, 0, m) + p * gradient.position;
                int height = s.out - m < PRODUCT_PANEL ? s.out - m : PRODUCT_PANEL;
                product_add(sums + (size_t)m * in + n, in, left, PRODUCT_PANEL, height, right, PRODUCT_PANEL, width, tiles);
            }
        }
    }
}

void winograd_by_weights(float *weight_gradient, const float *gradient, const float *x, SquareShape s) {
    Tiles tiles = tiles_of(s);
    size_t in = (size_t)s.in, out = (size_t)s.out, block = tiles_of_block(s), step = in * out + FLOATS_OF_LINE;
    Panels input = panels_new(s.in, block), by_result = panels_new(s.out, block);
    float *sums = xcalloc(POSITIONS * step, sizeof *sums), *zeros = xcalloc(in > out ? in : out, sizeof *zeros);
    const float *sources[POSITIONS];
    for (size_t first = 0; first < tiles.count; first += block) {
        size_t count = tiles.count - first < block ? tiles.count - first : block;
        for (size_t t = 0; t < count; t++) {
            find_sources(sources, x, zeros, tiles, first + t, OUTER, 1, s.in);
            for (int c = 0; c < s.in; c += LANES) input_tile(place_in(input, t, c), input.position, sources, c);
            find_sources(sources, gradient, zeros, tiles, first + t, INNER, 0, s.out);
            transform_gradient(by_result, t, sources, s.out);
        }
        add_products(sums, step, by_result, input, count, s);
    }
    for (size_t o = 0; o < out; o++) {
        for (size_t i = 0; i < in; i += LANES) transform_sums(weight_gradient + (o * in + i) * 9, sums + o * in + i, step);
    }
    free(input.floats);
    free(by_result.floats);
    free(sums);
    free(zeros);
}
