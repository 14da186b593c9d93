/* A barrier whose waiters watch a turn counter, and the sums built on it.
 *
 * Who has watched for long sleeps on the counter. Yielding instead would hand a whole slice of the processor to any other program of the machine at
 * each of the hundred barriers of a step, and a training beside a compiler would run at a quarter of its share.
 */
#include "train/team.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/banned.h"

enum { SPINS = 1000, SUM_MAX = 2 * 1280 /* statistics of the widest layer */ };

struct Team {
    int size;
    atomic_int arrived;
    atomic_uint turn;
    atomic_int sleepers;
    double *slots[2]; /* values handed over, of two sums: a slow reader of one does not meet a fast writer of the next */
};

Team *team_new(int size) {
    Team *team = xcalloc(1, sizeof *team);
    team->size = size;
    for (int i = 0; i < 2; i++) team->slots[i] = xcalloc((size_t)size * SUM_MAX, sizeof(double));
    return team;
}

void team_free(Team *team) {
    if (!team) return;
    free(team->slots[0]);
    free(team->slots[1]);
    free(team);
}

int team_size(const TeamMember *member) {
    return member && member->team ? member->team->size : 1;
}

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Until the counter is no longer one less than turn; may return early. */
static void sleep_before(Team *team, unsigned turn) {
    atomic_fetch_add(&team->sleepers, 1);
    syscall(SYS_futex, &team->turn, FUTEX_WAIT_PRIVATE, turn - 1, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleepers, 1);
}

void team_wait(TeamMember *member) {
    if (team_size(member) == 1) return;
    Team *team = member->team;
    unsigned turn = ++member->turn;
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->size - 1) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_store(&team->turn, turn); /* before sleepers are looked for: who has not slept yet sees the new turn */
        if (atomic_load(&team->sleepers) > 0) syscall(SYS_futex, &team->turn, FUTEX_WAKE_PRIVATE, team->size, NULL, NULL, 0);
        return;
    }
    for (int i = 0; atomic_load_explicit(&team->turn, memory_order_acquire) != turn; i++) {
        if (i < SPINS) relax();
        else sleep_before(team, turn);
    }
}

void team_sum(TeamMember *member, double *values, int count) {
    if (team_size(member) == 1) return;
    Team *team = member->team;
    double *slots = team->slots[member->turn % 2];
    memcpy(slots + (size_t)member->number * SUM_MAX, values, (size_t)count * sizeof *values);
    team_wait(member);
    memset(values, 0, (size_t)count * sizeof *values);
    for (int m = 0; m < team->size; m++) {
        for (int i = 0; i < count; i++) values[i] += slots[(size_t)m * SUM_MAX + (size_t)i];
    }
}
