/* Borders of a mask, followed along the edges of its pixels with the set pixels on the right hand.
 *
 * Each row is known by its changes: the columns where outside turns to inside (even ones) and back (odd ones). Every border crosses
 * some row, so a border is found by its first change that no border has passed yet: an even one begins an outline, an odd one a hole.
 * The hole belongs to the shape whose border made the change before it in the row.
 */
#include <stdlib.h>
#include <string.h>

#include "geometry/mask.h"
#include "base/banned.h"

typedef struct Corner {
    int32_t x, y;
    int8_t turn; /* +1 to the right, -1 to the left */
} Corner;

typedef struct Border {
    Ring ring;
    size_t shape; /* index of the outline's border: itself for an outline */
    double area;  /* pixels inside, negative for a hole */
} Border;

typedef struct Tracer {
    const Mask *mask;
    Arena *arena;
    size_t *row_start; /* height + 1 offsets into the two arrays below */
    uint32_t *change;  /* columns */
    int32_t *owner;    /* border that passed the change; -1: none yet */
    Corner *corners;   /* of the border being followed */
    size_t corner_count, corner_capacity;
    Border *borders;
    size_t border_count, border_capacity;
} Tracer;

enum { RIGHT, DOWN, LEFT, UP };

static bool inside(const Tracer *t, int32_t x, int32_t y) {
    if (x < 0 || y < 0 || (uint32_t)x >= t->mask->width || (uint32_t)y >= t->mask->height) return false;
    return t->mask->pixels[(size_t)y * t->mask->width + (size_t)x] != 0;
}

/* Writes the changes of a row if there is room for them and counts them. */
static size_t row_changes(const Mask *mask, uint32_t y, uint32_t *out) {
    const uint8_t *row = mask->pixels + (size_t)y * mask->width;
    size_t count = 0;
    bool before = false;
    for (uint32_t x = 0; x < mask->width; x++) {
        bool now = row[x] != 0;
        if (now == before) continue;
        if (out) out[count] = x;
        count++;
        before = now;
    }
    if (before) {
        if (out) out[count] = mask->width;
        count++;
    }
    return count;
}

static void find_changes(Tracer *t) {
    uint32_t height = t->mask->height;
    t->row_start = xcalloc((size_t)height + 1, sizeof *t->row_start);
    for (uint32_t y = 0; y < height; y++) t->row_start[y + 1] = t->row_start[y] + row_changes(t->mask, y, NULL);
    t->change = xcalloc(t->row_start[height], sizeof *t->change);
    t->owner = xmalloc(t->row_start[height] * sizeof *t->owner);
    memset(t->owner, 0xff, t->row_start[height] * sizeof *t->owner);
    for (uint32_t y = 0; y < height; y++) row_changes(t->mask, y, t->change + t->row_start[y]);
}

static void own_change(Tracer *t, int32_t x, int32_t y, int32_t border) {
    size_t low = t->row_start[y], high = t->row_start[y + 1];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->change[middle] < (uint32_t)x) low = middle + 1;
        else high = middle;
    }
    t->owner[low] = border;
}

static void add_corner(Tracer *t, int32_t x, int32_t y, int turn) {
    if (t->corner_count == t->corner_capacity) {
        t->corner_capacity = t->corner_capacity ? 2 * t->corner_capacity : 256;
        t->corners = xrealloc(t->corners, t->corner_capacity * sizeof *t->corners);
    }
    t->corners[t->corner_count++] = (Corner){x, y, (int8_t)turn};
}

/* Turn at a grid point: to the left when the pixel ahead on the left is set (so that diagonal neighbours join), else straight or right. */
static int turn_at(const Tracer *t, int32_t x, int32_t y, int heading) {
    static const int8_t AHEAD[4][2][2] = {/* left, right; x, y relative to the pixel below and right of the grid point */
                                          [RIGHT] = {{0, -1}, {0, 0}},
                                          [DOWN] = {{0, 0}, {-1, 0}},
                                          [LEFT] = {{-1, 0}, {-1, -1}},
                                          [UP] = {{-1, -1}, {0, -1}}};
    const int8_t(*ahead)[2] = AHEAD[heading];
    if (inside(t, x + ahead[0][0], y + ahead[0][1])) return -1;
    return inside(t, x + ahead[1][0], y + ahead[1][1]) ? 0 : 1;
}

/* Follows the border from a grid point until it comes back the same way; fills corners. */
static void follow(Tracer *t, int32_t x, int32_t y, int heading, int32_t border) {
    static const int8_t STEP[4][2] = {[RIGHT] = {1, 0}, [DOWN] = {0, 1}, [LEFT] = {-1, 0}, [UP] = {0, -1}};
    int32_t start_x = x, start_y = y;
    int start_heading = heading;
    t->corner_count = 0;
    do {
        if (heading == UP) own_change(t, x, y - 1, border);
        if (heading == DOWN) own_change(t, x, y, border);
        x += STEP[heading][0];
        y += STEP[heading][1];
        int turn = turn_at(t, x, y, heading);
        if (turn) add_corner(t, x, y, turn);
        heading = (heading + turn) & 3;
    } while (x != start_x || y != start_y || heading != start_heading);
}

