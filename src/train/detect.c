/* See detect.h. */
#include "train/detect.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "train/simota.h"
#include "base/banned.h"

typedef struct Candidate {
    CentreBox box;
    float score;
    int class_index;
    int anchor; /* breaks ties, so that the order is always the same */
} Candidate;

static float sigmoid(float x) {
    return 1 / (1 + expf(-x));
}

static int compare_candidates(const void *a, const void *b) {
    const Candidate *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : x->anchor - y->anchor;
}

static size_t collect(Candidate *out, const Yolox *net, const float *raw, int height, int width, float confidence) {
    size_t count = 0;
    int anchor = 0;
    for (int level = 0; level < YOLOX_LEVELS; level++) {
        int stride = net->heads[level].stride, columns = width / stride;
        float s = (float)stride;
        for (int i = 0; i < columns * (height / stride); i++, anchor++, raw += 5 + net->class_count) {
            int best = 0;
            for (int c = 1; c < net->class_count; c++) best = raw[5 + c] > raw[5 + best] ? c : best;
            float score = sigmoid(raw[4]) * sigmoid(raw[5 + best]);
            CentreBox box = {(raw[0] + (float)(i % columns)) * s, (raw[1] + (float)(i / columns)) * s, expf(raw[2]) * s, expf(raw[3]) * s};
            if (score >= confidence && isfinite(box.x) && isfinite(box.y) && isfinite(box.w) && isfinite(box.h))
                out[count++] = (Candidate){box, score, best, anchor};
        }
    }
    return count;
}

static bool is_covered(const Candidate *candidate, Candidate *const *kept, size_t count, float overlap) {
    for (size_t i = 0; i < count; i++) {
        if (kept[i]->class_index == candidate->class_index && centre_box_iou(&kept[i]->box, &candidate->box) > overlap) return true;
    }
    return false;
}

size_t detect_boxes(EvaluationBox **out, const Yolox *net, const float *raw, int height, int width, float scale, int64_t image,
                    const DetectOptions *options, Arena *arena) {
    size_t kept_count = 0, most = (size_t)options->maximum;
    Candidate *candidates = arena_new_array(arena, Candidate, (size_t)yolox_anchor_count(net, height, width));
    Candidate **kept = arena_new_array(arena, Candidate *, most);
    size_t count = collect(candidates, net, raw, height, width, options->confidence);
    qsort(candidates, count, sizeof *candidates, compare_candidates);
    for (size_t i = 0; i < count && kept_count < most; i++) {
        if (!is_covered(&candidates[i], kept, kept_count, options->overlap)) kept[kept_count++] = &candidates[i];
    }
    *out = arena_new_array(arena, EvaluationBox, kept_count + 1);
    for (size_t i = 0; i < kept_count; i++) {
        const Candidate *c = kept[i];
        double x = (double)c->box.x, y = (double)c->box.y, w = (double)c->box.w, h = (double)c->box.h, s = (double)scale; /* floats could overflow here */
        (*out)[i] = (EvaluationBox){.image = image, .class_index = c->class_index, .x = (x - w / 2) / s, .y = (y - h / 2) / s, .w = w / s, .h = h / s,
                                    .score = (double)c->score};
    }
    return kept_count;
}
