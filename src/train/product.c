/* Tiles of the results are kept in registers, ROWS x 16 of them, while the sum over the third dimension runs: the way of Goto and van de
 * Geijn, ACM TOMS 34 (2008), less the copying that small matrices do not repay. Compiled with AVX2 and FMA.
 */
#include "train/product.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "train/vector8.h"
#include "base/banned.h"

enum {
    PANEL = PRODUCT_PANEL, /* columns of a tile: 2 * LANES */
    TILE = 6,             /* rows of a tile: 12 sums, 2 columns and a row's number fill the 16 registers */
    DEPTH = 32,           /* numbers that are summed up in a row: sums of such sums are nearer to the truth than one long one */
    BLOCK_FLOATS = 12288, /* of rows that are read again for each panel */
    BLOCK_ROWS = 64,      /* of both maps that weights are summed over before the sums go to memory */
    BAND_PIXELS = 128,    /* at least, that weights of a 3 x 3 convolution are summed over likewise */
    FAR = 256             /* floats; rows so far apart or farther compete for the same lines of the cache: a panel of them is copied */
};

/* rows x (vectors * LANES) numbers of c = a b, or of c += a b; b is a panel: depth rows of that width, one after another. */
static inline __attribute__((always_inline)) void tile(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, int depth,
                                                       int rows, int vectors, bool add) {
    Vector sums[TILE][2] = {0};
    for (int k = 0; k < depth; k++, b += vectors * LANES) {
        Vector columns[2] = {load(b), vectors > 1 ? load(b + LANES) : (Vector){0}};
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            float number = a[(size_t)r * a_stride + (size_t)k];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[r][v] += number * columns[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)r * c_stride + v * LANES;
            store(to, add ? load(to) + sums[r][v] : sums[r][v]);
        }
    }
}

/* The rest of the rows below whole tiles, one at a time. */
static inline __attribute__((always_inline)) void column_of_tiles(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b,
                                                                  int depth, size_t rows, int vectors, bool add) {
    size_t r = 0;
    for (; r + TILE <= rows; r += TILE) tile(c + r * c_stride, c_stride, a + r * a_stride, a_stride, b, depth, TILE, vectors, add);
    for (; r + 2 <= rows; r += 2) tile(c + r * c_stride, c_stride, a + r * a_stride, a_stride, b, depth, 2, vectors, add);
    if (r < rows) tile(c + r * c_stride, c_stride, a + r * a_stride, a_stride, b, depth, 1, vectors, add);
}

/* One panel's columns of c = a b, DEPTH summands at a time. */
static void panel_of_tiles(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, int depth, size_t rows, int vectors) {
    for (int k = 0; k < depth; k += DEPTH, a += DEPTH, b += DEPTH * vectors * LANES) {
        int part = depth - k < DEPTH ? depth - k : DEPTH;
        if (vectors == 2 && k == 0) column_of_tiles(c, c_stride, a, a_stride, b, part, rows, 2, false);
        else if (vectors == 2) column_of_tiles(c, c_stride, a, a_stride, b, part, rows, 2, true);
        else column_of_tiles(c, c_stride, a, a_stride, b, part, rows, 1, k > 0);
    }
}

/* c = a b, where b lies in panels of PANEL columns; the last may be of LANES. */
void product_multiply(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t rows, int depth, int columns) {
    size_t most = BLOCK_FLOATS / (size_t)depth / TILE * TILE, block = most > TILE ? most : TILE;
    for (size_t first = 0; first < rows; first += block) {
        size_t count = rows - first < block ? rows - first : block;
        const float *panel = b, *a_rows = a + first * a_stride;
        float *c_rows = c + first * c_stride;
        for (int column = 0; column < columns; column += PANEL, panel += PANEL * (size_t)depth)
            panel_of_tiles(c_rows + column, c_stride, a_rows, a_stride, panel, depth, count, columns - column < PANEL ? 1 : 2);
    }
}

