/* Team: the threads that work on one batch together, a replica of the network each. They meet at barriers and add numbers up.
 *
 * Members wait by watching for a while, as a wait lasts microseconds when all of them run, then asleep.
 */
#pragma once
#include <stdbool.h>

typedef struct Team Team;
typedef struct TeamMember {
    Team *team; /* NULL: a team of one */
    int number; /* 0 to size - 1 */
    unsigned turn; /* of the barrier; private */
} TeamMember;

enum { TEAM_MAX = 64 };

Team *team_new(int size);
void team_free(Team *team);
int team_size(const TeamMember *member); /* 1 for NULL */
/* Waits until all members are here. */
void team_wait(TeamMember *member);
/* Replaces values by their sums over all members, added in the order of the members so that all get the same bits. All members call it
 * with the same count. member NULL or without a team: nothing to do. */
void team_sum(TeamMember *member, double *values, int count);
