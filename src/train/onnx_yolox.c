/* Export of YOLOX: one function per kind of node, then the decoding of the three heads. */
#include "train/onnx_yolox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "train/onnx_graph.h"
#include "worker/onnx_metadata.h"

#include "base/banned.h"

enum { METADATA_MAXIMUM = 1 << 20 };

typedef struct Exporter {
    const Yolox *net;
    const float *weights;
    OnnxGraph *graph;
    int height, width;
    const char *values[YOLOX_MAX_NODES]; /* name of each node's output */
} Exporter;

static const char *value_of(const Exporter *e, const YoloxNode *node) { return e->values[node - e->net->nodes]; }

static const float *tensor_data(const Exporter *e, const YoloxNode *node, int which) {
    return e->weights + e->net->tensors[node->first_tensor + which].offset;
}

/* ---- convolutions ---- */

typedef struct Convolution {
    float *weight; /* channels × in × kernel × kernel */
    float *bias;
    int in, kernel, padding, stride; /* in: input channels / groups */
    const char *input;
} Convolution;

/* Scale and shift of the normalisation that follows a convolution, for channel c. */
static double fold_scale(const Exporter *e, const YoloxNode *node, int c) {
    return tensor_data(e, node, YOLOX_NORM_SCALE)[c] / sqrt(tensor_data(e, node, YOLOX_NORM_VARIANCE)[c] + YOLOX_NORM_EPSILON);
}

static double fold_shift(const Exporter *e, const YoloxNode *node, int c) {
    return tensor_data(e, node, YOLOX_NORM_SHIFT)[c] - fold_scale(e, node, c) * tensor_data(e, node, YOLOX_NORM_MEAN)[c];
}

/* Focus takes the pixels (0,0), (1,0), (0,1), (1,1) of each 2 × 2, as (row, column), three channels each. A weight of the 3 × 3
 * convolution behind it belongs to row 2 ky + row and column 2 kx + column of a 6 × 6 one over the picture itself. */
static void unfocus(float *out, const float *weight, int channels) {
    for (int o = 0; o < channels; o++)
        for (int from = 0; from < 12; from++)
            for (int at = 0; at < 9; at++) {
                int pixel = from / 3, colour = from % 3, row = 2 * (at / 3) + pixel % 2, column = 2 * (at % 3) + pixel / 2;
                out[((o * 3 + colour) * 6 + row) * 6 + column] = weight[(o * 12 + from) * 9 + at];
            }
}

static const YoloxNode *focus_before(const Exporter *e, const YoloxNode *node) {
    const YoloxNode *input = &e->net->nodes[node->inputs[0]];
    return input->op == YOLOX_FOCUS ? input : NULL;
}

static Convolution convolution_new(const Exporter *e, const YoloxNode *node) {
    const YoloxNode *focus = focus_before(e, node);
    Convolution c = {.in = node->in_channels / node->groups, .kernel = node->kernel, .padding = (node->kernel - 1) / 2,
                     .stride = node->stride, .input = e->values[node->inputs[0]]};
    if (focus) c = (Convolution){.in = 3, .kernel = 6, .padding = 2, .stride = 2, .input = e->values[focus->inputs[0]]};
    size_t size = (size_t)node->channels * (size_t)c.in * (size_t)c.kernel * (size_t)c.kernel;
    c.weight = xmalloc(size * sizeof *c.weight);
    c.bias = xcalloc((size_t)node->channels, sizeof *c.bias);
    const float *weight = tensor_data(e, node, 0);
    if (focus) unfocus(c.weight, weight, node->channels);
    else memcpy(c.weight, weight, size * sizeof *weight);
    return c;
}

static void convolution_scale(Convolution *c, const Exporter *e, const YoloxNode *node) {
    size_t each = (size_t)c->in * (size_t)c->kernel * (size_t)c->kernel;
    for (int o = 0; o < node->channels; o++) {
        double scale = fold_scale(e, node, o);
        for (size_t i = 0; i < each; i++) c->weight[(size_t)o * each + i] = (float)(scale * c->weight[(size_t)o * each + i]);
        c->bias[o] = (float)fold_shift(e, node, o);
    }
}

