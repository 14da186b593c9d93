#include "vision/view.h"

#include <math.h>
#include <string.h>

#include "base/banned.h"

static double scale_x(const Scene *scene, int level) { return (double)scene->levels[level].width / scene->full_width; }
static double scale_y(const Scene *scene, int level) { return (double)scene->levels[level].height / scene->full_height; }

static int clamp(double v, int low, int high) { return v < low ? low : v > high ? high : (int)v; }

View view_open(Arena *arena, const Scene *scene, int level, Box box) {
    const Level *l = &scene->levels[level];
    double sx = scale_x(scene, level), sy = scale_y(scene, level);
    View v = {.scene = scene, .level = level};
    v.x = clamp(floor(box.x * sx), 0, l->width - 1);
    v.y = clamp(floor(box.y * sy), 0, l->height - 1);
    v.patch.width = clamp(ceil((box.x + box.w) * sx), v.x + 1, l->width) - v.x;
    v.patch.height = clamp(ceil((box.y + box.h) * sy), v.y + 1, l->height) - v.y;
    size_t count = (size_t)v.patch.width * (size_t)v.patch.height;
    Lab *lab = arena_alloc(arena, count * sizeof *lab);
    for (int y = 0; y < v.patch.height; y++)
        memcpy(lab + (size_t)y * (size_t)v.patch.width, l->lab + (size_t)(v.y + y) * (size_t)l->width + v.x, (size_t)v.patch.width * sizeof *lab);
    v.patch.lab = lab;
    v.patch.labels = arena_alloc(arena, count);
    v.distance = arena_alloc(arena, count);
    return v;
}

int view_level_for(const Scene *scene, Box box, int side) {
    int level = 0;
    while (level + 1 < scene->level_count && fmax(box.w * scale_x(scene, level), box.h * scale_y(scene, level)) > side) level++;
    return level;
}

Point view_to_full(const View *view, double x, double y) {
    return (Point){(view->x + x) / scale_x(view->scene, view->level), (view->y + y) / scale_y(view->scene, view->level)};
}

void view_from_full(const View *view, Point p, int *x, int *y) {
    *x = clamp(floor(p.x * scale_x(view->scene, view->level)) - view->x, 0, view->patch.width - 1);
    *y = clamp(floor(p.y * scale_y(view->scene, view->level)) - view->y, 0, view->patch.height - 1);
}

View view_finer(Arena *arena, const View *view, Box box) {
    View fine = view_open(arena, view->scene, view->level - 1, box);
    for (int y = 0; y < fine.patch.height; y++)
        for (int x = 0; x < fine.patch.width; x++) {
            int cx, cy;
            view_from_full(view, view_to_full(&fine, x + 0.5, y + 0.5), &cx, &cy);
            fine.patch.labels[y * fine.patch.width + x] = view->patch.labels[cy * view->patch.width + cx];
        }
    return fine;
}

/* ---- distances: two sweeps over the rows; what is written for a row at a time takes many pixels at once ---- */

static inline uint8_t least(uint8_t a, uint8_t b) { return a < b ? a : b; }
static inline uint8_t further(uint8_t d) { return (uint8_t)(d + (d < 255)); }

/* Marks with 1 the pixels of two rows that have a neighbour of the other side in the other row, at an offset of -1, 0 or 1. */
static void mark_borders(uint8_t *restrict d, uint8_t *restrict d2, const uint8_t *restrict label, const uint8_t *restrict label2, int count) {
    for (int x = 0; x < count; x++) {
        uint8_t differ = (uint8_t)((label[x] ^ label2[x]) & 1), mark = differ ? 1 : 255;
        d[x] = least(d[x], mark);
        d2[x] = least(d2[x], mark);
    }
}

static void mark_row(uint8_t *d, const uint8_t *label, int width) {
    for (int x = 0; x + 1 < width; x++)
        if ((label[x] ^ label[x + 1]) & 1) d[x] = d[x + 1] = 1;
}

