/* Geometry: points, boxes, polygons with holes. Pure functions, no allocation.
 *
 * Coordinates are image pixels as real numbers: the origin is the top-left corner of the image, x runs right, y runs down, and the
 * pixel in column c and row r is the square from (c, r) to (c+1, r+1), its centre at (c+0.5, r+0.5).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct Point {
    double x, y;
} Point;

typedef struct Box {
    double x, y; /* top-left corner */
    double w, h;
} Box;

/* A closed ring; the edge from the last point to the first is implied. Also used for open lines. */
typedef struct Ring {
    Point *points;
    size_t count;
} Ring;

/* Rings under the even-odd rule: usually the outline first and its holes after it. */
typedef struct Polygon {
    Ring *rings;
    size_t count;
} Polygon;

double box_area(Box box); /* 0 for an empty or negative box */
/* Part of a that lies inside b; w or h is 0 when they do not meet. */
Box box_intersection(Box a, Box b);
/* Smallest box around both. */
Box box_enclosing(Box a, Box b);
/* Intersection over union, 0..1; 0 when both are empty. */
double box_iou(Box a, Box b);

/* Smallest box around count points; all zero when count is 0. */
Box points_box(const Point *points, size_t count);
Box polygon_box(const Polygon *polygon);

/* Area of one ring, positive when it runs clockwise on the screen (y down). */
double ring_signed_area(const Ring *ring);
bool ring_contains(const Ring *ring, Point p);

/* Even-odd rule. Points on an edge belong to one side of it only, so that neighbours sharing an edge never share a point. */
bool polygon_contains(const Polygon *polygon, Point p);
/* Even-odd area: a ring inside an odd number of other rings counts as a hole. Exact when rings cross neither themselves nor each other. */
double polygon_area(const Polygon *polygon);
/* Whether ring i is a hole by the same reading. With more than 256 rings only the first is taken for an outline, so that the work stays
 * bounded. */
bool polygon_ring_is_hole(const Polygon *polygon, size_t i);
/* Points in all rings. */
size_t polygon_point_count(const Polygon *polygon);
/* The four corners of a box, clockwise from the top-left. */
void box_corners(Box box, Point out[4]);
