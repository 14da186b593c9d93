/* Non-maximum suppression: of overlapping boxes of one class only the surest stays. */
#pragma once
#include <stddef.h>

#include "geometry/geometry.h"

typedef struct Detection {
    Box box;
    int class_index;
    double confidence;
} Detection;

/* Sorts by confidence, surest first (ties: as they came), drops in place every box whose overlap (IoU) with a kept one of its class is
 * above the threshold, and keeps at most maximum. Returns how many stay. */
size_t nms(Detection *detections, size_t count, double threshold, size_t maximum);
