#include "vision/attributes.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "vision/vocabulary.h"
#include "base/banned.h"

enum { RED, ORANGE, YELLOW, GREEN, CYAN, BLUE, PURPLE, PINK, BROWN, BLACK, GREY, WHITE, COLOURS, COLOUR_WORDS_FROM = 14 };
#define COLOUR_PART 0.3      /* of all pixels, for a colour to be named */
#define LEAST_STRUCTURE 0.4  /* mean step between neighbours, in levels of 255, below which sharpness cannot be told */

/* ---- colours ---- */

static int colour_of_hue(double hue, double saturation, double value) {
    if (hue < 15 || hue >= 345) return value > 0.75 && saturation < 0.5 ? PINK : RED;
    if (hue < 42) return value < 0.6 ? BROWN : ORANGE;
    if (hue < 70) return value < 0.4 ? BROWN : YELLOW;
    if (hue < 165) return GREEN;
    if (hue < 195) return CYAN;
    if (hue < 258) return BLUE;
    if (hue < 300) return PURPLE;
    return PINK;
}

/* The everyday word of a colour, by its hue, saturation and value. */
static int colour_word(const unsigned char *rgb) {
    double r = rgb[0], g = rgb[1], b = rgb[2], most = fmax(r, fmax(g, b)), least = fmin(r, fmin(g, b)), spread = most - least;
    double value = most / 255, saturation = most > 0 ? spread / most : 0;
    if (value < 0.18) return BLACK;
    if (saturation < 0.15) return value > 0.85 ? WHITE : value < 0.25 ? BLACK : GREY;
    double hue = most == r ? (g - b) / spread : most == g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
    return colour_of_hue(fmod(hue * 60 + 360, 360), saturation, value);
}

static double luma(const unsigned char *rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

static double deviation(double sum, double squares, double n) { return sqrt(fmax(0, squares / n - (sum / n) * (sum / n))); }

static void measure_pixels(const Raster *raster, Measures *out) {
    double n = (double)raster->width * raster->height, light = 0, light2 = 0, rg = 0, rg2 = 0, yb = 0, yb2 = 0;
    size_t grey = 0, colours[COLOURS] = {0};
    for (size_t i = 0; i < (size_t)raster->width * (size_t)raster->height; i++) {
        const unsigned char *p = raster->pixels + 3 * i;
        double y = luma(p), d = p[0] - p[1], e = 0.5 * (p[0] + p[1]) - p[2];
        light += y, light2 += y * y, rg += d, rg2 += d * d, yb += e, yb2 += e * e;
        grey += abs(p[0] - p[1]) < 13 && abs(p[1] - p[2]) < 13 && abs(p[0] - p[2]) < 13;
        colours[colour_word(p)]++;
    }
    out->lightness = light / n / 255;
    out->contrast = deviation(light, light2, n) / 255;
    out->grey_part = (double)grey / n;
    out->colourfulness = hypot(deviation(rg, rg2, n), deviation(yb, yb2, n)) + 0.3 * hypot(rg / n, yb / n);
    for (int c = 0; c < COLOURS; c++) out->hue_part[c] = (double)colours[c] / n;
}

/* ---- frame and sharpness ---- */

static double measure_border(const Raster *raster) {
    int w = raster->width, h = raster->height, depth = (w < h ? w : h) / 20 + 1;
    double sum[3] = {0}, squares[3] = {0}, n = 0, worst = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            if (x >= depth && x < w - depth && y >= depth && y < h - depth) {
                x = w - depth - 1;
                continue;
            }
            const unsigned char *p = raster->pixels + 3 * ((size_t)y * (size_t)w + (size_t)x);
            for (int c = 0; c < 3; c++) sum[c] += p[c], squares[c] += (double)p[c] * p[c];
            n++;
        }
    for (int c = 0; c < 3; c++) worst = fmax(worst, deviation(sum[c], squares[c], n));
    return worst;
}

