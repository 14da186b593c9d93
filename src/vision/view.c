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

/* ---- distances: two sweeps ---- */

static void lower(uint8_t *d, int from) {
    if (from + 1 < *d) *d = (uint8_t)(from + 1);
}

void view_measure(View *view) {
    int w = view->patch.width, h = view->patch.height;
    const uint8_t *label = view->patch.labels;
    uint8_t *d = view->distance;
    memset(d, 255, (size_t)w * (size_t)h);
    /* forward over the four neighbours that came before, then backward over the four that come after */
    for (int pass = 0; pass < 2; pass++) {
        int step = pass ? -1 : 1;
        for (int k = 0, y = pass ? h - 1 : 0; k < h; k++, y += step)
            for (int j = 0, x = pass ? w - 1 : 0; j < w; j++, x += step) {
                static const int DX[4] = {-1, -1, 0, 1}, DY[4] = {0, -1, -1, -1};
                int i = y * w + x;
                for (int n = 0; n < 4; n++) {
                    int x2 = x + step * DX[n], y2 = y + step * DY[n];
                    if (x2 < 0 || y2 < 0 || x2 >= w || y2 >= h) continue;
                    int i2 = y2 * w + x2;
                    if (cut_is_foreground(label[i]) != cut_is_foreground(label[i2])) d[i] = d[i2] = 1;
                    else lower(&d[i], d[i2]);
                }
            }
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
