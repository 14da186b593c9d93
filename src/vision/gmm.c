#include "vision/gmm.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/banned.h"

/* ---- Lab ---- */

static float linear(float v) { return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f); }
static float lab_curve(float t) { return t > 0.008856f ? cbrtf(t) : 7.787f * t + 16.0f / 116.0f; }

static uint8_t to_byte(float v) { return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v + 0.5f); }

enum { CURVE = 4096 };

/* The two curves as tables, which live as long as a conversion. */
typedef struct Curves {
    float linear[256];
    float lab[CURVE + 1];
} Curves;

static void curves_fill(Curves *c) {
    for (int i = 0; i < 256; i++) c->linear[i] = linear((float)i / 255);
    for (int i = 0; i <= CURVE; i++) c->lab[i] = lab_curve((float)i / CURVE);
}

static float look_up(const Curves *c, float t) {
    float at = t * CURVE;
    int i = at < 0 ? 0 : at >= CURVE ? CURVE - 1 : (int)at;
    float part = at - (float)i;
    return c->lab[i] + part * (c->lab[i + 1] - c->lab[i]);
}

void lab_from_rgb(const unsigned char *rgb, size_t count, Lab *out) {
    Curves curves;
    curves_fill(&curves);
    for (size_t i = 0; i < count; i++, rgb += 3) {
        float r = curves.linear[rgb[0]], g = curves.linear[rgb[1]], b = curves.linear[rgb[2]];
        /* sRGB to XYZ over the white of D65 */
        float x = look_up(&curves, 0.4339570f * r + 0.3762195f * g + 0.1898235f * b);
        float y = look_up(&curves, 0.2126729f * r + 0.7151522f * g + 0.0721750f * b);
        float z = look_up(&curves, 0.0177576f * r + 0.1094738f * g + 0.8727686f * b);
        out[i] = (Lab){to_byte((116 * y - 16) * 2.55f), to_byte(500 * (x - y) + 128), to_byte(200 * (y - z) + 128), 0};
    }
}

/* ---- Gaussians ---- */

/* Sums of a component's colours. */
typedef struct Moments {
    double count, sum[3], product[6];
} Moments;

static void moments_add(Moments *m, Lab c) {
    double v[3] = {c.l, c.a, c.b};
    m->count++;
    for (int i = 0, k = 0; i < 3; i++) {
        m->sum[i] += v[i];
        for (int j = i; j < 3; j++, k++) m->product[k] += v[i] * v[j];
    }
}

/* Variance that every direction has at least: the noise of 8-bit pictures, which keeps flat colours from claiming certainty. */
#define LEAST_VARIANCE 4.0

static void gaussian_from(const Moments *m, double all, GmmComponent *out) {
    double mean[3], c[6];
    for (int i = 0; i < 3; i++) mean[i] = m->sum[i] / m->count;
    for (int i = 0, k = 0; i < 3; i++)
        for (int j = i; j < 3; j++, k++) c[k] = m->product[k] / m->count - mean[i] * mean[j] + (i == j ? LEAST_VARIANCE : 0);
    double d00 = c[3] * c[5] - c[4] * c[4], d01 = c[2] * c[4] - c[1] * c[5], d02 = c[1] * c[4] - c[2] * c[3];
    double det = c[0] * d00 + c[1] * d01 + c[2] * d02;
    double inverse[6] = {d00, d01, d02, c[0] * c[5] - c[2] * c[2], c[1] * c[2] - c[0] * c[4], c[0] * c[3] - c[1] * c[1]};
    for (int i = 0; i < 3; i++) out->mean[i] = (float)mean[i];
    for (int k = 0; k < 6; k++) out->inverse[k] = (float)(inverse[k] / det);
    out->constant = (float)(0.5 * log(det) - log(m->count / all));
}

static void gmm_from_moments(Gmm *out, const Moments m[GMM_COMPONENTS], double all) {
    out->count = 0;
    for (int k = 0; k < GMM_COMPONENTS; k++)
        if (m[k].count > 0) gaussian_from(&m[k], all, &out->components[out->count++]);
}

