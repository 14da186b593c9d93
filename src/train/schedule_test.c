/* Schedule, moving average and the optimizer's pass against the same arithmetic written plainly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/optimizer.h"
#include "train/random.h"
#include "train/schedule.h"
#include "base/banned.h"

static void rate_rises_falls_and_stays(void **state) {
    (void)state;
    Schedule s = {.rate = 0.03, .least_part = 0.05, .steps = 1000, .warmup_steps = 50, .flat_steps = 150};
    assert_true(fabs(schedule_rate(&s, 0) - 0.03 / 2500) < 1e-12);
    assert_true(fabs(schedule_rate(&s, 49) - 0.03) < 1e-12);
    assert_true(fabs(schedule_rate(&s, 50) - 0.03) < 1e-12);
    assert_true(fabs(schedule_rate(&s, 450) - (0.0015 + 0.0285 / 2)) < 1e-12);
    for (int64_t i = 850; i < 1000; i++) assert_true(fabs(schedule_rate(&s, i) - 0.0015) < 1e-12);
    for (int64_t i = 51; i < 850; i++) assert_true(schedule_rate(&s, i) < schedule_rate(&s, i - 1));
    Schedule one = {.rate = 1, .least_part = 0.05, .steps = 1};
    assert_true(isfinite(schedule_rate(&one, 0)));
}

static void average_starts_short_and_grows(void **state) {
    (void)state;
    assert_true(average_keep(0.995, 200, 1) < 0.005);
    assert_true(fabs(average_keep(0.995, 200, 100000) - 0.995) < 1e-9);
}

static void step_is_nesterov_with_decay_on_convolutions(void **state) {
    (void)state;
    Yolox *net = yolox_new(YOLOX_NANO, 2);
    float *weights = xcalloc(net->size, sizeof *weights), *a = xcalloc(net->trained, sizeof *a), *b = xcalloc(net->trained, sizeof *b);
    float *statistics = xcalloc(net->size - net->trained, sizeof *statistics);
    yolox_initialize(net, 1, weights);
    Random random = random_start(3, 0);
    for (size_t i = 0; i < net->trained; i++) {
        a[i] = (float)random_between(&random, -1, 1);
        b[i] = (float)random_between(&random, -1, 1);
    }
    for (size_t i = 0; i < net->size - net->trained; i++) statistics[i] = (float)random_unit(&random);
    Optimizer o;
    optimizer_init(&o, net, weights);
    StepRates rates = {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .average_keep = 0.75, .statistics_part = YOLOX_NORM_MOMENTUM};
    const float *gradients[] = {a, b};
    for (int step = 0; step < 2; step++) { /* in two ranges that cut across the parts */
        optimizer_step(&o, &rates, gradients, 2, statistics, 0, net->decayed + 7);
        optimizer_step(&o, &rates, gradients, 2, statistics, net->decayed + 7, net->size);
    }
    for (size_t i = 0; i < net->size; i++) {
        double w = (double)weights[i], average = w, velocity = 0;
        for (int step = 0; step < 2; step++) {
            double g = i < net->trained ? (double)a[i] + (double)b[i] + (i < net->decayed ? 5e-4 * w : 0) : 0;
            velocity = 0.9 * velocity + g;
            w = i < net->trained ? w - 0.1 * (g + 0.9 * velocity) : w + YOLOX_NORM_MOMENTUM * ((double)statistics[i - net->trained] - w);
            average = 0.75 * average + 0.25 * w;
        }
        assert_true(fabs((double)o.weights[i] - w) < 1e-5 && fabs((double)o.average[i] - average) < 1e-5);
    }
    optimizer_clear(&o);
    free(weights);
    free(statistics);
    free(a);
    free(b);
    yolox_free(net);
}

static void check_sizes(int epochs, int first_side, int last_side, int count, const SizeStage *wanted) {
    SizeStage stages[SIZE_STAGES];
    assert_int_equal(schedule_sizes(stages, epochs, first_side, last_side), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(stages[i].first_epoch, wanted[i].first_epoch);
        assert_int_equal(stages[i].end_epoch, wanted[i].end_epoch);
        assert_int_equal(stages[i].side, wanted[i].side);
    }
}

static void sizes_grow(void **state) {
    (void)state;
    check_sizes(80, 192, 256, 3, (SizeStage[]){{0, 32, 192}, {32, 56, 224}, {56, 80, 256}});
    check_sizes(15, 320, 416, 3, (SizeStage[]){{0, 6, 320}, {6, 10, 352}, {10, 15, 416}});
    check_sizes(11, 224, 256, 2, (SizeStage[]){{0, 7, 224}, {7, 11, 256}});
    check_sizes(80, 256, 256, 1, (SizeStage[]){{0, 80, 256}});
    check_sizes(9, 192, 256, 1, (SizeStage[]){{0, 9, 256}});
    check_sizes(1, 32, 32, 1, (SizeStage[]){{0, 1, 32}});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_rises_falls_and_stays), cmocka_unit_test(sizes_grow),
        cmocka_unit_test(average_starts_short_and_grows),
        cmocka_unit_test(step_is_nesterov_with_decay_on_convolutions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
