/* Optimizer: stochastic gradient descent with Nesterov momentum, running averages of batch statistics and the exponential moving average
 * of everything, in one pass over flat arrays. Sutskever et al. 2013; weight decay touches weights of convolutions only.
 */
#pragma once
#include "train/yolox.h"

/* What changes from step to step. */
typedef struct StepRates {
    double learning_rate;
    double momentum;     /* 0.9 */
    double weight_decay; /* 5e-4 */
    double average_keep; /* part of the moving average that stays */
    double statistics_part; /* of the batch in the running mean and variance: YOLOX_NORM_MOMENTUM, more in the first steps */
} StepRates;

typedef struct Optimizer {
    const Yolox *net;
    float *weights, *average; /* net->size floats */
    float *velocity;          /* net->trained floats */
} Optimizer;

/* Allocates the arrays: weights as given, velocity zero, average equal to the weights. */
void optimizer_init(Optimizer *optimizer, const Yolox *net, const float *weights);
void optimizer_clear(Optimizer *optimizer);

/* One step for the floats from first to end of the flat arrays. gradients are replica_count arrays of net->trained floats that add up;
 * statistics are net->size - net->trained floats (mean, unbiased variance of the batch). Ranges may be worked on by different threads. */
void optimizer_step(Optimizer *optimizer, const StepRates *rates, const float *const *gradients, int replica_count, const float *statistics,
                    size_t first, size_t end);

/* Moving average: how much of it stays at update n, from 1: longest * (1 - e^(-n / ramp)). */
double average_keep(double longest, double ramp, int64_t n);
