#include "vision/centre_line.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "geometry/mask.h"
#include "base/banned.h"

enum { BORDER = 1, SMOOTH = 3, DIRECTION_STEPS = 6 };
#define NOWHERE (-1)
#define CENTRING 12.0 /* how much dearer a step along the edge is than one in the middle */

typedef struct Step {
    int dx, dy;
    double length;
} Step;
static const Step STEPS[8] = {{1, 0, 1}, {-1, 0, 1}, {0, 1, 1}, {0, -1, 1}, {1, 1, M_SQRT2}, {1, -1, M_SQRT2}, {-1, 1, M_SQRT2}, {-1, -1, M_SQRT2}};

/* The shape on cells, with an empty border around, so that every inner cell has eight neighbours. */
typedef struct Grid {
    int width, height;
    double cell; /* pixels */
    Box box;
    float *depth; /* to the edge in cells; 0 outside */
    float deepest;
    double *cost; /* of the way to each cell, INFINITY where none leads */
    int *from;
    int *heap, *place; /* of cells by cost; place in the heap, NOWHERE when not in it */
    int heap_count;
} Grid;

static Point centre_of(const Grid *g, int i) {
    return (Point){g->box.x + (i % g->width - BORDER + 0.5) * g->cell, g->box.y + ((double)(i / g->width) - BORDER + 0.5) * g->cell};
}

/* Crossings of the row of cells with the rings, sorted: between an odd and an even one is inside. */
static size_t crossings(const Polygon *shape, double y, double *out) {
    size_t count = 0;
    for (size_t r = 0; r < shape->count; r++) {
        const Ring *ring = &shape->rings[r];
        for (size_t i = 0; i < ring->count; i++) {
            Point a = ring->points[i], b = ring->points[i + 1 == ring->count ? 0 : i + 1];
            if ((a.y <= y) == (b.y <= y)) continue;
            double x = a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);
            size_t at = count++;
            for (; at > 0 && out[at - 1] > x; at--) out[at] = out[at - 1];
            out[at] = x;
        }
    }
    return count;
}

static void fill_cells(Arena *arena, const Polygon *shape, Grid *g) {
    double *cuts = arena_new_array(arena, double, polygon_point_count(shape) + 1);
    for (int y = BORDER; y < g->height - BORDER; y++) {
        size_t count = crossings(shape, centre_of(g, y * g->width).y, cuts);
        for (int x = BORDER; x < g->width - BORDER; x++) {
            double at = centre_of(g, x).x;
            size_t before = 0;
            while (before < count && cuts[before] <= at) before++;
            g->depth[y * g->width + x] = before % 2 ? INFINITY : 0;
        }
    }
}

/* Distance to the edge by the two passes of a chamfer (Borgefors 1986). */
static void measure(Grid *g) {
    int count = g->width * g->height;
    for (int pass = 0; pass < 2; pass++)
        for (int n = 0; n < count; n++) {
            int i = pass ? count - 1 - n : n;
            if (g->depth[i] == 0) continue;
            for (int s = 0; s < 8; s++) {
                float beside = g->depth[i + STEPS[s].dy * g->width + STEPS[s].dx] + (float)STEPS[s].length;
                if (beside < g->depth[i]) g->depth[i] = beside;
            }
            if (pass && g->depth[i] > g->deepest) g->deepest = g->depth[i];
        }
}

/* ---- cheapest ways (Dijkstra) ---- */

static void put(Grid *g, int at, int cell) {
    g->heap[at] = cell;
    g->place[cell] = at;
}

static void lift(Grid *g, int at) {
    int cell = g->heap[at];
    for (; at > 0 && g->cost[g->heap[(at - 1) / 2]] > g->cost[cell]; at = (at - 1) / 2) put(g, at, g->heap[(at - 1) / 2]);
    put(g, at, cell);
}

static int take_cheapest(Grid *g) {
    int cheapest = g->heap[0], last = g->heap[--g->heap_count], at = 0;
    g->place[cheapest] = NOWHERE;
    for (int child; g->heap_count && (child = 2 * at + 1) < g->heap_count; at = child) {
        if (child + 1 < g->heap_count && g->cost[g->heap[child + 1]] < g->cost[g->heap[child]]) child++;
        if (g->cost[g->heap[child]] >= g->cost[last]) break;
        put(g, at, g->heap[child]);
    }
    if (g->heap_count) put(g, at, last);
    return cheapest;
}

/* Fills cost and from, starting at a cell. Returns the cell that was reached last: the furthest. */
static int spread(Grid *g, int start, bool centred) {
    int count = g->width * g->height, last = start;
    for (int i = 0; i < count; i++) g->cost[i] = INFINITY, g->from[i] = NOWHERE, g->place[i] = NOWHERE;
    g->cost[start] = 0;
    g->heap_count = 1;
    put(g, 0, start);
    while (g->heap_count) {
        int cell = last = take_cheapest(g);
        for (int s = 0; s < 8; s++) {
            int to = cell + STEPS[s].dy * g->width + STEPS[s].dx;
            if (g->depth[to] == 0) continue;
            double shallow = 1 - g->depth[to] / g->deepest, cost = g->cost[cell] + STEPS[s].length * (1 + (centred ? CENTRING * shallow * shallow : 0));
            if (cost >= g->cost[to]) continue;
            if (g->cost[to] == INFINITY) put(g, g->heap_count++, to);
            g->cost[to] = cost;
            g->from[to] = cell;
            lift(g, g->place[to]);
        }
    }
    return last;
}

