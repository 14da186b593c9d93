/* Which shapes can be labels: one rule for what readers take and what writers write, so that an export reads back as it was. */
#include <math.h>

#include "formats/format.h"
#include "base/banned.h"

static double clamp(double v, double low, double high) { return fmax(low, fmin(high, v)); }

ShapeFault shape_fault(const DatasetImage *image, Box box, Box *cut) {
    double right = box.x + box.w, bottom = box.y + box.h;
    *cut = box;
    if (!isfinite(box.x) || !isfinite(box.y) || !isfinite(right) || !isfinite(bottom)) return SHAPE_NOT_FINITE;
    if (!(box.w > 0 && box.h > 0)) return SHAPE_EMPTY;
    if (!image->width || !image->height) return SHAPE_FINE;
    double left = clamp(box.x, 0, image->width), top = clamp(box.y, 0, image->height);
    Box inside = {left, top, clamp(right, 0, image->width) - left, clamp(bottom, 0, image->height) - top};
    if (!(inside.w > 0 && inside.h > 0)) return SHAPE_OUTSIDE;
    /* A box that lies inside keeps its very numbers: adding and taking away the corner would change their last digits. */
    if (left != box.x || top != box.y || right > image->width || bottom > image->height) *cut = inside;
    return SHAPE_FINE;
}

bool shape_is_outside(const DatasetImage *image, Box box) {
    return image->width && image->height && (box.x > image->width || box.y > image->height || box.x + box.w < 0 || box.y + box.h < 0);
}

Box shape_box(const Annotation *annotation) { return annotation->type == ANNOTATION_POLYGON ? polygon_box(&annotation->polygon) : annotation->bounding_box; }
