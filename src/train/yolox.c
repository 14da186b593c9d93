/* Layout of the YOLOX networks: one builder function per building block of the paper, each appends nodes to the table. */
#include "train/yolox.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "train/random.h"
#include "base/banned.h"

typedef struct SizeRow {
    int depth;      /* bottlenecks in the shortest stage: round(3 x depth multiple of the paper) */
    int channels;   /* of the stem: 64 x width multiple */
    bool depthwise; /* 3 x 3 convolutions are split into depthwise and pointwise */
} SizeRow;

static const SizeRow sizes[YOLOX_SIZE_COUNT] = {
    [YOLOX_NANO] = {1, 16, true}, [YOLOX_TINY] = {1, 24, false}, [YOLOX_S] = {1, 32, false},
    [YOLOX_M] = {2, 48, false},   [YOLOX_L] = {3, 64, false},    [YOLOX_X] = {4, 80, false},
};

typedef struct Builder {
    Yolox *net;
    const SizeRow *size;
} Builder;

static const char *const tensor_suffixes[] = {
    [YOLOX_WEIGHT] = ".conv.weight",          [YOLOX_NORM_SCALE] = ".bn.weight",        [YOLOX_NORM_SHIFT] = ".bn.bias",
    [YOLOX_NORM_MEAN] = ".bn.running_mean",   [YOLOX_NORM_VARIANCE] = ".bn.running_var", [YOLOX_BIAS] = ".bias",
};

static YoloxNode *add_node(Builder *b, YoloxOp op, const char *name, int input_count, const int *inputs) {
    Yolox *net = b->net;
    if (net->node_count == YOLOX_MAX_NODES)
        abort(); /* the table of sizes outgrew the array: a fault of this file */
    YoloxNode *node = &net->nodes[net->node_count++];
    *node = (YoloxNode){.op = op, .input_count = input_count, .kernel = 1, .stride = 1, .groups = 1};
    snprintf(node->name, sizeof node->name, "%s", name);
    for (int i = 0; i < input_count; i++) {
        node->inputs[i] = inputs[i];
        node->in_channels += net->nodes[inputs[i]].channels;
        node->shift = net->nodes[inputs[i]].shift;
    }
    node->channels = op == YOLOX_ADD ? net->nodes[inputs[0]].channels : node->in_channels;
    return node;
}

static int last_node(const Builder *b) {
    return b->net->node_count - 1;
}

static void add_tensor(Builder *b, YoloxNode *node, YoloxTensorKind kind, const char *suffix, int rank, const int *shape) {
    Yolox *net = b->net;
    if (net->tensor_count == YOLOX_MAX_TENSORS) abort();
    YoloxTensor *tensor = &net->tensors[net->tensor_count++];
    *tensor = (YoloxTensor){.kind = kind, .node = (int)(node - net->nodes), .rank = rank, .elements = 1};
    snprintf(tensor->name, sizeof tensor->name, "%s%s", node->name, suffix);
    for (int i = 0; i < 4; i++) {
        tensor->shape[i] = i < rank ? shape[i] : 1;
        tensor->elements *= (size_t)tensor->shape[i];
    }
    node->tensor_count++;
}

static void add_tensors(Builder *b, YoloxNode *node) {
    node->first_tensor = b->net->tensor_count;
    int shape[4] = {node->channels, node->in_channels / node->groups, node->kernel, node->kernel};
    if (node->op == YOLOX_PREDICT) {
        add_tensor(b, node, YOLOX_WEIGHT, ".weight", 4, shape);
        add_tensor(b, node, YOLOX_BIAS, tensor_suffixes[YOLOX_BIAS], 1, shape);
        return;
    }
    for (YoloxTensorKind kind = YOLOX_WEIGHT; kind <= YOLOX_NORM_VARIANCE; kind++)
        add_tensor(b, node, kind, tensor_suffixes[kind], kind == YOLOX_WEIGHT ? 4 : 1, shape);
}

/* Joins a prefix and a formatted rest into a name on the caller's stack. */
typedef struct Name {
    char text[YOLOX_NAME_SIZE];
} Name;

static Name name_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static Name name_of(const char *format, ...) {
    Name name;
    va_list args;
    va_start(args, format);
    vsnprintf(name.text, sizeof name.text, format, args);
    va_end(args);
    return name;
}

static int conv(Builder *b, const char *name, int input, int channels, int kernel, int stride, int groups) {
    YoloxNode *node = add_node(b, YOLOX_CONV, name, 1, &input);
    node->channels = channels;
    node->kernel = kernel;
    node->stride = stride;
    node->groups = groups;
    node->shift += stride == 2;
    add_tensors(b, node);
    return last_node(b);
}

static int predict(Builder *b, const char *name, int input, int channels) {
    YoloxNode *node = add_node(b, YOLOX_PREDICT, name, 1, &input);
    node->channels = channels;
    add_tensors(b, node);
    return last_node(b);
}

