#include "server/search/codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/banned.h"

enum {
    LARGE_PAGE = 2 << 20,
    LARGEST = 119, /* of a code: 16 * 7 + 7 */
    LARGEST_OF_QUERY = 127,
    OFFSET = 8, /* of a half as it is stored */
};
#define ROUNDED_UP 1.00001

uint8_t *code_alloc(size_t size) {
    size_t alignment = size >= 2 * LARGE_PAGE ? LARGE_PAGE : CODE_ALIGNMENT, rounded = (size + alignment - 1) / alignment * alignment;
    uint8_t *memory = aligned_alloc(alignment, rounded);
    if (!memory) abort(); /* as xmalloc */
    if (alignment == LARGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
}

/* ---- encoding: a load does it to every vector of a project, so its loops are written for the compiler's vector code ---- */

enum { NUMBERS_AT_ONCE = 256 };

/* What a step of 1 stands for when the largest number becomes `largest`; 0 for a vector without a direction. */
static float scale_of(const float *vector, int dimensions, int largest) {
    uint32_t most = 0; /* sizes are ordered as the bits of floats are, NaN and infinity last */
    float size;
    for (int i = 0; i < dimensions; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    memcpy(&size, &most, sizeof size);
    return isfinite(size) && size > 1e-30f ? size / (float)largest : 0;
}

static int rounded(float x) { return (int)(x + (x < 0 ? -0.5f : 0.5f)); }

/* A run of numbers as their two halves, each with OFFSET added; what is left out and what is lost, squared, added to the sums. */
static void split(const float *v, int count, float scale, uint8_t *high, uint8_t *low, int *low_squares, float *lost_squares) {
    float inverse = 1 / scale, lost = 0;
    int squares = 0;
    for (int i = 0; i < count; i++) {
        int code = rounded(v[i] * inverse), upper = (code + OFFSET) >> 4, lower = code - 16 * upper;
        high[i] = (uint8_t)(upper + OFFSET);
        low[i] = (uint8_t)(lower + OFFSET);
        squares += lower * lower;
    }
    for (int i = 0; i < count; i++) {
        float gone = v[i] - scale * (float)(16 * (high[i] - OFFSET) + low[i] - OFFSET);
        lost += gone * gone;
    }
    *low_squares += squares;
    *lost_squares += lost;
}

static void put_halves(const uint8_t *halves, int count, int shift, uint8_t *row) {
    if (shift)
        for (int i = 0; i < count; i++) row[i] = (uint8_t)((row[i] & 15) | halves[i] << 4);
    else
        for (int i = 0; i < count; i++) row[i] = (uint8_t)((row[i] & 240) | halves[i]);
}

CodeFacts code_encode(const float *vector, int dimensions, uint8_t *high, uint8_t *low) {
    uint8_t upper[NUMBERS_AT_ONCE], lower[NUMBERS_AT_ONCE];
    int bytes = (int)code_bytes(dimensions), low_squares = 0;
    float scale = scale_of(vector, dimensions, LARGEST), lost_squares = 0;
    memset(high, OFFSET | OFFSET << 4, (size_t)bytes);
    memset(low, OFFSET | OFFSET << 4, (size_t)bytes);
    if (!(scale > 0)) return (CodeFacts){0};
    for (int from = 0, count; from < dimensions; from += count) { /* a run lies in one half of the bytes */
        int at = from % bytes, end = from < bytes && bytes < dimensions ? bytes : dimensions;
        count = end - from < NUMBERS_AT_ONCE ? end - from : NUMBERS_AT_ONCE;
        split(vector + from, count, scale, upper, lower, &low_squares, &lost_squares);
        put_halves(upper, count, from >= bytes ? 4 : 0, high + at);
        put_halves(lower, count, from >= bytes ? 4 : 0, low + at);
    }
    return (CodeFacts){scale, (float)(scale * sqrt(low_squares) * ROUNDED_UP), (float)(sqrt(lost_squares) * ROUNDED_UP)};
}

CodeQuery code_query(const float *vector, int dimensions) {
    size_t size = 2 * code_bytes(dimensions);
    CodeQuery q = {.numbers = (int8_t *)code_alloc(size), .scale = scale_of(vector, dimensions, LARGEST_OF_QUERY)};
    double squares = 0, lost = 0;
    memset(q.numbers, 0, size);
    for (int i = 0; i < dimensions && q.scale > 0; i++) {
        int number = rounded((float)(vector[i] / q.scale));
        double gone = vector[i] - q.scale * number;
        q.numbers[i] = (int8_t)number;
        q.sum += number;
        squares += (double)number * number;
        lost += gone * gone;
    }
    q.length = q.scale * sqrt(squares) * ROUNDED_UP;
    q.lost = sqrt(lost) * ROUNDED_UP;
    return q;
}

void code_query_clear(CodeQuery *query) {
    free(query->numbers);
    *query = (CodeQuery){0};
}

/* ---- the product ---- */

static bool always(void) { return true; }

static int32_t product_plain(const uint8_t *halves, const int8_t *numbers, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += (halves[i] & 15) * numbers[i] + (halves[i] >> 4) * numbers[n + i];
    return sum;
}

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }
static bool has_vnni(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"); }

/* Of 32 bytes, in 16-bit sums of four products: at most 4 * 15 * 127. */
__attribute__((target("avx2"))) static inline __m256i pairs_avx2(const uint8_t *halves, const int8_t *lower, const int8_t *upper) {
    __m256i x = _mm256_load_si256((const __m256i *)halves), half = _mm256_set1_epi8(15);
    return _mm256_add_epi16(_mm256_maddubs_epi16(_mm256_and_si256(x, half), _mm256_load_si256((const __m256i *)lower)),
                            _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(x, 4), half), _mm256_load_si256((const __m256i *)upper)));
}

__attribute__((target("avx2"))) static int32_t product_avx2(const uint8_t *halves, const int8_t *numbers, size_t n) {
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 64) {
        __m256i pairs = _mm256_add_epi16(pairs_avx2(halves + i, numbers + i, numbers + n + i), pairs_avx2(halves + i + 32, numbers + i + 32, numbers + n + i + 32));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(half);
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static int32_t product_vnni(const uint8_t *halves, const int8_t *numbers, size_t n) {
    __m512i lower = _mm512_setzero_si512(), upper = lower, half = _mm512_set1_epi8(15);
    for (size_t i = 0; i < n; i += 64) {
        __m512i x = _mm512_load_si512(halves + i);
        lower = _mm512_dpbusd_epi32(lower, _mm512_and_si512(x, half), _mm512_load_si512(numbers + i));
        upper = _mm512_dpbusd_epi32(upper, _mm512_and_si512(_mm512_srli_epi16(x, 4), half), _mm512_load_si512(numbers + n + i));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(lower, upper));
}
#endif

const CodeVariant CODE_VARIANTS[] = {
#if defined(__x86_64__)
    {"vnni", has_vnni, product_vnni},
    {"avx2", has_avx2, product_avx2},
#endif
    {"plain", always, product_plain},
    {NULL, NULL, NULL},
};

const CodeVariant *code_variant(void) {
    const CodeVariant *v = CODE_VARIANTS;
    while (!v->supported()) v++;
    return v;
}