static void lower_by_row(uint8_t *restrict d, const uint8_t *restrict from, int width) {
    for (int x = 0; x < width; x++) d[x] = least(d[x], further(from[x]));
    for (int x = 1; x < width; x++) d[x] = least(d[x], further(from[x - 1]));
    for (int x = 0; x + 1 < width; x++) d[x] = least(d[x], further(from[x + 1]));
}

void view_measure(View *view) {
    int w = view->patch.width, h = view->patch.height;
    const uint8_t *label = view->patch.labels;
    uint8_t *d = view->distance;
    memset(d, 255, (size_t)w * (size_t)h);
    for (int y = 0; y < h; y++) {
        uint8_t *row = d + y * w, *below = row + w;
        const uint8_t *of = label + y * w, *of_below = of + w;
        mark_row(row, of, w);
        if (y + 1 == h) break;
        mark_borders(row, below, of, of_below, w);
        mark_borders(row + 1, below, of + 1, of_below, w - 1);
        mark_borders(row, below + 1, of, of_below + 1, w - 1);
    }
    for (int y = 0; y < h; y++) {
        uint8_t *row = d + y * w;
        if (y > 0) lower_by_row(row, row - w, w);
        for (int x = 1; x < w; x++) row[x] = least(row[x], further(row[x - 1]));
    }
    for (int y = h - 1; y >= 0; y--) {
        uint8_t *row = d + y * w;
        if (y + 1 < h) lower_by_row(row, row + w, w);
        for (int x = w - 2; x >= 0; x--) row[x] = least(row[x], further(row[x + 1]));
    }
}

long view_area(const View *view) {
    long area = 0;
    for (int i = 0; i < view->patch.width * view->patch.height; i++) area += cut_is_foreground(view->patch.labels[i]);
    return area;
}

/* ---- connected parts ---- */

/* Floods the part of a pixel with `number`; returns its size, and whether it holds a certain pixel. */
static long flood(const Patch *p, int *number_of, int *stack, int start, int number, bool *certain) {
    long size = 0;
    int top = 0;
    stack[top++] = start;
    number_of[start] = number;
    *certain = false;
    while (top) {
        int i = stack[--top], x = i % p->width, y = i / p->width;
        size++;
        *certain = *certain || p->labels[i] == CUT_FOREGROUND;
        for (int y2 = y - 1; y2 <= y + 1; y2++)
            for (int x2 = x - 1; x2 <= x + 1; x2++) {
                if (x2 < 0 || y2 < 0 || x2 >= p->width || y2 >= p->height) continue;
                int i2 = y2 * p->width + x2;
                if (number_of[i2] || !cut_is_foreground(p->labels[i2])) continue;
                number_of[i2] = number;
                stack[top++] = i2;
            }
    }
    return size;
}

void view_keep_parts(Arena *arena, View *view, double part) {
    Patch *p = &view->patch;
    int count = p->width * p->height, parts = 0;
    int *number_of = arena_new_array(arena, int, (size_t)count), *stack = arena_new_array(arena, int, (size_t)count);
    long *sizes = arena_new_array(arena, long, (size_t)count + 1), largest = 0;
    bool any_certain = false, *certain = arena_new_array(arena, bool, (size_t)count + 1);
    for (int i = 0; i < count; i++) {
        if (number_of[i] || !cut_is_foreground(p->labels[i])) continue;
        parts++;
        sizes[parts] = flood(p, number_of, stack, i, parts, &certain[parts]);
        if (sizes[parts] > largest) largest = sizes[parts];
        any_certain = any_certain || certain[parts];
    }
    for (int i = 0; i < count; i++) {
        int n = number_of[i];
        bool keep = !n || (any_certain ? certain[n] : (double)sizes[n] >= part * (double)largest);
        if (!keep) p->labels[i] = CUT_BACKGROUND;
    }
}
