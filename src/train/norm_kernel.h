/* Inner loops of norm_silu.c: one table of functions per instruction set, all compiled from norm_kernel.c.
 *
 * A map is `rows` pixels of `channels` numbers; row r starts at data + r * stride elements. Numbers are floats or, where `half` is
 * set, bfloat16; all maps of a call are of one kind. Coefficients and sums are one number per channel. channels is a multiple of 8, as in
 * every size of YOLOX.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct NormMap {
    void *data;
    size_t stride; /* elements from one row to the next */
    bool half;     /* bfloat16 */
} NormMap;

typedef struct NormKernels {
    /* sums[c] += x, sums[channels + c] += x² over the rows from first to end, good enough to take a variance from */
    void (*statistics)(double *sums, NormMap x, size_t first, size_t end, int channels);
    /* y = silu(factor x + rest) */
    void (*forward)(NormMap y, NormMap x, size_t first, size_t end, int channels, const float *factor, const float *rest);
    /* inner = gradient * silu'(factor x + rest); sums[c] += inner, sums[channels + c] += inner (x - mean[c]) */
    void (*backward_sums)(double *sums, NormMap inner, NormMap gradient, NormMap x, size_t first, size_t end, int channels,
                          const float *factor, const float *rest, const float *mean);
    /* inner = factor inner + slope x + rest, in place */
    void (*backward_apply)(NormMap inner, NormMap x, size_t first, size_t end, int channels, const float *factor, const float *slope,
                           const float *rest);
} NormKernels;

extern const NormKernels norm_kernels_plain;
extern const NormKernels norm_kernels_avx2;
extern const NormKernels norm_kernels_avx512;
