/* Parts of the loss, one function each: adds to the sum and writes the gradient of one anchor. */
#include "train/loss.h"

#include <math.h>
#include <string.h>

#include "train/simota.h"
#include "base/banned.h"

#define BOX_WEIGHT 5.0

typedef struct Image {
    const float *raw;
    float *gradient;
    Truth *truths;
    int truth_count;
    CentreBox *boxes;
    int *matched;
    float *ious;
} Image;

typedef struct Sums {
    double box, objectness, classes, l1;
} Sums;

static Anchor *make_anchors(const LossInput *in, int count, Arena *arena) {
    Anchor *anchors = arena_new_array(arena, Anchor, (size_t)count), *next = anchors;
    for (int level = 0; level < YOLOX_LEVELS; level++) {
        int stride = in->net->heads[level].stride;
        for (int y = 0; y < in->height / stride; y++) {
            for (int x = 0; x < in->width / stride; x++) *next++ = (Anchor){(float)x, (float)y, (float)stride};
        }
    }
    return anchors;
}

static void read_truths(Image *image, const float *targets, int max_boxes, int class_count, Arena *arena) {
    image->truths = arena_new_array(arena, Truth, (size_t)max_boxes);
    for (const float *t = targets; t < targets + 5 * (size_t)max_boxes; t += 5) {
        if (!(t[0] + t[1] + t[2] + t[3] + t[4] > 0)) break;
        int class_index = (int)t[0];
        if (class_index < 0 || class_index >= class_count || !(t[3] > 0) || !(t[4] > 0)) continue;
        image->truths[image->truth_count++] = (Truth){{t[1], t[2], t[3], t[4]}, class_index};
    }
}

static void decode(CentreBox *out, const float *raw, const Anchor *anchor) {
    *out = (CentreBox){(raw[0] + anchor->column) * anchor->stride, (raw[1] + anchor->row) * anchor->stride, expf(raw[2]) * anchor->stride,
                 expf(raw[3]) * anchor->stride};
}

/* Decodes and assigns one image; returns the number of matched anchors. */
static int prepare_image(Image *image, const LossInput *in, const Anchor *anchors, int anchor_count, int number, Arena *arena) {
    int row = 5 + in->net->class_count;
    read_truths(image, in->targets + (size_t)number * (size_t)in->max_boxes * 5, in->max_boxes, in->net->class_count, arena);
    image->boxes = arena_new_array(arena, CentreBox, (size_t)anchor_count);
    image->matched = arena_new_array(arena, int, (size_t)anchor_count);
    image->ious = arena_new_array(arena, float, (size_t)anchor_count);
    for (int i = 0; i < anchor_count; i++) decode(&image->boxes[i], image->raw + (size_t)i * (size_t)row, &anchors[i]);
    SimotaInput input = {anchors, anchor_count, image->boxes, image->raw + 4, (size_t)row, in->net->class_count, image->truths, image->truth_count};
    return simota_assign(image->matched, image->ious, &input, arena);
}

/* Cross-entropy of a raw score against a target, without overflow; *slope is its derivative. */
static double cross_entropy(double *slope, double raw, double target) {
    double e = exp(-fabs(raw));
    *slope = (raw >= 0 ? 1 : e) / (1 + e) - target;
    return fmax(raw, 0) - raw * target + log1p(e);
}

/* One axis of the overlap of two boxes: its length and how that length changes with the predicted centre and size. */
typedef struct Overlap {
    double length, by_centre, by_size;
} Overlap;

static Overlap overlap(double centre, double size, double true_centre, double true_size) {
    double low = centre - size / 2, high = centre + size / 2, true_low = true_centre - true_size / 2, true_high = true_centre + true_size / 2;
    /* where both ends coincide, each has half of the slope */
    double by_low = low > true_low ? 1 : low == true_low ? 0.5 : 0, by_high = high < true_high ? 1 : high == true_high ? 0.5 : 0;
    return (Overlap){fmin(high, true_high) - fmax(low, true_low), by_high - by_low, (by_high + by_low) / 2};
}

