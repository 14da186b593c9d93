/* Settings of a run: RUN.json, and the defaults that fit themselves to the data.
 *
 *     {"pipeline": "yolox", "data": FOLDER-OR-ZIP, "output": FOLDER, "config": {…}, "seed": 1, "threads": 0, "max_seconds": 7200}
 *
 * config is the user's (train_config.h); here it may hold weights, too: a .pth or .safetensors file to start from.
 */
#pragma once
#include "base/error.h"
#include "train/data.h"
#include "train/yolox.h"

typedef enum Precision { PRECISION_DEFAULT, PRECISION_FLOAT32, PRECISION_BFLOAT16 } Precision;

/* 0 (or a negative number, for probabilities) means: choose by the data. */
typedef struct Settings {
    char *data, *output, *weights; /* weights may be NULL */
    int epochs, batch, image_size, start_size, threads;
    double learning_rate, validation_fraction, max_seconds;
    double mosaic, mixup, horizontal_flip, vertical_flip;
    uint64_t seed;
    bool has_model_size;
    YoloxSize model_size;
    Precision precision;
    char fingerprint[65]; /* of the file: the same run goes on where it was stopped */
} Settings;

/* STATUS_VALIDATION_ERROR names the member that is wrong. Clear it also after a failure. */
Status settings_read(Settings *out, const char *path, Error *err);
void settings_clear(Settings *settings);
typedef enum Machine { MACHINE_CPU, MACHINE_CPU_BFLOAT16 /* has fast bfloat16 */, MACHINE_GPU } Machine;
/* Replaces what is open by what suits the data and the machine. train_count is the number of images with boxes. */
void settings_choose(Settings *settings, const TrainDataset *dataset, size_t train_count, Machine machine);