/* Writes the convolution as node `name` and frees it. */
static void convolution_emit(Exporter *e, Convolution *c, const YoloxNode *node, const char *name) {
    const char *weight = onnx_graph_text(e->graph, "%s.weight", node->name), *bias = onnx_graph_text(e->graph, "%s.bias", node->name);
    onnx_graph_floats(e->graph, weight, c->weight, (int64_t[]){node->channels, c->in, c->kernel, c->kernel}, 4);
    onnx_graph_floats(e->graph, bias, c->bias, (int64_t[]){node->channels}, 1);
    OnnxNode *n = onnx_graph_node(e->graph, "Conv", name, (const char *[]){c->input, weight, bias}, 3);
    onnx_node_ints(e->graph, n, "kernel_shape", (int64_t[]){c->kernel, c->kernel}, 2);
    onnx_node_ints(e->graph, n, "strides", (int64_t[]){c->stride, c->stride}, 2);
    onnx_node_ints(e->graph, n, "pads", (int64_t[]){c->padding, c->padding, c->padding, c->padding}, 4);
    onnx_node_int(e->graph, n, "group", node->groups);
    free(c->weight);
    free(c->bias);
}

static void emit_convolution(Exporter *e, const YoloxNode *node) {
    Convolution c = convolution_new(e, node);
    convolution_scale(&c, e, node);
    const char *linear = onnx_graph_text(e->graph, "%s.linear", node->name), *gate = onnx_graph_text(e->graph, "%s.gate", node->name);
    convolution_emit(e, &c, node, linear);
    onnx_graph_node(e->graph, "Sigmoid", gate, (const char *[]){linear}, 1);
    onnx_graph_node(e->graph, "Mul", value_of(e, node), (const char *[]){linear, gate}, 2);
}

static void emit_prediction(Exporter *e, const YoloxNode *node) {
    Convolution c = convolution_new(e, node);
    memcpy(c.bias, tensor_data(e, node, 1), (size_t)node->channels * sizeof *c.bias);
    convolution_emit(e, &c, node, value_of(e, node));
}

/* ---- the other nodes ---- */

static OnnxNode *emit_plain(Exporter *e, const YoloxNode *node, const char *op) {
    const char *inputs[YOLOX_MAX_INPUTS];
    for (int i = 0; i < node->input_count; i++) inputs[i] = e->values[node->inputs[i]];
    return onnx_graph_node(e->graph, op, value_of(e, node), inputs, (size_t)node->input_count);
}

static void emit_add(Exporter *e, const YoloxNode *node) { emit_plain(e, node, "Add"); }

static void emit_concat(Exporter *e, const YoloxNode *node) { onnx_node_int(e->graph, emit_plain(e, node, "Concat"), "axis", 1); }

static void emit_upsample(Exporter *e, const YoloxNode *node) {
    const char *scales = onnx_graph_text(e->graph, "%s.scales", value_of(e, node));
    onnx_graph_floats(e->graph, scales, (float[]){1, 1, 2, 2}, (int64_t[]){4}, 1);
    OnnxNode *n = onnx_graph_node(e->graph, "Resize", value_of(e, node), (const char *[]){e->values[node->inputs[0]], "", scales}, 3);
    onnx_node_string(e->graph, n, "mode", "nearest");
    onnx_node_string(e->graph, n, "coordinate_transformation_mode", "asymmetric");
    onnx_node_string(e->graph, n, "nearest_mode", "floor");
}

static void emit_maxpool(Exporter *e, const YoloxNode *node) {
    int64_t k = node->kernel, p = node->kernel / 2;
    OnnxNode *n = emit_plain(e, node, "MaxPool");
    onnx_node_ints(e->graph, n, "kernel_shape", (int64_t[]){k, k}, 2);
    onnx_node_ints(e->graph, n, "strides", (int64_t[]){1, 1}, 2);
    onnx_node_ints(e->graph, n, "pads", (int64_t[]){p, p, p, p}, 4);
}

static void emit_input(Exporter *e, const YoloxNode *node) {
    (void)node;
    onnx_graph_input(e->graph, ONNX_INPUT_NAME, ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, 3, e->height, e->width}, 4);
}

