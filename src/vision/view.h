/* View: a window on one level of a scene, with labels: where a segmentation is worked out. Private to the segmenter. */
#pragma once
#include "geometry/geometry.h"
#include "vision/cut.h"
#include "vision/scene.h"

typedef struct View {
    const Scene *scene;
    int level;
    int x, y; /* of the window's corner on the level */
    Patch patch;
    uint8_t *distance; /* see view_measure */
} View;

/* The window of a level that covers a box of the full picture; labels are all CUT_BACKGROUND. Memory from the arena. */
View view_open(Arena *arena, const Scene *scene, int level, Box box);
/* The finest level on which the longer side of the box is at most `side` pixels; the coarsest where there is none. */
int view_level_for(const Scene *scene, Box box, int side);
/* The same window one level finer, its labels taken over. */
View view_finer(Arena *arena, const View *view, Box box);

/* Full-picture position of a window's pixel centre, and the pixel under a position, clipped to the window. */
Point view_to_full(const View *view, double x, double y);
void view_from_full(const View *view, Point p, int *x, int *y);

/* Fills `distance`: chessboard distance of every pixel to the nearest of the other side, 1 next to it, at most 255. */
void view_measure(View *view);
long view_area(const View *view); /* foreground pixels */
/* Keeps the connected parts of the foreground (8 neighbours) that hold a certain pixel, or when there are none, those of at least
 * `part` of the largest. */
void view_keep_parts(Arena *arena, View *view, double part);
