/* Inner loops of batch normalisation and SiLU in one pass each, written in vectors of the compiler's own kind. Compiled once per
 * instruction set (meson.build defines NORM_KERNELS as the name of the table).
 *
 * A block of rows stays in the first-level cache while its channels are gone through, LANES at a time, so that coefficients and sums of
 * those channels stay in registers.
 */
#include "train/norm_kernel.h"

#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "base/banned.h"

#if defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef uint32_t Bits __attribute__((vector_size(LANES * sizeof(float))));
typedef uint16_t Halves __attribute__((vector_size(LANES * sizeof(uint16_t))));

enum { BLOCK_FLOATS = 2048 /* of a map; three maps of 8 KiB fit */ };

static inline Vector all(float value) {
    return value - (Vector){0};
}

static inline Vector from_bits(Bits bits) {
    return (Vector)bits;
}

static inline Vector smaller(Vector a, Vector b) {
#if defined(__AVX2__)
    return _mm256_min_ps(a, b);
#else
    Bits less = (Bits)(a < b);
    return from_bits((less & (Bits)a) | (~less & (Bits)b));
#endif
}

static inline Vector larger(Vector a, Vector b) {
#if defined(__AVX2__)
    return _mm256_max_ps(a, b);
#else
    Bits more = (Bits)(a > b);
    return from_bits((more & (Bits)a) | (~more & (Bits)b));
#endif
}

/* 1 / (1 + e^-x) to 1e-7: e^-x = 2^t is 2 to the nearest integer times a polynomial in the rest, the series of 2^f. */
static inline Vector sigmoid(Vector x) {
    Vector t = larger(smaller(x * -1.44269504f, all(126)), all(-126));
    Vector shifted = t + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer, which then lies in the low bits */
    Vector f = t - (shifted - 12582912.0f);
    Vector p = f * 1.5403530e-4f + 1.3333558e-3f;
    p = p * f + 9.6181291e-3f;
    p = p * f + 5.5504109e-2f;
    p = p * f + 2.4022651e-1f;
    p = p * f + 6.9314718e-1f;
    p = p * f + 1.0f;
    return 1.0f / (from_bits((Bits)p + ((Bits)shifted << 23)) + 1.0f);
}

/* LANES channels from channel c of a row. `half` is known where this is inlined: no branch is left in the loop. */
static inline __attribute__((always_inline)) Vector load(NormMap map, size_t row, int c, bool half) {
    size_t place = row * map.stride + (size_t)c;
    if (half) {
        Halves halves;
        memcpy(&halves, (const uint16_t *)map.data + place, sizeof halves);
        return from_bits(__builtin_convertvector(halves, Bits) << 16);
    }
    Vector value;
    memcpy(&value, (const float *)map.data + place, sizeof value);
    return value;
}

/* Halves are rounded to nearest, ties to even. */
static inline __attribute__((always_inline)) void store(NormMap map, size_t row, int c, Vector value, bool half) {
    size_t place = row * map.stride + (size_t)c;
    if (half) {
        Bits bits = (Bits)value;
        Halves halves = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, Halves);
        memcpy((uint16_t *)map.data + place, &halves, sizeof halves);
    } else {
        memcpy((float *)map.data + place, &value, sizeof value);
    }
}

