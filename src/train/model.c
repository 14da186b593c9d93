/* Walks the table of YOLOX forward and backward: one pair of functions per kind of node, everything else is bookkeeping of who is
 * released when. On CPUs normalisation and activation run in norm_silu.c, convolutions and the rest in libtorch.
 */
#include "train/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "train/norm_silu.h"
#include "train/pool.h"
#include "train/weight_order.h"
#include "base/banned.h"

typedef struct NodeState {
    Tensor *out;      /* result of the node */
    Tensor *gradient; /* by the result */
    Tensor *before;   /* CONV: result of the convolution alone */
    Tensor *normal, *mean, *inverse; /* CONV by torch's kernels */
    Tensor *indices;                 /* MAXPOOL */
    NormLayer norm;                  /* CONV */
    int last_use;                    /* last node that reads the result */
} NodeState;

struct Model {
    const Yolox *net;
    ModelOptions options;
    const float *weights;
    Torch *torch;
    Tensor *flat;      /* all weights, on the device, exact */
    Tensor *half;      /* convolution weights as bfloat16, each in memory order out, height, width, in; NULL when floats are used */
    Tensor *host;      /* the owner's array */
    Tensor **views;    /* per tensor of the net: its part of flat */
    Tensor **compute;  /* per tensor: what convolutions use, of flat or half */
    float *gradient, *statistics, *batch; /* batch: mean and biased variance, in the order of statistics */
    Tensor **gradient_views; /* per trained tensor: its part of gradient, on the host */
    NodeState *nodes;
    int count, height, width; /* of the pass */
    bool training;
    const uint8_t *images;
    float *pixels, *raw, *raw_gradient;
    size_t pixels_size, raw_size;
};

typedef void NodePass(Model *model, int index);

static TorchType map_type(const Model *model) {
    return model->options.type;
}

/* Of weights, and of the heads' last convolutions. */
static TorchType exact_type(const Model *model) {
    return map_type(model) == TORCH_FLOAT64 ? TORCH_FLOAT64 : TORCH_FLOAT32;
}

static NormMap map_of(const Tensor *tensor) {
    return (NormMap){tensor_data(tensor), tensor ? tensor_pixel_stride(tensor) : 0, tensor && tensor_type(tensor) == TORCH_BFLOAT16};
}

/* Pixels of a map; none for the trace of a failure, so that a team's other members still meet this one in their sums. */
static size_t rows_of(const Tensor *tensor) {
    return tensor ? (size_t)tensor_size(tensor, 0) * (size_t)tensor_size(tensor, 2) * (size_t)tensor_size(tensor, 3) : 0;
}

static void drop(Model *model, Tensor **tensor) {
    tensor_release(model->torch, *tensor);
    *tensor = NULL;
}

static const YoloxNode *node_at(const Model *model, int index) {
    return &model->net->nodes[index];
}

static Tensor *input_of(const Model *model, int index, int which) {
    return model->nodes[node_at(model, index)->inputs[which]].out;
}

/* Adds to the gradient of a node; takes the tensor over. */
static void give_gradient(Model *model, int index, Tensor *gradient) {
    NodeState *state = &model->nodes[index];
    if (!state->gradient) {
        state->gradient = gradient;
        return;
    }
    Tensor *sum = tensor_add(model->torch, state->gradient, gradient);
    tensor_release(model->torch, gradient);
    drop(model, &state->gradient);
    state->gradient = sum;
}

