/* Masks: one byte a pixel, row by row, and the way from a mask to polygons.
 *
 * The contours come from border following with the topological bookkeeping of Suzuki and Abe, "Topological Structural Analysis of
 * Digitized Binary Images by Border Following" (1985), foreground 8-connected, background 4-connected. Unlike theirs the borders run
 * along the edges of the pixels, not through pixel centres, and the steps of a slanted edge are cut at their middles: a shape keeps its
 * size, and a pixel centre lies inside the contour exactly when the pixel is set. Simplification is that of Ramer (1972), Douglas and
 * Peucker (1973).
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "geometry/geometry.h"

typedef struct Mask {
    uint32_t width, height;
    uint8_t *pixels; /* width * height bytes, 0 outside; any other value inside. Owned by whoever made the mask */
} Mask;

size_t mask_area(const Mask *mask); /* set pixels */
/* Smallest box around the set pixels; all zero when there is none. */
Box mask_box(const Mask *mask);
/* Centre of the set pixel that is nearest to the centroid of the set pixels (ties: first in reading order). false: empty mask. */
bool mask_inside_point(const Mask *mask, Point *out);

typedef struct TracedShape {
    Polygon polygon; /* outline first (clockwise on the screen), then its holes */
    size_t pixels;   /* set pixels of this shape: its outline's minus its holes' */
} TracedShape;

typedef struct TraceOptions {
    double tolerance; /* bound of the simplification in pixels; 0 keeps every corner */
    size_t min_area;  /* shapes and holes of fewer pixels are dropped */
} TraceOptions;
#define TRACE_DEFAULTS ((TraceOptions){.tolerance = 0.5, .min_area = 1})

/* The shapes of a mask in reading order of their first pixel; *out and all points lie in the arena. An island inside a hole is a shape of
 * its own. Returns their number. */
size_t mask_trace(Arena *arena, const Mask *mask, TraceOptions options, TracedShape **out);

/* Drops points in place while none of the dropped lies further than tolerance from the ring that stays; keeps at least three points.
 * Returns the new count. */
size_t ring_simplify(Ring *ring, double tolerance);
/* The same for an open line, which keeps its ends. */
size_t line_simplify(Ring *line, double tolerance);
