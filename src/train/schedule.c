/* See schedule.h. */
#include "train/schedule.h"

#include <math.h>

#include "base/banned.h"

double schedule_rate(const Schedule *s, int64_t step) {
    double least = s->rate * s->least_part;
    if (step < s->warmup_steps) {
        double part = (double)(step + 1) / (double)s->warmup_steps;
        return s->rate * part * part;
    }
    if (step >= s->steps - s->flat_steps) return least;
    double part = (double)(step - s->warmup_steps) / (double)(s->steps - s->warmup_steps - s->flat_steps);
    return least + (s->rate - least) * (1 + cos(acos(-1) * part)) / 2;
}

int schedule_sizes(SizeStage stages[SIZE_STAGES], int epochs, int first_side, int last_side) {
    static const int ENDS[SIZE_STAGES] = {4, 7, 10}; /* tenths of the epochs */
    int middle = (first_side + last_side) / 2 / 32 * 32, sides[SIZE_STAGES] = {first_side, middle, last_side}, count = 0;
    for (int i = epochs < LEAST_EPOCHS_TO_GROW ? SIZE_STAGES - 1 : 0; i < SIZE_STAGES; i++) {
        int end = epochs * ENDS[i] / 10, first = count ? stages[count - 1].end_epoch : 0;
        if (count > 0 && stages[count - 1].side == sides[i]) stages[count - 1].end_epoch = end;
        else stages[count++] = (SizeStage){first, end, sides[i]};
    }
    return count;
}
