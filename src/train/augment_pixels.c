/* Augmentation, the part that touches pixels: affine map, HSV jitter, flips, blending. Inner loops run over rows without branches where
 * that helps the compiler to use vectors. */
#include <math.h>
#include <string.h>

#include "train/augment_pixels.h"

#include "base/banned.h"

enum { FRACTION_BITS = 16, WEIGHT_BITS = 8, WEIGHT_ONE = 1 << WEIGHT_BITS };

void augment_fill(Raster *picture) { memset(picture->pixels, AUGMENT_FILL, (size_t)picture->width * picture->height * 3); }

static int clamp_int(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

void augment_paste(Raster *out, const Raster *source, int x, int y) {
    int left = clamp_int(x, 0, out->width), right = clamp_int(x + source->width, 0, out->width);
    int top = clamp_int(y, 0, out->height), bottom = clamp_int(y + source->height, 0, out->height);
    if (left >= right) return;
    for (int row = top; row < bottom; row++)
        memcpy(out->pixels + ((size_t)row * out->width + left) * 3,
               source->pixels + ((size_t)(row - y) * source->width + (left - x)) * 3, (size_t)(right - left) * 3);
}

/* ---- affine map ---- */

/* False for a matrix that cannot be inverted with any sense. */
static bool invert(const AugmentMatrix *matrix, double out[6]) {
    const float *m = matrix->m;
    double determinant = (double)m[0] * m[4] - (double)m[1] * m[3];
    if (!(fabs(determinant) > 1e-6)) return false;
    out[0] = m[4] / determinant;
    out[1] = -m[1] / determinant;
    out[3] = -m[3] / determinant;
    out[4] = m[0] / determinant;
    out[2] = -(out[0] * m[2] + out[1] * m[5]);
    out[5] = -(out[3] * m[2] + out[4] * m[5]);
    for (int i = 0; i < 6; i++)
        if (!(fabs(out[i]) < 1e7)) return false;
    return true;
}

static void blend_neighbours(uint8_t *out, const uint8_t *const corners[4], unsigned wx, unsigned wy) {
    for (int c = 0; c < 3; c++) {
        unsigned upper = corners[0][c] * (WEIGHT_ONE - wx) + corners[1][c] * wx;
        unsigned lower = corners[2][c] * (WEIGHT_ONE - wx) + corners[3][c] * wx;
        out[c] = (uint8_t)((upper * (WEIGHT_ONE - wy) + lower * wy + (1u << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS));
    }
}

/* A sample whose neighbours lie partly or wholly outside the source. */
static void sample_edge(uint8_t *out, const Raster *source, int64_t column, int64_t row, unsigned wx, unsigned wy) {
    static const uint8_t fill[3] = {AUGMENT_FILL, AUGMENT_FILL, AUGMENT_FILL};
    const uint8_t *corners[4];
    for (int i = 0; i < 4; i++) {
        int64_t x = column + (i & 1), y = row + (i >> 1);
        bool inside = x >= 0 && x < source->width && y >= 0 && y < source->height;
        corners[i] = inside ? source->pixels + ((size_t)y * source->width + (size_t)x) * 3 : fill;
    }
    blend_neighbours(out, corners, wx, wy);
}

/* One row of the output; u and v are the source position of its first pixel in fixed point. */
static void warp_row(uint8_t *out, int width, const Raster *source, int64_t u, int64_t v, int64_t du, int64_t dv) {
    size_t stride = (size_t)source->width * 3;
    for (int x = 0; x < width; x++, u += du, v += dv, out += 3) {
        int64_t column = u >> FRACTION_BITS, row = v >> FRACTION_BITS;
        unsigned wx = (unsigned)(u >> (FRACTION_BITS - WEIGHT_BITS)) & (WEIGHT_ONE - 1);
        unsigned wy = (unsigned)(v >> (FRACTION_BITS - WEIGHT_BITS)) & (WEIGHT_ONE - 1);
        if (column >= 0 && row >= 0 && column < source->width - 1 && row < source->height - 1) {
            const uint8_t *p = source->pixels + (size_t)row * stride + (size_t)column * 3;
            const uint8_t *const corners[4] = {p, p + 3, p + stride, p + stride + 3};
            blend_neighbours(out, corners, wx, wy);
        } else if (column >= -1 && row >= -1 && column < source->width && row < source->height) {
            sample_edge(out, source, column, row, wx, wy);
        }
    }
}

void augment_warp(Raster *out, const Raster *source, const AugmentMatrix *matrix) {
    augment_fill(out);
    double inverse[6];
    if (!invert(matrix, inverse)) return;
    double one = 1 << FRACTION_BITS;
    int64_t du = llrint(inverse[0] * one), dv = llrint(inverse[3] * one);
    for (int y = 0; y < out->height; y++) {
        double u = inverse[0] * 0.5 + inverse[1] * (y + 0.5) + inverse[2] - 0.5;
        double v = inverse[3] * 0.5 + inverse[4] * (y + 0.5) + inverse[5] - 0.5;
        warp_row(out->pixels + (size_t)y * out->width * 3, out->width, source, llrint(u * one), llrint(v * one), du, dv);
    }
}

/* ---- colour ---- */

enum { RUN = 64 }; /* pixels taken apart at a time, so that the arithmetic runs over plain arrays */

/* Unlike fminf and fmaxf these need not mind not-a-number, and become one instruction. */
static inline float lower(float a, float b) { return a < b ? a : b; }
static inline float higher(float a, float b) { return a > b ? a : b; }

/* A channel from hue (0 to 6), value (0–255) and chroma (value × saturation); n is 5 for red, 3 for green, 1 for blue. */
static inline float channel_of(float n, float hue, float value, float chroma) {
    float k = n + hue;
    k = k >= 6 ? k - 6 : k;
    return value - chroma * higher(lower(lower(k, 4 - k), 1), 0);
}

/* In units of this function a turn of the hue is 6 and saturation runs from 0 to 1. */
static void hsv_run(float *restrict blue, float *restrict green, float *restrict red, float hue_shift, float saturation_shift,
                    float value_shift) {
    for (int i = 0; i < RUN; i++) {
        float b = blue[i], g = green[i], r = red[i];
        float value = higher(higher(r, g), b), chroma = value - lower(lower(r, g), b);
        float scale = 1 / higher(chroma, 1);
        float from_red = (g - b) * scale, from_green = 2 + (b - r) * scale, from_blue = 4 + (r - g) * scale;
        float hue = value == g ? from_green : from_blue;
        hue = (value == r ? from_red : hue) + hue_shift;
        hue = hue < 0 ? hue + 6 : hue;
        hue = hue >= 6 ? hue - 6 : hue;
        float saturation = higher(lower(chroma / higher(value, 1) + saturation_shift, 1), 0);
        value = higher(lower(value + value_shift, 255), 0);
        chroma = value * saturation;
        blue[i] = channel_of(1, hue, value, chroma);
        green[i] = channel_of(3, hue, value, chroma);
        red[i] = channel_of(5, hue, value, chroma);
    }
}

/* One copy for plain x86-64 and one for AVX2, chosen when the program starts. */
#if defined(__x86_64__) && defined(__has_attribute)
#if __has_attribute(target_clones) && !defined __SANITIZE_THREAD__ /* which would run in the choice between clones before it is ready */
__attribute__((target_clones("avx2", "default")))
#endif
#endif
static void hsv_pixels(uint8_t *pixels, size_t count, float hue_shift, float saturation_shift, float value_shift) {
    float planes[3][RUN] = {{0}};
    for (size_t done = 0; done < count; done += RUN) {
        int n = count - done < RUN ? (int)(count - done) : RUN;
        uint8_t *p = pixels + 3 * done;
        for (int i = 0; i < n; i++)
            for (int c = 0; c < 3; c++) planes[c][i] = p[3 * i + c];
        hsv_run(planes[0], planes[1], planes[2], hue_shift, saturation_shift, value_shift);
        for (int i = 0; i < n; i++)
            for (int c = 0; c < 3; c++) p[3 * i + c] = (uint8_t)(planes[c][i] + 0.5f);
    }
}

void augment_hsv(Raster *picture, int hue, int saturation, int value) {
    if (!hue && !saturation && !value) return;
    float hue_shift = (float)(((hue % 180) + 180) % 180) / 30; /* 0 to 6 */
    hsv_pixels(picture->pixels, (size_t)picture->width * picture->height, hue_shift, (float)saturation / 255, (float)value);
}

void augment_blend(Raster *out, const Raster *other) {
    size_t count = (size_t)out->width * out->height * 3;
    uint8_t *restrict a = out->pixels;
    const uint8_t *restrict b = other->pixels;
    for (size_t i = 0; i < count; i++) a[i] = (uint8_t)((a[i] + b[i] + 1) >> 1);
}

/* ---- flips ---- */

void augment_flip_horizontal(Raster *picture, AugmentBoxes *boxes) {
    for (int y = 0; y < picture->height; y++) {
        uint8_t *left = picture->pixels + (size_t)y * picture->width * 3, *right = left + ((size_t)picture->width - 1) * 3;
        for (; left < right; left += 3, right -= 3)
            for (int c = 0; c < 3; c++) {
                uint8_t kept = left[c];
                left[c] = right[c];
                right[c] = kept;
            }
    }
    for (size_t i = 0; i < boxes->count; i++) {
        AugmentBox *box = &boxes->items[i];
        float x0 = (float)picture->width - box->x1;
        box->x1 = (float)picture->width - box->x0;
        box->x0 = x0;
    }
}

void augment_flip_vertical(Raster *picture, AugmentBoxes *boxes) {
    size_t stride = (size_t)picture->width * 3;
    for (int y = 0; y < picture->height / 2; y++) {
        uint8_t *restrict upper = picture->pixels + (size_t)y * stride;
        uint8_t *restrict lower = picture->pixels + (size_t)(picture->height - 1 - y) * stride;
        for (size_t i = 0; i < stride; i++) {
            uint8_t kept = upper[i];
            upper[i] = lower[i];
            lower[i] = kept;
        }
    }
    for (size_t i = 0; i < boxes->count; i++) {
        AugmentBox *box = &boxes->items[i];
        float y0 = (float)picture->height - box->y1;
        box->y1 = (float)picture->height - box->y0;
        box->y0 = y0;
    }
}
