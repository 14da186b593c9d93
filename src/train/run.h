/* A training run from settings to an ONNX file: reads the data, trains, checkpoints each epoch, evaluates what is held out, exports.
 *
 * Leaves in the output folder: checkpoint.safetensors (a run that was stopped goes on from it when started with the same RUN.json), metrics.json,
 * model.onnx; and the images of a zip under dataset/.
 */
#pragma once
#include <signal.h>

#include "train/events.h"
#include "train/settings.h"

/* STATUS_CANCELLED once *stop is not zero; the other failures have their text in err. Says everything but the failure on events. */
Status run_training(Settings *settings, Events *events, const volatile sig_atomic_t *stop, Error *err);