/* ---- the line ---- */

/* The way climbs from the outermost cell, perhaps in a corner, to the middle; that climb is cut off. Returns how many points it has. */
static size_t climb(const Grid *g, const int *cells, size_t count, bool backwards) {
    size_t i = 0;
    for (; i + 1 < count / 3; i++) {
        int here = cells[backwards ? count - 1 - i : i], next = cells[backwards ? count - 2 - i : i + 1];
        if (g->depth[next] <= g->depth[here]) break;
    }
    return i;
}

/* The end of the line, followed straight on to the edge of the shape. */
static Point extended(const Grid *g, const Polygon *shape, Point end, Point inner) {
    double dx = end.x - inner.x, dy = end.y - inner.y, length = hypot(dx, dy);
    if (length == 0) return end;
    for (int i = 0; i < 2 * CENTRE_LINE_CELLS; i++) {
        Point next = {end.x + dx / length * g->cell / 2, end.y + dy / length * g->cell / 2};
        if (!polygon_contains(shape, next)) break;
        end = next;
    }
    return end;
}

static void smooth(const Point *points, size_t count, Point *out) {
    for (size_t i = 0; i < count; i++) {
        size_t reach = i < SMOOTH ? i : SMOOTH;
        if (count - 1 - i < reach) reach = count - 1 - i;
        Point sum = {0, 0};
        for (size_t k = i - reach; k <= i + reach; k++) sum.x += points[k].x, sum.y += points[k].y;
        out[i] = (Point){sum.x / (double)(2 * reach + 1), sum.y / (double)(2 * reach + 1)};
    }
}

static void draw_line(Arena *arena, const Grid *g, const Polygon *shape, int end, Ring *out) {
    size_t count = 0;
    int *cells = arena_new_array(arena, int, (size_t)g->width * (size_t)g->height);
    for (int at = end; at != NOWHERE; at = g->from[at]) cells[count++] = at;
    size_t first = climb(g, cells, count, false), last = count - climb(g, cells, count, true); /* of [first, last) */
    Point *rough = arena_new_array(arena, Point, count), *points = arena_new_array(arena, Point, count + 2);
    for (size_t i = first; i < last; i++) rough[i - first] = centre_of(g, cells[i]);
    count = last - first;
    smooth(rough, count, points + 1);
    size_t back = count - 1 < DIRECTION_STEPS ? count - 1 : DIRECTION_STEPS;
    points[0] = extended(g, shape, points[1], points[1 + back]);
    points[count + 1] = extended(g, shape, points[count], points[count - back]);
    *out = (Ring){.points = points, .count = count + 2};
    out->count = line_simplify(out, g->cell);
}

/* A shape thinner than a cell, or one that is a dot, is its box's longer axis. */
static void axis(Arena *arena, Box box, Ring *out) {
    Point *ends = arena_new_array(arena, Point, 2);
    double cx = box.x + box.w / 2, cy = box.y + box.h / 2;
    bool wide = box.w >= box.h;
    ends[0] = wide ? (Point){box.x, cy} : (Point){cx, box.y};
    ends[1] = wide ? (Point){box.x + box.w, cy} : (Point){cx, box.y + box.h};
    *out = (Ring){.points = ends, .count = 2};
}

bool centre_line(Arena *arena, const Polygon *shape, Ring *out) {
    Box box = polygon_box(shape);
    double longer = fmax(box.w, box.h);
    if (!(box.w > 0) || !(box.h > 0) || !isfinite(longer)) return false;
    Grid g = {.box = box, .cell = fmax(longer / CENTRE_LINE_CELLS, 1)};
    g.width = (int)ceil(box.w / g.cell) + 2 * BORDER;
    g.height = (int)ceil(box.h / g.cell) + 2 * BORDER;
    size_t cells = (size_t)g.width * (size_t)g.height;
    g.depth = arena_new_array(arena, float, cells);
    g.cost = arena_new_array(arena, double, cells);
    g.from = arena_new_array(arena, int, cells);
    g.heap = arena_new_array(arena, int, cells);
    g.place = arena_new_array(arena, int, cells);
    fill_cells(arena, shape, &g);
    measure(&g);
    int middle = NOWHERE;
    for (size_t i = 0; i < cells && middle < 0; i++)
        if (g.depth[i] > 0 && g.depth[i] == g.deepest) middle = (int)i;
    int start = middle < 0 ? NOWHERE : spread(&g, middle, false), end = middle < 0 ? NOWHERE : spread(&g, start, false);
    if (start == end) {
        axis(arena, box, out);
        return true;
    }
    spread(&g, start, true);
    draw_line(arena, &g, shape, end, out);
    return true;
}
