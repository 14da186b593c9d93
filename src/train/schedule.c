/* See schedule.h. */
#include "train/schedule.h"

#include <math.h>

#include "base/banned.h"

double schedule_rate(const Schedule *s, int64_t step)
{
    double least = s->rate * s->least_part;
    if (step < s->warmup_steps) {
        double part = (double)(step + 1) / (double)s->warmup_steps;
        return s->rate * part * part;
    }
    if (step >= s->steps - s->flat_steps)
        return least;
    double part = (double)(step - s->warmup_steps) / (double)(s->steps - s->warmup_steps - s->flat_steps);
    return least + (s->rate - least) * (1 + cos(acos(-1) * part)) / 2;
}