/* Steps between neighbours along a line, and by how much a mean over nine pixels lessens them: a sharp picture loses much, a blurred one little. */
static void measure_line(const float *grey, int count, ptrdiff_t stride, double *steps, double *lost) {
    enum { REACH = 4 };
    double mean = 0, before = 0;
    for (int i = 0; i < 2 * REACH + 1; i++) mean += grey[i * stride] / (2 * REACH + 1);
    for (int i = REACH; i + REACH + 1 < count; i++) {
        before = mean;
        mean += (grey[(i + REACH + 1) * stride] - grey[(i - REACH) * stride]) / (2 * REACH + 1);
        double sharp = fabs((double)grey[(i + 1) * stride] - grey[i * stride]), soft = fabs(mean - before);
        *steps += sharp;
        *lost += fmax(0, sharp - soft);
    }
}

static double measure_blur(const Raster *raster) {
    int w = raster->width, h = raster->height;
    double steps[2] = {0}, lost[2] = {0}, n = (double)w * h;
    if (w < 32 || h < 32) return 0;
    float *grey = xmalloc((size_t)w * (size_t)h * sizeof *grey);
    for (size_t i = 0; i < (size_t)w * (size_t)h; i++) grey[i] = (float)luma(raster->pixels + 3 * i);
    for (int y = 0; y < h; y++) measure_line(grey + (size_t)y * (size_t)w, w, 1, &steps[0], &lost[0]);
    for (int x = 0; x < w; x++) measure_line(grey + x, h, w, &steps[1], &lost[1]);
    free(grey);
    if (steps[0] / n < LEAST_STRUCTURE || steps[1] / n < LEAST_STRUCTURE) return 0;
    return fmax(1 - lost[0] / steps[0], 1 - lost[1] / steps[1]);
}

void attributes_numbers(const Picture *picture, Measures *out) {
    double scale = fmin(1, raster_fit(picture->raster.width, picture->raster.height, ATTRIBUTES_SIDE, ATTRIBUTES_SIDE));
    int width = (int)fmax(1, round(picture->raster.width * scale)), height = (int)fmax(1, round(picture->raster.height * scale));
    Raster small;
    raster_resize(&small, &picture->raster, width, height);
    *out = (Measures){.aspect = (double)picture->full_width / picture->full_height, .megapixels = (double)picture->full_width * picture->full_height / 1e6};
    measure_pixels(&small, out);
    out->border_spread = measure_border(&small);
    out->blur = measure_blur(&small);
    raster_clear(&small);
}

/* ---- the rules ---- */

static bool is_landscape(const Measures *m) { return m->aspect > 1.05; }
static bool is_portrait(const Measures *m) { return m->aspect < 1 / 1.05; }
static bool is_square(const Measures *m) { return !is_landscape(m) && !is_portrait(m); }
static bool is_panorama(const Measures *m) { return m->aspect >= 2; }
static bool is_dark(const Measures *m) { return m->lightness < 0.25; }
static bool is_bright(const Measures *m) { return m->lightness > 0.7; }
static bool is_flat(const Measures *m) { return m->contrast < 0.1; }
static bool is_contrasty(const Measures *m) { return m->contrast > 0.28; }
static bool is_grey(const Measures *m) { return m->grey_part > 0.98; }
static bool is_colourful(const Measures *m) { return m->colourfulness > 60; }
static bool is_blurry(const Measures *m) { return m->blur > 0.6; }
static bool has_plain_frame(const Measures *m) { return m->border_spread < 8; }
static bool is_small(const Measures *m) { return m->megapixels < 0.1; }
static bool is_large(const Measures *m) { return m->megapixels >= 8; }

/* In the order of VOCABULARY_ATTRIBUTES, up to the colours. */
static bool (*const RULES[COLOUR_WORDS_FROM])(const Measures *m) = {is_landscape, is_portrait, is_square, is_panorama, is_dark, is_bright, is_flat, is_contrasty,
                                                                    is_grey, is_colourful, is_blurry, has_plain_frame, is_small, is_large};

size_t attributes_measure(const Picture *picture, const char *out[ATTRIBUTES_MAX]) {
    Measures m;
    size_t count = 0;
    attributes_numbers(picture, &m);
    for (int i = 0; i < COLOUR_WORDS_FROM + COLOURS && count < ATTRIBUTES_MAX; i++) {
        bool holds = i < COLOUR_WORDS_FROM ? RULES[i](&m) : m.hue_part[i - COLOUR_WORDS_FROM] >= COLOUR_PART;
        if (holds) out[count++] = VOCABULARY_ATTRIBUTES[i].word;
    }
    return count;
}
