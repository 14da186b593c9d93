/* Minimum cuts against every partition of small random graphs, and colour models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "vision/flow.h"
#include "vision/gmm.h"
#include "base/banned.h"

enum { NODES_MAX = 9, EDGES_MAX = 24 };

typedef struct Graph {
    int nodes, edges;
    int source[NODES_MAX], sink[NODES_MAX];
    int a[EDGES_MAX], b[EDGES_MAX], forth[EDGES_MAX], back[EDGES_MAX];
} Graph;

static int draw(uint32_t *seed, int below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (int)((*seed >> 8) % (uint32_t)below);
}

static Graph random_graph(uint32_t *seed) {
    Graph g = {.nodes = 1 + draw(seed, NODES_MAX)};
    for (int i = 0; i < g.nodes; i++) g.source[i] = draw(seed, 3) ? 0 : draw(seed, 20), g.sink[i] = draw(seed, 3) ? 0 : draw(seed, 20);
    g.edges = g.nodes > 1 ? draw(seed, EDGES_MAX) : 0;
    for (int e = 0; e < g.edges; e++) {
        g.a[e] = draw(seed, g.nodes);
        g.b[e] = (g.a[e] + 1 + draw(seed, g.nodes - 1)) % g.nodes;
        g.forth[e] = draw(seed, 10);
        g.back[e] = draw(seed, 10);
    }
    return g;
}

/* Cost of the cut whose source side is the set bits. */
static int64_t cut_cost(const Graph *g, unsigned side) {
    int64_t cost = 0;
    for (int i = 0; i < g->nodes; i++) cost += side >> i & 1 ? g->sink[i] : g->source[i];
    for (int e = 0; e < g->edges; e++) {
        unsigned a = side >> g->a[e] & 1, b = side >> g->b[e] & 1;
        if (a && !b) cost += g->forth[e];
        if (b && !a) cost += g->back[e];
    }
    return cost;
}

static void the_cut_is_the_smallest_of_all(void **state) {
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 5000; round++) {
        Graph g = random_graph(&seed);
        Flow *flow = flow_new(g.nodes, g.edges);
        for (int i = 0; i < g.nodes; i++) flow_terminals(flow, i, g.source[i], 0), flow_terminals(flow, i, 0, g.sink[i]);
        for (int e = 0; e < g.edges; e++) flow_edge(flow, g.a[e], g.b[e], g.forth[e], g.back[e]);
        int64_t value = flow_solve(flow), least = INT64_MAX;
        for (unsigned side = 0; side < 1u << g.nodes; side++)
            if (cut_cost(&g, side) < least) least = cut_cost(&g, side);
        unsigned found = 0;
        for (int i = 0; i < g.nodes; i++) found |= (unsigned)flow_is_source(flow, i) << i;
        assert_int_equal(value, least);
        assert_int_equal(cut_cost(&g, found), least);
        flow_free(flow);
    }
}

/* A grid with noise: the value of the flow must equal the cost of the cut that it names. */
static void flow_and_cut_agree_on_a_grid(void **state) {
    (void)state;
    enum { SIDE = 60 };
    uint32_t seed = 3;
    static int source[SIDE * SIDE], sink[SIDE * SIDE], right[SIDE * SIDE], down[SIDE * SIDE];
    Flow *flow = flow_new(SIDE * SIDE, 2 * SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; i++) {
        int inside = (i % SIDE > 15 && i % SIDE < 45 && i / SIDE > 15 && i / SIDE < 45);
        source[i] = draw(&seed, inside ? 100 : 60), sink[i] = draw(&seed, inside ? 60 : 100);
        flow_terminals(flow, i, source[i], sink[i]);
    }
    for (int i = 0; i < SIDE * SIDE; i++) {
        right[i] = draw(&seed, 30), down[i] = draw(&seed, 30);
        if (i % SIDE < SIDE - 1) flow_edge(flow, i, i + 1, right[i], right[i]);
        if (i / SIDE < SIDE - 1) flow_edge(flow, i, i + SIDE, down[i], down[i]);
    }
    int64_t value = flow_solve(flow), cost = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        bool inside = flow_is_source(flow, i);
        cost += inside ? sink[i] : source[i];
        if (i % SIDE < SIDE - 1 && inside != flow_is_source(flow, i + 1)) cost += right[i];
        if (i / SIDE < SIDE - 1 && inside != flow_is_source(flow, i + SIDE)) cost += down[i];
    }
    assert_int_equal(value, cost);
    flow_free(flow);
}

static void colours_are_told_apart(void **state) {
    (void)state;
    const unsigned char rgb[] = {255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 0, 255};
    Lab lab[4], cloud[600];
    Gmm red, blue;
    uint32_t seed = 1;
    lab_from_rgb(rgb, 4, lab);
    assert_int_equal(lab[0].l, 255);
    assert_in_range(lab[0].a, 127, 129);
    assert_in_range(lab[0].b, 127, 129);
    assert_int_equal(lab[1].l, 0);
    assert_in_range(lab[2].a, 128 + 78, 128 + 82); /* red: L 53, a 80, b 67 */
    assert_in_range(lab[2].b, 128 + 65, 128 + 69);
    for (int i = 0; i < 600; i++) {
        cloud[i] = lab[i < 300 ? 2 : 3];
        cloud[i].l = (uint8_t)(cloud[i].l + draw(&seed, 20));
    }
    gmm_fit(&red, cloud, 300);
    gmm_fit(&blue, cloud + 300, 300);
    assert_true(gmm_cost(&red, lab[2]) + 10 < gmm_cost(&blue, lab[2]));
    assert_true(gmm_cost(&blue, lab[3]) + 10 < gmm_cost(&red, lab[3]));
    gmm_fit(&red, cloud, 600); /* one mixture of both explains both */
    assert_true(gmm_cost(&red, lab[2]) < 12 && gmm_cost(&red, lab[3]) < 12);
    gmm_fit(&red, lab, 1); /* a single colour */
    assert_true(gmm_cost(&red, lab[0]) < gmm_cost(&red, lab[1]));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_cut_is_the_smallest_of_all), cmocka_unit_test(flow_and_cut_agree_on_a_grid),
                                       cmocka_unit_test(colours_are_told_apart)};
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
