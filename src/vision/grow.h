/* Grow: the region that a click means, before any colour is modelled.
 *
 * From the clicked pixels a front spreads over the image, slow across changes of colour (a geodesic distance, as in Bai and Sapiro, "A
 * Geodesic Framework for Fast Interactive Image and Video Segmentation and Matting", ICCV 2007, by Dijkstra's algorithm). Every moment of
 * the spreading is a region; the one at which the front waits longest before it has a quarter more is taken, weighed by the contrast along its
 * outline and by its compactness. Negative clicks spread too and hold their ground.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "vision/scene.h"

typedef struct Seed {
    int x, y; /* pixel of the level */
    bool foreground;
} Seed;

/* One byte a pixel of the level, 1 in the region; in the arena. NULL when no region stands out. */
uint8_t *grow_region(Arena *arena, const Level *level, const Seed *seeds, int count);
