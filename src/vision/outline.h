/* Outline: from a mask to what a prompt answers with. */
#pragma once
#include "vision/segment.h"

/* Shapes, box, area and inside point of a mask whose pixel (x, y) lies at (left + x, top + y) * (scale_x, scale_y) of the full picture. Specks
 * are left out. The score is the caller's. */
void outline_mask(Arena *arena, const Mask *mask, Point corner, double scale_x, double scale_y, Segmentation *out);
