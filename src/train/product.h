/* Product: the three products of matrices that a 1 x 1 convolution is, forward and backward, for one thread on processors with AVX2; and the one for
 * the weights of a 3 x 3 convolution, which oneDNN does at half the speed of the other two.
 *
 * Pixels are rows. With few channels a general library spends a third of its time on copying both matrices into an order of its own; these
 * read maps where they lie, as only weights are worth ordering. On Intel's processors with AVX-512 the library's kernels are the faster ones.
 *
 * Rows of maps start `stride` floats apart. in and out, the numbers of channels, are multiples of 8. weights are out x in.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct ProductShape {
    size_t rows;
    int in, out;
} ProductShape;

/* Whether this processor can run them. */
static inline bool product_available(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

/* Whether it should. */
static inline bool product_preferred(void) {
#if defined(__x86_64__)
    return product_available() && !(__builtin_cpu_supports("avx512f") && __builtin_cpu_is("intel"));
#else
    return false;
#endif
}

/* y = x weights^T */
void product_forward(float *y, size_t y_stride, const float *x, size_t x_stride, const float *weights, ProductShape shape);
/* x_gradient = gradient weights */
void product_by_input(float *x_gradient, size_t x_stride, const float *gradient, size_t gradient_stride, const float *weights, ProductShape shape);
/* weight_gradient = gradient^T x, dense */
void product_by_weights(float *weight_gradient, const float *gradient, size_t gradient_stride, const float *x, size_t x_stride, ProductShape shape);

enum { PRODUCT_PANEL = 16 };
/* c = a b, where b lies in panels of PRODUCT_PANEL columns, depth rows of them each; the last may be of 8. */
void product_multiply(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t rows, int depth, int columns);
/* sums (left x right) += a^T b over rows; left is even, right is PRODUCT_PANEL or 8. */
void product_add(float *sums, size_t sums_stride, const float *a, size_t a_stride, int left, const float *b, size_t b_stride, int right, size_t rows);

/* Maps are dense, padded by one pixel, the result's height and width divided by the stride. out is a multiple of 4. */
typedef struct SquareShape {
    int count, height, width; /* of the input */
    int in, out, stride;
} SquareShape;

/* weight_gradient (out x in x 3 x 3) of a 3 x 3 convolution */
void square_by_weights(float *weight_gradient, const float *gradient, const float *x, SquareShape shape);
