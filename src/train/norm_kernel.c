/* Inner loops of batch normalisation and SiLU in one pass each. Compiled once per instruction set (meson.build defines NORM_KERNELS as
 * the name of the table); the loops are written so that the compiler turns each into vector code: no calls, no branches.
 */
#include "train/norm_kernel.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

enum {
    MAX_CHANNELS = 1280, /* widest layer of YOLOX-x */
    BLOCK_FLOATS = 4096, /* floats whose sums are kept in single precision: 16 KiB stay in the first-level cache */
};

static inline float from_half(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Rounds to nearest, ties to even. */
static inline uint16_t to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* e^x to 1e-7 relative for |x| <= 87, which x is held to: 2^n times a polynomial in the rest. */
static inline float exponential(float x)
{
    x = x > 87.0f ? 87.0f : x;
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer, which then lies in the low bits */
    float n = shifted - 12582912.0f;
    float r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t integer, bits;
    memcpy(&integer, &shifted, sizeof integer);
    memcpy(&bits, &p, sizeof bits);
    bits += integer << 23;
    memcpy(&p, &bits, sizeof p);
    return p;
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + exponential(-x));
}

/* A row as floats: itself, or converted into space. */
static const float *load_row(NormMap map, size_t row, int channels, float *restrict space)
{
    if (!map.half)
        return (const float *)map.data + row * map.stride;
    const uint16_t *restrict from = (const uint16_t *)map.data + row * map.stride;
    for (int c = 0; c < channels; c++)
        space[c] = from_half(from[c]);
    return space;
}

/* Where a row is to be written as floats; store_row then converts it if need be. */
static float *row_space(NormMap map, size_t row, float *space)
{
    return map.half ? space : (float *)map.data + row * map.stride;
}

static void store_row(NormMap map, size_t row, int channels, const float *restrict space)
{
    if (!map.half)
        return;
    uint16_t *restrict to = (uint16_t *)map.data + row * map.stride;
    for (int c = 0; c < channels; c++)
        to[c] = to_half(space[c]);
}

static size_t block_rows(int channels)
{
    size_t rows = BLOCK_FLOATS / (size_t)channels;
    return rows < 8 ? 8 : rows;
}

static void flush(double *restrict sums, float *restrict partial, int count)
{
    for (int c = 0; c < count; c++) {
        sums[c] += (double)partial[c];
        partial[c] = 0;
    }
}

/* Squares of numbers far from zero would drown the variance: within a block, sums are of the distances from its first row. */
static void statistics(double *sums, NormMap x, size_t first, size_t end, int channels)
{
    float partial[2 * MAX_CHANNELS], origin[MAX_CHANNELS], space[MAX_CHANNELS];
    float *restrict sum = partial, *restrict square = partial + channels;
    size_t step = block_rows(channels);
    for (size_t start = first; start < end; start += step) {
        size_t stop = start + step < end ? start + step : end;
        memset(partial, 0, 2 * (size_t)channels * sizeof *partial);
        memcpy(origin, load_row(x, start, channels, space), (size_t)channels * sizeof *origin);
        for (size_t row = start + 1; row < stop; row++) {
            const float *restrict in = load_row(x, row, channels, space);
            for (int c = 0; c < channels; c++) {
                float d = in[c] - origin[c];
                sum[c] += d;
                square[c] += d * d;
            }
        }
        double count = (double)(stop - start);
        for (int c = 0; c < channels; c++) {
            double o = (double)origin[c], s = (double)sum[c];
            sums[c] += s + count * o;
            sums[channels + c] += (double)square[c] + 2 * o * s + count * o * o;
        }
    }
}

static void forward(NormMap y, NormMap x, size_t first, size_t end, int channels, const float *restrict factor, const float *restrict rest)
{
    float x_space[MAX_CHANNELS], y_space[MAX_CHANNELS];
    for (size_t row = first; row < end; row++) {
        const float *restrict in = load_row(x, row, channels, x_space);
        float *restrict out = row_space(y, row, y_space);
        for (int c = 0; c < channels; c++) {
            float z = in[c] * factor[c] + rest[c];
            out[c] = z * sigmoid(z);
        }
        store_row(y, row, channels, out);
    }
}

static void backward_sums(double *sums, NormMap inner, NormMap gradient, NormMap x, size_t first, size_t end, int channels,
                          const float *restrict factor, const float *restrict rest, const float *restrict mean)
{
    float partial[2 * MAX_CHANNELS] = {0}, x_space[MAX_CHANNELS], g_space[MAX_CHANNELS], out_space[MAX_CHANNELS];
    float *restrict sum = partial, *restrict product = partial + channels;
    size_t step = block_rows(channels);
    for (size_t start = first; start < end; start += step) {
        size_t stop = start + step < end ? start + step : end;
        for (size_t row = start; row < stop; row++) {
            const float *restrict in = load_row(x, row, channels, x_space);
            const float *restrict g = load_row(gradient, row, channels, g_space);
            float *restrict out = row_space(inner, row, out_space);
            for (int c = 0; c < channels; c++) {
                float z = in[c] * factor[c] + rest[c], s = sigmoid(z);
                float d = g[c] * (s + z * s * (1.0f - s));
                out[c] = d;
                sum[c] += d;
                product[c] += d * (in[c] - mean[c]);
            }
            store_row(inner, row, channels, out);
        }
        flush(sums, partial, 2 * channels);
    }
}

static void backward_apply(NormMap inner, NormMap x, size_t first, size_t end, int channels, const float *restrict factor,
                           const float *restrict slope, const float *restrict rest)
{
    float x_space[MAX_CHANNELS], inner_space[MAX_CHANNELS], out_space[MAX_CHANNELS];
    for (size_t row = first; row < end; row++) {
        const float *restrict in = load_row(x, row, channels, x_space);
        const float *d = load_row(inner, row, channels, inner_space);
        float *out = row_space(inner, row, out_space);
        for (int c = 0; c < channels; c++)
            out[c] = d[c] * factor[c] + (in[c] * slope[c] + rest[c]);
        store_row(inner, row, channels, out);
    }
}

const NormKernels NORM_KERNELS = {statistics, forward, backward_sums, backward_apply};