/* Becomes part of the convolutions behind it. */
static void emit_focus(Exporter *e, const YoloxNode *node) { (void)e, (void)node; }

static void (*const emitters[])(Exporter *, const YoloxNode *) = {
    [YOLOX_INPUT] = emit_input, [YOLOX_FOCUS] = emit_focus,     [YOLOX_CONV] = emit_convolution,   [YOLOX_PREDICT] = emit_prediction,
    [YOLOX_ADD] = emit_add,     [YOLOX_CONCAT] = emit_concat,   [YOLOX_UPSAMPLE] = emit_upsample,  [YOLOX_MAXPOOL] = emit_maxpool,
};

/* ---- decoding ---- */

/* One head as [batch, 5 + classes, cells]: box as predicted, scores through the sigmoid. */
static const char *emit_head(Exporter *e, const YoloxHead *head) {
    OnnxGraph *g = e->graph;
    const char *name = onnx_graph_text(g, "decode.%d", head->stride);
    const char *objectness = onnx_graph_text(g, "%s.objectness", name), *classes = onnx_graph_text(g, "%s.classes", name);
    const char *joined = onnx_graph_text(g, "%s.joined", name), *flat = onnx_graph_text(g, "%s.flat", name);
    onnx_graph_node(g, "Sigmoid", objectness, (const char *[]){e->values[head->objectness]}, 1);
    onnx_graph_node(g, "Sigmoid", classes, (const char *[]){e->values[head->classes]}, 1);
    onnx_node_int(g, onnx_graph_node(g, "Concat", joined, (const char *[]){e->values[head->box], objectness, classes}, 3), "axis", 1);
    onnx_graph_node(g, "Reshape", flat, (const char *[]){joined, "decode.flat_shape"}, 2);
    return flat;
}

/* Column and row of every anchor's cell, and its stride, in the order of the output. */
static void emit_cells(Exporter *e, int anchors) {
    float *cells = xcalloc((size_t)anchors * 2, sizeof *cells), *strides = xcalloc((size_t)anchors, sizeof *strides);
    size_t at = 0;
    for (int level = 0; level < YOLOX_LEVELS; level++) {
        int stride = e->net->heads[level].stride;
        for (int y = 0; y < e->height / stride; y++)
            for (int x = 0; x < e->width / stride; x++, at++) {
                cells[2 * at] = (float)x;
                cells[2 * at + 1] = (float)y;
                strides[at] = (float)stride;
            }
    }
    onnx_graph_floats(e->graph, "decode.cells", cells, (int64_t[]){1, anchors, 2}, 3);
    onnx_graph_floats(e->graph, "decode.strides", strides, (int64_t[]){1, anchors, 1}, 3);
    free(cells);
    free(strides);
}

static void emit_decoding(Exporter *e) {
    OnnxGraph *g = e->graph;
    int numbers = 5 + e->net->class_count, anchors = yolox_anchor_count(e->net, e->height, e->width);
    onnx_graph_ints(g, "decode.flat_shape", (int64_t[]){0, numbers, -1}, (int64_t[]){3}, 1);
    onnx_graph_ints(g, "decode.parts", (int64_t[]){2, 2, numbers - 4}, (int64_t[]){3}, 1);
    emit_cells(e, anchors);
    const char *heads[YOLOX_LEVELS];
    for (int i = 0; i < YOLOX_LEVELS; i++) heads[i] = emit_head(e, &e->net->heads[i]);
    onnx_node_int(g, onnx_graph_node(g, "Concat", "decode.all", heads, YOLOX_LEVELS), "axis", 2);
    OnnxNode *n = onnx_graph_node(g, "Transpose", "decode.rows", (const char *[]){"decode.all"}, 1);
    onnx_node_ints(g, n, "perm", (int64_t[]){0, 2, 1}, 3);
    n = onnx_graph_node(g, "Split", "decode.offset", (const char *[]){"decode.rows", "decode.parts"}, 2);
    onnx_node_output(g, n, "decode.log_size");
    onnx_node_output(g, n, "decode.scores");
    onnx_node_int(g, n, "axis", 2);
    onnx_graph_node(g, "Add", "decode.position", (const char *[]){"decode.offset", "decode.cells"}, 2);
    onnx_graph_node(g, "Mul", "decode.centre", (const char *[]){"decode.position", "decode.strides"}, 2);
    onnx_graph_node(g, "Exp", "decode.relative_size", (const char *[]){"decode.log_size"}, 1);
    onnx_graph_node(g, "Mul", "decode.size", (const char *[]){"decode.relative_size", "decode.strides"}, 2);
    n = onnx_graph_node(g, "Concat", ONNX_OUTPUT_NAME, (const char *[]){"decode.centre", "decode.size", "decode.scores"}, 3);
    onnx_node_int(g, n, "axis", 2);
    onnx_graph_output(g, ONNX_OUTPUT_NAME, ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, anchors, numbers}, 3);
}

