/* Judge: how well the moving average finds the boxes of held-out images, by COCO's rules. */
#pragma once
#include <signal.h>

#include "base/json.h"
#include "evaluation/evaluation.h"
#include "train/data_loader.h"
#include "train/trainer.h"

typedef struct Metrics {
    bool known; /* false: nothing was held out */
    Evaluation evaluation;
} Metrics;

typedef struct JudgeInput {
    const Yolox *net;
    Trainer *trainer;
    TrainDataset *dataset;
    TrainCache *cache;
    const uint32_t *images; /* into dataset->images */
    size_t count;
    int side; /* of the input */
    const volatile sig_atomic_t *stop;
} JudgeInput;

/* What is returned lives in arena. STATUS_CANCELLED once *stop is not zero. */
Status judge_images(Metrics *out, const JudgeInput *input, Arena *arena, Error *err);
/* Members "map50" and "map", and with a dataset "per_class" too, of an object that is open; null where not known. */
void metrics_write(JsonWriter *w, const Metrics *metrics, const TrainDataset *dataset);
