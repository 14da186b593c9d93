/* Units of geometry: figures known by hand, and the property that tracing and rasterizing undo each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "geometry/geometry.h"
#include "geometry/mask.h"
#include "geometry/rle.h"
#include "base/banned.h"

#define RING(...) {(Point[]){__VA_ARGS__}, sizeof((Point[]){__VA_ARGS__}) / sizeof(Point)}

static Arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)1 << 30);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_clear(&arena);
    return 0;
}

static void boxes(void **state) {
    (void)state;
    Box a = {0, 0, 10, 10}, b = {5, 5, 10, 10}, far = {20, 20, 1, 1};
    assert_float_equal(box_iou(a, b), 25.0 / 175, 1e-12);
    assert_float_equal(box_iou(a, a), 1, 1e-12);
    assert_float_equal(box_iou(a, far), 0, 0);
    assert_float_equal(box_iou((Box){0}, (Box){0}), 0, 0);
    assert_float_equal(box_area((Box){0, 0, -5, -5}), 0, 0);
    Box both = box_enclosing(a, far);
    assert_float_equal(both.w, 21, 0);
    assert_float_equal(points_box(NULL, 0).w, 0, 0);
}

static void polygon_with_hole_and_island(void **state) {
    (void)state;
    Polygon p = {(Ring[]){RING({0, 0}, {10, 0}, {10, 10}, {0, 10}), RING({2, 2}, {2, 8}, {8, 8}, {8, 2}), RING({4, 4}, {6, 4}, {6, 6}, {4, 6})}, 3};
    assert_float_equal(polygon_area(&p), 100 - 36 + 4, 1e-12);
    assert_true(polygon_contains(&p, (Point){1, 1}));
    assert_false(polygon_contains(&p, (Point){3, 3}));
    assert_true(polygon_contains(&p, (Point){5, 5}));
    assert_false(polygon_contains(&p, (Point){11, 5}));
    Rle rle;
    assert_int_equal(rle_from_polygon(&arena, &p, 12, 11, &rle, NULL), STATUS_OK);
    assert_int_equal(rle_area(&rle), 68);
    Box box = rle_box(&rle);
    assert_float_equal(box.w, 10, 0);
    assert_float_equal(box.h, 10, 0);
}

static void neighbours_share_no_pixel(void **state) {
    (void)state;
    /* Two triangles over the same diagonal through pixel centres fill the square once. */
    Polygon a = {(Ring[]){RING({0, 0}, {8, 0}, {8, 8})}, 1}, b = {(Ring[]){RING({0, 0}, {8, 8}, {0, 8})}, 1};
    Rle ra, rb;
    rle_from_polygon(&arena, &a, 8, 8, &ra, NULL);
    rle_from_polygon(&arena, &b, 8, 8, &rb, NULL);
    assert_int_equal(rle_area(&ra) + rle_area(&rb), 64);
    Mask ma = rle_to_mask(&arena, &ra), mb = rle_to_mask(&arena, &rb);
    for (int i = 0; i < 64; i++) assert_int_equal(ma.pixels[i] + mb.pixels[i], 1);
}

static void clipped_and_absurd_polygons(void **state) {
    (void)state;
    Polygon p = {(Ring[]){RING({-1e308, -1e308}, {1e308, -1e308}, {1e308, 1e308}, {-1e308, 1e308})}, 1};
    Rle rle;
    assert_int_equal(rle_from_polygon(&arena, &p, 5, 4, &rle, NULL), STATUS_OK);
    assert_int_equal(rle_area(&rle), 20);
    assert_string_equal(rle_to_string(&arena, &rle), "0d0");
    Polygon outside = {(Ring[]){RING({-9, -9}, {-5, -9}, {-5, -5})}, 1};
    assert_int_equal(rle_from_polygon(&arena, &outside, 5, 4, &rle, NULL), STATUS_OK);
    assert_int_equal(rle_area(&rle), 0);
    assert_int_equal(rle.count, 1);
    Error err = {0};
    assert_int_equal(rle_from_polygon(&arena, &p, 70000, 70000, &rle, &err), STATUS_BAD_REQUEST);
}

