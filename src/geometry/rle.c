/* Run lengths; see the header. */
#include "geometry/rle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CROSSINGS_MAX 1e8
#define COORDINATE_MAX 1e12 /* beyond it every coordinate is equally far outside; keeps the arithmetic finite */

/* Runs being collected, on the heap until their number is known. */
typedef struct Runs {
    uint32_t *counts;
    size_t count, capacity;
    uint32_t position; /* pixels that the counts cover */
} Runs;

static void push(Runs *runs, uint32_t length) {
    if (runs->count == runs->capacity) {
        runs->capacity = runs->capacity ? 2 * runs->capacity : 64;
        runs->counts = xrealloc(runs->counts, runs->capacity * sizeof *runs->counts);
    }
    runs->counts[runs->count++] = length;
}

/* Pixels [start, end) in column order are inside; start never lies before the last end. */
static void add_run(Runs *runs, uint32_t start, uint32_t end) {
    if (start >= end) return;
    if (runs->count && start == runs->position) {
        runs->counts[runs->count - 1] += end - start;
    } else {
        push(runs, start - runs->position);
        push(runs, end - start);
    }
    runs->position = end;
}

static void finish(Arena *arena, Runs *runs, uint32_t width, uint32_t height, Rle *out) {
    uint32_t total = width * height;
    if (runs->position < total || !runs->count) push(runs, total - runs->position);
    *out = (Rle){width, height, arena_new_array(arena, uint32_t, runs->count), runs->count};
    memcpy(out->counts, runs->counts, runs->count * sizeof *runs->counts);
    free(runs->counts);
}

static Status check_size(uint32_t width, uint32_t height, Error *err) {
    if ((uint64_t)width * height <= UINT32_MAX) return STATUS_OK;
    return error_set(err, STATUS_BAD_REQUEST, "A mask of %u x %u pixels is too large for run lengths", width, height);
}

typedef struct Edge {
    double x, y, slope;
    uint32_t first, last; /* columns whose centre line it crosses, last excluded */
} Edge;

/* First column (or row) whose centre does not lie before v, clipped. */
static uint32_t centre_from(double v, uint32_t limit) {
    double c = ceil(v - 0.5);
    return c <= 0 ? 0 : c >= limit ? limit : (uint32_t)c;
}

static double bounded(double v) { return fmax(-COORDINATE_MAX, fmin(COORDINATE_MAX, v)); }

/* All edges that cross a column; returns their number, sums the crossings. */
static size_t collect_edges(const Polygon *polygon, uint32_t width, Edge *edges, double *crossings) {
    size_t count = 0;
    for (size_t r = 0; r < polygon->count; r++) {
        const Ring *ring = &polygon->rings[r];
        for (size_t i = 0; i < ring->count; i++) {
            Point a = ring->points[i], b = ring->points[i + 1 < ring->count ? i + 1 : 0];
            if (a.x > b.x) {
                Point swap = a;
                a = b;
                b = swap;
            }
            uint32_t first = centre_from(a.x, width), last = centre_from(b.x, width);
            if (first >= last) continue;
            double ax = bounded(a.x), ay = bounded(a.y);
            edges[count++] = (Edge){ax, ay, (bounded(b.y) - ay) / (bounded(b.x) - ax), first, last};
            *crossings += last - first;
        }
    }
    return count;
}

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const Edge *)a)->first, y = ((const Edge *)b)->first;
    return (x > y) - (x < y);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sort_values(double *values, size_t count) {
    if (count > 16) {
        qsort(values, count, sizeof *values, by_value);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        double v = values[i];
        size_t k = i;
        for (; k && values[k - 1] > v; k--) values[k] = values[k - 1];
        values[k] = v;
    }
}

/* Column by column: edges that begin join the active ones, their crossings are sorted, pairs of them are runs. */
static void sweep(const Edge *edges, size_t count, uint32_t height, size_t *active, double *cross, Runs *runs) {
    size_t next = 0, live = 0;
    uint32_t column = count ? edges[0].first : 0;
    while (next < count || live) {
        if (!live && next < count) column = edges[next].first;
        while (next < count && edges[next].first == column) active[live++] = next++;
        for (size_t i = 0; i < live; i++) cross[i] = edges[active[i]].y + (column + 0.5 - edges[active[i]].x) * edges[active[i]].slope;
        sort_values(cross, live);
        for (size_t i = 0; i + 1 < live; i += 2) {
            add_run(runs, column * height + centre_from(cross[i], height), column * height + centre_from(cross[i + 1], height));
        }
        column++;
        size_t stay = 0;
        for (size_t i = 0; i < live; i++) {
            if (edges[active[i]].last > column) active[stay++] = active[i];
        }
        live = stay;
    }
}

Status rle_from_polygon(Arena *arena, const Polygon *polygon, uint32_t width, uint32_t height, Rle *out, Error *err) {
    Status status = check_size(width, height, err);
    if (status != STATUS_OK) return status;
    size_t points = polygon_point_count(polygon);
    Edge *edges = xcalloc(points, sizeof *edges);
    double crossings = 0;
    size_t count = collect_edges(polygon, width, edges, &crossings);
    if (crossings > CROSSINGS_MAX) {
        free(edges);
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "A polygon of %zu points is too large for a mask of %u columns", points, width);
    }
    size_t *active = xcalloc(count, sizeof *active);
    double *cross = xcalloc(count, sizeof *cross);
    Runs runs = {0};
    qsort(edges, count, sizeof *edges, by_first);
    sweep(edges, count, height, active, cross, &runs);
    finish(arena, &runs, width, height, out);
    free(cross);
    free(active);
    free(edges);
    return STATUS_OK;
}

