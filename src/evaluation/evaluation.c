/* Evaluation by COCO's rules: group boxes by class and picture, match each group in every area range at all ten thresholds, then sweep
 * a class's detections in the order of their scores.
 *
 * A detection keeps its outcomes as bit sets, one bit a threshold, so that the sweeps touch little memory. */
#include "evaluation/evaluation.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { THRESHOLDS = 10, RECALLS = 101, MOST_DETECTIONS = 100 };
enum { AREA_ALL, AREA_SMALL, AREA_MEDIUM, AREA_LARGE, AREAS };

static const struct {
    double low, high;
} area_ranges[AREAS] = {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}};

/* What became of one of the best hundred detections of a class in a picture. */
typedef struct Outcome {
    double score;
    uint32_t order; /* by picture, then by rank: settles equal scores */
    uint32_t rank;  /* within its picture */
    uint16_t matched[AREAS], ignored[AREAS];
} Outcome;

typedef struct Evaluator {
    double thresholds[THRESHOLDS];
    double recalls[RECALLS];
    const EvaluationBox **truth, **detections; /* sorted by class and picture; detections then by falling score */
    size_t truth_count, detection_count;
    double *ious;     /* detections × truths of the present picture */
    uint32_t *order;  /* its truths, those that count first */
    bool *ignored;    /* in that order */
    uint16_t *taken;  /* in that order: the thresholds at which a detection has it */
    size_t ious_capacity, truth_capacity;
    Outcome *outcomes; /* of the present class */
    size_t outcome_count;
    size_t countable[AREAS]; /* truths of the present class that count in each range */
    double *precision;       /* of the present sweep, and the hits so far */
    uint32_t *hits;
} Evaluator;

double evaluation_iou(const EvaluationBox *detection, const EvaluationBox *truth) {
    double w = fmin(detection->x + detection->w, truth->x + truth->w) - fmax(detection->x, truth->x);
    double h = fmin(detection->y + detection->h, truth->y + truth->h) - fmax(detection->y, truth->y);
    if (w <= 0 || h <= 0) return 0;
    double own = detection->w * detection->h;
    double united = truth->iscrowd ? own : own + truth->w * truth->h - w * h;
    return w * h / united;
}

/* ---- order ---- */

static int compare_groups(const EvaluationBox *a, const EvaluationBox *b) {
    if (a->class_index != b->class_index) return a->class_index < b->class_index ? -1 : 1;
    return a->image == b->image ? 0 : a->image < b->image ? -1 : 1;
}

/* Boxes lie in one array, so that their addresses are the order in which they were passed. */
static int compare_truth(const void *left, const void *right) {
    const EvaluationBox *a = *(const EvaluationBox *const *)left, *b = *(const EvaluationBox *const *)right;
    int groups = compare_groups(a, b);
    return groups ? groups : a < b ? -1 : a > b;
}

static int compare_detections(const void *left, const void *right) {
    const EvaluationBox *a = *(const EvaluationBox *const *)left, *b = *(const EvaluationBox *const *)right;
    int groups = compare_groups(a, b);
    if (groups) return groups;
    return a->score > b->score ? -1 : a->score < b->score ? 1 : a < b ? -1 : a > b;
}

