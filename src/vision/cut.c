#include "vision/cut.h"

#include <math.h>
#include <stdlib.h>

#include "vision/flow.h"
#include "base/banned.h"

#define GAMMA 50.0
#define SCALE 64.0        /* energy to the integers of flow.h */
#define CERTAIN (1 << 20) /* pull of a certain pixel: more than all its links */
#define COLOUR_LIMIT 60.0 /* a pixel's colours plead for one side at most so much: single odd pixels give way to their neighbours */

double cut_beta(const Patch *patch) {
    double sum = 0;
    long count = 0;
    for (int y = 0; y < patch->height; y++)
        for (int x = 0; x < patch->width; x++)
            for (int n = 0; n < 2; n++) { /* right and below */
                int x2 = x + !n, y2 = y + n;
                if (x2 >= patch->width || y2 >= patch->height) continue;
                sum += lab_distance(patch->lab[y * patch->width + x], patch->lab[y2 * patch->width + x2]);
                count++;
            }
    double mean = count ? sum / (double)count : 0;
    return 1 / (2 * fmax(mean, 1)); /* a flat picture has no contrast to weigh by */
}

double cut_link(double beta, Lab p, Lab q, bool diagonal) {
    return exp(-beta * lab_distance(p, q)) * (diagonal ? M_SQRT1_2 : 1);
}

enum { BATCH = 256 }; /* pixels whose colours are judged together */

/* Of a pixel: its links are in the flow; a link of a neighbour or its own ends there. */
enum { LAID = 1, REACHED = 2 };

struct Cut {
    const Patch *patch;
    Flow *flow;
    int32_t *pull;    /* what each pixel leans by in the flow */
    uint8_t *state;
    float *weight;    /* of a link by d², as far as it counts */
    int weight_count;
};

Cut *cut_new(const Patch *patch, double beta) {
    size_t count = (size_t)patch->width * (size_t)patch->height;
    Cut *cut = xcalloc(1, sizeof *cut);
    cut->patch = patch;
    cut->flow = flow_new(patch->width, patch->height);
    cut->pull = xcalloc(count, sizeof *cut->pull);
    cut->state = xcalloc(count, 1);
    cut->weight_count = (int)fmin(12 / beta, 3 * 255 * 255) + 1;
    cut->weight = xmalloc((size_t)cut->weight_count * sizeof *cut->weight);
    for (int d = 0; d < cut->weight_count; d++) cut->weight[d] = (float)(GAMMA * SCALE * exp(-beta * d));
    return cut;
}

void cut_free(Cut *cut) {
    if (!cut) return;
    flow_free(cut->flow);
    free(cut->pull);
    free(cut->state);
    free(cut->weight);
    free(cut);
}

/* The links of a pixel that its neighbours have not laid. */
static void lay_links(Cut *cut, int x, int y) {
    const Patch *p = cut->patch;
    int i = y * p->width + x;
    cut->state[i] |= LAID | REACHED;
    for (int d = 0; d < FLOW_DIRECTIONS; d++) {
        int x2 = x + FLOW_STEPS[d].dx, y2 = y + FLOW_STEPS[d].dy, i2 = y2 * p->width + x2;
        if (x2 < 0 || y2 < 0 || x2 >= p->width || y2 >= p->height || cut->state[i2] & LAID) continue;
        int distance = lab_distance(p->lab[i], p->lab[i2]);
        float weight = distance < cut->weight_count ? cut->weight[distance] : 0;
        flow_link(cut->flow, i, d, (int)(FLOW_STEPS[d].dx && FLOW_STEPS[d].dy ? weight * (float)M_SQRT1_2 : weight));
        cut->state[i2] |= REACHED;
    }
}

static void pull_to(Cut *cut, int i, int pull) {
    if (pull != cut->pull[i]) flow_lean(cut->flow, i, pull - cut->pull[i]);
    cut->pull[i] = pull;
}

typedef struct Batch {
    const Gmm *foreground, *background;
    double bias;
    int pixels[BATCH], count;
} Batch;

/* The colours of open pixels say where they lean. */
static void pull_batch(Cut *cut, Batch *b) {
    Lab lab[BATCH];
    float foreground[BATCH], background[BATCH];
    for (int k = 0; k < b->count; k++) lab[k] = cut->patch->lab[b->pixels[k]];
    gmm_costs(b->foreground, lab, (size_t)b->count, foreground);
    gmm_costs(b->background, lab, (size_t)b->count, background);
    for (int k = 0; k < b->count; k++) {
        double lean = (double)background[k] - foreground[k] - b->bias; /* positive: foreground is cheaper */
        pull_to(cut, b->pixels[k], (int)(fmax(-COLOUR_LIMIT, fmin(COLOUR_LIMIT, lean)) * SCALE));
    }
    b->count = 0;
}

/* Certain pixels that no link reaches decide nothing. */
static void pull_all(Cut *cut, const uint8_t *labels, Batch *b) {
    for (int i = 0; i < cut->patch->width * cut->patch->height; i++) {
        if (!(cut->state[i] & REACHED)) continue;
        if (!cut_is_open(labels[i])) pull_to(cut, i, cut_is_foreground(labels[i]) ? CERTAIN : -CERTAIN);
        else b->pixels[b->count++] = i;
        if (b->count == BATCH) pull_batch(cut, b);
    }
    pull_batch(cut, b);
}

static int read_labels(const Cut *cut, uint8_t *labels) {
    int changed = 0;
    for (int i = 0; i < cut->patch->width * cut->patch->height; i++) {
        if (!cut_is_open(labels[i])) continue;
        uint8_t label = flow_is_source(cut->flow, i) ? CUT_MAYBE_FOREGROUND : CUT_MAYBE_BACKGROUND;
        changed += label != labels[i];
        labels[i] = label;
    }
    return changed;
}

int cut_solve(Cut *cut, uint8_t *labels, const Gmm *foreground, const Gmm *background, double bias) {
    const Patch *p = cut->patch;
    if (!foreground->count || !background->count) return 0;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            if (cut_is_open(labels[y * p->width + x]) && !(cut->state[y * p->width + x] & LAID)) lay_links(cut, x, y);
    Batch batch = {.foreground = foreground, .background = background, .bias = bias};
    pull_all(cut, labels, &batch);
    flow_solve(cut->flow);
    return read_labels(cut, labels);
}
