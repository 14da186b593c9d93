/* From raw outputs of a network to boxes: decoding, best class, suppression of overlaps per class. */
#pragma once
#include "base/arena.h"
#include "evaluation/evaluation.h"
#include "train/yolox.h"

typedef struct DetectOptions {
    float confidence; /* objectness x class score below it is dropped */
    float overlap;    /* IoU above which the weaker of two boxes of a class is dropped */
    int maximum;      /* boxes per image */
} DetectOptions;

#define DETECT_DEFAULTS { .confidence = 0.01f, .overlap = 0.65f, .maximum = 300 }

/* Boxes of one image in its own pixels, best first; raw is its part of model_raw(), scale maps its pixels to the input's. Returns
 * their number; the array lives in the arena. */
size_t detect_boxes(EvaluationBox **out, const Yolox *net, const float *raw, int height, int width, float scale, int64_t image,
                    const DetectOptions *options, Arena *arena);