static const Corner *corner_at(const Tracer *t, size_t i) { return &t->corners[i % t->corner_count]; }

/* A side of one pixel between opposite turns is a step of a slanted edge. */
static bool is_step(const Tracer *t, size_t side) {
    const Corner *a = corner_at(t, side), *b = corner_at(t, side + 1);
    return abs(a->x - b->x) + abs(a->y - b->y) == 1 && a->turn != b->turn;
}

static bool is_cut(const Tracer *t, size_t corner) { return is_step(t, corner + t->corner_count - 1) || is_step(t, corner); }

/* Adds a point unless it lies straight on from the last two. */
static void add_point(Ring *ring, Point p) {
    if (ring->count >= 2) {
        Point a = ring->points[ring->count - 2], b = ring->points[ring->count - 1];
        if ((b.x - a.x) * (p.y - b.y) == (b.y - a.y) * (p.x - b.x)) ring->count--;
    }
    ring->points[ring->count++] = p;
}

static Ring ring_of_corners(Tracer *t) {
    Ring ring = {arena_new_array(t->arena, Point, 2 * t->corner_count), 0};
    for (size_t i = 0; i < t->corner_count; i++) {
        const Corner *a = corner_at(t, i), *b = corner_at(t, i + 1);
        bool cut = is_cut(t, i);
        if (!cut) add_point(&ring, (Point){a->x, a->y});
        if (cut || is_cut(t, i + 1)) add_point(&ring, (Point){(a->x + b->x) / 2.0, (a->y + b->y) / 2.0});
    }
    /* The seam: the last point, or the first, may lie straight between its neighbours. */
    Ring seam = {(Point[5]){ring.points[ring.count - 2], ring.points[ring.count - 1]}, 2};
    add_point(&seam, ring.points[0]);
    if (seam.count == 2) ring.count--;
    seam = (Ring){(Point[5]){ring.points[ring.count - 1], ring.points[0]}, 2};
    add_point(&seam, ring.points[1]);
    if (seam.count == 2) {
        ring.points++;
        ring.count--;
    }
    return ring;
}

static double corners_area(const Tracer *t) {
    double twice = 0;
    for (size_t i = 0; i < t->corner_count; i++) {
        const Corner *a = corner_at(t, i), *b = corner_at(t, i + 1);
        twice += (double)a->x * b->y - (double)b->x * a->y;
    }
    return twice / 2;
}

static void trace_border(Tracer *t, uint32_t y, size_t change) {
    bool hole = (change - t->row_start[y]) % 2;
    int32_t x = (int32_t)t->change[change], border = (int32_t)t->border_count;
    if (hole) follow(t, x, (int32_t)y, DOWN, border);
    else follow(t, x, (int32_t)y + 1, UP, border);
    if (t->border_count == t->border_capacity) {
        t->border_capacity = t->border_capacity ? 2 * t->border_capacity : 64;
        t->borders = xrealloc(t->borders, t->border_capacity * sizeof *t->borders);
    }
    size_t shape = hole ? t->borders[t->owner[change - 1]].shape : (size_t)border;
    t->borders[t->border_count++] = (Border){ring_of_corners(t), shape, corners_area(t)};
}

/* Gathers outline and holes of each shape; holes come in reading order, as their borders were found. */
static size_t gather(Tracer *t, TraceOptions options, TracedShape **out) {
    size_t *rings = xcalloc(t->border_count, sizeof *rings); /* per outline: rings that stay; then its place in *out plus one */
    double *pixels = xcalloc(t->border_count, sizeof *pixels);
    for (size_t i = 0; i < t->border_count; i++) {
        Border *b = &t->borders[i];
        pixels[b->shape] += b->area;
        rings[b->shape] += b->shape == i || -b->area >= (double)options.min_area;
    }
    size_t shapes = 0;
    *out = arena_new_array(t->arena, TracedShape, t->border_count);
    for (size_t i = 0; i < t->border_count; i++) {
        Border *b = &t->borders[i];
        if (b->shape == i) {
            bool small = pixels[i] < (double)options.min_area;
            if (!small) (*out)[shapes] = (TracedShape){{arena_new_array(t->arena, Ring, rings[i]), 0}, (size_t)pixels[i]};
            rings[i] = small ? 0 : ++shapes;
        }
        if (!rings[b->shape] || (b->shape != i && -b->area < (double)options.min_area)) continue;
        if (options.tolerance > 0) ring_simplify(&b->ring, options.tolerance);
        Polygon *polygon = &(*out)[rings[b->shape] - 1].polygon;
        polygon->rings[polygon->count++] = b->ring;
    }
    free(rings);
    free(pixels);
    return shapes;
}

size_t mask_trace(Arena *arena, const Mask *mask, TraceOptions options, TracedShape **out) {
    Tracer t = {.mask = mask, .arena = arena};
    find_changes(&t);
    for (uint32_t y = 0; y < mask->height; y++) {
        for (size_t change = t.row_start[y]; change < t.row_start[y + 1]; change++) {
            if (t.owner[change] < 0) trace_border(&t, y, change);
        }
    }
    size_t shapes = gather(&t, options, out);
    free(t.row_start);
    free(t.change);
    free(t.owner);
    free(t.corners);
    free(t.borders);
    return shapes;
}
