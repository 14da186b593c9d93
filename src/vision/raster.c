#include "vision/raster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

double raster_fit(int width, int height, int frame_width, int frame_height) {
    return fmin((double)frame_width / width, (double)frame_height / height);
}

void raster_clear(Raster *raster) {
    free(raster->rgb);
    *raster = (Raster){0};
}

/* ---- scaling: down the columns, then along the rows ---- */

/* Output i of an axis is the sum of weights[i * taps + k] * input[first[i] + k]. */
typedef struct Taps {
    int taps;
    int *first;
    float *weights;
} Taps;

static void fill_tap(Taps *t, int i, double centre, double reach, int from) {
    int first = (int)ceil(centre - reach);
    if (first > from - t->taps) first = from - t->taps;
    if (first < 0) first = 0;
    t->first[i] = first;
    float *w = t->weights + (size_t)i * (size_t)t->taps;
    double sum = 0;
    for (int k = 0; k < t->taps; k++) sum += w[k] = (float)fmax(0, 1 - fabs(first + k - centre) / reach);
    for (int k = 0; k < t->taps; k++) w[k] = (float)(w[k] / sum);
}

static Taps taps_new(int from, int to) {
    double step = (double)from / to, reach = fmax(step, 1);
    int taps = (int)ceil(2 * reach) + 1;
    Taps t = {.taps = taps < from ? taps : from, .first = xcalloc((size_t)to, sizeof(int))};
    t.weights = xcalloc((size_t)to * (size_t)t.taps, sizeof(float));
    for (int i = 0; i < to; i++) fill_tap(&t, i, (i + 0.5) * step - 0.5, reach, from);
    return t;
}

static void taps_free(Taps *t) {
    free(t->first);
    free(t->weights);
}

static void mix_rows(float *restrict line, const Raster *source, const Taps *t, int y) {
    size_t count = (size_t)source->width * 3;
    memset(line, 0, count * sizeof *line);
    for (int k = 0; k < t->taps; k++) {
        float weight = t->weights[(size_t)y * (size_t)t->taps + (size_t)k];
        const unsigned char *restrict row = source->rgb + (size_t)(t->first[y] + k) * count;
        if (weight != 0)
            for (size_t i = 0; i < count; i++) line[i] += weight * row[i];
    }
}

static void mix_columns(unsigned char *out, int width, const float *line, const Taps *t) {
    for (int x = 0; x < width; x++, out += 3) {
        const float *w = t->weights + (size_t)x * (size_t)t->taps, *in = line + (size_t)t->first[x] * 3;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (int k = 0; k < t->taps; k++, in += 3)
            for (int c = 0; c < 3; c++) sum[c] += w[k] * in[c];
        for (int c = 0; c < 3; c++) out[c] = (unsigned char)sum[c];
    }
}

void raster_resize(const Raster *source, int width, int height, Raster *out) {
    Taps across = taps_new(source->width, width), down = taps_new(source->height, height);
    float *line = xmalloc((size_t)source->width * 3 * sizeof *line);
    *out = (Raster){.width = width, .height = height, .rgb = xmalloc((size_t)width * (size_t)height * 3)};
    for (int y = 0; y < height; y++) {
        mix_rows(line, source, &down, y);
        mix_columns(out->rgb + (size_t)y * (size_t)width * 3, width, line, &across);
    }
    free(line);
    taps_free(&across);
    taps_free(&down);
}

/* ---- turning ---- */

void raster_turn(Raster *raster, int orientation) {
    if (orientation < 2 || orientation > 8) return;
    /* Which way one step right and one step down in the upright picture go in the stored one. */
    static const struct {
        int swap, mirror_x, mirror_y; /* of the stored axes */
    } TURNS[9] = {{0, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}, {1, 1, 1}, {1, 1, 0}};
    int w = raster->width, h = raster->height, swap = TURNS[orientation].swap;
    Raster out = {.width = swap ? h : w, .height = swap ? w : h, .rgb = xmalloc((size_t)w * (size_t)h * 3)};
    unsigned char *to = out.rgb;
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++, to += 3) {
            int sx = swap ? y : x, sy = swap ? x : y;
            if (TURNS[orientation].mirror_x) sx = w - 1 - sx;
            if (TURNS[orientation].mirror_y) sy = h - 1 - sy;
            memcpy(to, raster->rgb + ((size_t)sy * (size_t)w + (size_t)sx) * 3, 3);
        }
    free(raster->rgb);
    *raster = out;
}
