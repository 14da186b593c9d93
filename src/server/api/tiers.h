/* Tiers: what a plan allows, the figures of api/limits.yaml (tiers, tier_caps). */
#pragma once
#include <stdint.h>

typedef struct Tier {
    const char *name;
    int64_t requests_per_hour;
    int64_t max_users;
    int64_t max_images;
    int64_t max_storage_bytes;
    int64_t max_projects;
    int64_t monthly_credits;
} Tier;

/* By name; the smallest tier when the name is none. Never NULL. */
const Tier *tier_find(const char *name);
/* NULL when the name is none. */
const Tier *tier_find_exact(const char *name);
