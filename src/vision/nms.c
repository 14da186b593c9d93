#include "vision/nms.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/banned.h"

typedef struct Ranked {
    Detection detection;
    size_t place;
} Ranked;

static int surest_first(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    if (x->detection.confidence != y->detection.confidence) return x->detection.confidence < y->detection.confidence ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

static bool is_covered(const Detection *kept, size_t count, const Detection *d, double threshold) {
    for (size_t i = 0; i < count; i++)
        if (kept[i].class_index == d->class_index && box_iou(kept[i].box, d->box) > threshold) return true;
    return false;
}

size_t nms(Detection *detections, size_t count, double threshold, size_t maximum) {
    Ranked *ranked = xmalloc((count + 1) * sizeof *ranked);
    for (size_t i = 0; i < count; i++) ranked[i] = (Ranked){detections[i], i};
    qsort(ranked, count, sizeof *ranked, surest_first);
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < maximum; i++)
        if (!is_covered(detections, kept, &ranked[i].detection, threshold)) detections[kept++] = ranked[i].detection;
    free(ranked);
    return kept;
}