static int compare_outcomes(const void *left, const void *right) {
    const Outcome *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static const EvaluationBox **sorted(const EvaluationBox *boxes, size_t count, int (*compare)(const void *, const void *)) {
    const EvaluationBox **out = xcalloc(count ? count : 1, sizeof *out);
    for (size_t i = 0; i < count; i++) out[i] = &boxes[i];
    qsort(out, count, sizeof *out, compare);
    return out;
}

/* ---- matching within a picture ---- */

static double truth_area(const EvaluationBox *truth) { return truth->area > 0 ? truth->area : truth->w * truth->h; }

static bool outside(double area, int range) { return area < area_ranges[range].low || area > area_ranges[range].high; }

/* Room for the present picture's table of overlaps and marks. */
static void reserve_picture(Evaluator *e, size_t detections, size_t truths) {
    if (detections * truths > e->ious_capacity) {
        e->ious_capacity = 2 * detections * truths;
        e->ious = xrealloc(e->ious, e->ious_capacity * sizeof *e->ious);
    }
    if (truths > e->truth_capacity) {
        e->truth_capacity = 2 * truths;
        e->order = xrealloc(e->order, e->truth_capacity * sizeof *e->order);
        e->ignored = xrealloc(e->ignored, e->truth_capacity * sizeof *e->ignored);
        e->taken = xrealloc(e->taken, e->truth_capacity * sizeof *e->taken);
    }
}

/* Puts the truths that count in this range first, the ignored ones behind, both in their order; returns how many count. */
static size_t order_truth(Evaluator *e, const EvaluationBox **truth, size_t count, int range) {
    size_t filled = 0, countable = 0;
    for (int ignored = 0; ignored < 2; ignored++) {
        for (size_t i = 0; i < count; i++) {
            if ((truth[i]->iscrowd || outside(truth_area(truth[i]), range)) != (ignored != 0)) continue;
            e->order[filled] = (uint32_t)i;
            e->ignored[filled++] = ignored != 0;
        }
        if (!ignored) countable = filled;
    }
    return countable;
}

/* The truth that a detection takes at a threshold, as a place in e->order, or count for none: the best overlap among those that are
 * free (a crowd always is), a truth that counts before any that is ignored. */
static size_t best_truth(const Evaluator *e, const double *ious, const EvaluationBox **truth, size_t count, int threshold) {
    double best = fmin(e->thresholds[threshold], 1 - 1e-10);
    size_t found = count;
    for (size_t i = 0; i < count; i++) {
        if ((e->taken[i] >> threshold & 1) && !truth[e->order[i]]->iscrowd) continue;
        if (found < count && !e->ignored[found] && e->ignored[i]) break;
        if (ious[e->order[i]] >= best) {
            best = ious[e->order[i]];
            found = i;
        }
    }
    return found;
}

/* Adds the outcomes of one picture's detections. */
static void match_picture(Evaluator *e, const EvaluationBox **truth, size_t truths, const EvaluationBox **detections, size_t count) {
    if (count > MOST_DETECTIONS) count = MOST_DETECTIONS;
    reserve_picture(e, count, truths);
    Outcome *outcomes = e->outcomes + e->outcome_count;
    for (size_t d = 0; d < count; d++) {
        outcomes[d] = (Outcome){.score = detections[d]->score, .order = (uint32_t)(e->outcome_count + d), .rank = (uint32_t)d};
        for (size_t t = 0; t < truths; t++) e->ious[d * truths + t] = evaluation_iou(detections[d], truth[t]);
    }
    for (int range = 0; range < AREAS; range++) {
        e->countable[range] += order_truth(e, truth, truths, range);
        if (truths) memset(e->taken, 0, truths * sizeof *e->taken);
        for (size_t d = 0; d < count; d++) {
            bool out_of_range = outside(detections[d]->w * detections[d]->h, range);
            for (int threshold = 0; threshold < THRESHOLDS; threshold++) {
                size_t found = best_truth(e, e->ious + d * truths, truth, truths, threshold);
                uint16_t bit = (uint16_t)(1u << threshold);
                if (found < truths) {
                    e->taken[found] |= bit;
                    outcomes[d].matched[range] |= bit;
                }
                if (found < truths ? e->ignored[found] : out_of_range) outcomes[d].ignored[range] |= bit;
            }
        }
    }
    e->outcome_count += count;
}

/* ---- sweeps over a class ---- */

typedef struct Sweep {
    double precision; /* mean over the recall points */
    double recall;
} Sweep;

/* Takes the class's detections by falling score, at most `most` a picture. */
static Sweep sweep(Evaluator *e, int range, int threshold, size_t most) {
    size_t count = 0;
    uint32_t hits = 0, misses = 0;
    for (size_t i = 0; i < e->outcome_count; i++) {
        const Outcome *o = &e->outcomes[i];
        if (o->rank >= most || (o->ignored[range] >> threshold & 1))
            continue; /* what is ignored moves neither figure */
        if (o->matched[range] >> threshold & 1) hits++;
        else misses++;
        e->hits[count] = hits;
        e->precision[count++] = hits / (misses + hits + DBL_EPSILON);
    }
    for (size_t i = count; i-- > 1;) /* the best precision at this recall or any higher one */
        e->precision[i - 1] = fmax(e->precision[i - 1], e->precision[i]);
    double truths = (double)e->countable[range], sum = 0;
    size_t at = 0;
    for (int r = 0; r < RECALLS; r++) {
        while (at < count && e->hits[at] / truths < e->recalls[r]) at++;
        if (at == count) break;
        sum += e->precision[at];
    }
    return (Sweep){.precision = sum / RECALLS, .recall = hits / truths};
}

/* Both figures of a range as means over the thresholds; -1 without truth. */
static Sweep sweep_all(Evaluator *e, int range, size_t most, double *at50, double *at75) {
    if (!e->countable[range]) return (Sweep){-1, -1};
    Sweep mean = {0, 0};
    for (int threshold = 0; threshold < THRESHOLDS; threshold++) {
        Sweep one = sweep(e, range, threshold, most);
        mean.precision += one.precision / THRESHOLDS;
        mean.recall += one.recall / THRESHOLDS;
        if (at50 && threshold == 0) *at50 = one.precision;
        if (at75 && threshold == 5) *at75 = one.precision;
    }
    return mean;
}

static EvaluationMetrics class_metrics(Evaluator *e) {
    EvaluationMetrics m = {.ap50 = -1, .ap75 = -1};
    Sweep all = sweep_all(e, AREA_ALL, 100, &m.ap50, &m.ap75);
    Sweep small = sweep_all(e, AREA_SMALL, 100, NULL, NULL);
    Sweep medium = sweep_all(e, AREA_MEDIUM, 100, NULL, NULL);
    Sweep large = sweep_all(e, AREA_LARGE, 100, NULL, NULL);
    m.ap = all.precision, m.ar100 = all.recall;
    m.ap_small = small.precision, m.ar_small = small.recall;
    m.ap_medium = medium.precision, m.ar_medium = medium.recall;
    m.ap_large = large.precision, m.ar_large = large.recall;
    m.ar1 = sweep_all(e, AREA_ALL, 1, NULL, NULL).recall;
    m.ar10 = sweep_all(e, AREA_ALL, 10, NULL, NULL).recall;
    return m;
}

/* Length of the run of one picture's boxes of a class, given that `picture` is the next one that either list has. */
static size_t run_length(const EvaluationBox **boxes, size_t count, int32_t class_index, int64_t picture) {
    size_t n = 0;
    while (n < count && boxes[n]->class_index == class_index && boxes[n]->image == picture) n++;
    return n;
}

/* Walks both sorted lists from *t and *d to the end of a class. */
static void match_class(Evaluator *e, int32_t class_index, size_t *t, size_t *d) {
    e->outcome_count = 0;
    memset(e->countable, 0, sizeof e->countable);
    for (;;) {
        bool more_truth = *t < e->truth_count && e->truth[*t]->class_index == class_index;
        bool more_detections = *d < e->detection_count && e->detections[*d]->class_index == class_index;
        if (!more_truth && !more_detections) break;
        int64_t picture = more_truth ? e->truth[*t]->image : e->detections[*d]->image;
        if (more_truth && more_detections && e->detections[*d]->image < picture) picture = e->detections[*d]->image;
        size_t truths = run_length(e->truth + *t, e->truth_count - *t, class_index, picture);
        size_t detections = run_length(e->detections + *d, e->detection_count - *d, class_index, picture);
        match_picture(e, e->truth + *t, truths, e->detections + *d, detections);
        *t += truths;
        *d += detections;
    }
    qsort(e->outcomes, e->outcome_count, sizeof *e->outcomes, compare_outcomes);
}

/* ---- the whole ---- */

static Status check(const char *kind, const EvaluationBox *boxes, size_t count, size_t class_count, Error *err) {
    for (size_t i = 0; i < count; i++) {
        const EvaluationBox *b = &boxes[i];
        if (b->class_index < 0 || (size_t)b->class_index >= class_count)
            return error_set(err, STATUS_VALIDATION_ERROR, "%s %zu has class %d, outside 0 to %zu", kind, i, b->class_index,
                             class_count ? class_count - 1 : 0);
        if (!isfinite(b->x) || !isfinite(b->y) || !isfinite(b->w) || !isfinite(b->h) || !isfinite(b->score) || !isfinite(b->area))
            return error_set(err, STATUS_VALIDATION_ERROR, "%s %zu has a number that is not finite", kind, i);
        if (b->w < 0 || b->h < 0) return error_set(err, STATUS_VALIDATION_ERROR, "%s %zu has a negative side", kind, i);
    }
    return STATUS_OK;
}

/* Mean of one figure over the classes that have it. The metrics are an array of doubles in all but name. */
static void mean_over_classes(Evaluation *out) {
    enum { FIGURES = sizeof(EvaluationMetrics) / sizeof(double) };
    double *mean = (double *)&out->overall;
    for (int figure = 0; figure < FIGURES; figure++) {
        double sum = 0;
        size_t n = 0;
        for (size_t c = 0; c < out->class_count; c++) {
            double value = ((const double *)&out->classes[c].metrics)[figure];
            sum += value > -1 ? value : 0;
            n += value > -1;
        }
        mean[figure] = n ? sum / (double)n : -1;
    }
}

static void evaluator_init(Evaluator *e) {
    for (int i = 0; i < THRESHOLDS; i++) e->thresholds[i] = i == THRESHOLDS - 1 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / (THRESHOLDS - 1));
    for (int i = 0; i < RECALLS; i++) e->recalls[i] = i == RECALLS - 1 ? 1.0 : i * (1.0 / (RECALLS - 1));
    e->outcomes = xcalloc(e->detection_count + 1, sizeof *e->outcomes);
    e->precision = xcalloc(e->detection_count + 1, sizeof *e->precision);
    e->hits = xcalloc(e->detection_count + 1, sizeof *e->hits);
}