/* Each 2 x 2 block of pixels becomes one of 12 channels; bytes become floats. */
static void focus_forward(Model *model, int index) {
    if (model->count == 0) /* a replica more than there are images: no tensors, but it takes part in the sums */
        return;
    int h = model->height / 2, w = model->width / 2;
    size_t row = (size_t)model->width * 3;
    float *out = model->pixels;
    for (int y = 0; y < model->count * h; y++) { /* heights are even: rows of all images run on */
        const uint8_t *top = model->images + (size_t)y * 2 * row, *bottom = top + row;
        for (int x = 0; x < w; x++, top += 6, bottom += 6, out += 12) {
            for (int c = 0; c < 3; c++) {
                out[c] = top[c];
                out[3 + c] = bottom[c];
                out[6 + c] = top[3 + c];
                out[9 + c] = bottom[3 + c];
            }
        }
    }
    Tensor *map = tensor_borrow_map(model->torch, model->pixels, (int[]){model->count, 12, h, w}, (size_t)h * (size_t)w * 12, 12);
    model->nodes[index].out = tensor_cast(model->torch, map, map_type(model));
    tensor_release(model->torch, map);
}

static bool uses_torch_norm(const Model *model) {
    return model->options.cuda || model->options.torch_kernels || map_type(model) == TORCH_FLOAT64;
}

/* Norm and SiLU of state->before by torch's kernels. */
static void torch_norm_forward(Model *model, int first, NodeState *state) {
    Tensor **v = model->views + first;
    if (!model->training) {
        state->out = tensor_norm_silu_fixed(model->torch, state->before, v[YOLOX_NORM_SCALE], v[YOLOX_NORM_SHIFT], v[YOLOX_NORM_MEAN],
                                            v[YOLOX_NORM_VARIANCE], YOLOX_NORM_EPSILON);
        return;
    }
    state->out = tensor_norm_silu(model->torch, &state->normal, &state->mean, &state->inverse, state->before, v[YOLOX_NORM_SCALE],
                                  v[YOLOX_NORM_SHIFT], YOLOX_NORM_EPSILON);
    int shape[1] = {state->norm.channels};
    Tensor *mean = tensor_borrow(model->torch, state->norm.mean, 1, shape), *inverse = tensor_borrow(model->torch, state->norm.variance, 1, shape);
    tensor_copy(model->torch, mean, state->mean);
    tensor_copy(model->torch, inverse, state->inverse);
    tensor_release(model->torch, mean);
    tensor_release(model->torch, inverse);
    state->norm.count = (double)rows_of(state->before);
    for (int c = 0; c < state->norm.channels; c++)
        state->norm.variance[c] = 1 / (state->norm.variance[c] * state->norm.variance[c]) - (float)YOLOX_NORM_EPSILON;
}

static void conv_forward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    NodeState *state = &model->nodes[index];
    state->before = tensor_conv(model->torch, input_of(model, index, 0), model->compute[node->first_tensor], NULL, node->stride, node->groups);
    if (uses_torch_norm(model)) {
        torch_norm_forward(model, node->first_tensor, state);
        return;
    }
    const Tensor *x = state->before;
    size_t rows = rows_of(x);
    int shape[4] = {model->count, node->channels, x ? tensor_size(x, 2) : 1, x ? tensor_size(x, 3) : 1};
    state->out = x ? tensor_empty(model->torch, map_type(model), 4, shape) : NULL;
    rows = state->out ? rows : 0;
    if (model->training) {
        norm_silu_forward(&state->norm, map_of(state->out), map_of(x), rows, model->options.member, model->options.threads);
    } else {
        const YoloxTensor *t = &model->net->tensors[node->first_tensor];
        norm_silu_fixed(&state->norm, map_of(state->out), map_of(x), rows, model->weights + t[YOLOX_NORM_MEAN].offset,
                        model->weights + t[YOLOX_NORM_VARIANCE].offset, model->options.threads);
    }
}

