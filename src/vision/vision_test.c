/* Suppression of overlapping boxes, and the levels of a scene. */
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
#include "vision/picture.h"
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

static void a_scene_halves_down_and_bounds_its_size(void **state) {
    (void)state;
    Picture picture = {.raster = {3000, 20, calloc(3000 * 20, 3)}, .full_width = 6000, .full_height = 40};
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
        cmocka_unit_test(a_scene_halves_down_and_bounds_its_size),
    };
    return cmocka_run_group_tests_name("vision", tests, NULL, NULL);
}