/* ---- the whole ---- */

static void add_metadata(Exporter *e, const char *const *class_names) {
    OnnxGraph *g = e->graph;
    Buffer names;
    buffer_init(&names, METADATA_MAXIMUM);
    JsonWriter w;
    json_writer_init(&w, &names);
    json_begin_array(&w);
    for (int i = 0; i < e->net->class_count; i++) json_string(&w, class_names[i]);
    json_end_array(&w);
    onnx_graph_metadata(g, ONNX_META_ARCHITECTURE, onnx_graph_text(g, "yolox_%s", yolox_size_name(e->net->model_size)));
    onnx_graph_metadata(g, ONNX_META_CLASS_NAMES, buffer_text(&names));
    onnx_graph_metadata(g, ONNX_META_IMAGE_SIZE, onnx_graph_text(g, "[%d,%d]", e->height, e->width));
    onnx_graph_metadata(g, ONNX_META_CHANNEL_ORDER, "BGR");
    onnx_graph_metadata(g, ONNX_META_PIXEL_RANGE, "[0,255]");
    onnx_graph_metadata(g, ONNX_META_LETTERBOX_VALUE, "114");
    onnx_graph_metadata(g, ONNX_META_LETTERBOX_ANCHOR, "top-left");
    onnx_graph_metadata(g, ONNX_META_OUTPUT_LAYOUT, ONNX_LAYOUT_YOLOX_DECODED);
    onnx_graph_metadata(g, ONNX_META_STRIDES, "[8,16,32]");
    onnx_graph_metadata(g, ONNX_META_PICTOGRAPH_VERSION, PICTOGRAPH_VERSION);
    buffer_clear(&names);
}

static Status check(const Yolox *net, const float *weights, int height, int width, Error *err) {
    if (height < 32 || width < 32 || height % 32 || width % 32)
        return error_set(err, STATUS_VALIDATION_ERROR, "An input of %d × %d is not made of multiples of 32", height, width);
    for (int i = 0; i < net->tensor_count; i++)
        for (size_t k = 0; k < net->tensors[i].elements; k++)
            if (!isfinite(weights[net->tensors[i].offset + k]))
                return error_set(err, STATUS_VALIDATION_ERROR, "%s holds a number that is not finite", net->tensors[i].name);
    return STATUS_OK;
}

Status onnx_yolox_write(const char *path, const Yolox *net, const float *weights, int height, int width, const char *const *class_names,
                        Error *err) {
    Status status = check(net, weights, height, width, err);
    if (status) return status;
    Exporter *e = xcalloc(1, sizeof *e);
    *e = (Exporter){.net = net, .weights = weights, .graph = onnx_graph_new("yolox"), .height = height, .width = width};
    for (int i = 0; i < net->node_count; i++) {
        const YoloxNode *node = &net->nodes[i]; /* whose name need not be unique when it owns no tensors */
        e->values[i] = node->op == YOLOX_INPUT   ? ONNX_INPUT_NAME
                       : node->tensor_count == 0 ? onnx_graph_text(e->graph, "%s.%d", node->name, i)
                                                 : node->name;
        emitters[node->op](e, node);
    }
    emit_decoding(e);
    add_metadata(e, class_names);
    status = onnx_graph_write(e->graph, path, err);
    onnx_graph_free(e->graph);
    free(e);
    return status;
}