/* Gradient by the convolution's result, through SiLU and norm. */
static Tensor *norm_backward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    NodeState *state = &model->nodes[index];
    int scale = node->first_tensor + YOLOX_NORM_SCALE, shift = node->first_tensor + YOLOX_NORM_SHIFT;
    Tensor *result = NULL;
    if (uses_torch_norm(model)) {
        Tensor *scale_gradient = NULL, *shift_gradient = NULL;
        tensor_norm_silu_backward(model->torch, &result, &scale_gradient, &shift_gradient, state->gradient, state->normal, state->before,
                                  model->views[scale], state->mean, state->inverse, YOLOX_NORM_EPSILON);
        tensor_copy(model->torch, model->gradient_views[scale], scale_gradient);
        tensor_copy(model->torch, model->gradient_views[shift], shift_gradient);
        tensor_release(model->torch, scale_gradient);
        tensor_release(model->torch, shift_gradient);
        return result;
    }
    if (state->gradient && tensor_pixel_stride(state->gradient) == 0) {
        Tensor *dense = tensor_dense(model->torch, state->gradient);
        drop(model, &state->gradient);
        state->gradient = dense;
    }
    const Tensor *x = state->before;
    if (x && state->gradient)
        result = tensor_empty(model->torch, map_type(model), 4, (int[]){model->count, node->channels, tensor_size(x, 2), tensor_size(x, 3)});
    norm_silu_backward(&state->norm, map_of(result), model->gradient + model->net->tensors[scale].offset,
                       model->gradient + model->net->tensors[shift].offset, map_of(state->gradient), map_of(x), result ? rows_of(x) : 0,
                       model->options.member, model->options.threads);
    return result;
}

static WeightShape weight_shape(const YoloxTensor *tensor) {
    return (WeightShape){tensor->shape[0], tensor->shape[1], tensor->shape[2] * tensor->shape[3]};
}

/* Takes a weight's gradient over to its place among all gradients. */
static void put_weight_gradient(Model *model, int tensor, Tensor *gradient) {
    const YoloxTensor *t = &model->net->tensors[tensor];
    bool half_on_host = gradient && tensor_type(gradient) == TORCH_BFLOAT16 && tensor_data(gradient);
    if (half_on_host && tensor_pixel_stride(gradient) == (size_t)t->shape[1])
        weights_from_half(model->gradient + t->offset, tensor_data(gradient), weight_shape(t));
    else
        tensor_copy(model->torch, model->gradient_views[tensor], gradient);
    tensor_release(model->torch, gradient);
}

static void conv_backward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    Tensor *gradient = norm_backward(model, index), *x_gradient = NULL, *weight_gradient = NULL;
    bool wanted = node_at(model, node->inputs[0])->op != YOLOX_FOCUS; /* the images need none */
    tensor_conv_backward(model->torch, wanted ? &x_gradient : NULL, &weight_gradient, NULL, gradient, input_of(model, index, 0),
                         model->compute[node->first_tensor], node->stride, node->groups);
    put_weight_gradient(model, node->first_tensor, weight_gradient);
    tensor_release(model->torch, gradient);
    if (wanted) give_gradient(model, node->inputs[0], x_gradient);
}

static void predict_forward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    Tensor **v = model->views + node->first_tensor, *x = tensor_cast(model->torch, input_of(model, index, 0), exact_type(model));
    model->nodes[index].out = tensor_conv(model->torch, x, v[0], v[1], 1, 1);
    tensor_release(model->torch, x);
}

static void predict_backward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    Tensor *x_gradient = NULL, *weight = NULL, *bias = NULL, *x = tensor_cast(model->torch, input_of(model, index, 0), exact_type(model));
    tensor_conv_backward(model->torch, &x_gradient, &weight, &bias, model->nodes[index].gradient, x, model->views[node->first_tensor], 1, 1);
    tensor_copy(model->torch, model->gradient_views[node->first_tensor], weight);
    tensor_copy(model->torch, model->gradient_views[node->first_tensor + 1], bias);
    tensor_release(model->torch, weight);
    tensor_release(model->torch, bias);
    tensor_release(model->torch, x);
    give_gradient(model, node->inputs[0], tensor_cast(model->torch, x_gradient, map_type(model)));
    tensor_release(model->torch, x_gradient);
}

static void add_forward(Model *model, int index) {
    model->nodes[index].out = tensor_add(model->torch, input_of(model, index, 0), input_of(model, index, 1));
}

