/* Eight floats, as product.c and depthwise.c reckon with: the compiler's own vectors, one register with AVX2. */
#pragma once
#include <string.h>

enum { LANES = 8 };
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));

static inline __attribute__((always_inline)) Vector load(const float *from) {
    Vector value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline __attribute__((always_inline)) void store(float *to, Vector value) {
    memcpy(to, &value, sizeof value);
}
