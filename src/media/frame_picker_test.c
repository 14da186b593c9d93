/* Which frames stand for which instants, and the turns of display matrices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "media/frame_picker.h"
#include "media/video_source.h"
#include "base/banned.h"

enum { MOST = 64 };

/* Indices of the frames that are picked, as a text "0 3 7". */
static void expect(const FramePlan *plan, const double *times, int count, double duration, const int *wanted, int wanted_count) {
    FramePicker picker;
    int found[MOST], n = 0, held = -1;
    frame_picker_init(&picker, plan);
    for (int i = 0; i < count && !frame_picker_is_done(&picker, times[i]); i++) {
        if (frame_picker_offer(&picker, times[i])) found[n++] = held;
        if (picker.held && picker.held_time == times[i]) held = i;
    }
    if (frame_picker_finish(&picker, duration)) found[n++] = held;
    assert_int_equal(n, wanted_count);
    for (int i = 0; i < n; i++) assert_int_equal(found[i], wanted[i]);
    assert_int_equal(picker.taken, n);
}
#define EXPECT(plan_, times_, duration_, ...)                                                                                    \
    expect(&(plan_), times_, sizeof(times_) / sizeof *(times_), duration_, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static FramePlan plan(double start, double end, double fps, int64_t most) { return (FramePlan){start, end, fps, most}; }

static void nearest(void **state) {
    (void)state;
    double ten[30];
    for (int i = 0; i < 30; i++) ten[i] = i / 10.0;
    FramePlan one = plan(0, INFINITY, 1, INT64_MAX), three = plan(0, INFINITY, 3, INT64_MAX), all = plan(0, INFINITY, 10, INT64_MAX), some = plan(0.95, 2.0, 2, INT64_MAX);
    EXPECT(one, ten, 3.0, 0, 10, 20);
    EXPECT(three, ten, 3.0, 0, 3, 7, 10, 13, 17, 20, 23, 27);
    EXPECT(some, ten, 3.0, 10, 14, 19); /* 0.95 -> 1.0 since 0.9 lies before the start; 1.45 is as near to 1.4 as to 1.5 */
    FramePlan capped = plan(0, INFINITY, 10, 4);
    EXPECT(capped, ten, 3.0, 0, 1, 2, 3);
    FramePicker picker;
    int taken = 0;
    frame_picker_init(&picker, &all);
    for (int i = 0; i < 30; i++) taken += frame_picker_offer(&picker, ten[i]);
    taken += frame_picker_finish(&picker, 3.0);
    assert_int_equal(taken, 30);
}

static void each_once(void **state) {
    (void)state;
    const double slides[] = {0, 10, 20};
    FramePlan fast = plan(0, INFINITY, 240, INT64_MAX);
    EXPECT(fast, slides, 30.0, 0, 1, 2);
    const double single[] = {0};
    EXPECT(fast, single, 30.0, 0);
    const double late[] = {0.4}; /* nothing nearer to the first instant */
    EXPECT(fast, late, 0.5, 0);
}

static void rubbish(void **state) {
    (void)state;
    const double odd[] = {-5, 0, 1, 1e30, 1.5};
    FramePlan one = plan(0, INFINITY, 1, INT64_MAX);
    EXPECT(one, odd, 2.0, 1, 2);
    FramePicker picker;
    frame_picker_init(&picker, &one);
    assert_false(frame_picker_finish(&picker, 10)); /* no frame at all */
    assert_false(frame_picker_offer(&picker, 1e8)); /* a jump of years is one step, not millions */
    assert_true(picker.slot > 99999999);
}

static void orientations(void **state) {
    (void)state;
    const int32_t one = 1 << 16;
    const struct {
        int32_t a, b, c, d;
        int exif;
    } CASES[] = {{one, 0, 0, one, 1},  {-one, 0, 0, one, 2}, {-one, 0, 0, -one, 3}, {one, 0, 0, -one, 4},  {0, one, one, 0, 5},
                 {0, one, -one, 0, 6}, {0, -one, -one, 0, 7}, {0, -one, one, 0, 8}, {one, 900, -900, one, 1}, {0, 0, 0, 0, 1}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const int32_t matrix[9] = {CASES[i].a, CASES[i].b, 0, CASES[i].c, CASES[i].d, 0, 0, 0, 1 << 30};
        assert_int_equal(video_orientation(matrix), CASES[i].exif);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nearest), cmocka_unit_test(each_once), cmocka_unit_test(rubbish), cmocka_unit_test(orientations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