static void add_backward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    for (int i = 0; i < node->input_count; i++)
        give_gradient(model, node->inputs[i], tensor_channels(model->torch, model->nodes[index].gradient, 0, node->channels));
}

static void concat_forward(Model *model, int index) {
    Tensor *parts[YOLOX_MAX_INPUTS];
    const YoloxNode *node = node_at(model, index);
    for (int i = 0; i < node->input_count; i++) parts[i] = input_of(model, index, i);
    model->nodes[index].out = tensor_concat(model->torch, parts, node->input_count);
}

static void concat_backward(Model *model, int index) {
    const YoloxNode *node = node_at(model, index);
    for (int i = 0, first = 0; i < node->input_count; i++) {
        int channels = node_at(model, node->inputs[i])->channels;
        give_gradient(model, node->inputs[i], tensor_channels(model->torch, model->nodes[index].gradient, first, channels));
        first += channels;
    }
}

static void upsample_forward(Model *model, int index) {
    model->nodes[index].out = tensor_upsample(model->torch, input_of(model, index, 0));
}

static void upsample_backward(Model *model, int index) {
    give_gradient(model, node_at(model, index)->inputs[0], tensor_upsample_backward(model->torch, model->nodes[index].gradient));
}

static void maxpool_forward(Model *model, int index) {
    NodeState *state = &model->nodes[index];
    state->out = tensor_maxpool(model->torch, &state->indices, input_of(model, index, 0), node_at(model, index)->kernel);
}

static void maxpool_backward(Model *model, int index) {
    NodeState *state = &model->nodes[index];
    give_gradient(model, node_at(model, index)->inputs[0],
                  tensor_maxpool_backward(model->torch, state->gradient, input_of(model, index, 0), state->indices, node_at(model, index)->kernel));
}

static void nothing(Model *model, int index) {
    (void)model;
    (void)index;
}

static const struct {
    NodePass *forward, *backward;
} passes[] = {
    [YOLOX_INPUT] = {nothing, nothing},
    [YOLOX_FOCUS] = {focus_forward, nothing},
    [YOLOX_CONV] = {conv_forward, conv_backward},
    [YOLOX_PREDICT] = {predict_forward, predict_backward},
    [YOLOX_ADD] = {add_forward, add_backward},
    [YOLOX_CONCAT] = {concat_forward, concat_backward},
    [YOLOX_UPSAMPLE] = {upsample_forward, upsample_backward},
    [YOLOX_MAXPOOL] = {maxpool_forward, maxpool_backward},
};

static void release_node(Model *model, int index) {
    NodeState *s = &model->nodes[index];
    Tensor **owned[] = {&s->out, &s->gradient, &s->before, &s->normal, &s->mean, &s->inverse, &s->indices};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) drop(model, owned[i]);
}

static void release_all(Model *model) {
    for (int i = 0; i < model->net->node_count; i++) release_node(model, i);
}

/* In evaluation nothing is kept beyond its last reader. */
static void release_spent(Model *model, int index) {
    NodeState *state = &model->nodes[index];
    drop(model, &state->before);
    drop(model, &state->indices);
    const YoloxNode *node = node_at(model, index);
    for (int i = 0; i < node->input_count; i++) {
        if (model->nodes[node->inputs[i]].last_use == index) release_node(model, node->inputs[i]);
    }
}

/* The place of one head's output within an array of the raw outputs. */
static Tensor *raw_map(Model *model, float *raw, int node, int level, int first_channel) {
    int row = 5 + model->net->class_count, anchors = yolox_anchor_count(model->net, model->height, model->width), before = 0;
    for (int l = 0; l < level; l++) before += (model->height / model->net->heads[l].stride) * (model->width / model->net->heads[l].stride);
    int stride = model->net->heads[level].stride;
    int shape[4] = {model->count, node_at(model, node)->channels, model->height / stride, model->width / stride};
    return tensor_borrow_map(model->torch, raw + (size_t)before * (size_t)row + first_channel, shape, (size_t)anchors * (size_t)row, (size_t)row);
}