/* Two shapes encoded by pycocotools 2.0.11: a 5 x 4 frame with its middle open, and columns of a staircase. */
static void strings_as_coco_writes_them(void **state) {
    (void)state;
    uint8_t frame[20];
    for (int i = 0; i < 20; i++) frame[i] = i % 5 == 0 || i % 5 == 4 || i / 5 == 0 || i / 5 == 3;
    Rle rle, again;
    rle_from_mask(&arena, &(Mask){5, 4, frame}, &rle, NULL);
    const uint32_t wanted[] = {0, 5, 2, 2, 2, 2, 2, 5};
    assert_int_equal(rle.count, 8);
    assert_memory_equal(rle.counts, wanted, sizeof wanted);
    char *text = rle_to_string(&arena, &rle);
    assert_string_equal(text, "052M0003");
    assert_int_equal(rle_from_string(&arena, text, 5, 4, &again, NULL), STATUS_OK);
    assert_memory_equal(again.counts, wanted, sizeof wanted);
    static const char *const BAD[] = {"", "0", "05", "0520005", "\x80", "ooooooooooooooo", "O", "052M00033"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) assert_int_not_equal(rle_from_string(&arena, BAD[i], 5, 4, &again, NULL), STATUS_OK);
    assert_int_not_equal(rle_from_counts(&arena, wanted, 7, 5, 4, &again, NULL), STATUS_OK);
    assert_int_equal(rle_from_counts(&arena, wanted, 8, 5, 4, &again, NULL), STATUS_OK);
}

static uint32_t noise_state = 1;
static uint32_t noise(void) {
    noise_state = noise_state * 1664525 + 1013904223;
    return noise_state >> 8;
}

/* All shapes of a mask, drawn again over each other by even-odd, are the mask. */
static void assert_traced_back(const Mask *mask) {
    TracedShape *shapes;
    size_t count = mask_trace(&arena, mask, (TraceOptions){0, 1}, &shapes), pixels = 0;
    size_t size = (size_t)mask->width * mask->height;
    uint8_t *drawn = arena_alloc(&arena, size);
    for (size_t s = 0; s < count; s++) {
        Rle rle;
        assert_int_equal(rle_from_polygon(&arena, &shapes[s].polygon, mask->width, mask->height, &rle, NULL), STATUS_OK);
        assert_int_equal(rle_area(&rle), shapes[s].pixels);
        assert_true(ring_signed_area(&shapes[s].polygon.rings[0]) > 0);
        for (size_t r = 1; r < shapes[s].polygon.count; r++) assert_true(ring_signed_area(&shapes[s].polygon.rings[r]) < 0);
        pixels += shapes[s].pixels;
        Mask part = rle_to_mask(&arena, &rle);
        for (size_t i = 0; i < size; i++) drawn[i] ^= part.pixels[i];
    }
    assert_int_equal(pixels, mask_area(mask));
    for (size_t i = 0; i < size; i++) assert_int_equal(drawn[i], mask->pixels[i] != 0);
}

static void tracing_and_drawing_undo_each_other(void **state) {
    (void)state;
    for (int round = 0; round < 400; round++) {
        uint32_t width = 1 + noise() % 24, height = 1 + noise() % 24, density = 1 + noise() % 9;
        Mask mask = {width, height, arena_alloc(&arena, (size_t)width * height)};
        for (size_t i = 0; i < (size_t)width * height; i++) mask.pixels[i] = noise() % 10 < density;
        assert_traced_back(&mask);
        arena_reset(&arena);
    }
}

static void rectangles_keep_their_corners(void **state) {
    (void)state;
    Mask mask = {20, 10, arena_alloc(&arena, 200)};
    for (int y = 3; y < 8; y++) memset(mask.pixels + y * 20 + 2, 255, 11);
    TracedShape *shapes;
    assert_int_equal(mask_trace(&arena, &mask, TRACE_DEFAULTS, &shapes), 1);
    assert_int_equal(shapes[0].polygon.count, 1);
    assert_int_equal(shapes[0].polygon.rings[0].count, 4);
    assert_float_equal(polygon_area(&shapes[0].polygon), 55, 0);
    Box box = mask_box(&mask), traced = polygon_box(&shapes[0].polygon);
    assert_memory_equal(&box, &traced, sizeof box);
    Point inside;
    assert_true(mask_inside_point(&mask, &inside));
    assert_float_equal(inside.x, 7.5, 0);
    assert_float_equal(inside.y, 5.5, 0);
}

