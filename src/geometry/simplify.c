/* Ramer-Douglas-Peucker with an explicit stack: hostile outlines must not decide the depth of recursion. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "geometry/mask.h"
#include "base/banned.h"

static double square(double v) { return v * v; }

static double distance_to_segment_squared(Point p, Point a, Point b) {
    double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
    double t = length > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / length : 0;
    t = fmin(1, fmax(0, t));
    return square(p.x - a.x - t * dx) + square(p.y - a.y - t * dy);
}

typedef struct Simplifier {
    const Ring *ring;
    unsigned char *keep;
    size_t *stack; /* pairs (first, last); at most count pairs are open at a time */
    double limit;  /* tolerance squared */
} Simplifier;

/* Index modulo the ring, so that a chain may run past its end. */
static Point point_at(const Simplifier *s, size_t i) { return s->ring->points[i % s->ring->count]; }

/* The point of (first, last) furthest from the segment between them; its squared distance goes to out. */
static size_t furthest_between(const Simplifier *s, size_t first, size_t last, double *out) {
    size_t best = first;
    *out = -1;
    for (size_t i = first + 1; i < last; i++) {
        double d = distance_to_segment_squared(point_at(s, i), point_at(s, first), point_at(s, last));
        if (d > *out) {
            *out = d;
            best = i;
        }
    }
    return best;
}

/* Marks what must stay between two points that stay. */
static void mark_chain(Simplifier *s, size_t first, size_t last) {
    size_t open = 0;
    s->stack[open++] = first;
    s->stack[open++] = last;
    while (open) {
        last = s->stack[--open];
        first = s->stack[--open];
        double d;
        size_t middle = furthest_between(s, first, last, &d);
        if (d <= s->limit) continue;
        s->keep[middle % s->ring->count] = 1;
        s->stack[open++] = first;
        s->stack[open++] = middle;
        s->stack[open++] = middle;
        s->stack[open++] = last;
    }
}

static size_t keep_marked(Ring *ring, const unsigned char *keep) {
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++) {
        if (keep[i]) ring->points[kept++] = ring->points[i];
    }
    return ring->count = kept;
}

static Simplifier simplifier_for(const Ring *ring, double tolerance) {
    return (Simplifier){.ring = ring,
                        .keep = xcalloc(ring->count, 1),
                        .stack = xmalloc((4 * ring->count + 4) * sizeof(size_t)),
                        .limit = tolerance * tolerance};
}

static void simplifier_clear(Simplifier *s) {
    free(s->keep);
    free(s->stack);
}

size_t line_simplify(Ring *line, double tolerance) {
    if (line->count < 3) return line->count;
    Simplifier s = simplifier_for(line, tolerance);
    s.keep[0] = s.keep[line->count - 1] = 1;
    mark_chain(&s, 0, line->count - 1);
    keep_marked(line, s.keep);
    simplifier_clear(&s);
    return line->count;
}

size_t ring_simplify(Ring *ring, double tolerance) {
    if (ring->count < 4) return ring->count;
    Simplifier s = simplifier_for(ring, tolerance);
    /* Two ends that surely are corners: the left-most point and the one furthest from it. */
    size_t a = 0, b = 0;
    for (size_t i = 1; i < ring->count; i++) {
        Point p = ring->points[i], best = ring->points[a];
        if (p.x < best.x || (p.x == best.x && p.y < best.y)) a = i;
    }
    double far = -1;
    for (size_t i = a + 1; i < a + ring->count; i++) {
        double d = square(point_at(&s, i).x - ring->points[a].x) + square(point_at(&s, i).y - ring->points[a].y);
        if (d > far) {
            far = d;
            b = i;
        }
    }
    s.keep[a] = s.keep[b % ring->count] = 1;
    mark_chain(&s, a, b);
    mark_chain(&s, b, a + ring->count);
    size_t kept = 0;
    for (size_t i = 0; i < ring->count; i++) kept += s.keep[i];
    if (kept < 3) {
        double d, e;
        size_t one = furthest_between(&s, a, b, &d), other = furthest_between(&s, b, a + ring->count, &e);
        s.keep[(d >= e ? one : other) % ring->count] = 1;
    }
    keep_marked(ring, s.keep);
    simplifier_clear(&s);
    return ring->count;
}
