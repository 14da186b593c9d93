/* Learning rate over a run: quadratic warm-up, cosine, and a flat end, as YOLOX trains. */
#pragma once
#include <stdint.h>

typedef struct Schedule {
    double rate;       /* highest */
    double least_part; /* the end runs at least_part * rate */
    int64_t steps, warmup_steps, flat_steps;
} Schedule;

/* Rate of step number `step`, from 0. */
double schedule_rate(const Schedule *schedule, int64_t step);