/* Panels of a matrix of depth x columns, whose number (k, n) lies at k * k_stride + n * n_stride. */
static float *panels_new(const float *from, int depth, int columns, size_t k_stride, size_t n_stride) {
    float *panels = xmalloc((size_t)depth * (size_t)columns * sizeof *panels), *to = panels;
    for (int column = 0; column < columns; column += PANEL) {
        int width = columns - column < PANEL ? columns - column : PANEL;
        for (int k = 0; k < depth; k++) {
            for (int n = column; n < column + width; n++) *to++ = from[(size_t)k * k_stride + (size_t)n * n_stride];
        }
    }
    return panels;
}

void product_forward(float *y, size_t y_stride, const float *x, size_t x_stride, const float *weights, ProductShape shape) {
    float *panels = panels_new(weights, shape.in, shape.out, 1, (size_t)shape.in);
    product_multiply(y, y_stride, x, x_stride, panels, shape.rows, shape.in, shape.out);
    free(panels);
}

void product_by_input(float *x_gradient, size_t x_stride, const float *gradient, size_t gradient_stride, const float *weights, ProductShape shape) {
    float *panels = panels_new(weights, shape.out, shape.in, (size_t)shape.in, 1);
    product_multiply(x_gradient, x_stride, gradient, gradient_stride, panels, shape.rows, shape.out, shape.in);
    free(panels);
}

/* Rows of one of two maps that go together: line by line, each of some pixels. */
typedef struct Rows {
    const float *first;
    size_t line, pixel; /* floats from one to the next */
} Rows;

/* rows x (vectors * LANES) numbers of w += a^T b over lines of pixels. */
static inline __attribute__((always_inline)) void weight_tile(float *w, size_t w_stride, Rows left, Rows right, size_t lines,
                                                              size_t pixels, int rows, int vectors) {
    Vector sums[TILE][2] = {0};
    for (size_t l = 0; l < lines; l++) {
        const float *a = left.first + l * left.line, *b = right.first + l * right.line;
        for (size_t p = 0; p < pixels; p++, a += left.pixel, b += right.pixel) {
            Vector columns[2] = {load(b), vectors > 1 ? load(b + LANES) : (Vector){0}};
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
                for (int v = 0; v < vectors; v++) sums[i][v] += a[i] * columns[v];
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            float *to = w + (size_t)i * w_stride + v * LANES;
            store(to, load(to) + sums[i][v]);
        }
    }
}

/* The same of TILE rows or of the last 2 or 4. */
static inline __attribute__((always_inline)) void weight_rows(float *w, size_t w_stride, Rows left, Rows right, size_t lines, size_t pixels, int rows,
                                                              int vectors) {
    if (rows >= TILE) weight_tile(w, w_stride, left, right, lines, pixels, TILE, vectors);
    else if (rows == 4) weight_tile(w, w_stride, left, right, lines, pixels, 4, vectors);
    else weight_tile(w, w_stride, left, right, lines, pixels, 2, vectors);
}

void product_add(float *sums, size_t sums_stride, const float *a, size_t a_stride, int left, const float *b, size_t b_stride, int right, size_t rows) {
    Rows columns = {b, 0, b_stride};
    for (int m = 0; m < left; m += TILE) {
        Rows numbers = {a + m, 0, a_stride};
        float *to = sums + (size_t)m * sums_stride;
        if (right == PANEL) weight_rows(to, sums_stride, numbers, columns, 1, rows, left - m, 2);
        else weight_rows(to, sums_stride, numbers, columns, 1, rows, left - m, 1);
    }
}

static void copy_panel(float *panel, const float *from, size_t stride, size_t rows) {
    for (size_t r = 0; r < rows; r++) memcpy(panel + r * PANEL, from + r * stride, PANEL * sizeof *panel);
}

