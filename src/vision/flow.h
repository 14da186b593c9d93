/* Flow: the minimum cut of a grid of pixels with two terminals, by the augmenting trees of Boykov and Kolmogorov, "An Experimental
 * Comparison of Min-Cut/Max-Flow Algorithms for Energy Minimization in Vision" (IEEE PAMI 26, 2004), with the marks of distance and time
 * for the choice of parents that Kolmogorov's thesis adds.
 *
 * Two search trees grow from source and sink, paths between them are saturated, and orphaned branches look for a new parent, so that
 * little is searched again. Neighbours are found by arithmetic and a pixel takes 32 bytes; pixels without links cost nothing. What
 * leans to the terminals may change after a solution: the next one starts from the flow that is there (Kohli and Torr, "Dynamic Graph Cuts
 * for Efficient Inference in Markov Random Fields", IEEE PAMI 29, 2007).
 *
 *     Flow *f = flow_new(width, height);
 *     flow_link(f, pixel, 0, weight); flow_lean(f, pixel, amount); …
 *     flow_solve(f);  bool inside = flow_is_source(f, pixel);
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FLOW_DIRECTIONS = 8, FLOW_LINK_MAX = INT16_MAX / 2 };
/* Steps to the eight neighbours; direction d and (d + 4) % 8 are opposite. */
extern const struct FlowStep {
    int8_t dx, dy;
} FLOW_STEPS[FLOW_DIRECTIONS];

typedef struct Flow Flow;

/* Pixels are numbered y * width + x. */
Flow *flow_new(int width, int height);
void flow_free(Flow *flow);
/* A link between a pixel and its neighbour in a direction, which must be in the grid; equal both ways, 0 to FLOW_LINK_MAX. Once a pair,
 * at any time. */
void flow_link(Flow *flow, int pixel, int direction, int weight);
/* Adds to what pulls a pixel: towards the source where positive, towards the sink where negative. Sums stay within ±2^30. */
void flow_lean(Flow *flow, int pixel, int amount);
/* Again after more of the two above. */
void flow_solve(Flow *flow);
/* After flow_solve: on which side of the minimum cut the pixel lies. Pixels that the cut does not decide are on the sink's side. */
bool flow_is_source(const Flow *flow, int pixel);
