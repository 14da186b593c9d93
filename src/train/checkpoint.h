/* Checkpoint of a run: weights, velocity and moving average by official names in one safetensors file, and where the run stands. */
#pragma once
#include "train/optimizer.h"
#include "train/tensor_file.h"

typedef struct Progress {
    int epoch;       /* epochs that are done */
    int64_t updates; /* steps that are done */
    double seconds;  /* spent so far, over all starts */
} Progress;

Status checkpoint_write(const char *path, const Optimizer *optimizer, const Progress *progress, const char *fingerprint, Error *err);
/* Fills optimizer (initialised for the same network) and progress. STATUS_NOT_FOUND when there is no checkpoint or it is of another run. */
Status checkpoint_read(const char *path, Optimizer *optimizer, Progress *progress, const char *fingerprint, Error *err);
