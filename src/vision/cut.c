#include "vision/cut.h"

#include <math.h>
#include <stdlib.h>

#include "vision/flow.h"
#include "base/banned.h"

#define GAMMA 50.0
#define SCALE 64.0        /* energy to the integers of flow.h */
#define COLOUR_LIMIT 60.0 /* a pixel's colours plead for one side at most so much: single odd pixels give way to their neighbours */

/* Right, below, and the two diagonals below: each pair of neighbours once. */
static const struct {
    int dx, dy;
} NEIGHBOURS[4] = {{1, 0}, {0, 1}, {1, 1}, {-1, 1}};

static bool in_patch(const Patch *p, int x, int y) { return x >= 0 && x < p->width && y < p->height; }

double cut_beta(const Patch *patch) {
    double sum = 0;
    long count = 0;
    for (int y = 0; y < patch->height; y++)
        for (int x = 0; x < patch->width; x++)
            for (int n = 0; n < 2; n++) {
                int x2 = x + NEIGHBOURS[n].dx, y2 = y + NEIGHBOURS[n].dy;
                if (!in_patch(patch, x2, y2)) continue;
                sum += lab_distance(patch->lab[y * patch->width + x], patch->lab[y2 * patch->width + x2]);
                count++;
            }
    double mean = count ? sum / (double)count : 0;
    return 1 / (2 * fmax(mean, 1)); /* a flat picture has no contrast to weigh by */
}

double cut_link(double beta, Lab p, Lab q, bool diagonal) {
    return exp(-beta * lab_distance(p, q)) * (diagonal ? M_SQRT1_2 : 1);
}

typedef struct Solver {
    Patch *patch;
    Flow *flow;
    int *node; /* of each pixel, -1 for certain ones */
    float *link; /* exp(-beta d²) by d², as far as it counts */
    int link_count;
} Solver;

static void fill_links(Solver *s, double beta) {
    s->link_count = (int)fmin(12 / beta, 3 * 255 * 255) + 1;
    s->link = xmalloc((size_t)s->link_count * sizeof *s->link);
    for (int d = 0; d < s->link_count; d++) s->link[d] = (float)(GAMMA * SCALE * exp(-beta * d));
}

/* A link to a certain neighbour is a pull of a terminal, one between open pixels an edge. */
static void add_link(Solver *s, int a, int b, bool diagonal) {
    int na = s->node[a], nb = s->node[b];
    if (na < 0 && nb < 0) return;
    int d = lab_distance(s->patch->lab[a], s->patch->lab[b]);
    int32_t weight = d < s->link_count ? (int32_t)(s->link[d] * (diagonal ? (float)M_SQRT1_2 : 1)) : 0;
    if (na >= 0 && nb >= 0) {
        flow_edge(s->flow, na, nb, weight, weight);
        return;
    }
    bool foreground = cut_is_foreground(s->patch->labels[na < 0 ? a : b]);
    flow_terminals(s->flow, na < 0 ? nb : na, foreground ? weight : 0, foreground ? 0 : weight);
}

static void add_pixel(Solver *s, int x, int y, const Gmm *foreground, const Gmm *background, double bias) {
    int i = y * s->patch->width + x;
    if (s->node[i] >= 0) {
        Lab c = s->patch->lab[i];
        double lean = gmm_cost(background, c) - gmm_cost(foreground, c) - bias; /* positive: foreground is cheaper */
        lean = fmax(-COLOUR_LIMIT, fmin(COLOUR_LIMIT, lean)) * SCALE;
        flow_terminals(s->flow, s->node[i], lean > 0 ? (int64_t)lean : 0, lean < 0 ? (int64_t)-lean : 0);
    }
    for (int n = 0; n < 4; n++) {
        int x2 = x + NEIGHBOURS[n].dx, y2 = y + NEIGHBOURS[n].dy;
        if (in_patch(s->patch, x2, y2)) add_link(s, i, y2 * s->patch->width + x2, n > 1);
    }
}

static int read_labels(Solver *s) {
    int changed = 0, count = s->patch->width * s->patch->height;
    for (int i = 0; i < count; i++) {
        if (s->node[i] < 0) continue;
        uint8_t label = flow_is_source(s->flow, s->node[i]) ? CUT_MAYBE_FOREGROUND : CUT_MAYBE_BACKGROUND;
        changed += label != s->patch->labels[i];
        s->patch->labels[i] = label;
    }
    return changed;
}

int cut_solve(Patch *patch, const Gmm *foreground, const Gmm *background, double beta, double bias) {
    int count = patch->width * patch->height, open = 0;
    if (!foreground->count || !background->count) return 0;
    Solver s = {.patch = patch, .node = xmalloc((size_t)count * sizeof(int) + sizeof(int))};
    for (int i = 0; i < count; i++) s.node[i] = cut_is_open(patch->labels[i]) ? open++ : -1;
    s.flow = flow_new(open, 4 * open);
    fill_links(&s, beta);
    for (int y = 0; y < patch->height; y++)
        for (int x = 0; x < patch->width; x++) add_pixel(&s, x, y, foreground, background, bias);
    flow_solve(s.flow);
    int changed = read_labels(&s);
    flow_free(s.flow);
    free(s.link);
    free(s.node);
    return changed;
}
