/* Gfl: reads the output of a detector with a generalised focal loss head (Li and others, "Generalized Focal Loss", NeurIPS 2020), in the
 * arrangement of NanoDet (RangiLyu, 2020): the layout "gfl" of model metadata.
 *
 * A row is an anchor point; the points of one stride after another, row by row, each in the middle of its cell. First come the probabilities
 * of the classes, each its own answer, so that one row can name several; then for the left, top, right and bottom edge a distribution (logits)
 * over the distances 0, 1, … bins - 1 in strides, whose mean is the distance from the point to the edge.
 */
#pragma once
#include <stdint.h>

#include "vision/nms.h"

#define GFL_LAYOUT "gfl"
#define GFL_META_BINS "distance_bins" /* metadata key: a number */
enum { GFL_STRIDES_MAX = 8, GFL_BINS_MAX = 64 };

typedef struct GflHead {
    int width, height; /* of the input, multiples of the strides or rounded up to them */
    int classes, bins;
    int strides[GFL_STRIDES_MAX], stride_count;
} GflHead;

/* Rows and columns that the output must have. */
int64_t gfl_rows(const GflHead *head);
int gfl_columns(const GflHead *head);
/* Every class of every row with at least this probability, as a box in pixels of the picture: input pixels divided by scale, clipped to full. At
 * most maximum of them, the rest is left out. Returns how many. */
size_t gfl_read(const GflHead *head, const float *rows, double threshold, double scale, Box full, Detection *out, size_t maximum);
