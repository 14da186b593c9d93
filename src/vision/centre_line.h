/* Centre line: the line along the middle of a shape, from one far end to the other.
 *
 * The ends are the two points of the shape that are furthest apart on ways inside it; the line between them is the cheapest way when a step costs
 * more the nearer it is to the shape's edge (Deschamps and Cohen, "Fast extraction of minimal paths in 3D images and applications to virtual
 * endoscopy", 2001). It is worked out on a grid of at most CENTRE_LINE_CELLS cells along the longer side.
 */
#pragma once
#include "base/arena.h"
#include "geometry/geometry.h"

enum { CENTRE_LINE_CELLS = 128 };

/* The points, at least two, in the arena. false for a shape without area. */
bool centre_line(Arena *arena, const Polygon *shape, Ring *out);
