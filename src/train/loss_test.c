/* Loss and assignment alone: against the authors' implementation in double precision on made-up outputs (tests/data/
 * yolox_golden_uniform.json, "loss" and "loss_l1"), the gradient against differences of the loss, and the odd cases.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "train/loss.h"
#include "train/random.h"
#include "train/simota.h"
#include "base/banned.h"

enum { SIDE = 128, ANCHORS = 336, IMAGES = 2, CLASSES = 3, ROW = 5 + CLASSES, MAX_BOXES = 4, VALUES = IMAGES * ANCHORS * ROW };

static const float targets[IMAGES][MAX_BOXES][5] = {
    {{0, 40, 44, 32, 28}, {2, 90, 80, 24, 48}},
    {{1, 64, 64, 80, 72}, {0, 20, 100, 16, 20}, {2, 100, 30, 40, 36}},
};

static void make_raw(float *out) {
    Random random = random_start(2, 0);
    for (int i = 0; i < VALUES; i++) {
        double v = 2 * random_unit(&random) - 1;
        int column = i % ROW;
        out[i] = (float)(column < 2 ? v : column < 4 ? v + 0.5 : v * 2 - 1);
    }
}

static LossParts compute(float *gradient, const float *raw, const float *truth, bool l1) {
    Yolox *net = yolox_new(YOLOX_NANO, CLASSES);
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    LossInput input = {.net = net, .count = IMAGES, .height = SIDE, .width = SIDE, .raw = raw, .targets = truth, .max_boxes = MAX_BOXES, .l1 = l1};
    LossParts parts;
    loss_compute(&parts, gradient, &input, &arena);
    arena_clear(&arena);
    yolox_free(net);
    return parts;
}

static void assert_near(double found, double wanted, double relative) {
    if (!(fabs(found - wanted) <= relative * fmax(1, fabs(wanted)))) fail_msg("%.9g instead of %.9g", found, wanted);
}

static void compare(yyjson_val *golden, const float *raw, float *gradient, bool l1) {
    LossParts parts = compute(gradient, raw, &targets[0][0][0], l1);
    yyjson_val *losses = yyjson_obj_get(golden, "losses");
    assert_near(parts.total, json_get_number(losses, "total_loss", NAN), 1e-6);
    assert_near(parts.box, json_get_number(losses, "iou_loss", NAN), 1e-6);
    assert_near(parts.objectness, json_get_number(losses, "conf_loss", NAN), 1e-6);
    assert_near(parts.classes, json_get_number(losses, "cls_loss", NAN), 1e-6);
    assert_near(parts.l1, json_get_number(losses, "l1_loss", NAN), 1e-6);
    assert_near(parts.matched_per_truth, json_get_number(losses, "num_fg", NAN), 1e-9);
    yyjson_val *columns = yyjson_obj_get(golden, "column_norms");
    for (int c = 0; c < ROW; c++) {
        double sum = 0;
        for (int i = c; i < VALUES; i += ROW) sum += (double)gradient[i] * (double)gradient[i];
        assert_near(sqrt(sum), yyjson_get_num(yyjson_arr_get(columns, (size_t)c)), 1e-5);
    }
}

static void loss_equals_the_reference(void **state) {
    (void)state;
    Error err = {0};
    yyjson_doc *doc = json_parse_file(GOLDEN_FOLDER "/yolox_golden_uniform.json", 1 << 20, &err);
    assert_non_null(doc);
    float *raw = xmalloc(VALUES * sizeof *raw), *gradient = xmalloc(VALUES * sizeof *gradient);
    make_raw(raw);
    compare(yyjson_obj_get(yyjson_doc_get_root(doc), "loss"), raw, gradient, false);
    compare(yyjson_obj_get(yyjson_doc_get_root(doc), "loss_l1"), raw, gradient, true);
    free(raw);
    free(gradient);
    yyjson_doc_free(doc);
}

/* The class targets are IoUs, which the gradient takes as given: box columns are compared on the box and L1 parts only. */
static void gradient_equals_differences(void **state) {
    (void)state;
    float *raw = xmalloc(VALUES * sizeof *raw), *gradient = xmalloc(VALUES * sizeof *gradient), *other = xmalloc(VALUES * sizeof *other);
    make_raw(raw);
    compute(gradient, raw, &targets[0][0][0], true);
    int checked = 0;
    for (int i = 0; i < VALUES; i++) {
        int anchor = i / ROW * ROW;
        if (gradient[anchor + 5] == 0) /* only matched anchors have all the parts */
            continue;
        float kept = raw[i], step = 1e-3f;
        raw[i] = kept + step;
        LossParts above = compute(other, raw, &targets[0][0][0], true);
        raw[i] = kept - step;
        LossParts below = compute(other, raw, &targets[0][0][0], true);
        raw[i] = kept;
        double rise = i % ROW < 4 ? above.box + above.l1 - below.box - below.l1 : above.total - below.total;
        if (above.matched_per_truth == below.matched_per_truth) assert_true(fabs(rise / (2.0 * (double)step) - (double)gradient[i]) < 2e-3);
        checked++;
    }
    assert_true(checked >= 9 * ROW);
    free(raw);
    free(gradient);
    free(other);
}

