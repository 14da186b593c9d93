#include "vision/outline.h"
#include "base/banned.h"

static Point to_full(Point p, Point corner, double scale_x, double scale_y) { return (Point){(corner.x + p.x) * scale_x, (corner.y + p.y) * scale_y}; }

void outline_mask(Arena *arena, const Mask *mask, Point corner, double scale_x, double scale_y, Segmentation *out) {
    size_t area = mask_area(mask);
    TraceOptions options = TRACE_DEFAULTS;
    options.min_area = area / 500 > 4 ? area / 500 : 4; /* specks are noise */
    out->shape_count = mask_trace(arena, mask, options, &out->shapes);
    for (size_t i = 0; i < out->shape_count; i++) {
        Polygon *polygon = &out->shapes[i].polygon;
        for (size_t r = 0; r < polygon->count; r++)
            for (size_t k = 0; k < polygon->rings[r].count; k++)
                polygon->rings[r].points[k] = to_full(polygon->rings[r].points[k], corner, scale_x, scale_y);
        Box box = polygon_box(polygon);
        out->box = i ? box_enclosing(out->box, box) : box;
        out->area += polygon_area(polygon);
    }
    out->found = out->shape_count > 0 && mask_inside_point(mask, &out->inside);
    out->inside = to_full(out->inside, corner, scale_x, scale_y);
}
