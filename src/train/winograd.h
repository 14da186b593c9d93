/* Winograd: 3 x 3 convolutions of stride 1, forward and backward, for one thread on processors with AVX2 (product_available()), with a quarter of the
 * multiplications: Winograd's minimal filtering F(4 x 4, 3 x 3), after Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
 * arXiv 1509.09308.
 *
 * Maps are dense, any height and width; in and out, the numbers of channels, are multiples of 8; stride is 1. weights are out x in x 3 x 3.
 */
#pragma once
#include "train/product.h"

void winograd_forward(float *y, const float *x, const float *weights, SquareShape shape);
void winograd_by_input(float *x_gradient, const float *gradient, const float *weights, SquareShape shape);
void winograd_by_weights(float *weight_gradient, const float *gradient, const float *x, SquareShape shape);
