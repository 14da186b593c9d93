/* Loss of YOLOX and its gradient by the raw outputs of the heads, written out by hand: no tensors, one pass over the anchors.
 *
 * Source: Ge et al., arXiv 2107.08430: 5 x (1 - IoU²) for boxes of matched anchors, binary cross-entropy for objectness of all anchors
 * and for classes of matched ones (the true class aims at the IoU), and |difference| of the raw box in the closing epochs. All are sums
 * divided by the number of matched anchors of the batch.
 */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "train/team.h"
#include "train/yolox.h"

typedef struct LossParts {
    double total;
    double box; /* the IoU part, with its weight of 5 */
    double objectness, classes, l1;
    double matched_per_truth;
} LossParts;

typedef struct LossInput {
    const Yolox *net;
    int count, height, width; /* of this member's images */
    const float *raw;         /* as model_raw() */
    const float *targets;     /* count x max_boxes x 5: class, centre x, centre y, width, height in pixels; rows of zeros end an image */
    int max_boxes;
    bool l1;
    TeamMember *member; /* members of a team get the loss of the whole batch and their part of its gradient */
} LossInput;

/* Fills parts and gradient (as model_raw_gradient()). Scratch memory comes from the arena. */
void loss_compute(LossParts *parts, float *gradient, const LossInput *input, Arena *arena);
