/* Minimum cuts against every partition of small random grids, and colour models. */
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

enum { SIDE_MAX = 3, PIXELS_MAX = SIDE_MAX * SIDE_MAX };

typedef struct Grid {
    int width, height;
    int lean[PIXELS_MAX];
    int link[PIXELS_MAX][FLOW_DIRECTIONS]; /* -1: no such neighbour */
} Grid;

static int draw(uint32_t *seed, int below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (int)((*seed >> 8) % (uint32_t)below);
}

static bool has_neighbour(int width, int height, int pixel, int direction) {
    int x = pixel % width + FLOW_STEPS[direction].dx, y = pixel / width + FLOW_STEPS[direction].dy;
    return x >= 0 && y >= 0 && x < width && y < height;
}

static int neighbour(int width, int pixel, int direction) { return pixel + FLOW_STEPS[direction].dy * width + FLOW_STEPS[direction].dx; }

static Grid random_grid(uint32_t *seed) {
    Grid g = {.width = 1 + draw(seed, SIDE_MAX), .height = 1 + draw(seed, SIDE_MAX)};
    for (int i = 0; i < g.width * g.height; i++) {
        g.lean[i] = draw(seed, 3) ? draw(seed, 41) - 20 : 0;
        for (int d = 0; d < FLOW_DIRECTIONS / 2; d++) g.link[i][d] = has_neighbour(g.width, g.height, i, d) ? draw(seed, 10) : -1;
    }
    return g;
}

/* Cost of the cut whose source side is the set bits. */
static int64_t cut_cost(const Grid *g, unsigned side) {
    int64_t cost = 0;
    for (int i = 0; i < g->width * g->height; i++) {
        unsigned source = side >> i & 1;
        if (source ? g->lean[i] < 0 : g->lean[i] > 0) cost += abs(g->lean[i]);
        for (int d = 0; d < FLOW_DIRECTIONS / 2; d++)
            if (g->link[i][d] > 0 && source != (side >> neighbour(g->width, i, d) & 1)) cost += g->link[i][d];
    }
    return cost;
}

/* The smallest cut; of equal ones the one with the least on the source's side. */
static unsigned smallest_cut(const Grid *g) {
    int64_t least = INT64_MAX;
    unsigned best = 0;
    for (unsigned side = 0; side < 1u << (g->width * g->height); side++) {
        int64_t cost = cut_cost(g, side);
        if (cost < least) least = cost, best = side;
        else if (cost == least) best &= side; /* minimum cuts are closed under intersection */
    }
    return best;
}

/* Also when leanings change after an answer. */
static void the_cut_is_the_smallest_of_all(void **state) {
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 1500; round++) {
        Grid g = random_grid(&seed);
        int count = g.width * g.height;
        Flow *flow = flow_new(g.width, g.height);
        for (int i = 0; i < count; i++) {
            flow_lean(flow, i, g.lean[i]);
            for (int d = 0; d < FLOW_DIRECTIONS / 2; d++)
                if (g.link[i][d] >= 0) flow_link(flow, i, d, g.link[i][d]);
        }
        for (int change = 0; change < 4; change++) {
            unsigned found = 0;
            flow_solve(flow);
            for (int i = 0; i < count; i++) found |= (unsigned)flow_is_source(flow, i) << i;
            assert_int_equal(found, smallest_cut(&g));
            for (int i = 0; i < count; i++) {
                int by = draw(&seed, 2) ? draw(&seed, 61) - 30 : 0;
                g.lean[i] += by;
                flow_lean(flow, i, by);
            }
        }
        flow_free(flow);
    }
}

/* A large grid: the answer after changes is the one that a fresh start gives, and a second look changes nothing. */
static void changed_grids_end_where_fresh_ones_do(void **state) {
    (void)state;
    enum { WIDTH = 70, HEIGHT = 50, CHANGES = 5 };
    uint32_t seed = 3;
    static int lean[WIDTH * HEIGHT], link[WIDTH * HEIGHT][FLOW_DIRECTIONS / 2];
    Flow *kept = flow_new(WIDTH, HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT; i++)
        for (int d = 0; d < FLOW_DIRECTIONS / 2; d++)
            if (has_neighbour(WIDTH, HEIGHT, i, d)) flow_link(kept, i, d, link[i][d] = draw(&seed, 40));
    for (int change = 0; change < CHANGES; change++) {
        Flow *fresh = flow_new(WIDTH, HEIGHT);
        int inside = 0;
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            int wanted = draw(&seed, 200) - (i % WIDTH > 15 && i % WIDTH < 45 ? 80 : 120);
            if (draw(&seed, 50) == 0) wanted = wanted > 0 ? 1 << 20 : -(1 << 20); /* a certain pixel */
            flow_lean(kept, i, wanted - lean[i]);
            flow_lean(fresh, i, lean[i] = wanted);
            for (int d = 0; d < FLOW_DIRECTIONS / 2; d++)
                if (has_neighbour(WIDTH, HEIGHT, i, d)) flow_link(fresh, i, d, link[i][d]);
        }
        flow_solve(kept), flow_solve(kept), flow_solve(fresh);
        for (int i = 0; i < WIDTH * HEIGHT; i++) {
            assert_int_equal(flow_is_source(kept, i), flow_is_source(fresh, i));
            inside += flow_is_source(fresh, i);
        }
        assert_in_range(inside, 100, WIDTH * HEIGHT - 100);
        flow_free(fresh);
    }
    flow_free(kept);
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
    float costs[600];
    gmm_costs(&blue, cloud, 600, costs);
    for (int i = 0; i < 600; i++) assert_true(costs[i] == gmm_cost(&blue, cloud[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_cut_is_the_smallest_of_all), cmocka_unit_test(changed_grids_end_where_fresh_ones_do),
                                       cmocka_unit_test(colours_are_told_apart)};
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