static void each_head(Model *model, float *raw, void (*visit)(Model *, int node, Tensor *map)) {
    for (int level = 0; level < YOLOX_LEVELS; level++) {
        const YoloxHead *head = &model->net->heads[level];
        int nodes[] = {head->box, head->objectness, head->classes}, channels[] = {0, 4, 5};
        for (int i = 0; i < 3; i++) {
            Tensor *map = raw_map(model, raw, nodes[i], level, channels[i]);
            visit(model, nodes[i], map);
            tensor_release(model->torch, map);
        }
    }
}

static void read_head(Model *model, int node, Tensor *map) {
    tensor_copy(model->torch, map, model->nodes[node].out);
}

static void start_head(Model *model, int node, Tensor *map) {
    give_gradient(model, node, tensor_cast(model->torch, map, exact_type(model)));
}

/* Keeps mean and unbiased variance for the running averages. */
static void collect_statistics(Model *model) {
    for (int i = 0; i < model->net->node_count; i++) {
        const YoloxNode *node = node_at(model, i);
        if (node->op != YOLOX_CONV) continue;
        const NormLayer *norm = &model->nodes[i].norm;
        const YoloxTensor *t = &model->net->tensors[node->first_tensor];
        float *mean = model->statistics + (t[YOLOX_NORM_MEAN].offset - model->net->trained);
        float *variance = model->statistics + (t[YOLOX_NORM_VARIANCE].offset - model->net->trained);
        double correction = norm->count > 1 ? norm->count / (norm->count - 1) : 1;
        for (int c = 0; c < node->channels; c++) {
            mean[c] = norm->mean[c];
            variance[c] = (float)((double)norm->variance[c] * correction);
        }
    }
}

static void make_room(Model *model) {
    size_t pixels = (size_t)model->count * (size_t)model->height * (size_t)model->width * 3;
    size_t raw = (size_t)model->count * (size_t)yolox_anchor_count(model->net, model->height, model->width) * (size_t)(5 + model->net->class_count);
    if (pixels > model->pixels_size) {
        free(model->pixels);
        model->pixels = xmalloc((model->pixels_size = pixels) * sizeof(float));
    }
    if (raw > model->raw_size) {
        model->raw = xrealloc(model->raw, (model->raw_size = raw) * sizeof(float));
        model->raw_gradient = xrealloc(model->raw_gradient, raw * sizeof(float));
    }
}

Status model_forward(Model *model, const uint8_t *images, int count, int height, int width, bool training, Error *err) {
    release_all(model);
    if (height != model->height || width != model->width || count != model->count) pool_trim();
    model->images = images;
    model->count = count;
    model->height = height;
    model->width = width;
    model->training = training;
    make_room(model);
    for (int i = 0; i < model->net->node_count; i++) {
        passes[node_at(model, i)->op].forward(model, i);
        if (!training) release_spent(model, i);
    }
    each_head(model, model->raw, read_head);
    if (training) collect_statistics(model);
    else release_all(model);
    return torch_status(model->torch, err);
}

Status model_backward(Model *model, Error *err) {
    if (model->count == 0) memset(model->gradient, 0, model->net->trained * sizeof *model->gradient);
    each_head(model, model->raw_gradient, start_head);
    for (int i = model->net->node_count - 1; i >= 0; i--) {
        passes[node_at(model, i)->op].backward(model, i);
        release_node(model, i);
    }
    return torch_status(model->torch, err);
}

const float *model_raw(const Model *model) {
    return model->raw;
}

float *model_raw_gradient(Model *model) {
    return model->raw_gradient;
}

const float *model_gradient(const Model *model) {
    return model->gradient;
}

const float *model_statistics(const Model *model) {
    return model->statistics;
}

