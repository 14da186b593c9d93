/* Flow: the minimum cut of a graph with two terminals, by the augmenting trees of Boykov and Kolmogorov, "An Experimental Comparison of
 * Min-Cut/Max-Flow Algorithms for Energy Minimization in Vision" (IEEE PAMI 26, 2004), with the marks of distance and time for the
 * choice of parents that Kolmogorov's thesis adds.
 *
 * Written for grids of pixels: two search trees grow from source and sink, paths between them are saturated, and orphaned branches look
 * for a new parent, so that little is searched again. Capacities are integers; the caller scales.
 *
 *     Flow *f = flow_new(nodes, edges);
 *     flow_terminals(f, n, to_source, to_sink); flow_edge(f, a, b, forth, back); …
 *     int64_t value = flow_solve(f);  bool inside = flow_is_source(f, n);
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct Flow Flow;

/* Room for so many nodes, numbered from 0, and edges. */
Flow *flow_new(int nodes, int edges);
void flow_free(Flow *flow);
/* Adds capacities between a node and the terminals: from the source into it, and from it to the sink. */
void flow_terminals(Flow *flow, int node, int64_t from_source, int64_t to_sink);
/* An edge between two nodes with a capacity in each direction. At most as many as flow_new was told. */
void flow_edge(Flow *flow, int a, int b, int32_t forth, int32_t back);
/* Value of the maximum flow; once a graph. */
int64_t flow_solve(Flow *flow);
/* After flow_solve: on which side of the minimum cut the node lies. Nodes that the cut does not decide are on the sink's side. */
bool flow_is_source(const Flow *flow, int node);
