/* Passes of norm_silu.h: choice of the kernels for this processor, sharing of rows among threads, sums of channels. */
#include "train/norm_silu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "train/yolox.h"
#include "base/banned.h"

enum { MAX_THREADS = 256, LEAST_FLOATS = 1 << 14 /* below this a second thread costs more than it saves */ };

static const NormKernels *kernels(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return &norm_kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &norm_kernels_avx2;
#endif
    return &norm_kernels_plain;
}

static int useful_threads(size_t rows, int channels, int threads) {
    size_t most = rows * (size_t)channels / LEAST_FLOATS + 1;
    size_t wanted = threads < MAX_THREADS ? (size_t)threads : MAX_THREADS;
    return (int)(wanted < most ? wanted : most);
}

static size_t share(size_t rows, int part, int parts) {
    return rows * (size_t)part / (size_t)parts;
}

static double *sums_new(int threads, int channels) {
    return xcalloc((size_t)threads * 2 * (size_t)channels, sizeof(double));
}

/* Adds the threads' sums into the first one's, in order, and then the members'. */
static void sums_join(double *sums, int threads, int channels, TeamMember *member) {
    for (int t = 1; t < threads; t++) {
        for (int i = 0; i < 2 * channels; i++) sums[i] += sums[(size_t)t * 2 * (size_t)channels + (size_t)i];
    }
    team_sum(member, sums, 2 * channels);
}

static void apply(NormMap y, NormMap x, size_t rows, int channels, const float *factor, const float *rest, int threads) {
    const NormKernels *k = kernels();
    int n = useful_threads(rows, channels, threads);
#pragma omp parallel for num_threads(n) if (n > 1)
    for (int t = 0; t < n; t++) k->forward(y, x, share(rows, t, n), share(rows, t + 1, n), channels, factor, rest);
}

/* factor and rest such that norm(x) = factor x + rest; returned as one array of 2 * channels. */
static float *coefficients(const NormLayer *layer, const float *mean, const float *variance) {
    int channels = layer->channels;
    float *factor = xmalloc(2 * (size_t)channels * sizeof *factor);
    for (int c = 0; c < channels; c++) {
        double f = (double)layer->scale[c] / sqrt((double)variance[c] + YOLOX_NORM_EPSILON);
        factor[c] = (float)f;
        factor[channels + c] = (float)((double)layer->shift[c] - (double)mean[c] * f);
    }
    return factor;
}

void norm_silu_fixed(const NormLayer *layer, NormMap y, NormMap x, size_t rows, const float *mean, const float *variance, int threads) {
    float *factor = coefficients(layer, mean, variance);
    apply(y, x, rows, layer->channels, factor, factor + layer->channels, threads);
    free(factor);
}

void norm_silu_forward(NormLayer *layer, NormMap y, NormMap x, size_t rows, TeamMember *member, int threads) {
    int channels = layer->channels;
    const NormKernels *k = kernels();
    int n = useful_threads(rows, channels, threads);
    double *sums = sums_new(n, channels);
#pragma omp parallel for num_threads(n) if (n > 1)
    for (int t = 0; t < n; t++) k->statistics(sums + (size_t)t * 2 * (size_t)channels, x, share(rows, t, n), share(rows, t + 1, n), channels);
    double count = (double)rows;
    team_sum(member, &count, 1);
    sums_join(sums, n, channels, member);
    layer->count = count;
    for (int c = 0; c < channels; c++) {
        double mean = sums[c] / count, variance = sums[channels + c] / count - mean * mean;
        layer->mean[c] = (float)mean;
        layer->variance[c] = (float)(variance > 0 ? variance : 0);
    }
    free(sums);
    norm_silu_fixed(layer, y, x, rows, layer->mean, layer->variance, threads);
}

void norm_silu_backward(const NormLayer *layer, NormMap x_gradient, float *scale_gradient, float *shift_gradient, NormMap gradient, NormMap x,
                        size_t rows, TeamMember *member, int threads) {
    int channels = layer->channels;
    const NormKernels *k = kernels();
    int n = useful_threads(rows, channels, threads);
    double *sums = sums_new(n, channels);
    float *factor = coefficients(layer, layer->mean, layer->variance), *rest = factor + channels;
#pragma omp parallel for num_threads(n) if (n > 1)
    for (int t = 0; t < n; t++)
        k->backward_sums(sums + (size_t)t * 2 * (size_t)channels, x_gradient, gradient, x, share(rows, t, n), share(rows, t + 1, n), channels,
                         factor, rest, layer->mean);
    sums_join(sums, n, channels, NULL);
    for (int c = 0; c < channels; c++) {
        shift_gradient[c] = (float)sums[c];
        scale_gradient[c] = (float)(sums[channels + c] / sqrt((double)layer->variance[c] + YOLOX_NORM_EPSILON));
    }
    team_sum(member, sums, 2 * channels);
    float *slope = xmalloc((size_t)channels * sizeof *slope);
    for (int c = 0; c < channels; c++) {
        double b = sums[channels + c] / layer->count / ((double)layer->variance[c] + YOLOX_NORM_EPSILON);
        slope[c] = (float)(-(double)factor[c] * b);
        rest[c] = (float)((double)factor[c] * (b * (double)layer->mean[c] - sums[c] / layer->count));
    }
#pragma omp parallel for num_threads(n) if (n > 1)
    for (int t = 0; t < n; t++) k->backward_apply(x_gradient, x, share(rows, t, n), share(rows, t + 1, n), channels, factor, slope, rest);
    free(slope);
    free(factor);
    free(sums);
}
