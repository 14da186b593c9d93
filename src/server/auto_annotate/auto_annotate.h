/* Automatic annotation: prompts on one image, and batches in the background by a trained model. What other features may use, with the calls of
 * pictograph-vision on an image. */
#pragma once
#include "server/auto_annotate/operator_answers.h"
#include "server/auto_annotate/vision_call.h"
#include "server/jobs/jobs.h"

enum { BATCH_MINIMUM_CREDITS = 3 }; /* limits.yaml credits.charges.batch_minimum */

/* The job of a batch. */
extern const JobKind BATCH_ANNOTATION_JOB;