/* 1 - IoU² and its gradient by the raw box. */
static double box_loss(float *gradient, const CentreBox *box, const CentreBox *truth, double stride, double weight) {
    Overlap x = overlap(box->x, box->w, truth->x, truth->w), y = overlap(box->y, box->h, truth->y, truth->h);
    if (x.length <= 0 || y.length <= 0)
        return weight; /* no overlap: the loss is 1 and flat */
    double both = x.length * y.length, either = (double)box->w * box->h + (double)truth->w * truth->h - both + 1e-16, iou = both / either;
    double by_both = -2 * iou * (either + both) / (either * either), by_area = 2 * iou * both / (either * either);
    gradient[0] = (float)(weight * stride * by_both * y.length * x.by_centre);
    gradient[1] = (float)(weight * stride * by_both * x.length * y.by_centre);
    gradient[2] = (float)(weight * box->w * (by_both * y.length * x.by_size + by_area * box->h));
    gradient[3] = (float)(weight * box->h * (by_both * x.length * y.by_size + by_area * box->w));
    return weight * (1 - iou * iou);
}

/* |raw - what would be right|; adds to the gradient. */
static double l1_loss(float *gradient, const float *raw, const CentreBox *truth, const Anchor *anchor, double weight) {
    float wanted[4] = {truth->x / anchor->stride - anchor->column, truth->y / anchor->stride - anchor->row,
                       logf(truth->w / anchor->stride + 1e-8f), logf(truth->h / anchor->stride + 1e-8f)};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double difference = (double)raw[i] - (double)wanted[i];
        sum += fabs(difference) * weight;
        gradient[i] += (float)(difference > 0 ? weight : difference < 0 ? -weight : 0);
    }
    return sum;
}

static double class_loss(float *gradient, const float *raw, int class_count, int true_class, double aim, double weight) {
    double sum = 0, slope;
    for (int k = 0; k < class_count; k++) {
        sum += weight * cross_entropy(&slope, raw[k], k == true_class ? aim : 0);
        gradient[k] = (float)(weight * slope);
    }
    return sum;
}

static void add_image(Sums *sums, const Image *image, const LossInput *in, const Anchor *anchors, int anchor_count, double weight) {
    int row = 5 + in->net->class_count;
    for (int i = 0; i < anchor_count; i++) {
        const float *raw = image->raw + (size_t)i * (size_t)row;
        float *gradient = image->gradient + (size_t)i * (size_t)row;
        double slope;
        sums->objectness += weight * cross_entropy(&slope, raw[4], image->matched[i] >= 0);
        gradient[4] = (float)(weight * slope);
        if (image->matched[i] < 0) continue;
        const Truth *truth = &image->truths[image->matched[i]];
        sums->box += box_loss(gradient, &image->boxes[i], &truth->box, (double)anchors[i].stride, BOX_WEIGHT * weight);
        sums->classes += class_loss(gradient + 5, raw + 5, in->net->class_count, truth->class_index, (double)image->ious[i], weight);
        if (in->l1) sums->l1 += l1_loss(gradient, raw, &truth->box, &anchors[i], weight);
    }
}

void loss_compute(LossParts *parts, float *gradient, const LossInput *in, Arena *arena) {
    int anchor_count = yolox_anchor_count(in->net, in->height, in->width);
    size_t size = (size_t)anchor_count * (size_t)(5 + in->net->class_count);
    Anchor *anchors = make_anchors(in, anchor_count, arena);
    Image *images = arena_new_array(arena, Image, (size_t)in->count + 1);
    double counts[2] = {0, 0}; /* matched anchors, true boxes */
    for (int i = 0; i < in->count; i++) {
        images[i].raw = in->raw + (size_t)i * size;
        images[i].gradient = gradient + (size_t)i * size;
        counts[0] += prepare_image(&images[i], in, anchors, anchor_count, i, arena);
        counts[1] += images[i].truth_count;
    }
    team_sum(in->member, counts, 2);
    Sums sums = {0};
    memset(gradient, 0, (size_t)in->count * size * sizeof *gradient);
    for (int i = 0; i < in->count; i++) add_image(&sums, &images[i], in, anchors, anchor_count, 1 / fmax(counts[0], 1));
    team_sum(in->member, (double *)&sums, sizeof sums / sizeof(double));
    *parts = (LossParts){sums.box + sums.objectness + sums.classes + sums.l1, sums.box, sums.objectness, sums.classes, sums.l1,
                         fmax(counts[0], 1) / fmax(counts[1], 1)};
}
