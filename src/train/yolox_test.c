/* The table of YOLOX: counts of parameters as published, order, names, initial weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "train/yolox.h"
#include "base/banned.h"

/* Millions of parameters of the published models at 80 classes: table of the authors' repository. */
static void sizes_match_the_published_ones(void **state) {
    (void)state;
    static const double millions[] = {0.91, 5.06, 9.0, 25.3, 54.2, 99.1};
    for (YoloxSize size = 0; size < YOLOX_SIZE_COUNT; size++) {
        Yolox *net = yolox_new(size, 80);
        double found = (double)net->trained / 1e6;
        assert_true(fabs(found - millions[size]) < 0.06);
        YoloxSize named;
        assert_true(yolox_size_from_name(yolox_size_name(size), &named));
        assert_int_equal(named, size);
        yolox_free(net);
    }
    YoloxSize named;
    assert_true(yolox_size_from_name("yolox-s", &named));
    assert_false(yolox_size_from_name("yolox-", &named));
}

static void nodes_are_in_order_and_tensors_tile_the_array(void **state) {
    (void)state;
    for (YoloxSize size = 0; size < YOLOX_SIZE_COUNT; size++) {
        Yolox *net = yolox_new(size, 3);
        for (int i = 0; i < net->node_count; i++) {
            for (int k = 0; k < net->nodes[i].input_count; k++) assert_true(net->nodes[i].inputs[k] < i);
        }
        unsigned char *used = xcalloc(net->size, 1);
        for (int i = 0; i < net->tensor_count; i++) {
            const YoloxTensor *tensor = &net->tensors[i];
            assert_ptr_equal(yolox_find_tensor(net, tensor->name), tensor);
            for (size_t k = 0; k < tensor->elements; k++) assert_int_equal(used[tensor->offset + k]++, 0);
        }
        assert_null(memchr(used, 0, net->size));
        free(used);
        for (int level = 0; level < YOLOX_LEVELS; level++) {
            assert_int_equal(1 << net->nodes[net->heads[level].box].shift, net->heads[level].stride);
            assert_int_equal(net->nodes[net->heads[level].classes].channels, 3);
        }
        assert_int_equal(yolox_anchor_count(net, 128, 128), 336);
        yolox_free(net);
    }
}

static void initial_weights_are_bounded_and_repeat(void **state) {
    (void)state;
    Yolox *net = yolox_new(YOLOX_NANO, 3);
    float *a = xcalloc(net->size, sizeof *a), *b = xcalloc(net->size, sizeof *b);
    yolox_initialize(net, 7, a);
    yolox_initialize(net, 7, b);
    assert_memory_equal(a, b, net->size * sizeof *a);
    yolox_initialize(net, 8, b);
    assert_memory_not_equal(a, b, net->decayed * sizeof *a);
    const YoloxTensor *stem = yolox_find_tensor(net, "backbone.backbone.stem.conv.conv.weight");
    double square = 0, bound = 1 / sqrt(12 * 9);
    for (size_t i = 0; i < stem->elements; i++) {
        assert_true(fabs(a[stem->offset + i]) <= bound);
        square += (double)a[stem->offset + i] * a[stem->offset + i];
    }
    assert_true(fabs(square / (double)stem->elements / (bound * bound / 3) - 1) < 0.1);
    assert_true(fabsf(a[yolox_find_tensor(net, "head.obj_preds.2.bias")->offset] + logf(99)) < 1e-6f);
    assert_true(a[yolox_find_tensor(net, "head.stems.0.bn.running_var")->offset] == 1);
    free(a);
    free(b);
    yolox_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_match_the_published_ones),
        cmocka_unit_test(nodes_are_in_order_and_tensors_tile_the_array),
        cmocka_unit_test(initial_weights_are_bounded_and_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
