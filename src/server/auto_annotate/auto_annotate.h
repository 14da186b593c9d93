/* Automatic annotation: prompts on one image, and batches in the background by a trained model. What other features may use. */
#pragma once
#include "server/jobs/jobs.h"

/* The job of a batch; its payload is {"batch_id": …}. */
extern const JobKind BATCH_ANNOTATION_JOB;
