/* Raw outputs against the boxes they stand for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "train/detect.h"
#include "base/banned.h"

enum { SIDE = 32, ANCHORS = 21, CLASSES = 2, ROW = 5 + CLASSES };

typedef struct Fixture {
    Arena arena;
    Yolox *net;
    float raw[ANCHORS][ROW];
    EvaluationBox *boxes;
} Fixture;

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena, SIZE_MAX);
    f->net = yolox_new(YOLOX_NANO, CLASSES);
    assert_int_equal(yolox_anchor_count(f->net, SIDE, SIDE), ANCHORS);
    for (int i = 0; i < ANCHORS; i++) f->raw[i][4] = -30; /* nothing there */
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    yolox_free(f->net);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

static void put(Fixture *f, int anchor, float log_size, int class_index) {
    f->raw[anchor][2] = f->raw[anchor][3] = log_size;
    f->raw[anchor][4] = f->raw[anchor][5 + class_index] = 10;
    f->raw[anchor][5 + !class_index] = -10;
}

static size_t detect(Fixture *f, float scale) {
    DetectOptions options = DETECT_DEFAULTS;
    return detect_boxes(&f->boxes, f->net, &f->raw[0][0], SIDE, SIDE, scale, 7, &options, &f->arena);
}

static void box_is_in_pixels_of_its_image(void **state) {
    Fixture *f = *state;
    put(f, 5, 0, 1); /* second row, second column of stride 8: centre (8, 8), 8 pixels wide and high */
    assert_int_equal(detect(f, 0.5f), 1);
    EvaluationBox b = f->boxes[0];
    assert_true(b.image == 7 && b.class_index == 1 && b.score > 0.999);
    assert_true(fabs(b.x - 8) < 1e-5 && fabs(b.y - 8) < 1e-5 && fabs(b.w - 16) < 1e-5 && fabs(b.h - 16) < 1e-5);
}

static void weaker_box_of_the_same_class_goes(void **state) {
    Fixture *f = *state;
    put(f, 0, 2, 0);
    put(f, 1, 2, 1);
    assert_int_equal(detect(f, 1), 2);
    put(f, 1, 2, 0);
    f->raw[1][0] = -1; /* onto the first one */
    f->raw[1][4] = 5;
    assert_int_equal(detect(f, 1), 1);
    assert_true(f->boxes[0].score > 0.999);
}

static void sizes_past_all_bounds_are_finite_or_left_out(void **state) {
    Fixture *f = *state;
    put(f, 3, 86, 0);  /* a float just holds it, but not in pixels of an image ten times as large */
    put(f, 9, 500, 0); /* no float holds it */
    f->raw[12][0] = NAN, put(f, 12, 0, 0);
    assert_int_equal(detect(f, 0.1f), 1);
    assert_true(isfinite(f->boxes[0].x) && isfinite(f->boxes[0].w) && f->boxes[0].w > 1e38);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(box_is_in_pixels_of_its_image, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weaker_box_of_the_same_class_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_past_all_bounds_are_finite_or_left_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
