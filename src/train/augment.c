/* Augmentation, the part that draws: which steps a sample goes through, with which numbers, and what becomes of its boxes. */
#include "train/augment.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "train/augment_pixels.h"

#include "base/banned.h"

struct AugmentScratch {
    uint8_t *canvas, *mixed;
    size_t canvas_size, mixed_size;
    AugmentBoxes boxes;
};

AugmentScratch *augment_scratch_new(void) { return xcalloc(1, sizeof(AugmentScratch)); }

void augment_scratch_free(AugmentScratch *scratch) {
    if (!scratch) return;
    free(scratch->canvas);
    free(scratch->mixed);
    augment_boxes_clear(&scratch->boxes);
    free(scratch);
}

/* A picture in a buffer that grows on demand. */
static Raster scratch_picture(uint8_t **buffer, size_t *size, int width, int height) {
    size_t needed = (size_t)width * height * 3;
    if (needed > *size) {
        free(*buffer);
        *buffer = xmalloc(needed);
        *size = needed;
    }
    return (Raster){width, height, *buffer};
}

AugmentOptions augment_without_mosaic(const AugmentOptions *options) {
    AugmentOptions out = *options;
    out.mosaic = out.mixup = 0;
    return out;
}

/* ---- boxes ---- */

void augment_boxes_add(AugmentBoxes *boxes, AugmentBox box) {
    if (boxes->count == boxes->capacity) {
        boxes->capacity = boxes->capacity ? 2 * boxes->capacity : 32;
        boxes->items = xrealloc(boxes->items, boxes->capacity * sizeof *boxes->items);
    }
    boxes->items[boxes->count++] = box;
}

void augment_boxes_clear(AugmentBoxes *boxes) {
    free(boxes->items);
    *boxes = (AugmentBoxes){0};
}

void augment_map_boxes(AugmentBoxes *boxes, size_t first, const AugmentMatrix *matrix) {
    const float *m = matrix->m;
    for (size_t i = first; i < boxes->count; i++) {
        AugmentBox b = boxes->items[i], out = {INFINITY, INFINITY, -INFINITY, -INFINITY, b.class_index};
        for (int corner = 0; corner < 4; corner++) {
            float x = corner & 1 ? b.x1 : b.x0, y = corner & 2 ? b.y1 : b.y0;
            float u = m[0] * x + m[1] * y + m[2], v = m[3] * x + m[4] * y + m[5];
            out.x0 = fminf(out.x0, u), out.x1 = fmaxf(out.x1, u);
            out.y0 = fminf(out.y0, v), out.y1 = fmaxf(out.y1, v);
        }
        boxes->items[i] = out;
    }
}

static float clamp(float value, float high) { return fminf(fmaxf(value, 0), high); }

void augment_clip_boxes(AugmentBoxes *boxes, size_t first, int width, int height, const AugmentOptions *options) {
    size_t kept = first;
    for (size_t i = first; i < boxes->count; i++) {
        AugmentBox b = boxes->items[i];
        float area = (b.x1 - b.x0) * (b.y1 - b.y0);
        b.x0 = clamp(b.x0, (float)width), b.x1 = clamp(b.x1, (float)width);
        b.y0 = clamp(b.y0, (float)height), b.y1 = clamp(b.y1, (float)height);
        float w = b.x1 - b.x0, h = b.y1 - b.y0;
        if (fminf(w, h) > options->minimum_side && w * h >= options->minimum_visible * area) boxes->items[kept++] = b;
    }
    boxes->count = kept;
}

/* ---- what a sample is made of ---- */

static bool happens(Random *random, float probability) { return random_unit(random) < probability; }

static void give_back(const AugmentSource *source, uint32_t index, Raster picture) {
    if (source->give_back) source->give_back(source->context, index, picture);
}

/* Rotation and scale about the top-left corner, then shear, then translation. */
static AugmentMatrix draw_affine(const AugmentOptions *o, int width, int height, Random *random) {
    double degree = M_PI / 180;
    double angle = random_between(random, -o->rotation, o->rotation) * degree;
    double scale = random_between(random, o->scale_low, o->scale_high);
    double shear_x = tan(random_between(random, -o->shear, o->shear) * degree);
    double shear_y = tan(random_between(random, -o->shear, o->shear) * degree);
    double right = random_between(random, -o->translate, o->translate) * width;
    double down = random_between(random, -o->translate, o->translate) * height;
    double c = scale * cos(angle), s = scale * sin(angle);
    return (AugmentMatrix){{(float)(c - shear_x * s), (float)(s + shear_x * c), (float)right, (float)(-s + shear_y * c),
                            (float)(c + shear_y * s), (float)down}};
}

