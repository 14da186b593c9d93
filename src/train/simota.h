/* SimOTA: which anchors are to predict which true boxes of one image.
 *
 * Source: Ge et al., arXiv 2107.08430, section 2.3 (dynamic top-k of OTA, arXiv 2103.14259). Anchors near the centre of a true box
 * are candidates; each true box takes as many of the cheapest as its ten best candidates' IoUs add up to (at least one); an anchor
 * taken twice stays with the cheaper box. The cost is class cross-entropy + 3 x (-log IoU), with a million more off the centre.
 */
#pragma once
#include "base/arena.h"

/* Centre and size in pixels of the input. */
typedef struct CentreBox {
    float x, y, w, h;
} CentreBox;

typedef struct Truth {
    CentreBox box;
    int class_index;
} Truth;

/* Where an anchor stands: its column and row on the map of a stride. */
typedef struct Anchor {
    float column, row, stride;
} Anchor;

typedef struct SimotaInput {
    const Anchor *anchors;
    int anchor_count;
    const CentreBox *boxes;    /* predicted, one per anchor */
    const float *scores; /* raw (before the sigmoid): row of anchor i at scores + i * score_stride: objectness, then the classes */
    size_t score_stride;
    int class_count;
    const Truth *truths;
    int truth_count;
} SimotaInput;

/* Of each anchor: number of its true box, or -1, and the IoU with it. matched and ious have anchor_count elements. Returns the number of
 * matched anchors. Scratch memory comes from the arena. */
int simota_assign(int *matched, float *ious, const SimotaInput *input, Arena *arena);

/* Intersection over union; 0 when they do not meet. */
float centre_box_iou(const CentreBox *a, const CentreBox *b);
