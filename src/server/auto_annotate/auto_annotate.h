/* Automatic annotation: prompts on one image, and batches in the background by a trained model. What other features may use, with the calls of
 * pictograph-vision on an image. */
#pragma once
#include "server/auto_annotate/operator_answers.h"
#include "server/auto_annotate/vision_call.h"
#include "server/jobs/jobs.h"

/* The job of a batch; its payload is {"batch_id": …}. */
extern const JobKind BATCH_ANNOTATION_JOB;
