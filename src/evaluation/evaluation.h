/* Evaluation: average precision and recall of detected boxes by COCO's rules.
 *
 * Ten IoU thresholds (0.50, 0.55 … 0.95), 101 recall points, four ranges of area, at most 1, 10 and 100 detections an image and class,
 * crowds that swallow any number of detections without counting. The figures equal those of pycocotools to 1e-6, ties included:
 * images are taken in the order of their numbers, equal scores in the order in which they were passed.
 *
 * Method: Lin et al., "Microsoft COCO: Common Objects in Context", 2014 (arXiv 1405.0312) and the definitions at
 * cocodataset.org/#detection-eval.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* A true or a detected box. Coordinates in pixels, x and y are the top-left corner. */
typedef struct EvaluationBox {
    int64_t image; /* any number; equal numbers are the same image */
    int32_t class_index;
    bool iscrowd; /* truth only */
    double x, y, w, h;
    double score; /* detections only */
    double area;  /* truth only: area of the true shape, which picks the area range; 0 stands for w * h */
} EvaluationBox;

/* Each figure lies in 0..1, or is -1 where there is no truth to measure it on. */
typedef struct EvaluationMetrics {
    double ap;   /* mean over the ten thresholds, COCO's "mAP" */
    double ap50; /* at IoU 0.50 */
    double ap75;
    double ap_small, ap_medium, ap_large; /* area below 32², up to 96², above; mean over the thresholds */
    double ar1, ar10, ar100;              /* recall with so many detections an image, mean over the thresholds */
    double ar_small, ar_medium, ar_large; /* with 100 detections */
} EvaluationMetrics;

typedef struct EvaluationClass {
    EvaluationMetrics metrics;
    size_t truths; /* without crowds */
    size_t detections;
} EvaluationClass;

typedef struct Evaluation {
    EvaluationMetrics overall; /* mean over the classes that have truth */
    EvaluationClass *classes;  /* class_count rows, in the arena */
    size_t class_count;
} Evaluation;

/* Compares detections with truth; what is returned lives in arena. Classes run from 0 to class_count - 1.
 * STATUS_VALIDATION_ERROR, naming the box, when one has a class outside that range, a number that is not finite or a negative side. */
Status evaluation_run(Evaluation *out, Arena *arena, const EvaluationBox *truth, size_t truth_count, const EvaluationBox *detections,
                      size_t detection_count, size_t class_count, Error *err);

/* Intersection over union of two boxes; with a crowd as truth, intersection over the area of the detection. */
double evaluation_iou(const EvaluationBox *detection, const EvaluationBox *truth);