static inline float gaussian_cost(const GmmComponent *g, float l, float a, float b) {
    float x = l - g->mean[0], y = a - g->mean[1], z = b - g->mean[2];
    const float *s = g->inverse;
    return g->constant + 0.5f * (x * (s[0] * x + 2 * (s[1] * y + s[2] * z)) + y * (s[3] * y + 2 * s[4] * z) + z * s[5] * z);
}

static int best_component(const Gmm *gmm, Lab c, float *cost) {
    int best = 0;
    *cost = FLT_MAX;
    for (int k = 0; k < gmm->count; k++) {
        float v = gaussian_cost(&gmm->components[k], c.l, c.a, c.b);
        if (v < *cost) *cost = v, best = k;
    }
    return best;
}

float gmm_cost(const Gmm *gmm, Lab colour) {
    float cost;
    best_component(gmm, colour, &cost);
    return cost;
}

/* Colours as columns, so that the compiler can take several at a time. */
void gmm_costs(const Gmm *gmm, const Lab *colours, size_t count, float *out) {
    enum { COLUMN = 256 };
    float x[COLUMN], y[COLUMN], z[COLUMN];
    for (size_t start = 0; start < count; start += COLUMN) {
        size_t n = count - start < COLUMN ? count - start : COLUMN;
        float *cost = out + start;
        for (size_t i = 0; i < n; i++) x[i] = colours[start + i].l, y[i] = colours[start + i].a, z[i] = colours[start + i].b, cost[i] = FLT_MAX;
        for (int k = 0; k < gmm->count; k++) {
            const GmmComponent g = gmm->components[k];
            for (size_t i = 0; i < n; i++) {
                float v = gaussian_cost(&g, x[i], y[i], z[i]);
                cost[i] = v < cost[i] ? v : cost[i];
            }
        }
    }
}

void gmm_refit(Gmm *gmm, const Lab *colours, size_t count) {
    Moments m[GMM_COMPONENTS] = {0};
    float cost;
    for (size_t i = 0; i < count; i++) moments_add(&m[best_component(gmm, colours[i], &cost)], colours[i]);
    if (count) gmm_from_moments(gmm, m, (double)count);
}

/* ---- k-means ---- */

static int nearest(const Lab *centres, int count, Lab c, int *distance) {
    int best = 0;
    *distance = lab_distance(centres[0], c);
    for (int k = 1; k < count; k++) {
        int d = lab_distance(centres[k], c);
        if (d < *distance) *distance = d, best = k;
    }
    return best;
}

/* k-means++ (Arthur and Vassilvitskii 2007): far colours are likelier centres. A fixed generator makes the answer repeatable. */
static int choose_centres(Lab *centres, const Lab *colours, size_t count) {
    uint32_t random = 12345;
    int chosen = 1;
    centres[0] = colours[count / 2];
    for (; chosen < GMM_COMPONENTS; chosen++) {
        double total = 0;
        int d;
        for (size_t i = 0; i < count; i++) nearest(centres, chosen, colours[i], &d), total += d;
        if (total == 0) break;
        random = random * 1664525u + 1013904223u;
        double wanted = total * (random >> 8) / (double)(1 << 24);
        size_t i = 0;
        for (; i + 1 < count; i++) {
            nearest(centres, chosen, colours[i], &d);
            if ((wanted -= d) < 0) break;
        }
        centres[chosen] = colours[i];
    }
    return chosen;
}

void gmm_fit(Gmm *out, const Lab *colours, size_t count) {
    enum { ROUNDS = 4 };
    Lab centres[GMM_COMPONENTS];
    Moments m[GMM_COMPONENTS];
    out->count = 0;
    if (!count) return;
    int k = choose_centres(centres, colours, count), d;
    for (int round = 0; round < ROUNDS; round++) {
        memset(m, 0, sizeof m);
        for (size_t i = 0; i < count; i++) moments_add(&m[nearest(centres, k, colours[i], &d)], colours[i]);
        for (int c = 0; c < k; c++)
            if (m[c].count > 0)
                centres[c] = (Lab){to_byte((float)(m[c].sum[0] / m[c].count)), to_byte((float)(m[c].sum[1] / m[c].count)),
                                   to_byte((float)(m[c].sum[2] / m[c].count)), 0};
    }
    gmm_from_moments(out, m, (double)count);
}
