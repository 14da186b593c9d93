/* The feature's state. Private to it. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "server/search/index.h"

struct Search {
    VectorIndexes *indexes;
    atomic_int_fast64_t not_before; /* ms: no description before this instant, */
    atomic_int_fast64_t retry_at;   /* nor before this one of an image that failed */
    char *model;                    /* upkeep's own: whose vectors are kept; those of any other wait to be made anew. NULL: not looked at yet */
};
