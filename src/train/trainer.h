/* Trainer: one network, its optimizer and the replicas that work on a batch together, a thread each.
 *
 * On a CPU a replica per core with operations of one thread each beats one replica whose operations are spread over all cores. As they
 * share statistics of normalisation and the divisor of the loss, the result is that of one replica, to rounding. The same options, batches and
 * number of replicas give the same weights.
 */
#pragma once
#include "base/error.h"
#include "train/loss.h"
#include "train/model.h"
#include "train/optimizer.h"

typedef struct TrainerOptions {
    int replicas; /* 1 to TEAM_MAX; 1 on a GPU */
    int threads;  /* of each replica's operations */
    TorchType type;
    bool cuda;
} TrainerOptions;

/* What trains this size fastest here: bfloat16 where there are units for it. Nano's depthwise convolutions gain from AMD's, not from Intel's. */
TorchType trainer_type(YoloxSize size, bool cuda);
/* Replicas and threads for so many cores and images a batch. */
TrainerOptions trainer_choose(int cores, int batch, TorchType type, bool cuda);

typedef struct TrainerBatch {
    const uint8_t *images; /* count x height x width x 3 bytes, BGR */
    const float *targets;  /* as LossInput's */
    int count, height, width, max_boxes;
} TrainerBatch;

typedef struct Trainer Trainer;

/* weights (net->size floats) are copied; net must outlive the trainer. Free with trainer_free. */
Status trainer_new(Trainer **out, const Yolox *net, const float *weights, const TrainerOptions *options, Error *err);
void trainer_free(Trainer *trainer);
/* One step. STATUS_VALIDATION_ERROR when the loss is no number any more: the learning rate is too high; the weights are then as before. */
Status trainer_step(Trainer *trainer, LossParts *parts, const TrainerBatch *batch, const StepRates *rates, bool l1, Error *err);
/* Borrowed, for checkpoints: read them between steps; written ones count from the next step on. Call trainer_weights_changed after writing. */
Optimizer *trainer_optimizer(Trainer *trainer);
void trainer_weights_changed(Trainer *trainer);
/* Runs images on the moving average; raw outputs as model_raw() of a pass in evaluation, borrowed until the next call. */
Status trainer_predict(Trainer *trainer, const float **raw, const uint8_t *images, int count, int height, int width, Error *err);