/* The 3 x 3 convolution of the paper, which nano splits in two. */
static int wide_conv(Builder *b, const char *name, int input, int channels, int stride) {
    if (!b->size->depthwise) return conv(b, name, input, channels, 3, stride, 1);
    int in_channels = b->net->nodes[input].channels;
    int depthwise = conv(b, name_of("%s.dconv", name).text, input, in_channels, 3, stride, in_channels);
    return conv(b, name_of("%s.pconv", name).text, depthwise, channels, 1, 1, 1);
}

static int concat(Builder *b, const char *name, int count, const int *inputs) {
    add_node(b, YOLOX_CONCAT, name_of("%s.cat", name).text, count, inputs);
    return last_node(b);
}

static int upsample(Builder *b, const char *name, int input) {
    add_node(b, YOLOX_UPSAMPLE, name, 1, &input)->shift--;
    return last_node(b);
}

static int bottleneck(Builder *b, const char *name, int input, int channels, bool shortcut) {
    int narrow = conv(b, name_of("%s.conv1", name).text, input, channels, 1, 1, 1);
    int out = wide_conv(b, name_of("%s.conv2", name).text, narrow, channels, 1);
    if (!shortcut) return out;
    add_node(b, YOLOX_ADD, name_of("%s.add", name).text, 2, (int[]){out, input});
    return last_node(b);
}

/* Cross-stage partial layer: half of the channels go through count bottlenecks, the other half past them. */
static int csp_layer(Builder *b, const char *name, int input, int channels, int count, bool shortcut) {
    int left = conv(b, name_of("%s.conv1", name).text, input, channels / 2, 1, 1, 1);
    int right = conv(b, name_of("%s.conv2", name).text, input, channels / 2, 1, 1, 1);
    for (int i = 0; i < count; i++) left = bottleneck(b, name_of("%s.m.%d", name, i).text, left, channels / 2, shortcut);
    int both = concat(b, name, 2, (int[]){left, right});
    return conv(b, name_of("%s.conv3", name).text, both, channels, 1, 1, 1);
}

static int pyramid_pooling(Builder *b, const char *name, int input, int channels) {
    int parts[4] = {conv(b, name_of("%s.conv1", name).text, input, b->net->nodes[input].channels / 2, 1, 1, 1)};
    static const int kernels[] = {5, 9, 13};
    for (int i = 0; i < 3; i++) {
        add_node(b, YOLOX_MAXPOOL, name_of("%s.m.%d", name, i).text, 1, parts)->kernel = kernels[i];
        parts[i + 1] = last_node(b);
    }
    return conv(b, name_of("%s.conv2", name).text, concat(b, name, 4, parts), channels, 1, 1, 1);
}

/* Leaves the feature maps of stride 8, 16 and 32 in out. */
static void backbone(Builder *b, int out[YOLOX_LEVELS]) {
    int c = b->size->channels, n = b->size->depth;
    YoloxNode *input = add_node(b, YOLOX_INPUT, "images", 0, NULL);
    input->in_channels = input->channels = 3;
    YoloxNode *focus = add_node(b, YOLOX_FOCUS, "backbone.backbone.stem.focus", 1, (int[]){0});
    focus->channels = 12;
    focus->shift = 1;
    int x = conv(b, "backbone.backbone.stem.conv", 1, c, 3, 1, 1);
    x = wide_conv(b, "backbone.backbone.dark2.0", x, 2 * c, 2);
    x = csp_layer(b, "backbone.backbone.dark2.1", x, 2 * c, n, true);
    x = wide_conv(b, "backbone.backbone.dark3.0", x, 4 * c, 2);
    out[0] = x = csp_layer(b, "backbone.backbone.dark3.1", x, 4 * c, 3 * n, true);
    x = wide_conv(b, "backbone.backbone.dark4.0", x, 8 * c, 2);
    out[1] = x = csp_layer(b, "backbone.backbone.dark4.1", x, 8 * c, 3 * n, true);
    x = wide_conv(b, "backbone.backbone.dark5.0", x, 16 * c, 2);
    x = pyramid_pooling(b, "backbone.backbone.dark5.1", x, 16 * c);
    out[2] = csp_layer(b, "backbone.backbone.dark5.2", x, 16 * c, n, false);
}

