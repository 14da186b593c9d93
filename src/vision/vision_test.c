/* Suppression of overlapping boxes, and the geometry of pictures: scaling, turning, EXIF. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "vision/nms.h"
#include "vision/raster.h"
#include "vision/scene.h"
#include "base/banned.h"

static Detection at(double x, int class_index, double confidence) {
    return (Detection){.box = {x, 0, 10, 10}, .class_index = class_index, .confidence = confidence};
}

static void the_surest_of_a_class_stays(void **state) {
    (void)state;
    Detection d[] = {at(2, 0, 0.5), at(0, 0, 0.9), at(1, 1, 0.8), at(100, 0, 0.7), at(1, 0, 0.6)};
    assert_int_equal(nms(d, 5, 0.5, 100), 3);
    assert_true(d[0].confidence == 0.9 && d[1].confidence == 0.8 && d[2].confidence == 0.7);
}

static void a_dropped_box_drops_nobody(void **state) {
    (void)state;
    /* 0 covers 4 and 4 would cover 8, but 4 is gone when 8 is asked */
    Detection d[] = {at(0, 0, 0.9), at(4, 0, 0.8), at(8, 0, 0.7)};
    assert_int_equal(nms(d, 3, 0.4, 100), 2);
    assert_true(d[1].box.x == 8);
}

static void equal_boxes_ties_limits_and_nothing(void **state) {
    (void)state;
    Detection d[] = {at(0, 0, 0.5), at(0, 0, 0.5), at(50, 0, 0.5), at(90, 0, 0.5)};
    assert_int_equal(nms(d, 4, 0.99, 2), 2);
    assert_true(d[0].box.x == 0 && d[1].box.x == 50); /* ties as they came */
    Detection e[] = {at(0, 0, 0.5), at(0, 0, 0.5)};
    assert_int_equal(nms(e, 2, 1.0, 9), 2); /* nothing is above 1 */
    assert_int_equal(nms(e, 0, 0.5, 9), 0);
}

static Raster gradient(int width, int height) {
    Raster r = {width, height, malloc((size_t)(width * height * 3))};
    for (int i = 0; i < width * height; i++) r.rgb[3 * i] = (unsigned char)(i % width), r.rgb[3 * i + 1] = (unsigned char)(i / width), r.rgb[3 * i + 2] = 7;
    return r;
}

static void every_turn_is_the_one_that_exif_means(void **state) {
    (void)state;
    /* where the stored top-left pixel of a 5 x 3 picture is after the turn */
    static const int PLACES[9][2] = {{0, 0}, {0, 0}, {4, 0}, {4, 2}, {0, 2}, {0, 0}, {2, 0}, {2, 4}, {0, 4}};
    for (int orientation = 1; orientation <= 8; orientation++) {
        Raster r = gradient(5, 3);
        raster_turn(&r, orientation);
        assert_int_equal(r.width, orientation > 4 ? 3 : 5);
        assert_int_equal(r.height, orientation > 4 ? 5 : 3);
        const unsigned char *p = r.rgb + (PLACES[orientation][1] * r.width + PLACES[orientation][0]) * 3;
        if (p[0] != 0 || p[1] != 0) fail_msg("orientation %d", orientation);
        raster_clear(&r);
    }
}

static void scaling_keeps_means_and_copies_at_equal_size(void **state) {
    (void)state;
    Raster r = gradient(64, 48), same, half, point, large;
    raster_resize(&r, 64, 48, &same);
    assert_memory_equal(same.rgb, r.rgb, 64 * 48 * 3);
    raster_resize(&r, 32, 24, &half);
    assert_in_range(half.rgb[(12 * 32 + 16) * 3], 32, 33);
    raster_resize(&r, 1, 1, &point);
    assert_in_range(point.rgb[0], 30, 33);
    assert_int_equal(point.rgb[2], 7);
    raster_resize(&point, 10, 10, &large);
    assert_int_equal(large.rgb[99 * 3], point.rgb[0]);
    raster_clear(&r), raster_clear(&same), raster_clear(&half), raster_clear(&point), raster_clear(&large);
}

static void a_scene_halves_down_and_bounds_its_size(void **state) {
    (void)state;
    Picture picture = {.raster = gradient(3000, 20), .full_width = 6000, .full_height = 40};
    Scene *scene = scene_new(&picture);
    assert_int_equal(scene->full_width, 6000);
    assert_int_equal(scene->levels[0].width, SCENE_LONGEST_SIDE);
    assert_int_equal(scene->levels[1].width, SCENE_LONGEST_SIDE / 2);
    assert_true(scene->levels[scene->level_count - 1].width <= SCENE_COARSEST_SIDE);
    assert_true(scene->levels[scene->level_count - 1].height >= 1);
    scene_free(scene);
    picture_clear(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_surest_of_a_class_stays),
        cmocka_unit_test(a_dropped_box_drops_nobody),
        cmocka_unit_test(equal_boxes_ties_limits_and_nothing),
        cmocka_unit_test(every_turn_is_the_one_that_exif_means),
        cmocka_unit_test(scaling_keeps_means_and_copies_at_equal_size),
        cmocka_unit_test(a_scene_halves_down_and_bounds_its_size),
    };
    return cmocka_run_group_tests_name("vision", tests, NULL, NULL);
}
