/* Segment: the built-in answer to point and box prompts, without any learned weights: graph cut on colour.
 *
 * A box starts from "outside is background" (Rother, Kolmogorov, Blake, "GrabCut", 2004). Points start from the region that grow.h finds
 * around the clicks. Both then alternate colour models and minimum cuts on a level of the scene at which the object is some hundred pixels
 * wide, and carry the outline down to the finest level by cutting a narrow band around it anew on each (Lombaert, Sun, Grady, Xu, "A
 * Multilevel Banded Graph Cuts Method for Fast Image Segmentation", ICCV 2005).
 *
 * The score says how much the picture itself supports the outline: contrast along it, how well colours tell the sides apart, and how
 * little the answer changes when one side is favoured a little. It is no probability: on touching, same-coloured things it says little.
 */
#pragma once
#include "base/arena.h"
#include "geometry/mask.h"
#include "vision/scene.h"

typedef struct PromptPoint {
    double x, y; /* pixels of the full picture */
    bool foreground;
} PromptPoint;

typedef struct Segmentation {
    bool found;
    TracedShape *shapes; /* pixels of the full picture; in the arena */
    size_t shape_count;
    Box box;
    Point inside; /* in the foreground, near its centre */
    double area;  /* of the shapes, holes taken off */
    double score; /* 0..1 */
} Segmentation;

/* At least one point must be foreground; points outside the picture are moved to its edge. */
void segment_points(Arena *arena, const Scene *scene, const PromptPoint *points, size_t count, Segmentation *out);
/* The box is clipped to the picture; nothing outside it, nor in a negative box, is foreground. */
void segment_box(Arena *arena, const Scene *scene, Box box, const Box *negative, size_t negative_count, Segmentation *out);
