/* Scaling mixes rows first, over whole lines, which suits vectors; then the columns of each mixed line. */
#include "picture/raster.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

double raster_fit(int width, int height, int frame_width, int frame_height) {
    return fmin((double)frame_width / width, (double)frame_height / height);
}

void raster_clear(Raster *raster) {
    free(raster->pixels);
    *raster = (Raster){0};
}

/* The weights of one axis: output i is the sum of weights[i * taps + k] × input first[i] + k. */
typedef struct Filter {
    int taps;
    int *first;
    float *weights;
} Filter;

static Filter filter_new(int from, int to) {
    double step = (double)from / to, reach = fmax(step, 1); /* half the width of the triangle */
    Filter f = {.taps = (int)ceil(2 * reach) + 1};
    if (f.taps > from) f.taps = from;
    f.first = xcalloc((size_t)to, sizeof *f.first);
    f.weights = xcalloc((size_t)to * (size_t)f.taps, sizeof *f.weights);
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * step - 0.5, sum = 0;
        int first = (int)ceil(centre - reach);
        f.first[i] = first < 0 ? 0 : first > from - f.taps ? from - f.taps : first;
        float *w = f.weights + (size_t)i * (size_t)f.taps;
        for (int k = 0; k < f.taps; k++) {
            w[k] = (float)fmax(0, 1 - fabs(f.first[i] + k - centre) / reach);
            sum += w[k];
        }
        for (int k = 0; k < f.taps; k++) w[k] = (float)(w[k] / sum);
    }
    return f;
}

static void filter_clear(Filter *f) {
    free(f->first);
    free(f->weights);
}

/* Sum of weighted source rows. */
static void mix_rows(float *restrict line, const Raster *source, const Filter *f, int row) {
    size_t stride = (size_t)source->width * 3;
    memset(line, 0, stride * sizeof *line);
    for (int k = 0; k < f->taps; k++) {
        float weight = f->weights[(size_t)row * (size_t)f->taps + (size_t)k];
        const uint8_t *restrict pixels = source->pixels + (size_t)(f->first[row] + k) * stride;
        if (weight != 0)
            for (size_t i = 0; i < stride; i++) line[i] += weight * pixels[i];
    }
}

static void mix_columns(uint8_t *out, int width, const float *line, const Filter *f) {
    for (int x = 0; x < width; x++, out += 3) {
        const float *weights = f->weights + (size_t)x * (size_t)f->taps, *pixel = line + (size_t)f->first[x] * 3;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (int k = 0; k < f->taps; k++, pixel += 3)
            for (int c = 0; c < 3; c++) sum[c] += weights[k] * pixel[c];
        for (int c = 0; c < 3; c++) out[c] = (uint8_t)sum[c];
    }
}

void raster_resize(Raster *out, const Raster *source, int width, int height) {
    Filter across = filter_new(source->width, width), down = filter_new(source->height, height);
    size_t stride = (size_t)width * 3;
    float *line = xmalloc((size_t)source->width * 3 * sizeof *line);
    uint8_t *pixels = xmalloc(stride * (size_t)height);
    for (int y = 0; y < height; y++) {
        mix_rows(line, source, &down, y);
        mix_columns(pixels + (size_t)y * stride, width, line, &across);
    }
    free(line);
    filter_clear(&across);
    filter_clear(&down);
    *out = (Raster){width, height, pixels};
}

/* For each orientation: are the axes exchanged, and does the stored picture run from right to left, from bottom to top? */
static const struct {
    bool exchanged, leftwards, upwards;
} orientations[9] = {[2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
                     [6] = {true, false, true},  [7] = {true, true, true},  [8] = {true, true, false}};

void raster_turn(Raster *raster, int orientation) {
    if (orientation < 2 || orientation > 8) return;
    int w = raster->width, h = raster->height;
    bool exchanged = orientations[orientation].exchanged;
    Raster out = {exchanged ? h : w, exchanged ? w : h, xmalloc((size_t)w * (size_t)h * 3)};
    uint8_t *to = out.pixels;
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++, to += 3) {
            int column = exchanged ? y : x, row = exchanged ? x : y;
            column = orientations[orientation].leftwards ? w - 1 - column : column;
            row = orientations[orientation].upwards ? h - 1 - row : row;
            memcpy(to, raster->pixels + ((size_t)row * (size_t)w + (size_t)column) * 3, 3);
        }
    free(raster->pixels);
    *raster = out;
}
