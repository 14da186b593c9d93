/* Inside of augment.c and augment_pixels.c: whole-picture steps that nobody else needs. */
#pragma once
#include "train/augment.h"

/* Every pixel becomes AUGMENT_FILL. */
void augment_fill(AugmentPicture *picture);
/* Copies source so that its corner lies at x, y of out, cut at the edges. */
void augment_paste(AugmentPicture *out, const AugmentPicture *source, int x, int y);
/* Mean of two pictures of one size. */
void augment_blend(AugmentPicture *out, const AugmentPicture *other);