static inline Vector load_floats(const float *from) {
    Vector value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void add_to(double *sums, Vector values) {
    for (int i = 0; i < LANES; i++) sums[i] += (double)values[i];
}

static size_t block_end(size_t start, size_t end, int channels) {
    size_t rows = BLOCK_FLOATS / (size_t)channels, step = rows < 8 ? 8 : rows;
    return end - start < step ? end : start + step;
}

/* Squares of numbers far from zero would drown the variance: within a block, sums are of the distances from its first row. */
static inline __attribute__((always_inline)) void statistics_of(double *sums, NormMap x, size_t start, size_t stop, int channels, bool half) {
    double count = (double)(stop - start);
    for (int c = 0; c < channels; c += LANES) {
        Vector origin = load(x, start, c, half), sum = {0}, square = {0};
        for (size_t row = start + 1; row < stop; row++) {
            Vector d = load(x, row, c, half) - origin;
            sum += d;
            square += d * d;
        }
        for (int i = 0; i < LANES; i++) {
            double o = (double)origin[i], s = (double)sum[i];
            sums[c + i] += s + count * o;
            sums[channels + c + i] += (double)square[i] + 2 * o * s + count * o * o;
        }
    }
}

static void statistics(double *sums, NormMap x, size_t first, size_t end, int channels) {
    for (size_t start = first, stop; start < end; start = stop) {
        stop = block_end(start, end, channels);
        if (x.half) statistics_of(sums, x, start, stop, channels, true);
        else statistics_of(sums, x, start, stop, channels, false);
    }
}

static inline __attribute__((always_inline)) void forward_of(NormMap y, NormMap x, size_t start, size_t stop, int channels, const float *factor,
                                                            const float *rest, bool half) {
    for (int c = 0; c < channels; c += LANES) {
        Vector f = load_floats(factor + c), r = load_floats(rest + c);
        for (size_t row = start; row < stop; row++) {
            Vector z = load(x, row, c, half) * f + r;
            store(y, row, c, z * sigmoid(z), half);
        }
    }
}

static void forward(NormMap y, NormMap x, size_t first, size_t end, int channels, const float *factor, const float *rest) {
    for (size_t start = first, stop; start < end; start = stop) {
        stop = block_end(start, end, channels);
        if (x.half) forward_of(y, x, start, stop, channels, factor, rest, true);
        else forward_of(y, x, start, stop, channels, factor, rest, false);
    }
}

static inline __attribute__((always_inline)) void backward_of(double *sums, NormMap inner, NormMap gradient, NormMap x, size_t start, size_t stop,
                                                             int channels, const float *factor, const float *rest, const float *mean, bool half) {
    for (int c = 0; c < channels; c += LANES) {
        Vector f = load_floats(factor + c), r = load_floats(rest + c), m = load_floats(mean + c), sum = {0}, product = {0};
        for (size_t row = start; row < stop; row++) {
            Vector in = load(x, row, c, half), z = in * f + r, s = sigmoid(z);
            Vector d = load(gradient, row, c, half) * (s + z * s * (1.0f - s));
            store(inner, row, c, d, half);
            sum += d;
            product += d * (in - m);
        }
        add_to(sums + c, sum);
        add_to(sums + channels + c, product);
    }
}

static void backward_sums(double *sums, NormMap inner, NormMap gradient, NormMap x, size_t first, size_t end, int channels, const float *factor,
                          const float *rest, const float *mean) {
    for (size_t start = first, stop; start < end; start = stop) {
        stop = block_end(start, end, channels);
        if (x.half) backward_of(sums, inner, gradient, x, start, stop, channels, factor, rest, mean, true);
        else backward_of(sums, inner, gradient, x, start, stop, channels, factor, rest, mean, false);
    }
}

static inline __attribute__((always_inline)) void apply_of(NormMap inner, NormMap x, size_t start, size_t stop, int channels, const float *factor,
                                                          const float *slope, const float *rest, bool half) {
    for (int c = 0; c < channels; c += LANES) {
        Vector f = load_floats(factor + c), k = load_floats(slope + c), r = load_floats(rest + c);
        for (size_t row = start; row < stop; row++) store(inner, row, c, load(inner, row, c, half) * f + (load(x, row, c, half) * k + r), half);
    }
}

static void backward_apply(NormMap inner, NormMap x, size_t first, size_t end, int channels, const float *factor, const float *slope,
                           const float *rest) {
    for (size_t start = first, stop; start < end; start = stop) {
        stop = block_end(start, end, channels);
        if (x.half) apply_of(inner, x, start, stop, channels, factor, slope, rest, true);
        else apply_of(inner, x, start, stop, channels, factor, slope, rest, false);
    }
}

const NormKernels NORM_KERNELS = {statistics, forward, backward_sums, backward_apply};
