/* One row a plan. */
#include "server/api/tiers.h"

#include <stddef.h>
#include <string.h>

#include "base/banned.h"

#define GIB (INT64_C(1) << 30)

static const Tier TIERS[] = {
    /* name          requests/h  users   images     storage        projects  credits a month */
    {"free", /*      */ 1000, /*  */ 3, /* */ 10000, /* */ 10 * GIB, /* */ 1000000, /* */ 100},
    {"core", /*      */ 5000, /* */ 10, /* */ 100000, /**/ 100 * GIB, /**/ 1000000, /* */ 1000},
    {"pro", /*       */ 20000, /**/ 50, /* */ 1000000, /**/ 1024 * GIB, /**/ 1000000, /**/ 10000},
    {"enterprise", /**/ 100000, 100000, /* */ 100000000, 102400 * GIB, /**/ 1000000, /**/ 100000},
};

const Tier *tier_find_exact(const char *name) {
    for (size_t i = 0; name && i < sizeof TIERS / sizeof TIERS[0]; i++)
        if (strcmp(TIERS[i].name, name) == 0) return &TIERS[i];
    return NULL;
}

const Tier *tier_find(const char *name) {
    const Tier *tier = tier_find_exact(name);
    return tier ? tier : &TIERS[0];
}
