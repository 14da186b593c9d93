/* Colour models: mixtures of Gaussians over Lab colours, as GrabCut uses them (Rother, Kolmogorov, Blake, "GrabCut: Interactive Foreground
 * Extraction using Iterated Graph Cuts", SIGGRAPH 2004): every colour belongs to one component, full covariances.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { GMM_COMPONENTS = 5 };

/* A colour: L, a, b scaled to bytes, with a and b around 128. */
typedef struct Lab {
    uint8_t l, a, b, unused;
} Lab;

/* Lab (D65) of 8-bit sRGB triples. */
void lab_from_rgb(const unsigned char *rgb, size_t count, Lab *out);
/* Squared distance of two colours. */
static inline int lab_distance(Lab p, Lab q) {
    int l = p.l - q.l, a = p.a - q.a, b = p.b - q.b;
    return l * l + a * a + b * b;
}

typedef struct GmmComponent {
    float mean[3];
    float inverse[6]; /* of the covariance: 00 01 02 11 12 22 */
    float constant;   /* -log(weight) + log(det) / 2 */
} GmmComponent;

typedef struct Gmm {
    GmmComponent components[GMM_COMPONENTS];
    int count; /* 0: no colour was seen */
} Gmm;

/* Fits a mixture to count colours (k-means++ with a fixed seed, a few rounds of Lloyd, then the Gaussians). */
void gmm_fit(Gmm *out, const Lab *colours, size_t count);
/* Fits the Gaussians anew, with each colour at the component that explains it best. */
void gmm_refit(Gmm *gmm, const Lab *colours, size_t count);
/* Negative log-likelihood of a colour under its best component (constants left out); small is likely. */
float gmm_cost(const Gmm *gmm, Lab colour);
/* The same of many colours. */
void gmm_costs(const Gmm *gmm, const Lab *colours, size_t count, float *out);