/* Ring of outer radius 30, inner 15, and an island of radius 6 in the middle. */
static void discs_come_out_round_and_nested(void **state) {
    (void)state;
    Mask mask = {80, 80, arena_alloc(&arena, 6400)};
    for (int i = 0; i < 6400; i++) {
        double r = hypot(i % 80 + 0.5 - 40, i / 80 + 0.5 - 40);
        mask.pixels[i] = r < 6 || (r >= 15 && r < 30);
    }
    TracedShape *shapes;
    assert_int_equal(mask_trace(&arena, &mask, TRACE_DEFAULTS, &shapes), 2);
    assert_int_equal(shapes[0].polygon.count, 2);
    assert_int_equal(shapes[1].polygon.count, 1);
    double wanted = 3.14159265 * (900 - 225);
    assert_true(fabs(polygon_area(&shapes[0].polygon) - wanted) < 0.02 * wanted);
    assert_in_range(shapes[0].polygon.rings[0].count, 12, 60);
    Point inside;
    mask_inside_point(&mask, &inside);
    assert_true(polygon_contains(&shapes[1].polygon, inside));
    assert_int_equal(mask_trace(&arena, &mask, (TraceOptions){0.5, 200}, &shapes), 1);
    Mask empty = {4, 4, arena_alloc(&arena, 16)};
    assert_int_equal(mask_trace(&arena, &empty, TRACE_DEFAULTS, &shapes), 0);
    assert_false(mask_inside_point(&empty, &inside));
}

static double distance_to_ring(Point p, const Ring *ring) {
    double best = INFINITY;
    for (size_t i = 0; i < ring->count; i++) {
        Point a = ring->points[i], b = ring->points[(i + 1) % ring->count];
        double dx = b.x - a.x, dy = b.y - a.y, l = dx * dx + dy * dy;
        double t = l > 0 ? fmax(0, fmin(1, ((p.x - a.x) * dx + (p.y - a.y) * dy) / l)) : 0;
        best = fmin(best, hypot(p.x - a.x - t * dx, p.y - a.y - t * dy));
    }
    return best;
}

static void simplification_holds_its_bound(void **state) {
    (void)state;
    enum { COUNT = 500 };
    Point points[COUNT], before[COUNT];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            double a = i * 6.2831853 / COUNT, r = 50 + (noise() % 100) / 50.0;
            points[i] = (Point){r * cos(a), r * sin(a)};
        }
        memcpy(before, points, sizeof points);
        Ring ring = {points, COUNT};
        ring_simplify(&ring, 1.5);
        assert_in_range(ring.count, 3, COUNT / 3);
        for (int i = 0; i < COUNT; i++) assert_true(distance_to_ring(before[i], &ring) <= 1.5 + 1e-9);
    }
    Ring flat = RING({0, 0}, {1, 0}, {2, 0}, {3, 0}, {2, 0.1});
    assert_int_equal(ring_simplify(&flat, 5), 3);
    Ring line = RING({0, 0}, {1, 0.1}, {2, 0}, {3, 5});
    assert_int_equal(line_simplify(&line, 0.5), 3);
    Ring same = RING({1, 1}, {1, 1}, {1, 1}, {1, 1});
    assert_in_range(ring_simplify(&same, 0), 2, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes),
        cmocka_unit_test_setup_teardown(polygon_with_hole_and_island, set_up, tear_down),
        cmocka_unit_test_setup_teardown(neighbours_share_no_pixel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clipped_and_absurd_polygons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_as_coco_writes_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tracing_and_drawing_undo_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rectangles_keep_their_corners, set_up, tear_down),
        cmocka_unit_test_setup_teardown(discs_come_out_round_and_nested, set_up, tear_down),
        cmocka_unit_test(simplification_holds_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
