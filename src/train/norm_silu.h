/* Batch normalisation followed by SiLU on CPUs, forward and backward, each in two passes over the map instead of torch's five to seven.
 *
 * Method: Ioffe and Szegedy, arXiv 1502.03167; SiLU: Elfwing et al., arXiv 1702.03118. When several replicas share a batch (team.h)
 * the statistics are those of the whole batch, so that the number of replicas does not change the result.
 */
#pragma once
#include "train/norm_kernel.h"
#include "train/team.h"

typedef struct NormLayer {
    int channels;
    const float *scale, *shift; /* trained */
    /* written by the forward pass, read by the backward pass; channels floats each */
    float *mean, *variance;     /* of this batch; the variance is biased */
    double count;               /* pixels of all members */
} NormLayer;

/* y = silu(norm(x)) with the statistics of this batch. threads are for this member alone. */
void norm_silu_forward(NormLayer *layer, NormMap y, NormMap x, size_t rows, TeamMember *member, int threads);
/* The same with given statistics: evaluation. */
void norm_silu_fixed(const NormLayer *layer, NormMap y, NormMap x, size_t rows, const float *mean, const float *variance, int threads);
/* Gradients by x (own map), and by scale and shift: those two are this member's part, the members' parts add up. */
void norm_silu_backward(const NormLayer *layer, NormMap x_gradient, float *scale_gradient, float *shift_gradient, NormMap gradient, NormMap x,
                        size_t rows, TeamMember *member, int threads);
