/* Over a run: the learning rate, by quadratic warm-up, cosine and a flat end, as YOLOX trains; and the input size, which may grow from
 * stage to stage (progressive learning of Tan & Le, arXiv 2104.00298: small inputs buy more updates while the network is still coarse).
 */
#pragma once
#include <stdint.h>

typedef struct Schedule {
    double rate;       /* highest */
    double least_part; /* the end runs at least_part * rate */
    int64_t steps, warmup_steps, flat_steps;
} Schedule;

/* Rate of step number `step`, from 0. */
double schedule_rate(const Schedule *schedule, int64_t step);

typedef struct SizeStage {
    int first_epoch, end_epoch; /* epochs first_epoch … end_epoch - 1 */
    int side;                   /* of the input, a multiple of 32 */
} SizeStage;

enum { SIZE_STAGES = 3, LEAST_EPOCHS_TO_GROW = 10 };

/* Fills stages and returns how many there are, 1 to SIZE_STAGES: four tenths of the epochs at first_side, three tenths half-way between,
 * the rest at last_side. Both sides are multiples of 32. A run of fewer than LEAST_EPOCHS_TO_GROW epochs has one size. */
int schedule_sizes(SizeStage stages[SIZE_STAGES], int epochs, int first_side, int last_side);
