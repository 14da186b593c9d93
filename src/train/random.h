/* Random numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014). A stream is chosen by two numbers, so that image 17 of epoch 3 has its own whatever thread draws it. */
#pragma once
#include <stdint.h>

typedef struct Random {
    uint64_t state;
} Random;

static inline uint64_t random_next(Random *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline Random random_start(uint64_t seed, uint64_t stream) {
    Random random = {seed};
    random.state = random_next(&random) ^ (stream * 0xd1342543de82ef95u);
    random_next(&random);
    return random;
}

/* in [0, 1) */
static inline double random_unit(Random *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static inline double random_between(Random *random, double low, double high) {
    return low + (high - low) * random_unit(random);
}

/* in [0, count); count > 0 */
static inline uint32_t random_below(Random *random, uint32_t count) {
    return (uint32_t)(((random_next(random) >> 32) * count) >> 32);
}
