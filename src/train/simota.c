/* The assignment of simota.h, over the candidates of one image. Costs are single precision, as in the reference implementation, so that
 * the same anchors win.
 */
#include "train/simota.h"

#include <math.h>
#include <stdbool.h>

#include "base/banned.h"

#define CENTRE_RADIUS 1.5f /* in strides */
#define IOU_WEIGHT 3.0f
#define OFF_CENTRE 1e6f

enum { TOP_IOUS = 10 };

typedef struct Candidates {
    int count;
    int *anchors; /* ascending */
    float *ious;  /* truth_count x count */
    float *costs; /* truth_count x count */
    int *takers;  /* truths that took the candidate */
    int *owner;   /* the last of them */
} Candidates;

float centre_box_iou(const CentreBox *a, const CentreBox *b) {
    float left = fmaxf(a->x - a->w / 2, b->x - b->w / 2), right = fminf(a->x + a->w / 2, b->x + b->w / 2);
    float top = fmaxf(a->y - a->h / 2, b->y - b->h / 2), bottom = fminf(a->y + a->h / 2, b->y + b->h / 2);
    if (!(left < right && top < bottom)) return 0;
    float both = (right - left) * (bottom - top);
    return both / (a->w * a->h + b->w * b->h - both);
}

static bool near_centre(const Anchor *anchor, const CentreBox *truth) {
    float x = (anchor->column + 0.5f) * anchor->stride, y = (anchor->row + 0.5f) * anchor->stride, reach = anchor->stride * CENTRE_RADIUS;
    return x - (truth->x - reach) > 0 && truth->x + reach - x > 0 && y - (truth->y - reach) > 0 && truth->y + reach - y > 0;
}

static void find_candidates(Candidates *c, const SimotaInput *in, Arena *arena) {
    c->anchors = arena_new_array(arena, int, (size_t)in->anchor_count);
    for (int i = 0; i < in->anchor_count; i++) {
        bool near_any = false;
        for (int t = 0; t < in->truth_count && !near_any; t++) near_any = near_centre(&in->anchors[i], &in->truths[t].box);
        if (near_any) c->anchors[c->count++] = i;
    }
}

static float sigmoid(float x) {
    return 1 / (1 + expf(-x));
}

/* -log p, held to 100 as cross-entropy implementations do. */
static float surprise(float p) {
    return fminf(-logf(p), 100);
}

/* Cross-entropy of each class being the one: out[k] = -log p[k] - sum of log(1 - p[j]) over the others. */
static void class_costs(float *out, const float *scores, int class_count) {
    float objectness = sigmoid(scores[0]), all = 0;
    for (int k = 0; k < class_count; k++) {
        float p = sqrtf(sigmoid(scores[1 + k]) * objectness), absent = surprise(1 - p);
        out[k] = surprise(p) - absent;
        all += absent;
    }
    for (int k = 0; k < class_count; k++) out[k] += all;
}

static void fill_costs(Candidates *c, const SimotaInput *in, Arena *arena) {
    size_t cells = (size_t)in->truth_count * (size_t)c->count;
    c->ious = arena_new_array(arena, float, cells);
    c->costs = arena_new_array(arena, float, cells);
    float *by_class = arena_new_array(arena, float, (size_t)in->class_count);
    for (int i = 0; i < c->count; i++) {
        int anchor = c->anchors[i];
        class_costs(by_class, in->scores + (size_t)anchor * in->score_stride, in->class_count);
        for (int t = 0; t < in->truth_count; t++) {
            const Truth *truth = &in->truths[t];
            size_t cell = (size_t)t * (size_t)c->count + (size_t)i;
            float iou = c->ious[cell] = centre_box_iou(&truth->box, &in->boxes[anchor]);
            float cost = by_class[truth->class_index] + IOU_WEIGHT * -logf(iou + 1e-8f);
            c->costs[cell] = cost + (near_centre(&in->anchors[anchor], &truth->box) ? 0 : OFF_CENTRE);
        }
    }
}

/* Positions of the `wanted` smallest values, in ascending order; the first of equals wins. */
static int smallest(int *positions, int wanted, const float *values, int count) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        if (found == wanted && !(values[i] < values[positions[found - 1]])) continue;
        int at = found < wanted ? found++ : found - 1;
        for (; at > 0 && values[i] < values[positions[at - 1]]; at--) positions[at] = positions[at - 1];
        positions[at] = i;
    }
    return found;
}

/* How many anchors a true box takes: the sum of its best IoUs. */
static int demand(const float *ious, int count, float *negated) {
    int positions[TOP_IOUS];
    for (int i = 0; i < count; i++) negated[i] = -ious[i];
    int found = smallest(positions, TOP_IOUS, negated, count);
    float sum = 0;
    for (int i = 0; i < found; i++) sum += ious[positions[i]];
    return sum >= 1 ? (int)sum : 1;
}

static int cheapest_truth(const Candidates *c, int candidate, int truth_count) {
    int best = 0;
    for (int t = 1; t < truth_count; t++) {
        if (c->costs[(size_t)t * (size_t)c->count + (size_t)candidate] < c->costs[(size_t)best * (size_t)c->count + (size_t)candidate]) best = t;
    }
    return best;
}

int simota_assign(int *matched, float *ious, const SimotaInput *in, Arena *arena) {
    for (int i = 0; i < in->anchor_count; i++) {
        matched[i] = -1;
        ious[i] = 0;
    }
    Candidates c = {0};
    if (in->truth_count > 0) find_candidates(&c, in, arena);
    if (c.count == 0) return 0;
    fill_costs(&c, in, arena);
    c.takers = arena_new_array(arena, int, (size_t)c.count);
    c.owner = arena_new_array(arena, int, (size_t)c.count);
    float *negated = arena_new_array(arena, float, (size_t)c.count);
    for (int t = 0; t < in->truth_count; t++) {
        const float *row = c.costs + (size_t)t * (size_t)c.count;
        int positions[TOP_IOUS], wanted = demand(c.ious + (size_t)t * (size_t)c.count, c.count, negated);
        int found = smallest(positions, wanted < TOP_IOUS ? wanted : TOP_IOUS, row, c.count);
        for (int i = 0; i < found; i++) {
            c.takers[positions[i]]++;
            c.owner[positions[i]] = t;
        }
    }
    int total = 0;
    for (int i = 0; i < c.count; i++) {
        if (c.takers[i] == 0) continue;
        int truth = c.takers[i] == 1 ? c.owner[i] : cheapest_truth(&c, i, in->truth_count);
        matched[c.anchors[i]] = truth;
        ious[c.anchors[i]] = c.ious[(size_t)truth * (size_t)c.count + (size_t)i];
        total++;
    }
    return total;
}
