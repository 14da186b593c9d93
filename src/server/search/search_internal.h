/* The feature's state. Private to it. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "server/search/index.h"

struct Search {
    VectorIndexes *indexes;
    atomic_int_fast64_t not_before; /* ms: no description before this instant */
    bool started;                   /* upkeep's own */
};
