/* Boxes and polygons; see the header. */
#include "geometry/geometry.h"

#include <math.h>

#include "base/banned.h"

double box_area(Box box) { return box.w > 0 && box.h > 0 ? box.w * box.h : 0; }

Box box_intersection(Box a, Box b) {
    double left = fmax(a.x, b.x), top = fmax(a.y, b.y);
    double right = fmin(a.x + a.w, b.x + b.w), bottom = fmin(a.y + a.h, b.y + b.h);
    return (Box){left, top, fmax(0, right - left), fmax(0, bottom - top)};
}

Box box_enclosing(Box a, Box b) {
    double left = fmin(a.x, b.x), top = fmin(a.y, b.y);
    return (Box){left, top, fmax(a.x + a.w, b.x + b.w) - left, fmax(a.y + a.h, b.y + b.h) - top};
}

double box_iou(Box a, Box b) {
    double common = box_area(box_intersection(a, b));
    double all = box_area(a) + box_area(b) - common;
    return all > 0 ? common / all : 0;
}

Box points_box(const Point *points, size_t count) {
    if (!count) return (Box){0};
    double left = points[0].x, right = left, top = points[0].y, bottom = top;
    for (size_t i = 1; i < count; i++) {
        left = fmin(left, points[i].x);
        right = fmax(right, points[i].x);
        top = fmin(top, points[i].y);
        bottom = fmax(bottom, points[i].y);
    }
    return (Box){left, top, right - left, bottom - top};
}

Box polygon_box(const Polygon *polygon) {
    Box box = {0};
    bool first = true;
    for (size_t i = 0; i < polygon->count; i++) {
        if (!polygon->rings[i].count) continue;
        Box ring = points_box(polygon->rings[i].points, polygon->rings[i].count);
        box = first ? ring : box_enclosing(box, ring);
        first = false;
    }
    return box;
}

double ring_signed_area(const Ring *ring) {
    if (ring->count < 3) return 0;
    /* Relative to the first point: keeps the digits of small shapes far from the origin. */
    Point origin = ring->points[0];
    double twice = 0;
    for (size_t i = 1; i + 1 < ring->count; i++) {
        Point a = ring->points[i], b = ring->points[i + 1];
        twice += (a.x - origin.x) * (b.y - origin.y) - (b.x - origin.x) * (a.y - origin.y);
    }
    return twice / 2;
}

bool ring_contains(const Ring *ring, Point p) {
    bool inside = false;
    for (size_t i = 0; i < ring->count; i++) {
        Point a = ring->points[i], b = ring->points[i + 1 < ring->count ? i + 1 : 0];
        if ((a.y <= p.y) == (b.y <= p.y)) continue;
        if (p.x < a.x + (p.y - a.y) * (b.x - a.x) / (b.y - a.y)) inside = !inside;
    }
    return inside;
}

bool polygon_contains(const Polygon *polygon, Point p) {
    bool inside = false;
    for (size_t i = 0; i < polygon->count; i++) inside ^= ring_contains(&polygon->rings[i], p);
    return inside;
}

/* Whether ring i lies inside an odd number of the others, by majority of some edge midpoints: shared points do not decide. */
bool polygon_ring_is_hole(const Polygon *polygon, size_t i) {
    enum { SAMPLES = 5, RINGS_MAX = 256 };
    const Ring *ring = &polygon->rings[i];
    bool hole = false;
    if (polygon->count > RINGS_MAX) return i > 0;
    for (size_t other = 0; other < polygon->count && ring->count; other++) {
        if (other == i) continue;
        int inside = 0;
        for (size_t s = 0; s < SAMPLES; s++) {
            size_t k = s * ring->count / SAMPLES;
            Point a = ring->points[k], b = ring->points[k + 1 < ring->count ? k + 1 : 0];
            inside += ring_contains(&polygon->rings[other], (Point){(a.x + b.x) / 2, (a.y + b.y) / 2});
        }
        hole ^= 2 * inside > SAMPLES;
    }
    return hole;
}

double polygon_area(const Polygon *polygon) {
    double area = 0;
    for (size_t i = 0; i < polygon->count; i++) {
        double ring = fabs(ring_signed_area(&polygon->rings[i]));
        area += polygon->count > 1 && polygon_ring_is_hole(polygon, i) ? -ring : ring;
    }
    return area;
}

size_t polygon_point_count(const Polygon *polygon) {
    size_t count = 0;
    for (size_t i = 0; i < polygon->count; i++) count += polygon->rings[i].count;
    return count;
}

void box_corners(Box box, Point out[4]) {
    out[0] = (Point){box.x, box.y};
    out[1] = (Point){box.x + box.w, box.y};
    out[2] = (Point){box.x + box.w, box.y + box.h};
    out[3] = (Point){box.x, box.y + box.h};
}
