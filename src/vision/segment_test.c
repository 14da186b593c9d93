/* The segmenter on drawn scenes whose truth is known: discs, rings, rectangles and crosses, with noise and neighbours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "vision/segment.h"
#include "base/banned.h"

typedef bool (*Shape)(double x, double y);

static bool disc(double x, double y) { return hypot(x - 310, y - 225) < 80; }
static bool small_disc(double x, double y) { return hypot(x - 410, y - 325) < 14; }
static bool ring(double x, double y) { return hypot(x - 310, y - 225) < 90 && hypot(x - 310, y - 225) > 45; }
static bool rectangle(double x, double y) { return x > 150 && x < 420 && y > 130 && y < 260; }
static bool cross(double x, double y) { return (fabs(x - 300) < 30 && fabs(y - 240) < 120) || (fabs(y - 240) < 30 && fabs(x - 300) < 120); }
/* an object at the edge of the picture */
static bool corner(double x, double y) { return hypot(x - 640, y - 480) < 150; }

typedef struct Drawing {
    Shape shape;
    unsigned char ink[3], paper[3];
    double noise; /* standard deviation */
    bool others;  /* more things of the same colour lie about */
} Drawing;

static uint32_t seed;

static double gauss(void) {
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        seed = seed * 1664525u + 1013904223u;
        sum += (seed >> 8) / (double)(1 << 24);
    }
    return sum - 6;
}

static bool is_other(double x, double y) { return hypot(x - 80, y - 90) < 50 || hypot(x - 560, y - 90) < 45 || (x > 40 && x < 120 && y > 340 && y < 450); }

static Scene *draw(const Drawing *d, int width, int height, double scale) {
    Picture picture = {.full_width = width, .full_height = height, .raster = {width, height, malloc((size_t)width * (size_t)height * 3)}};
    unsigned char *p = picture.raster.pixels;
    seed = 11;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                double sx = (x + 0.5) / scale, sy = (y + 0.5) / scale;
                bool ink = d->shape(sx, sy) || (d->others && is_other(sx, sy));
                double v = (ink ? d->ink[c] : d->paper[c]) + d->noise * gauss();
                *p++ = (unsigned char)fmax(0, fmin(255, v));
            }
    Scene *scene = scene_new(&picture);
    picture_clear(&picture);
    return scene;
}

/* Intersection over union of the shapes and the truth, at pixel centres. */
static double overlap(const Segmentation *s, Shape truth, int width, int height, double scale) {
    long both = 0, either = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            bool in = false, is = truth((x + 0.5) / scale, (y + 0.5) / scale);
            for (size_t i = 0; i < s->shape_count; i++) in = in || polygon_contains(&s->shapes[i].polygon, (Point){x + 0.5, y + 0.5});
            both += in && is;
            either += in || is;
        }
    return (double)both / (double)either;
}

typedef struct Case {
    const char *name;
    Drawing drawing;
    double x, y; /* the click */
    Box box;
    size_t rings;
} Case;

#define RED {190, 60, 50}
#define GREEN {60, 120, 70}
#define GREY {128, 128, 128}
#define LIGHT {170, 170, 170}
static const Case CASES[] = {
    {"disc", {disc, RED, GREEN, 10, false}, 310, 225, {220, 135, 180, 180}, 1},
    {"noisy disc", {disc, RED, GREEN, 30, false}, 330, 215, {220, 135, 180, 180}, 1},
    {"disc among others", {disc, RED, GREEN, 10, true}, 300, 230, {220, 135, 180, 180}, 1},
    {"faint disc", {disc, LIGHT, GREY, 6, false}, 300, 230, {220, 135, 180, 180}, 1},
    {"small disc", {small_disc, RED, GREEN, 10, true}, 411, 324, {390, 305, 40, 40}, 1},
    {"ring", {ring, RED, GREEN, 10, false}, 310, 160, {212, 127, 196, 196}, 2},
    {"rectangle", {rectangle, GREY, {30, 40, 90}, 15, true}, 300, 200, {140, 120, 290, 150}, 1},
    {"cross", {cross, {240, 240, 80}, {120, 120, 120}, 20, false}, 300, 240, {170, 110, 260, 260}, 1},
    {"corner", {corner, RED, GREEN, 10, false}, 600, 440, {480, 320, 160, 160}, 1},
};

static void check(const Case *c, const char *prompt, const Segmentation *s, double seconds, double scale) {
    int width = (int)(640 * scale), height = (int)(480 * scale);
    double iou = s->found ? overlap(s, c->drawing.shape, width, height, scale) : 0;
    print_message("%-18s %-5s IoU %.3f score %.2f shapes %zu rings %zu points %zu in %.1f ms\n", c->name, prompt, iou, s->score, s->shape_count,
                  s->found ? s->shapes[0].polygon.count : 0, s->found ? polygon_point_count(&s->shapes[0].polygon) : 0, seconds * 1e3);
    if (iou < 0.95) fail_msg("%s by %s: IoU %.3f", c->name, prompt, iou);
    assert_int_equal(s->shapes[0].polygon.count, c->rings);
    assert_true(s->score > 0.5 && s->score <= 1);
}

static void drawn_shapes_are_found_at_scale(double scale) {
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const Case *c = &CASES[i];
        Arena arena;
        Segmentation s;
        arena_init(&arena, SIZE_MAX);
        Scene *scene = draw(&c->drawing, (int)(640 * scale), (int)(480 * scale), scale);
        double start = clock_monotonic();
        segment_points(&arena, scene, &(PromptPoint){c->x * scale, c->y * scale, true}, 1, &s);
        check(c, "point", &s, clock_monotonic() - start, scale);
        start = clock_monotonic();
        segment_box(&arena, scene, (Box){c->box.x * scale, c->box.y * scale, c->box.w * scale, c->box.h * scale}, NULL, 0, &s);
        check(c, "box", &s, clock_monotonic() - start, scale);
        arena_clear(&arena);
        scene_free(scene);
    }
}

static void drawn_shapes_are_found(void **state) {
    (void)state;
    drawn_shapes_are_found_at_scale(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(drawn_shapes_are_found)};
    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
