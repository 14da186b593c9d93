/* The graph builder's bytes read back as ONNX, and what the exporter refuses. Whether the numbers are right is tests/ml/test_onnx.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "onnx.pb-c.h"
#include "train/onnx_graph.h"
#include "train/onnx_yolox.h"

#include "base/banned.h"

static char path[64];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/onnx-test-%d.onnx", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static Onnx__ModelProto *read_back(void) {
    Buffer bytes;
    buffer_init(&bytes, 64 << 20);
    Error err = {0};
    assert_int_equal(file_read(path, &bytes, &err), STATUS_OK);
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, bytes.size, (const uint8_t *)bytes.data);
    buffer_clear(&bytes);
    assert_non_null(model);
    return model;
}

static void a_graph_reads_back_as_it_was_built(void **state) {
    (void)state;
    OnnxGraph *g = onnx_graph_new("demo");
    const float numbers[] = {1, -2, 0.5f};
    onnx_graph_input(g, "x", ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, 3}, 2);
    onnx_graph_floats(g, "c", numbers, (int64_t[]){3}, 1);
    for (int i = 0; i < 20; i++) { /* enough for the lists to grow */
        OnnxNode *node = onnx_graph_node(g, "Add", onnx_graph_text(g, "y%d", i), (const char *[]){"x", "c"}, 2);
        onnx_node_int(g, node, "axis", -i);
        onnx_node_ints(g, node, "pads", (int64_t[]){1, 2, 3}, 3);
        onnx_node_string(g, node, "mode", "nearest");
    }
    onnx_graph_output(g, "y19", ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, 3}, 2);
    onnx_graph_metadata(g, "key", "värde");
    Error err = {0};
    assert_int_equal(onnx_graph_write(g, path, &err), STATUS_OK);
    onnx_graph_free(g);

    Onnx__ModelProto *m = read_back();
    assert_int_equal(m->ir_version, ONNX_IR_VERSION);
    assert_int_equal(m->opset_import[0]->version, ONNX_OPSET);
    assert_int_equal(m->graph->n_node, 20);
    assert_string_equal(m->graph->node[19]->output[0], "y19");
    assert_int_equal(m->graph->node[19]->attribute[0]->i, -19);
    assert_int_equal(m->graph->node[0]->attribute[1]->ints[2], 3);
    assert_memory_equal(m->graph->node[0]->attribute[2]->s.data, "nearest", 7);
    assert_string_equal(m->graph->input[0]->type->tensor_type->shape->dim[0]->dim_param, "batch");
    assert_int_equal(m->graph->input[0]->type->tensor_type->shape->dim[1]->dim_value, 3);
    assert_int_equal(m->graph->initializer[0]->raw_data.len, sizeof numbers);
    assert_memory_equal(m->graph->initializer[0]->raw_data.data, numbers, sizeof numbers);
    assert_string_equal(m->metadata_props[0]->value, "värde");
    onnx__model_proto__free_unpacked(m, NULL);
}

static void what_cannot_be_exported_is_refused(void **state) {
    (void)state;
    const char *names[] = {"a", "b"};
    Yolox *net = yolox_new(YOLOX_NANO, 2);
    float *weights = xcalloc(net->size, sizeof *weights);
    yolox_initialize(net, 1, weights);
    Error err = {0};
    const int wrong[][2] = {{0, 32}, {100, 96}, {96, -32}, {96, 33}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(onnx_yolox_write(path, net, weights, wrong[i][0], wrong[i][1], names, &err), STATUS_VALIDATION_ERROR);
    assert_int_equal(onnx_yolox_write("/nowhere/model.onnx", net, weights, 64, 64, names, &err), STATUS_IO);
    const YoloxTensor *tensor = yolox_find_tensor(net, "head.obj_preds.1.bias");
    weights[tensor->offset] = NAN;
    assert_int_equal(onnx_yolox_write(path, net, weights, 64, 64, names, &err), STATUS_VALIDATION_ERROR);
    assert_non_null(strstr(err.message, "head.obj_preds.1.bias"));
    weights[tensor->offset] = 0;
    assert_int_equal(onnx_yolox_write(path, net, weights, 64, 64, names, &err), STATUS_OK);
    Onnx__ModelProto *m = read_back();
    assert_string_equal(m->graph->output[0]->name, "output");
    onnx__model_proto__free_unpacked(m, NULL);
    free(weights);
    yolox_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_graph_reads_back_as_it_was_built),
                                       cmocka_unit_test(what_cannot_be_exported_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