/* Pastes picture `index` with its corner at x, y (or its far corner there, where before_x or before_y is set), boxes too. */
static void place(Raster *canvas, AugmentBoxes *boxes, const AugmentSource *source, uint32_t index, int x, int y, bool before_x,
                  bool before_y, const AugmentOptions *options) {
    size_t first = boxes->count;
    Raster tile = source->get(source->context, index, boxes);
    x -= before_x ? tile.width : 0;
    y -= before_y ? tile.height : 0;
    augment_paste(canvas, &tile, x, y);
    AugmentMatrix shift = {{1, 0, (float)x, 0, 1, (float)y}};
    augment_map_boxes(boxes, first, &shift);
    augment_clip_boxes(boxes, first, canvas->width, canvas->height, options);
    give_back(source, index, tile);
}

/* Four pictures around a random point of a canvas twice as large, seen through a random affine map. */
static void draw_mosaic(Raster *out, AugmentBoxes *boxes, const AugmentSource *source, uint32_t index,
                        const AugmentOptions *options, Random *random, AugmentScratch *scratch) {
    Raster canvas = scratch_picture(&scratch->canvas, &scratch->canvas_size, 2 * out->width, 2 * out->height);
    augment_fill(&canvas);
    int x = (int)random_between(random, 0.5 * out->width, 1.5 * out->width);
    int y = (int)random_between(random, 0.5 * out->height, 1.5 * out->height);
    size_t first = boxes->count;
    for (int i = 0; i < 4; i++) place(&canvas, boxes, source, i ? random_below(random, source->count) : index, x, y, !(i & 1), !(i & 2), options);
    AugmentMatrix matrix = draw_affine(options, out->width, out->height, random);
    augment_warp(out, &canvas, &matrix);
    augment_map_boxes(boxes, first, &matrix);
}

static void draw_single(Raster *out, AugmentBoxes *boxes, const AugmentSource *source, uint32_t index,
                        const AugmentOptions *options, Random *random) {
    if (!options->affine_always) {
        augment_fill(out);
        place(out, boxes, source, index, 0, 0, false, false, options);
        return;
    }
    size_t first = boxes->count;
    Raster picture = source->get(source->context, index, boxes);
    AugmentMatrix matrix = draw_affine(options, out->width, out->height, random);
    augment_warp(out, &picture, &matrix);
    augment_map_boxes(boxes, first, &matrix);
    give_back(source, index, picture);
}

/* Lays another picture over out, scaled, perhaps mirrored and cut out at random, each with half the weight; its boxes join. */
static void draw_mixup(Raster *out, AugmentBoxes *boxes, const AugmentSource *source, const AugmentOptions *options,
                       Random *random, AugmentScratch *scratch) {
    uint32_t index = random_below(random, source->count);
    float scale = (float)random_between(random, options->mixup_low, options->mixup_high);
    bool mirrored = happens(random, 0.5f);
    double right = random_unit(random), down = random_unit(random);
    size_t first = boxes->count;
    Raster other = source->get(source->context, index, boxes);
    if (boxes->count > first) {
        float x = (float)right * fmaxf(0, scale * (float)out->width - (float)out->width);
        float y = (float)down * fmaxf(0, scale * (float)out->height - (float)out->height);
        AugmentMatrix matrix = {{scale, 0, -x, 0, scale, -y}};
        if (mirrored) {
            matrix.m[0] = -scale;
            matrix.m[2] = scale * (float)other.width - x;
        }
        Raster mixed = scratch_picture(&scratch->mixed, &scratch->mixed_size, out->width, out->height);
        augment_warp(&mixed, &other, &matrix);
        augment_blend(out, &mixed);
        augment_map_boxes(boxes, first, &matrix);
    }
    give_back(source, index, other);
}

/* A change of up to `most` either way, none half of the time. */
static int draw_jitter(Random *random, int most) {
    double change = random_between(random, -most, most);
    return happens(random, 0.5f) ? (int)change : 0;
}

static void draw_colours_and_flips(Raster *out, AugmentBoxes *boxes, const AugmentOptions *options, Random *random) {
    int hue = draw_jitter(random, options->hue), saturation = draw_jitter(random, options->saturation);
    int value = draw_jitter(random, options->value);
    augment_hsv(out, hue, saturation, value);
    if (happens(random, options->flip_horizontal)) augment_flip_horizontal(out, boxes);
    if (happens(random, options->flip_vertical)) augment_flip_vertical(out, boxes);
}

void augment_sample(Raster *out, AugmentBoxes *boxes, const AugmentSource *source, uint32_t index, const AugmentOptions *options,
                    Random *random, AugmentScratch *scratch) {
    AugmentBoxes *own = &scratch->boxes;
    own->count = 0;
    if (happens(random, options->mosaic)) {
        draw_mosaic(out, own, source, index, options, random, scratch);
        augment_clip_boxes(own, 0, out->width, out->height, options);
        if (happens(random, options->mixup) && own->count) draw_mixup(out, own, source, options, random, scratch);
    } else {
        draw_single(out, own, source, index, options, random);
    }
    augment_clip_boxes(own, 0, out->width, out->height, options);
    draw_colours_and_flips(out, own, options, random);
    for (size_t i = 0; i < own->count; i++) augment_boxes_add(boxes, own->items[i]);
}