static void evaluator_clear(Evaluator *e) {
    free(e->truth);
    free(e->detections);
    free(e->ious);
    free(e->order);
    free(e->ignored);
    free(e->taken);
    free(e->outcomes);
    free(e->precision);
    free(e->hits);
}

Status evaluation_run(Evaluation *out, Arena *arena, const EvaluationBox *truth, size_t truth_count, const EvaluationBox *detections,
                      size_t detection_count, size_t class_count, Error *err) {
    Status status = check("Truth", truth, truth_count, class_count, err);
    if (!status) status = check("Detection", detections, detection_count, class_count, err);
    if (status) return status;
    Evaluator e = {.truth_count = truth_count, .detection_count = detection_count};
    e.truth = sorted(truth, truth_count, compare_truth);
    e.detections = sorted(detections, detection_count, compare_detections);
    evaluator_init(&e);
    *out = (Evaluation){.classes = arena_new_array(arena, EvaluationClass, class_count), .class_count = class_count};
    size_t t = 0, d = 0;
    for (size_t c = 0; c < class_count; c++) {
        size_t first_truth = t, first_detection = d;
        match_class(&e, (int32_t)c, &t, &d);
        out->classes[c].metrics = class_metrics(&e);
        out->classes[c].detections = d - first_detection;
        for (size_t i = first_truth; i < t; i++) out->classes[c].truths += !e.truth[i]->iscrowd;
    }
    mean_over_classes(out);
    evaluator_clear(&e);
    return STATUS_OK;
}
