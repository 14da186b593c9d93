/* Scaling: rows are mixed first, over whole lines, which suits vectors; then the columns of each mixed line. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "evaluation/jpeg_file.h"

#include "base/banned.h"

double picture_fit(int width, int height, int frame_width, int frame_height)
{
    return fmin((double)frame_width / width, (double)frame_height / height);
}

/* The weights of one axis: output i is the sum of weights[i * taps + k] × input first[i] + k. */
typedef struct Filter {
    int taps;
    int *first;
    float *weights;
} Filter;

static Filter filter_new(int from, int to)
{
    double step = (double)from / to, reach = fmax(step, 1); /* half the width of the triangle */
    Filter f = {.taps = (int)ceil(2 * reach) + 1};
    if (f.taps > from)
        f.taps = from;
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
        for (int k = 0; k < f.taps; k++)
            w[k] = (float)(w[k] / sum);
    }
    return f;
}

static void filter_clear(Filter *f)
{
    free(f->first);
    free(f->weights);
}

/* Sum of weighted source rows. */
static void mix_rows(float *restrict line, const BgrPicture *source, const Filter *f, int row)
{
    size_t stride = (size_t)source->width * 3;
    memset(line, 0, stride * sizeof *line);
    for (int k = 0; k < f->taps; k++) {
        float weight = f->weights[(size_t)row * (size_t)f->taps + (size_t)k];
        const uint8_t *restrict pixels = source->pixels + (size_t)(f->first[row] + k) * stride;
        if (weight != 0)
            for (size_t i = 0; i < stride; i++)
                line[i] += weight * pixels[i];
    }
}

static void mix_columns(uint8_t *out, int width, const float *line, const Filter *f)
{
    for (int x = 0; x < width; x++, out += 3) {
        const float *weights = f->weights + (size_t)x * (size_t)f->taps, *pixel = line + (size_t)f->first[x] * 3;
        float sum[3] = {0.5f, 0.5f, 0.5f};
        for (int k = 0; k < f->taps; k++, pixel += 3)
            for (int c = 0; c < 3; c++)
                sum[c] += weights[k] * pixel[c];
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)sum[c];
    }
}

void picture_scale(BgrPicture *out, const BgrPicture *source)
{
    Filter across = filter_new(source->width, out->width), down = filter_new(source->height, out->height);
    float *line = xcalloc((size_t)source->width * 3, sizeof *line);
    for (int y = 0; y < out->height; y++) {
        mix_rows(line, source, &down, y);
        mix_columns(out->pixels + (size_t)y * (size_t)out->width * 3, out->width, line, &across);
    }
    free(line);
    filter_clear(&across);
    filter_clear(&down);
}
