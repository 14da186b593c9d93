/* Shapes from pixels: the outline of a mask, and the union of rings that overlap. */
#include <math.h>

#include "formats/format.h"
#include "base/banned.h"

enum { DRAWN_PIXELS_MAX = 1 << 30 };

static void move(Polygon *polygon, double dx, double dy) {
    for (size_t i = 0; i < polygon->count; i++) {
        for (size_t k = 0; k < polygon->rings[i].count; k++) {
            polygon->rings[i].points[k].x += dx;
            polygon->rings[i].points[k].y += dy;
        }
    }
}

Polygon shape_of_mask(Arena *arena, const Mask *mask, double x, double y) {
    TracedShape *shapes;
    size_t count = mask_trace(arena, mask, TRACE_DEFAULTS, &shapes), rings = 0;
    for (size_t i = 0; i < count; i++) rings += shapes[i].polygon.count;
    Polygon all = {arena_new_array(arena, Ring, rings), 0};
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < shapes[i].polygon.count; k++) all.rings[all.count++] = shapes[i].polygon.rings[k];
    }
    move(&all, x, y);
    return all;
}

Polygon shape_of_rle(Arena *arena, const Rle *rle) {
    Arena scratch;
    arena_init(&scratch, SIZE_MAX);
    Box box = rle_box(rle);
    Mask mask = rle_to_mask_within(&scratch, rle, box);
    Polygon polygon = shape_of_mask(arena, &mask, box.x, box.y);
    arena_clear(&scratch);
    return polygon;
}

/* Runs of one ring alone, moved by (-x, -y); in arena. */
static bool draw_ring(Arena *arena, const Ring *ring, Box box, Rle *out) {
    Ring moved = {arena_new_array(arena, Point, ring->count), ring->count};
    for (size_t i = 0; i < ring->count; i++) moved.points[i] = (Point){ring->points[i].x - box.x, ring->points[i].y - box.y};
    return rle_from_polygon(arena, &(Polygon){&moved, 1}, (uint32_t)box.w, (uint32_t)box.h, out, NULL) == STATUS_OK;
}

/* Draws the rings over each other; false when no pixel is drawn twice, or the work gets out of hand: then nothing is to be united. */
static bool draw_union(Arena *arena, const Polygon *polygon, Box box, Rle *out) {
    Mask mask = {(uint32_t)box.w, (uint32_t)box.h, arena_alloc(arena, (size_t)box.w * (size_t)box.h)};
    size_t size = (size_t)mask.width * mask.height;
    bool twice = false;
    Arena scratch;
    arena_init(&scratch, SIZE_MAX);
    for (size_t i = 0; i < polygon->count; i++) {
        Rle runs;
        arena_reset(&scratch);
        if (!draw_ring(&scratch, &polygon->rings[i], box, &runs)) continue;
        Mask one = rle_to_mask(&scratch, &runs);
        for (size_t k = 0; k < size; k++) {
            twice |= mask.pixels[k] & one.pixels[k];
            mask.pixels[k] |= one.pixels[k];
        }
    }
    arena_clear(&scratch);
    return twice && rle_from_mask(arena, &mask, out, NULL) == STATUS_OK;
}

Polygon shape_union(Arena *arena, const DatasetImage *image, Polygon polygon) {
    Box all = polygon_box(&polygon), box = {floor(all.x), floor(all.y), 0, 0};
    box.w = ceil(all.x + all.w) - box.x;
    box.h = ceil(all.y + all.h) - box.y;
    if (image->width && image->height) box = box_intersection(box, (Box){0, 0, image->width, image->height});
    if (!(box_area(box) > 0) || box_area(box) * (double)polygon.count > DRAWN_PIXELS_MAX) return polygon;
    Arena scratch;
    Rle runs;
    arena_init(&scratch, SIZE_MAX);
    if (draw_union(&scratch, &polygon, box, &runs)) {
        polygon = shape_of_rle(arena, &runs);
        move(&polygon, box.x, box.y);
    }
    arena_clear(&scratch);
    return polygon;
}
