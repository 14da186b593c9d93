/* Model: a YOLOX network that runs, forward and backward, on libtorch: one replica, used by one thread.
 *
 * Weights lie with the owner (see yolox.h for the order), who may share them among replicas; a pass never writes them. A training pass
 * leaves its gradients and the statistics of the batch in the model's own arrays; optimizer.h turns them into new weights.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "train/team.h"
#include "train/torch_shim.h"
#include "train/yolox.h"

typedef struct ModelOptions {
    TorchType type; /* of activations; normalisation, predictions and everything outside the network are float. TORCH_FLOAT64: the whole
                     * network in double precision by torch's kernels, for comparison with a reference; not in a team */
    bool cuda;
    int threads;        /* this replica's own; torch_threads() is the caller's to set */
    TeamMember *member; /* replicas that share a batch and its statistics; NULL: none */
    bool torch_kernels; /* normalise by torch's kernels even on a CPU; not in a team. For comparison */
} ModelOptions;

typedef struct Model Model;

/* net and weights (net->size floats) must outlive the model. Free with model_free. */
Status model_new(Model **out, const Yolox *net, const float *weights, const ModelOptions *options, Error *err);
void model_free(Model *model);

/* Says that the weights have changed since the last pass. */
void model_refresh(Model *model);

/* Runs images (count x height x width x 3 bytes, BGR; height and width multiples of 32). The raw outputs of the heads go into
 * model_raw(): count x anchors x (5 + classes), no sigmoid and no decoding. A training pass normalises by the statistics of the batch and
 * keeps what model_backward needs; otherwise the running averages are used. When a member of a team fails, the others finish their pass. */
Status model_forward(Model *model, const uint8_t *images, int count, int height, int width, bool training, Error *err);
const float *model_raw(const Model *model);
/* Gradient by the raw outputs, to be filled between the passes; same shape. */
float *model_raw_gradient(Model *model);
/* Fills model_gradient() from model_raw_gradient(); after a training pass, once. */
Status model_backward(Model *model, Error *err);
/* net->trained floats: this replica's part of the gradient. Borrowed. */
const float *model_gradient(const Model *model);
/* net->size - net->trained floats in the order of the running averages: mean and unbiased variance of the last training batch. */
const float *model_statistics(const Model *model);