Status rle_from_mask(Arena *arena, const Mask *mask, Rle *out, Error *err) {
    Status status = check_size(mask->width, mask->height, err);
    if (status != STATUS_OK) return status;
    Runs runs = {0};
    for (uint32_t x = 0; x < mask->width; x++) {
        const uint8_t *pixel = mask->pixels + x;
        for (uint32_t y = 0, start; y < mask->height; y++) {
            if (!pixel[(size_t)y * mask->width]) continue;
            for (start = y; y < mask->height && pixel[(size_t)y * mask->width];) y++;
            add_run(&runs, x * mask->height + start, x * mask->height + y);
        }
    }
    finish(arena, &runs, mask->width, mask->height, out);
    return STATUS_OK;
}

Mask rle_to_mask(Arena *arena, const Rle *rle) { return rle_to_mask_within(arena, rle, (Box){0, 0, rle->width, rle->height}); }

Mask rle_to_mask_within(Arena *arena, const Rle *rle, Box box) {
    Mask mask = {(uint32_t)box.w, (uint32_t)box.h, arena_alloc(arena, (size_t)box.w * (size_t)box.h)};
    size_t left = (size_t)box.x, top = (size_t)box.y, position = 0;
    for (size_t i = 0; i < rle->count; i++) {
        size_t end = position + rle->counts[i];
        if (i % 2 == 0) position = end;
        for (; position < end; position++) {
            size_t x = position / rle->height - left, y = position % rle->height - top; /* below zero wraps, and is outside as well */
            if (x < mask.width && y < mask.height) mask.pixels[y * mask.width + x] = 1;
        }
    }
    return mask;
}

size_t rle_area(const Rle *rle) {
    size_t area = 0;
    for (size_t i = 1; i < rle->count; i += 2) area += rle->counts[i];
    return area;
}

Box rle_box(const Rle *rle) {
    size_t left = SIZE_MAX, right = 0, top = rle->height, bottom = 0, position = 0;
    for (size_t i = 0; i < rle->count; i++) {
        size_t start = position;
        position += rle->counts[i];
        if (i % 2 == 0 || !rle->counts[i]) continue;
        size_t first_column = start / rle->height, last_column = (position - 1) / rle->height;
        size_t first_row = start % rle->height, last_row = (position - 1) % rle->height;
        if (first_column != last_column) { /* the run passes the foot of one column and the head of the next */
            first_row = 0;
            last_row = rle->height - 1;
        }
        if (first_column < left) left = first_column;
        if (last_column >= right) right = last_column + 1;
        if (first_row < top) top = first_row;
        if (last_row >= bottom) bottom = last_row + 1;
    }
    if (!right) return (Box){0};
    return (Box){(double)left, (double)top, (double)(right - left), (double)(bottom - top)};
}

/* Each count, from the fourth on less the count two before it, goes out in groups of five bits, low ones first; bit 5 says that more
 * follow, and the top bit of the last group is the sign. 48 is added to make it printable. */
char *rle_to_string(Arena *arena, const Rle *rle) {
    char *text = arena_alloc(arena, 7 * rle->count + 1); /* 33 bits with sign are seven groups */
    size_t size = 0;
    for (size_t i = 0; i < rle->count; i++) {
        int64_t x = rle->counts[i];
        if (i > 2) x -= rle->counts[i - 2];
        bool more;
        do {
            int group = (int)(x & 31);
            x >>= 5;
            more = group & 16 ? x != -1 : x != 0;
            text[size++] = (char)(48 + group + (more ? 32 : 0));
        } while (more);
    }
    text[size] = '\0';
    return text;
}

static Status malformed(Runs *runs, Error *err) {
    free(runs->counts);
    return error_set(err, STATUS_BAD_REQUEST, "Malformed run lengths");
}

Status rle_from_string(Arena *arena, const char *text, uint32_t width, uint32_t height, Rle *out, Error *err) {
    Status status = check_size(width, height, err);
    if (status != STATUS_OK) return status;
    uint64_t total = (uint64_t)width * height, covered = 0;
    Runs runs = {0};
    while (*text) {
        int64_t x = 0;
        int shift = 0;
        bool more = true;
        while (more) {
            int group = *text++ - 48;
            if (group < 0 || group > 63 || shift > 30) return malformed(&runs, err);
            x |= (int64_t)(group & 31) << shift;
            shift += 5;
            more = group & 32;
            if (!more && (group & 16)) x -= (int64_t)1 << shift;
        }
        if (runs.count > 2) x += runs.counts[runs.count - 2];
        if (x < 0 || (uint64_t)x > total - covered) return malformed(&runs, err);
        covered += (uint64_t)x;
        push(&runs, (uint32_t)x);
    }
    if (covered != total) return malformed(&runs, err);
    runs.position = (uint32_t)total;
    finish(arena, &runs, width, height, out);
    return STATUS_OK;
}

Status rle_from_counts(Arena *arena, const uint32_t *counts, size_t count, uint32_t width, uint32_t height, Rle *out, Error *err) {
    Status status = check_size(width, height, err);
    if (status != STATUS_OK) return status;
    Runs runs = {0};
    uint64_t total = (uint64_t)width * height, covered = 0;
    for (size_t i = 0; i < count; i++) {
        if (counts[i] > total - covered) return malformed(&runs, err);
        covered += counts[i];
        push(&runs, counts[i]);
    }
    if (covered != total) return malformed(&runs, err);
    runs.position = (uint32_t)total;
    finish(arena, &runs, width, height, out);
    return STATUS_OK;
}
