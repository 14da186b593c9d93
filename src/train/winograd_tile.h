/* What winograd.c and winograd_weights.c share: the transforms of one dimension, of LANES channels at a time, and where tiles lie in maps.
 *
 * Polynomials are evaluated at 0, NEAR, -NEAR, FAR, -FAR and infinity. With NEAR = 1 / sqrt 2 and FAR = sqrt 2 sums in single precision end up within
 * one and a half times the error of plain convolution; with the 1 and 2 of the textbook it is three times.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "train/product.h"
#include "train/vector8.h"

enum {
    INNER = 4, /* pixels of a tile's result, each way */
    OUTER = 6, /* pixels that they depend on */
    POSITIONS = OUTER * OUTER,
    FLOATS_OF_LINE = 16 /* one more between positions: maps of a power of two apart compete for the same lines of the cache */
};

#define WINOGRAD_NEAR 0.70710678f
#define WINOGRAD_FAR 1.41421356f

/* Tiles of a batch, row by row, image by image. */
typedef struct Tiles {
    int height, width; /* of the maps */
    int high, wide;    /* tiles of a map */
    size_t count;
} Tiles;

static inline Tiles tiles_of(SquareShape s) {
    int high = (s.height + INNER - 1) / INNER, wide = (s.width + INNER - 1) / INNER;
    return (Tiles){s.height, s.width, high, wide, (size_t)s.count * (size_t)high * (size_t)wide};
}

#define WINOGRAD_OUTSIDE SIZE_MAX

/* Where in a batch of maps the `side` x `side` pixels of a tile begin, `before` of them above and left of its result. */
static inline void find_pixels(size_t *offsets, Tiles tiles, size_t tile, int side, int before, int channels) {
    size_t wide = (size_t)tiles.wide, of_map = (size_t)tiles.high * wide, image = tile / of_map * (size_t)tiles.height * (size_t)tiles.width;
    int top = (int)(tile % of_map / wide) * INNER - before, left = (int)(tile % wide) * INNER - before;
    for (int y = top; y < top + side; y++) {
        for (int x = left; x < left + side; x++) {
            bool inside = y >= 0 && y < tiles.height && x >= 0 && x < tiles.width;
            *offsets++ = inside ? (image + (size_t)y * (size_t)tiles.width + (size_t)x) * (size_t)channels : WINOGRAD_OUTSIDE;
        }
    }
}

/* Those pixels; zeros stand for those outside the map. */
static inline void find_sources(const float **sources, const float *maps, const float *zeros, Tiles tiles, size_t tile, int side, int before, int channels) {
    size_t offsets[POSITIONS];
    find_pixels(offsets, tiles, tile, side, before, channels);
    for (int i = 0; i < side * side; i++) sources[i] = offsets[i] == WINOGRAD_OUTSIDE ? zeros : maps + offsets[i];
}

/* Six pixels to six positions: B^T of Lavin and Gray. */
static inline __attribute__((always_inline)) void input_line(Vector to[OUTER], const Vector d[OUTER]) {
    Vector even = d[4] - 2.0f * d[2], odd = WINOGRAD_NEAR * (d[3] - 2.0f * d[1]);
    Vector far_even = d[4] - 0.5f * d[2], far_odd = WINOGRAD_FAR * (d[3] - 0.5f * d[1]);
    to[0] = d[0] + d[4] - 2.5f * d[2];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = far_even + far_odd;
    to[4] = far_even - far_odd;
    to[5] = d[1] + d[5] - 2.5f * d[3];
}

/* LANES channels from c on of a tile's pixels to its positions, which lie `step` floats apart. */
static inline __attribute__((always_inline)) void input_tile(float *to, size_t step, const float *const pixels[POSITIONS], int c) {
    Vector lines[OUTER][OUTER], line[OUTER];
#pragma GCC unroll 6
    for (int x = 0; x < OUTER; x++) {
        Vector column[OUTER];
#pragma GCC unroll 6
        for (int y = 0; y < OUTER; y++) column[y] = load(pixels[y * OUTER + x] + c);
        input_line(line, column);
#pragma GCC unroll 6
        for (int y = 0; y < OUTER; y++) lines[y][x] = line[y];
    }
#pragma GCC unroll 6
    for (int y = 0; y < OUTER; y++) {
        input_line(line, lines[y]);
#pragma GCC unroll 6
        for (int x = 0; x < OUTER; x++) store(to + (size_t)(y * OUTER + x) * step, line[x]);
    }
}

/* Three weights to six positions: G. */
static inline __attribute__((always_inline)) void weight_line(Vector to[OUTER], const Vector w[3]) {
    Vector even = (w[0] + 0.5f * w[2]) * (-2.0f / 3), odd = w[1] * (-2.0f / 3 * WINOGRAD_NEAR);
    Vector far_even = (w[0] + 2.0f * w[2]) * (1.0f / 6), far_odd = w[1] * (1.0f / 6 * WINOGRAD_FAR);
    to[0] = w[0];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = far_even + far_odd;
    to[4] = far_even - far_odd;
    to[5] = w[2];
}

/* Six positions to four pixels of the result: A^T. */
static inline __attribute__((always_inline)) void output_line(Vector to[INNER], const Vector m[OUTER]) {
    Vector even = m[1] + m[2], odd = WINOGRAD_NEAR * (m[1] - m[2]), far_even = m[3] + m[4], far_odd = WINOGRAD_FAR * (m[3] - m[4]);
    to[0] = m[0] + even + far_even;
    to[1] = odd + far_odd;
    to[2] = 0.5f * even + 2.0f * far_even;
    to[3] = 0.5f * odd + 2.0f * far_odd + m[5];
}

/* Four pixels of a result's gradient to six positions: A. */
static inline __attribute__((always_inline)) void gradient_line(Vector to[OUTER], const Vector g[INNER]) {
    Vector even = g[0] + 0.5f * g[2], odd = WINOGRAD_NEAR * (g[1] + 0.5f * g[3]);
    Vector far_even = g[0] + 2.0f * g[2], far_odd = WINOGRAD_FAR * (g[1] + 2.0f * g[3]);
    to[0] = g[0];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = far_even + far_odd;
    to[4] = far_even - far_odd;
    to[5] = g[3];
}

/* Six positions to the gradients of three weights: G^T. */
static inline __attribute__((always_inline)) void sum_line(Vector to[3], const Vector u[OUTER]) {
    Vector even = (u[1] + u[2]) * (-2.0f / 3), odd = (u[1] - u[2]) * (-2.0f / 3 * WINOGRAD_NEAR);
    Vector far_even = (u[3] + u[4]) * (1.0f / 6), far_odd = (u[3] - u[4]) * (1.0f / 6 * WINOGRAD_FAR);
    to[0] = u[0] + even + far_even;
    to[1] = odd + far_odd;
    to[2] = 0.5f * even + 2.0f * far_even + u[5];
}
