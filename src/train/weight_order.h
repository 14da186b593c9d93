/* Weights of convolutions in the two orders that matter: [out, in, taps], as files and gradients have them, and [out, taps, in], as libraries
 * reckon with when the channels of a pixel lie together. The reckoned-with ones are bfloat16, rounded to nearest, ties to even.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct WeightShape {
    int out, in, taps; /* taps: kernel height x width */
} WeightShape;

void weights_to_half(uint16_t *half, const float *weights, WeightShape shape);
void weights_from_half(float *weights, const uint16_t *half, WeightShape shape);
