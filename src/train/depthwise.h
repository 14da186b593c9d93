/* Depthwise: 3 x 3 convolutions of each channel by itself, padded by one pixel, forward and backward, for one thread on processors with AVX2
 * (product_available()). They do so little arithmetic that a general library's way to its kernels costs as much as they do.
 *
 * Maps are dense: count x height x width x channels, the results' height and width divided by the stride. channels is a multiple of 8; stride is 1 or
 * 2, and then height and width are even. weights are channels x 3 x 3.
 */
#pragma once
#include <stdbool.h>

typedef struct DepthwiseShape {
    int count, height, width; /* of the input */
    int channels, stride;
} DepthwiseShape;

void depthwise_forward(float *y, const float *x, const float *weights, DepthwiseShape shape);
void depthwise_by_input(float *x_gradient, const float *gradient, const float *weights, DepthwiseShape shape);
void depthwise_by_weights(float *weight_gradient, const float *gradient, const float *x, DepthwiseShape shape);