void product_by_weights(float *weight_gradient, const float *gradient, size_t gradient_stride, const float *x, size_t x_stride, ProductShape shape) {
    size_t in = (size_t)shape.in;
    float panel[BLOCK_ROWS * PANEL];
    memset(weight_gradient, 0, in * (size_t)shape.out * sizeof *weight_gradient);
    for (size_t first = 0; first < shape.rows; first += BLOCK_ROWS) {
        size_t rows = shape.rows - first < BLOCK_ROWS ? shape.rows - first : BLOCK_ROWS;
        const float *g = gradient + first * gradient_stride, *from = x + first * x_stride;
        for (int n = 0; n < shape.in; n += PANEL) {
            const float *columns = from + n;
            size_t stride = x_stride;
            if (n + PANEL <= shape.in && x_stride >= FAR) {
                copy_panel(panel, columns, x_stride, rows);
                columns = panel;
                stride = PANEL;
            }
            product_add(weight_gradient + n, in, g, gradient_stride, shape.out, columns, stride, n + PANEL <= shape.in ? PANEL : LANES, rows);
        }
    }
}

/* A panel of some input lines from line `first` on, with a pixel of zeros at both ends and lines of zeros for those outside. */
static void pad_panel(float *panel, const float *image, SquareShape s, int first, int lines, int channel) {
    size_t width = (size_t)s.width, in = (size_t)s.in, line = (width + 2) * PANEL;
    size_t channels = s.in - channel < PANEL ? (size_t)(s.in - channel) : PANEL;
    for (int l = 0; l < lines; l++, panel += line) {
        if (first + l < 0 || first + l >= s.height) {
            memset(panel, 0, line * sizeof *panel);
            continue;
        }
        const float *from = image + (size_t)(first + l) * width * in + channel;
        for (size_t p = 1; p <= width; p++, from += in) /* what lies beyond the channels and at the ends stays zero */
            memcpy(panel + p * PANEL, from, channels * sizeof *panel);
        memset(panel, 0, PANEL * sizeof *panel);
        memset(panel + (width + 1) * PANEL, 0, PANEL * sizeof *panel);
    }
}

/* Adds a band of the gradient's lines to sums: tap, output channel, input channel. */
static void add_band(float *sums, size_t sums_stride, const float *panel, const float *gradient, SquareShape s, size_t lines) {
    size_t wide = (size_t)(s.width / s.stride), out = (size_t)s.out, line = (size_t)(s.width + 2) * PANEL, stride = (size_t)s.stride;
    for (size_t m = 0; m < out; m += TILE) {
        for (size_t tap = 0; tap < 9; tap++) {
            Rows left = {gradient + m, wide * out, out};
            Rows right = {panel + tap / 3 * line + tap % 3 * PANEL, stride * line, stride * PANEL};
            weight_rows(sums + (tap * out + m) * sums_stride, sums_stride, left, right, lines, wide, (int)(out - m), 2);
        }
    }
}

void square_by_weights(float *weight_gradient, const float *gradient, const float *x, SquareShape s) {
    int wide = s.width / s.stride, high = s.height / s.stride, band = wide < BAND_PIXELS ? BAND_PIXELS / wide : 1;
    size_t in = (size_t)s.in, out = (size_t)s.out, stride = (in + PANEL - 1) / PANEL * PANEL, line = (size_t)(s.width + 2) * PANEL;
    float *sums = xcalloc(9 * out * stride, sizeof *sums), *panel = xcalloc((size_t)(band * s.stride + 2) * line, sizeof *panel);
    for (int n = 0; n < s.count; n++) {
        const float *image = x + (size_t)n * (size_t)s.height * (size_t)s.width * in, *g = gradient + (size_t)n * (size_t)(high * wide) * out;
        for (int first = 0; first < high; first += band) {
            int lines = high - first < band ? high - first : band;
            for (int c = 0; c < s.in; c += PANEL) {
                pad_panel(panel, image, s, first * s.stride - 1, (lines - 1) * s.stride + 3, c);
                add_band(sums + c, stride, panel, g + (size_t)(first * wide) * out, s, (size_t)lines);
            }
        }
    }
    for (size_t i = 0; i < out * in * 9; i++) weight_gradient[i] = sums[(i % 9 * out + i / 9 / in) * stride + i / 9 % in];
    free(sums);
    free(panel);
}
