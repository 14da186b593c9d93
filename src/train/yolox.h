/* YOLOX as a table: which layers there are, how they hang together, and where each weight lies. Knows no torch and no ONNX.
 *
 * Source: Ge, Liu, Wang, Li, Sun, "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430: CSPDarknet backbone, PAFPN neck and a
 * decoupled head. Tensors carry the names of the published checkpoints ("backbone.backbone.stem.conv.conv.weight").
 *
 * Nodes are in order of execution: every input of a node has a smaller index. Whoever runs the network (the trainer) or writes it
 * down (the ONNX exporter) walks nodes[] once. All weights of a network are one flat array of net->size floats; tensor t lies at
 * t->offset in plain row-major order (convolutions: output, input / groups, row, column). The array has three parts:
 *     [0, decayed)        weights of convolutions, the only ones with weight decay
 *     [decayed, trained)  scale and shift of batch normalisation, biases
 *     [trained, size)     running mean and variance, not trained
 *
 * The network's input is float [N, 3, H, W], blue green red, 0 to 255, H and W multiples of 32. Its output has a row of
 * 5 + class_count numbers per anchor, the anchors of stride 8 first, then 16, then 32, each level row by row:
 *     centre x, centre y, width, height, objectness, one score per class.
 * From the raw outputs of the nodes in heads[]: centre = (raw + column or row) * stride, size = exp(raw) * stride, scores by sigmoid.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/train_config.h"

typedef enum YoloxOp {
    YOLOX_INPUT,    /* the image batch; always node 0 */
    YOLOX_FOCUS,    /* 3 channels to 12 of half the size: pixels (0,0), (1,0), (0,1), (1,1) of each 2 x 2, as (row, column) */
    YOLOX_CONV,     /* convolution without bias, batch normalisation, SiLU */
    YOLOX_PREDICT,  /* 1 x 1 convolution with bias and nothing else */
    YOLOX_ADD,      /* sum of two inputs */
    YOLOX_CONCAT,   /* inputs one after the other along the channels */
    YOLOX_UPSAMPLE, /* twice the size, nearest neighbour */
    YOLOX_MAXPOOL,  /* stride 1, padding kernel / 2 */
} YoloxOp;

enum {
    YOLOX_MAX_INPUTS = 4,
    YOLOX_MAX_NODES = 448,
    YOLOX_MAX_TENSORS = 1280,
    YOLOX_NAME_SIZE = 72,
    YOLOX_LEVELS = 3,
    YOLOX_MAX_CLASSES = 1000,
};

/* Kinds of convolution and prediction tensors, in the order in which a node owns them. */
typedef enum YoloxTensorKind {
    YOLOX_WEIGHT,        /* ".weight" of a convolution, 4 dimensions */
    YOLOX_NORM_SCALE,    /* ".bn.weight" */
    YOLOX_NORM_SHIFT,    /* ".bn.bias" */
    YOLOX_NORM_MEAN,     /* ".bn.running_mean" */
    YOLOX_NORM_VARIANCE, /* ".bn.running_var" */
    YOLOX_BIAS,          /* ".bias" of a YOLOX_PREDICT node */
} YoloxTensorKind;

typedef struct YoloxTensor {
    char name[YOLOX_NAME_SIZE + 20]; /* official name */
    YoloxTensorKind kind;
    int node;
    int rank; /* 4 or 1 */
    int shape[4];
    size_t offset;   /* into the flat array */
    size_t elements; /* product of the shape */
} YoloxTensor;

typedef struct YoloxNode {
    YoloxOp op;
    char name[YOLOX_NAME_SIZE]; /* official prefix of its tensors, unique: "backbone.backbone.stem.conv", "head.reg_preds.0" */
    int inputs[YOLOX_MAX_INPUTS];
    int input_count;
    int in_channels; /* of the concatenated inputs */
    int channels;    /* of the output */
    int kernel, stride, groups; /* convolutions and MAXPOOL; padding is (kernel - 1) / 2 */
    int shift; /* the output is the input size divided by 2^shift */
    /* CONV owns tensors first_tensor + 0..4 (YOLOX_WEIGHT .. YOLOX_NORM_VARIANCE), PREDICT + 0 (weight) and + 1 (bias). */
    int first_tensor;
    int tensor_count;
} YoloxNode;

typedef struct YoloxHead {
    int box, objectness, classes; /* nodes with 4, 1 and class_count channels */
    int stride;                   /* 8, 16, 32 */
} YoloxHead;

typedef struct Yolox {
    YoloxSize model_size;
    int class_count;
    int node_count;
    int tensor_count;
    size_t decayed, trained, size; /* parts of the flat array, in floats */
    YoloxHead heads[YOLOX_LEVELS];
    YoloxNode nodes[YOLOX_MAX_NODES];
    YoloxTensor tensors[YOLOX_MAX_TENSORS];
} Yolox;

/* epsilon and running average of every batch normalisation */
#define YOLOX_NORM_EPSILON 1e-3
#define YOLOX_NORM_MOMENTUM 0.03

/* Lays the table out; class_count from 1 to YOLOX_MAX_CLASSES. Free with yolox_free. */
Yolox *yolox_new(YoloxSize size, int class_count);
void yolox_free(Yolox *net);

/* Tensor of an official name, NULL when the network has none. */
const YoloxTensor *yolox_find_tensor(const Yolox *net, const char *name);
/* Anchors of an input of height x width: rows of the output per image. */
int yolox_anchor_count(const Yolox *net, int height, int width);
/* Fills weights (net->size floats) as the authors start from: uniform within 1 / sqrt(fan in), scale 1, shift 0, mean 0,
 * variance 1, objectness and class bias -log 99. The same seed gives the same weights. */
void yolox_initialize(const Yolox *net, uint64_t seed, float *weights);
