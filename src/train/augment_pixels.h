/* Inside of augment.c and augment_pixels.c: whole-picture steps that nobody else needs. */
#pragma once
#include "train/augment.h"

/* Every pixel becomes AUGMENT_FILL. */
void augment_fill(Raster *picture);
/* Copies source so that its corner lies at x, y of out, cut at the edges. */
void augment_paste(Raster *out, const Raster *source, int x, int y);
/* Mean of two pictures of one size. */
void augment_blend(Raster *out, const Raster *other);
