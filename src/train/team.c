/* A barrier whose waiters watch a turn counter, and the sums built on it. */
#include "train/team.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { SPINS = 4000, SUM_MAX = 2 * 1280 /* statistics of the widest layer */ };

struct Team {
    int size;
    atomic_int arrived;
    atomic_uint turn;
    double *slots[2]; /* values handed over, of two sums: a slow reader of one does not meet a fast writer of the next */
};

Team *team_new(int size)
{
    Team *team = xcalloc(1, sizeof *team);
    team->size = size;
    for (int i = 0; i < 2; i++)
        team->slots[i] = xcalloc((size_t)size * SUM_MAX, sizeof(double));
    return team;
}

void team_free(Team *team)
{
    if (!team)
        return;
    free(team->slots[0]);
    free(team->slots[1]);
    free(team);
}

int team_size(const TeamMember *member)
{
    return member && member->team ? member->team->size : 1;
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void team_wait(TeamMember *member)
{
    if (team_size(member) == 1)
        return;
    Team *team = member->team;
    unsigned turn = ++member->turn;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->size - 1) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->turn, turn, memory_order_release);
        return;
    }
    for (int i = 0; atomic_load_explicit(&team->turn, memory_order_acquire) != turn; i++) {
        if (i < SPINS)
            relax();
        else
            sched_yield();
    }
}

void team_sum(TeamMember *member, double *values, int count)
{
    if (team_size(member) == 1)
        return;
    Team *team = member->team;
    double *slots = team->slots[member->turn % 2];
    memcpy(slots + (size_t)member->number * SUM_MAX, values, (size_t)count * sizeof *values);
    team_wait(member);
    memset(values, 0, (size_t)count * sizeof *values);
    for (int m = 0; m < team->size; m++) {
        for (int i = 0; i < count; i++)
            values[i] += slots[(size_t)m * SUM_MAX + (size_t)i];
    }
}
