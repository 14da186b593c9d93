/* The pass of optimizer.h, block by block so that each array goes through the cache once. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { BLOCK = 2048 };

void optimizer_init(Optimizer *o, const Yolox *net, const float *weights) {
    o->net = net;
    o->weights = xmalloc(net->size * sizeof *o->weights);
    o->average = xmalloc(net->size * sizeof *o->average);
    o->velocity = xcalloc(net->trained, sizeof *o->velocity);
    memcpy(o->weights, weights, net->size * sizeof *o->weights);
    memcpy(o->average, weights, net->size * sizeof *o->average);
}

void optimizer_clear(Optimizer *o) {
    free(o->weights);
    free(o->average);
    free(o->velocity);
    *o = (Optimizer){0};
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static void descend(float *restrict w, float *restrict velocity, const float *restrict gradient, size_t count, float rate, float momentum,
                    float decay) {
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] + decay * w[i];
        float v = momentum * velocity[i] + g;
        velocity[i] = v;
        w[i] -= rate * (g + momentum * v);
    }
}

static void approach(float *restrict value, const float *restrict aim, size_t count, float part) {
    for (size_t i = 0; i < count; i++) value[i] += part * (aim[i] - value[i]);
}

/* A block that lies within one part of the flat arrays. */
static void step_block(Optimizer *o, const StepRates *rates, const float *const *gradients, int replica_count, const float *statistics,
                       size_t first, size_t count) {
    float sum[BLOCK], *w = o->weights + first;
    if (first >= o->net->trained) {
        approach(w, statistics + (first - o->net->trained), count, (float)rates->statistics_part);
    } else {
        memcpy(sum, gradients[0] + first, count * sizeof *sum);
        for (int r = 1; r < replica_count; r++) {
            for (size_t i = 0; i < count; i++) sum[i] += gradients[r][first + i];
        }
        descend(w, o->velocity + first, sum, count, (float)rates->learning_rate, (float)rates->momentum,
                first < o->net->decayed ? (float)rates->weight_decay : 0);
    }
    approach(o->average + first, w, count, (float)(1 - rates->average_keep));
}

void optimizer_step(Optimizer *o, const StepRates *rates, const float *const *gradients, int replica_count, const float *statistics,
                    size_t first, size_t end) {
    while (first < end) {
        size_t part_end = first < o->net->decayed ? o->net->decayed : first < o->net->trained ? o->net->trained : o->net->size;
        size_t count = least(least(end, part_end) - first, BLOCK);
        step_block(o, rates, gradients, replica_count, statistics, first, count);
        first += count;
    }
}

double average_keep(double longest, double ramp, int64_t n) {
    return longest * (1 - exp(-(double)n / ramp));
}