static void images_without_boxes_have_only_objectness(void **state) {
    (void)state;
    static const float none[IMAGES][MAX_BOXES][5] = {{{0}}};
    float *raw = xmalloc(VALUES * sizeof *raw), *gradient = xmalloc(VALUES * sizeof *gradient);
    make_raw(raw);
    LossParts parts = compute(gradient, raw, &none[0][0][0], true);
    assert_true(parts.box == 0 && parts.classes == 0 && parts.l1 == 0 && parts.objectness > 0 && isfinite(parts.total));
    free(raw);
    free(gradient);
}

static void raw_outputs_of_any_size_stay_finite(void **state) {
    (void)state;
    float *raw = xmalloc(VALUES * sizeof *raw), *gradient = xmalloc(VALUES * sizeof *gradient);
    make_raw(raw);
    for (int i = 0; i < VALUES; i++) raw[i] *= i % ROW < 4 ? 8 : 500;
    LossParts parts = compute(gradient, raw, &targets[0][0][0], true);
    assert_true(isfinite(parts.total));
    for (int i = 0; i < VALUES; i++) assert_true(isfinite(gradient[i]));
    free(raw);
    free(gradient);
}

/* Two true boxes at the same place: no anchor serves both. */
static void an_anchor_has_one_truth(void **state) {
    (void)state;
    Anchor anchors[4] = {{0, 0, 8}, {1, 0, 8}, {0, 1, 8}, {1, 1, 8}};
    CentreBox boxes[4] = {{8, 8, 8, 8}, {8, 8, 9, 9}, {8, 8, 10, 10}, {8, 8, 11, 11}};
    float scores[8] = {0}, ious[4];
    Truth truths[2] = {{{8, 8, 8, 8}, 0}, {{8, 8, 11, 11}, 0}};
    int matched[4];
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    SimotaInput input = {anchors, 4, boxes, scores, 2, 1, truths, 2};
    int count = simota_assign(matched, ious, &input, &arena);
    assert_int_equal(matched[0], 0);
    assert_int_equal(matched[3], 1);
    assert_int_equal(count, 4);
    assert_true(ious[0] == 1 && ious[3] == 1);
    input.truth_count = 0;
    assert_int_equal(simota_assign(matched, ious, &input, &arena), 0);
    assert_int_equal(matched[0], -1);
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_equals_the_reference),
        cmocka_unit_test(gradient_equals_differences),
        cmocka_unit_test(images_without_boxes_have_only_objectness),
        cmocka_unit_test(raw_outputs_of_any_size_stay_finite),
        cmocka_unit_test(an_anchor_has_one_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
