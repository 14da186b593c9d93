/* Augmentation of detection samples as YOLOX does it (Ge et al. 2021, arXiv 2107.08430; mosaic from Bochkovskiy et al. 2020,
 * arXiv 2004.10934; mixup from Zhang et al. 2018, arXiv 1710.09412): pure functions over 8-bit BGR pictures and their boxes.
 *
 * A sample is drawn in this order: mosaic of four pictures or one alone → affine map onto the input → mixup with a further picture
 * → HSV jitter → flips → boxes that are too small or hardly seen any more fall out. The same generator state gives the same bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picture/jpeg_file.h"
#include "train/random.h"

/* Grey that fills what no picture covers. */
enum { AUGMENT_FILL = 114 };

/* Corners in pixels; a pixel's centre lies at .5, so a box around the pixel (0, 0) is 0, 0, 1, 1. */
typedef struct AugmentBox {
    float x0, y0, x1, y1;
    int class_index;
} AugmentBox;

/* Growing list of boxes. Start it as {0}; augment_boxes_clear frees it. */
typedef struct AugmentBoxes {
    AugmentBox *items;
    size_t count, capacity;
} AugmentBoxes;

void augment_boxes_add(AugmentBoxes *boxes, AugmentBox box);
void augment_boxes_clear(AugmentBoxes *boxes);

typedef struct AugmentOptions {
    float mosaic;                 /* probability of a mosaic */
    float scale_low, scale_high;  /* of the affine map after a mosaic */
    float translate;              /* either way, as a part of the input's side; the map's fixed point is the top-left corner */
    float rotation;               /* degrees either way */
    float shear;                  /* degrees either way */
    bool affine_always;           /* scale, translate, rotate and shear single pictures too */
    float mixup;                  /* probability, only after a mosaic */
    float mixup_low, mixup_high;  /* scale of the picture mixed in */
    float flip_horizontal, flip_vertical; /* probabilities */
    int hue, saturation, value;   /* largest change: degrees / 2, 0–255, 0–255; each is left alone half of the time */
    float minimum_side;           /* pixels; a box whose shorter side is not longer falls out */
    float minimum_visible;        /* part of the area that must be left after cropping */
} AugmentOptions;

#define AUGMENT_DEFAULTS                                                                                                            \
    { .mosaic = 0.5f, .scale_low = 0.5f, .scale_high = 1.5f, .translate = 0.1f, .mixup_low = 0.5f, .mixup_high = 1.5f,              \
      .flip_horizontal = 0.5f, .flip_vertical = 0.5f, .hue = 5, .saturation = 30, .value = 30, .minimum_side = 1.0f }
/* Nothing is changed but the size: letterbox at the top left. */
#define AUGMENT_NONE { .minimum_side = 0.0f }
/* The epochs that close a run: no mosaic, no mixup, the rest as before. */
AugmentOptions augment_without_mosaic(const AugmentOptions *options);

/* Source of pictures for a sample: get lends pixels until give_back (NULL when nothing need be given back) and adds the boxes in the
 * picture's pixels. No picture is larger than the input. */
typedef struct AugmentSource {
    void *context;
    uint32_t count; /* pictures to choose from */
    Raster (*get)(void *context, uint32_t index, AugmentBoxes *boxes);
    void (*give_back)(void *context, uint32_t index, Raster picture);
} AugmentSource;

/* Buffers that are kept from sample to sample, one per thread. */
typedef struct AugmentScratch AugmentScratch;
AugmentScratch *augment_scratch_new(void);
void augment_scratch_free(AugmentScratch *scratch);

/* Draws one sample: picture `index` of source, with others beside it, onto out (its width and height are the input size, its pixels are
 * overwritten); the boxes left are added to boxes. */
void augment_sample(Raster *out, AugmentBoxes *boxes, const AugmentSource *source, uint32_t index, const AugmentOptions *options,
                    Random *random, AugmentScratch *scratch);

/* The steps, for themselves. */

/* 2 × 3 matrix from source to destination pixels: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. */
typedef struct AugmentMatrix {
    float m[6];
} AugmentMatrix;

/* Bilinear map of source onto out; what lies outside the source is AUGMENT_FILL. A singular matrix leaves only the fill. */
void augment_warp(Raster *out, const Raster *source, const AugmentMatrix *matrix);
/* Enclosing boxes of the mapped corners, from boxes->items[first] on. */
void augment_map_boxes(AugmentBoxes *boxes, size_t first, const AugmentMatrix *matrix);
/* Adds to hue (0–179, wraps), saturation and value (0–255, clipped). */
void augment_hsv(Raster *picture, int hue, int saturation, int value);
void augment_flip_horizontal(Raster *picture, AugmentBoxes *boxes);
void augment_flip_vertical(Raster *picture, AugmentBoxes *boxes);
/* Cuts boxes from items[first] on to the picture and drops what the two minima of options forbid. */
void augment_clip_boxes(AugmentBoxes *boxes, size_t first, int width, int height, const AugmentOptions *options);
