/* A row of channels is read and written at a time; the taps of one output channel stay in the first-level cache. */
#include "train/weight_order.h"

#include <string.h>

#include "base/banned.h"

static inline uint16_t half_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline float float_of(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The number of taps is known where these are inlined, so that loops over channels become vectors. */
static inline __attribute__((always_inline)) void to_half(uint16_t *restrict half, const float *restrict weights, size_t in, size_t taps) {
    for (size_t tap = 0; tap < taps; tap++) {
        for (size_t i = 0; i < in; i++) half[tap * in + i] = half_of(weights[i * taps + tap]);
    }
}

static inline __attribute__((always_inline)) void from_half(float *restrict weights, const uint16_t *restrict half, size_t in, size_t taps) {
    for (size_t i = 0; i < in; i++) {
        for (size_t tap = 0; tap < taps; tap++) weights[i * taps + tap] = float_of(half[tap * in + i]);
    }
}

void weights_to_half(uint16_t *half, const float *weights, WeightShape shape) {
    size_t in = (size_t)shape.in, taps = (size_t)shape.taps, row = in * taps;
    for (int out = 0; out < shape.out; out++, half += row, weights += row) {
        if (taps == 9) to_half(half, weights, in, 9);
        else if (taps == 1) to_half(half, weights, in, 1);
        else to_half(half, weights, in, taps);
    }
}

void weights_from_half(float *weights, const uint16_t *half, WeightShape shape) {
    size_t in = (size_t)shape.in, taps = (size_t)shape.taps, row = in * taps;
    for (int out = 0; out < shape.out; out++, half += row, weights += row) {
        if (taps == 9) from_half(weights, half, in, 9);
        else if (taps == 1) from_half(weights, half, in, 1);
        else from_half(weights, half, in, taps);
    }
}
