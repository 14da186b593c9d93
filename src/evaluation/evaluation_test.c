/* Cases of the evaluator that were worked out by hand. The comparison with pycocotools is tests/ml/test_evaluation.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "evaluation/evaluation.h"

#include "base/banned.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define assert_near(value, expected) assert_true(fabs((value) - (expected)) < 1e-9)

static Evaluation evaluate(Arena *arena, const EvaluationBox *truth, size_t truths, const EvaluationBox *detections, size_t count) {
    arena_init(arena, 1 << 20);
    Evaluation out;
    Error err = {0};
    assert_int_equal(evaluation_run(&out, arena, truth, truths, detections, count, 2, &err), STATUS_OK);
    return out;
}

static void overlap_is_over_the_union_or_over_the_detection_for_crowds(void **state) {
    (void)state;
    EvaluationBox a = {.w = 10, .h = 10}, b = {.x = 5, .w = 10, .h = 10}, far = {.x = 10, .w = 10, .h = 10};
    assert_near(evaluation_iou(&a, &b), 50.0 / 150);
    b.iscrowd = true;
    assert_near(evaluation_iou(&a, &b), 0.5);
    assert_near(evaluation_iou(&a, &far), 0);
}

static void a_perfect_detection_scores_one(void **state) {
    (void)state;
    Arena arena;
    EvaluationBox truth[] = {{.image = 7, .x = 10, .y = 10, .w = 50, .h = 40}};
    EvaluationBox found[] = {{.image = 7, .x = 10, .y = 10, .w = 50, .h = 40, .score = 0.5}};
    Evaluation e = evaluate(&arena, truth, 1, found, 1);
    assert_near(e.overall.ap, 1);
    assert_near(e.overall.ar1, 1);
    assert_near(e.overall.ap_medium, 1);
    assert_near(e.overall.ap_small, -1);
    assert_near(e.classes[1].metrics.ap, -1);
    assert_int_equal(e.classes[0].truths, 1);
    arena_clear(&arena);
}

/* Two truths; the surest detection misses, the second hits one: recall reaches 0.5 with precision 1/2. Of the 101 recall points 51 lie at
 * or below 0.5. */
static void a_miss_before_a_hit_halves_the_precision(void **state) {
    (void)state;
    Arena arena;
    EvaluationBox truth[] = {{.x = 0, .y = 0, .w = 20, .h = 20}, {.x = 100, .y = 0, .w = 20, .h = 20}};
    EvaluationBox found[] = {{.x = 200, .y = 0, .w = 20, .h = 20, .score = 0.9}, {.x = 0, .y = 0, .w = 20, .h = 20, .score = 0.8}};
    Evaluation e = evaluate(&arena, truth, 2, found, 2);
    assert_near(e.overall.ap50, 0.5 * 51 / 101);
    assert_near(e.overall.ar100, 0.5);
    assert_near(e.overall.ar1, 0);
    arena_clear(&arena);
}

/* Overlap 0.8 counts at 0.50 … 0.80, seven of the ten thresholds. */
static void overlap_decides_at_each_threshold(void **state) {
    (void)state;
    Arena arena;
    EvaluationBox truth[] = {{.w = 100, .h = 100}};
    EvaluationBox found[] = {{.w = 80.5, .h = 100, .score = 0.9}};
    Evaluation e = evaluate(&arena, truth, 1, found, 1);
    assert_near(e.overall.ap, 0.7);
    assert_near(e.overall.ap75, 1);
    arena_clear(&arena);
}

static void a_second_hit_on_one_truth_is_a_miss_and_a_crowd_takes_any(void **state) {
    (void)state;
    Arena arena;
    EvaluationBox truth[] = {{.w = 100, .h = 100}, {.x = 200, .w = 100, .h = 100, .iscrowd = true}};
    EvaluationBox found[] = {{.w = 100, .h = 100, .score = 0.5}, {.w = 100, .h = 100, .score = 0.4},
                             {.x = 210, .w = 20, .h = 20, .score = 0.9}, {.x = 240, .w = 20, .h = 20, .score = 0.8}};
    Evaluation e = evaluate(&arena, truth, 2, found, 4);
    assert_near(e.overall.ap, 1); /* the crowd's two neither help nor harm; the doubled one comes after full recall */
    assert_int_equal(e.classes[0].truths, 1);
    arena_clear(&arena);
}

static void nothing_found_is_zero_and_nothing_there_is_undefined(void **state) {
    (void)state;
    Arena arena;
    EvaluationBox box = {.w = 10, .h = 10, .score = 0.3};
    Evaluation missed = evaluate(&arena, &box, 1, NULL, 0);
    assert_near(missed.overall.ap, 0);
    arena_clear(&arena);
    Evaluation empty = evaluate(&arena, NULL, 0, &box, 1);
    assert_near(empty.overall.ap, -1);
    arena_clear(&arena);
}

static void wrong_boxes_are_refused_by_number(void **state) {
    (void)state;
    Arena arena;
    arena_init(&arena, 1 << 20);
    Evaluation out;
    Error err = {0};
    EvaluationBox wrong[] = {
        {.w = 1, .h = 1, .class_index = 2}, {.w = NAN, .h = 1}, {.w = -1, .h = 1}, {.w = 1, .h = 1, .score = INFINITY}};
    for (size_t i = 0; i < COUNT(wrong); i++) assert_int_equal(evaluation_run(&out, &arena, NULL, 0, &wrong[i], 1, 2, &err), STATUS_VALIDATION_ERROR);
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlap_is_over_the_union_or_over_the_detection_for_crowds),
        cmocka_unit_test(a_perfect_detection_scores_one),
        cmocka_unit_test(a_miss_before_a_hit_halves_the_precision),
        cmocka_unit_test(overlap_decides_at_each_threshold),
        cmocka_unit_test(a_second_hit_on_one_truth_is_a_miss_and_a_crowd_takes_any),
        cmocka_unit_test(nothing_found_is_zero_and_nothing_there_is_undefined),
        cmocka_unit_test(wrong_boxes_are_refused_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