void model_refresh(Model *model) {
    if (model->flat != model->host) tensor_copy(model->torch, model->flat, model->host);
    uint16_t *half = model->half ? tensor_data(model->half) : NULL; /* NULL on a GPU too */
    for (int i = 0; model->half && i < model->net->tensor_count; i++) {
        const YoloxTensor *t = &model->net->tensors[i];
        if (t->kind != YOLOX_WEIGHT) continue;
        if (half) weights_to_half(half + t->offset, model->weights + t->offset, weight_shape(t));
        else tensor_copy(model->torch, model->compute[i], model->views[i]);
    }
}

static void bind_weights(Model *model) {
    const Yolox *net = model->net;
    Torch *torch = model->torch;
    /* the tensor is never written, whatever its type says */
    model->host = tensor_borrow(torch, (float *)(uintptr_t)model->weights, 1, (int[]){(int)net->size});
    bool in_place = !model->options.cuda && exact_type(model) == TORCH_FLOAT32;
    model->flat = in_place ? model->host : tensor_empty(torch, exact_type(model), 1, (int[]){(int)net->size});
    if (map_type(model) == TORCH_BFLOAT16) model->half = tensor_empty(torch, TORCH_BFLOAT16, 1, (int[]){(int)net->decayed});
    model->views = xcalloc((size_t)net->tensor_count, sizeof *model->views);
    model->compute = xcalloc((size_t)net->tensor_count, sizeof *model->compute);
    model->gradient_views = xcalloc((size_t)net->tensor_count, sizeof *model->gradient_views);
    Tensor *gradient = tensor_borrow(torch, model->gradient, 1, (int[]){(int)net->trained});
    for (int i = 0; i < net->tensor_count; i++) {
        const YoloxTensor *t = &net->tensors[i];
        model->views[i] = tensor_view(torch, model->flat, t->offset, t->rank, t->shape);
        bool halved = model->half && t->kind == YOLOX_WEIGHT;
        model->compute[i] = halved ? tensor_view_map(torch, model->half, t->offset, t->shape) : model->views[i];
        if (t->offset < net->trained) model->gradient_views[i] = tensor_view(torch, gradient, t->offset, t->rank, t->shape);
    }
}

static void bind_nodes(Model *model) {
    const Yolox *net = model->net;
    for (int i = 0; i < net->node_count; i++) {
        const YoloxNode *node = &net->nodes[i];
        for (int k = 0; k < node->input_count; k++) model->nodes[node->inputs[k]].last_use = i;
        if (node->op != YOLOX_CONV) continue;
        const YoloxTensor *t = &net->tensors[node->first_tensor];
        model->nodes[i].norm = (NormLayer){
            .channels = node->channels,
            .scale = model->weights + t[YOLOX_NORM_SCALE].offset,
            .shift = model->weights + t[YOLOX_NORM_SHIFT].offset,
            .mean = model->batch + (t[YOLOX_NORM_MEAN].offset - net->trained),
            .variance = model->batch + (t[YOLOX_NORM_VARIANCE].offset - net->trained),
        };
    }
}

Status model_new(Model **out, const Yolox *net, const float *weights, const ModelOptions *options, Error *err) {
    Model *model = xcalloc(1, sizeof *model);
    model->net = net;
    model->options = *options;
    model->weights = weights;
    model->torch = torch_new(options->cuda);
    model->gradient = xcalloc(net->trained, sizeof *model->gradient);
    model->statistics = xcalloc(net->size - net->trained, sizeof *model->statistics);
    model->batch = xcalloc(net->size - net->trained, sizeof *model->batch);
    model->nodes = xcalloc((size_t)net->node_count, sizeof *model->nodes);
    bind_weights(model);
    bind_nodes(model);
    model_refresh(model);
    Status status = torch_status(model->torch, err);
    if (status == STATUS_OK) *out = model;
    else model_free(model);
    return status;
}

void model_free(Model *model) {
    if (!model) return;
    torch_free(model->torch);
    free(model->views);
    free(model->compute);
    free(model->gradient_views);
    free(model->gradient);
    free(model->statistics);
    free(model->batch);
    free(model->nodes);
    free(model->pixels);
    free(model->raw);
    free(model->raw_gradient);
    free(model);
}
