/* Training runs: what of them other features may use. */
#pragma once
#include "server/jobs/jobs.h"
#include "server/server.h"

/* The job that runs pictograph-train on an export. */
extern const JobKind TRAINING_JOB;

/* Path of the operator's weights that runs may begin from, DATA/models/weights/NAME, in the arena; NULL unless name is a bare file name and such a
 * file is there, itself and no link. */
const char *training_weights_path(const Config *config, const char *name, Arena *arena);

/* Minutes that a run will take at most, by size of the data and the settings: deterministic, 1 to 120 (decisions.md (b) 25). epochs and image_size
 * 0: the trainer's own choice. */
int64_t training_estimated_minutes(int64_t images, int64_t epochs, int64_t image_size);