/* Path aggregation: down the pyramid and up again; replaces the maps in features. */
static void neck(Builder *b, int features[YOLOX_LEVELS]) {
    int c = b->size->channels, n = b->size->depth;
    int lateral = conv(b, "backbone.lateral_conv0", features[2], 8 * c, 1, 1, 1);
    int x = upsample(b, "backbone.upsample0", lateral);
    x = concat(b, "backbone.C3_p4", 2, (int[]){x, features[1]});
    x = csp_layer(b, "backbone.C3_p4", x, 8 * c, n, false);
    int reduced = conv(b, "backbone.reduce_conv1", x, 4 * c, 1, 1, 1);
    x = upsample(b, "backbone.upsample1", reduced);
    x = concat(b, "backbone.C3_p3", 2, (int[]){x, features[0]});
    features[0] = x = csp_layer(b, "backbone.C3_p3", x, 4 * c, n, false);
    x = wide_conv(b, "backbone.bu_conv2", x, 4 * c, 2);
    x = concat(b, "backbone.C3_n3", 2, (int[]){x, reduced});
    features[1] = x = csp_layer(b, "backbone.C3_n3", x, 8 * c, n, false);
    x = wide_conv(b, "backbone.bu_conv1", x, 8 * c, 2);
    x = concat(b, "backbone.C3_n4", 2, (int[]){x, lateral});
    features[2] = csp_layer(b, "backbone.C3_n4", x, 16 * c, n, false);
}

static void head(Builder *b, int level, int feature) {
    int c = 4 * b->size->channels;
    int stem = conv(b, name_of("head.stems.%d", level).text, feature, c, 1, 1, 1);
    int x = wide_conv(b, name_of("head.cls_convs.%d.0", level).text, stem, c, 1);
    x = wide_conv(b, name_of("head.cls_convs.%d.1", level).text, x, c, 1);
    YoloxHead *out = &b->net->heads[level];
    out->stride = 8 << level;
    out->classes = predict(b, name_of("head.cls_preds.%d", level).text, x, b->net->class_count);
    x = wide_conv(b, name_of("head.reg_convs.%d.0", level).text, stem, c, 1);
    x = wide_conv(b, name_of("head.reg_convs.%d.1", level).text, x, c, 1);
    out->box = predict(b, name_of("head.reg_preds.%d", level).text, x, 4);
    out->objectness = predict(b, name_of("head.obj_preds.%d", level).text, x, 1);
}

/* Part of the flat array that a kind of tensor belongs to. */
static int part_of(YoloxTensorKind kind) {
    return kind == YOLOX_WEIGHT ? 0 : kind == YOLOX_NORM_MEAN || kind == YOLOX_NORM_VARIANCE ? 2 : 1;
}

static void place_tensors(Yolox *net) {
    size_t ends[3], offset = 0;
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < net->tensor_count; i++) {
            if (part_of(net->tensors[i].kind) != part) continue;
            net->tensors[i].offset = offset;
            offset += net->tensors[i].elements;
        }
        ends[part] = offset;
    }
    net->decayed = ends[0];
    net->trained = ends[1];
    net->size = ends[2];
}

Yolox *yolox_new(YoloxSize size, int class_count) {
    Yolox *net = xcalloc(1, sizeof *net);
    net->model_size = size;
    net->class_count = class_count;
    Builder builder = {net, &sizes[size]};
    int features[YOLOX_LEVELS];
    backbone(&builder, features);
    neck(&builder, features);
    for (int level = 0; level < YOLOX_LEVELS; level++) head(&builder, level, features[level]);
    place_tensors(net);
    return net;
}

void yolox_free(Yolox *net) {
    free(net);
}

const YoloxTensor *yolox_find_tensor(const Yolox *net, const char *name) {
    for (int i = 0; i < net->tensor_count; i++) {
        if (strcmp(net->tensors[i].name, name) == 0) return &net->tensors[i];
    }
    return NULL;
}

int yolox_anchor_count(const Yolox *net, int height, int width) {
    int count = 0;
    for (int level = 0; level < YOLOX_LEVELS; level++) count += (height / net->heads[level].stride) * (width / net->heads[level].stride);
    return count;
}

static void fill(float *out, size_t count, float value) {
    for (size_t i = 0; i < count; i++) out[i] = value;
}

static void fill_uniform(float *out, size_t count, double bound, Random *random) {
    for (size_t i = 0; i < count; i++) out[i] = (float)((2 * random_unit(random) - 1) * bound);
}

void yolox_initialize(const Yolox *net, uint64_t seed, float *weights) {
    Random random = random_start(seed, 0x594f4c4f58); /* a stream of its own, so that no other use of the seed repeats it */
    for (int i = 0; i < net->tensor_count; i++) {
        const YoloxTensor *tensor = &net->tensors[i];
        const YoloxNode *node = &net->nodes[tensor->node];
        float *out = weights + tensor->offset;
        double bound = 1 / sqrt((double)node->in_channels / node->groups * node->kernel * node->kernel);
        bool is_score = node->op == YOLOX_PREDICT && !text_starts_with(node->name, "head.reg_preds");
        if (tensor->kind == YOLOX_WEIGHT || (tensor->kind == YOLOX_BIAS && !is_score)) fill_uniform(out, tensor->elements, bound, &random);
        else if (tensor->kind == YOLOX_BIAS) fill(out, tensor->elements, (float)-log(99.0));
        else fill(out, tensor->elements, tensor->kind == YOLOX_NORM_SCALE || tensor->kind == YOLOX_NORM_VARIANCE ? 1 : 0);
    }
}
