#include "server/search/scan.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/banned.h"

enum { THREADS_MAXIMUM = 16, VECTORS_A_THREAD = 8192, LARGE_PAGE = 2 << 20 };

/* ---- codes ---- */

int8_t *scan_alloc(size_t size) {
    size_t alignment = size >= 2 * LARGE_PAGE ? LARGE_PAGE : SCAN_ALIGNMENT, rounded = (size + alignment - 1) / alignment * alignment;
    int8_t *memory = aligned_alloc(alignment, rounded);
    if (!memory) abort(); /* as xmalloc */
    if (alignment == LARGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);
    return memory;
}

float scan_encode(const float *vector, int dimensions, int8_t *code) {
    float largest = 0;
    for (int i = 0; i < dimensions; i++) largest = fmaxf(largest, fabsf(vector[i]));
    memset(code, 0, scan_stride(dimensions));
    if (!(largest > 0) || !isfinite(largest)) return 0;
    float scale = largest / 127;
    for (int i = 0; i < dimensions; i++) code[i] = (int8_t)lrintf(vector[i] / scale);
    return scale;
}

double scan_dot(const float *a, const float *b, int dimensions) {
    double sums[4] = {0};
    int i = 0;
    for (; i + 4 <= dimensions; i += 4)
        for (int k = 0; k < 4; k++) sums[k] += (double)a[i + k] * b[i + k];
    for (; i < dimensions; i++) sums[0] += (double)a[i] * b[i];
    return sums[0] + sums[1] + sums[2] + sums[3];
}

/* ---- the product ---- */

static bool always(void) { return true; }

static int32_t product_plain(const int8_t *a, const int8_t *b, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") != 0; }
static bool has_avx512(void) { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"); }

/* The instruction multiplies unsigned by signed bytes and adds pairs in 16 bits: a's signs are moved to b first, and as no number of a code is -128, a
 * pair is at most 2 * 127 * 127, which 16 bits hold. Two sums hide the latency of the additions. */
__attribute__((target("avx2"))) static inline __m256i pairs_avx2(const int8_t *a, const int8_t *b) {
    __m256i x = _mm256_load_si256((const __m256i *)a), y = _mm256_load_si256((const __m256i *)b);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x)), _mm256_set1_epi16(1));
}

__attribute__((target("avx2"))) static int32_t product_avx2(const int8_t *a, const int8_t *b, size_t n) {
    __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 64) {
        even = _mm256_add_epi32(even, pairs_avx2(a + i, b + i));
        odd = _mm256_add_epi32(odd, pairs_avx2(a + i + 32, b + i + 32));
    }
    __m256i sum = _mm256_add_epi32(even, odd);
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(half);
}

__attribute__((target("avx512f,avx512bw"))) static int32_t product_avx512(const int8_t *a, const int8_t *b, size_t n) {
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 64) {
        __m512i x = _mm512_load_si512(a + i), y = _mm512_load_si512(b + i);
        __m512i signs_moved = _mm512_mask_sub_epi8(y, _mm512_movepi8_mask(x), _mm512_setzero_si512(), y);
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8(x), signs_moved), _mm512_set1_epi16(1)));
    }
    return _mm512_reduce_add_epi32(sum);
}
#endif

const ScanVariant SCAN_VARIANTS[] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, product_avx512},
    {"avx2", has_avx2, product_avx2},
#endif
    {"plain", always, product_plain},
    {NULL, NULL, NULL},
};

const ScanVariant *scan_variant(void) {
    const ScanVariant *v = SCAN_VARIANTS;
    while (!v->supported()) v++;
    return v;
}

/* ---- the best few ---- */

/* True when a ranks behind b. */
static bool is_worse(ScanHit a, ScanHit b) { return a.score < b.score || (a.score == b.score && a.slot > b.slot); }

/* A heap whose root is the worst of the best. */
typedef struct Best {
    ScanHit *hits;
    size_t count, most;
} Best;

static void sink(Best *best, size_t at) {
    ScanHit hit = best->hits[at];
    for (size_t child; (child = 2 * at + 1) < best->count; at = child) {
        if (child + 1 < best->count && is_worse(best->hits[child + 1], best->hits[child])) child++;
        if (!is_worse(best->hits[child], hit)) break;
        best->hits[at] = best->hits[child];
    }
    best->hits[at] = hit;
}

static void offer(Best *best, ScanHit hit) {
    if (best->count == best->most) {
        if (!is_worse(best->hits[0], hit)) return;
        best->hits[0] = hit;
        sink(best, 0);
        return;
    }
    size_t at = best->count++;
    for (; at > 0 && is_worse(hit, best->hits[(at - 1) / 2]); at = (at - 1) / 2) best->hits[at] = best->hits[(at - 1) / 2];
    best->hits[at] = hit;
}

static int compare_hits(const void *a, const void *b) { return is_worse(*(const ScanHit *)a, *(const ScanHit *)b) ? 1 : -1; }

/* ---- the scan ---- */

typedef struct Part {
    const ScanTable *table;
    const int8_t *code;
    const bool *wanted;
    ScanProduct product;
    float scale;
    size_t from, to;
    Best best;
    pthread_t thread;
    bool started;
} Part;

static void *scan_part(void *context) {
    Part *p = context;
    const ScanTable *t = p->table;
    size_t stride = scan_stride(t->dimensions);
    for (size_t i = p->from; i < p->to; i++) {
        if (t->groups[i] == SCAN_NO_GROUP || !p->wanted[t->groups[i]]) continue;
        float score = p->scale * t->scales[i] * (float)p->product(p->code, t->codes + i * stride, stride);
        offer(&p->best, (ScanHit){(uint32_t)i, score});
    }
    return NULL;
}

static int part_count(size_t count, int threads) {
    size_t worth = count / VECTORS_A_THREAD + 1;
    if (threads > THREADS_MAXIMUM) threads = THREADS_MAXIMUM;
    return (size_t)threads > worth ? (int)worth : threads < 1 ? 1 : threads;
}

size_t scan_nearest(const ScanTable *table, const float *vector, const bool *wanted, const ScanVariant *variant, int threads, ScanHit *hits, size_t most) {
    if (table->count == 0 || most == 0) return 0;
    int parts = part_count(table->count, threads);
    Part part[THREADS_MAXIMUM];
    int8_t *code = scan_alloc(scan_stride(table->dimensions));
    ScanHit *all = xmalloc((size_t)parts * most * sizeof *all);
    float scale = scan_encode(vector, table->dimensions, code);
    for (int i = 0; i < parts; i++)
        part[i] = (Part){.table = table, .code = code, .wanted = wanted, .product = variant->product, .scale = scale, .from = table->count * (size_t)i / (size_t)parts,
                         .to = table->count * (size_t)(i + 1) / (size_t)parts, .best = {.hits = all + (size_t)i * most, .most = most}};
    for (int i = 1; i < parts; i++) part[i].started = pthread_create(&part[i].thread, NULL, scan_part, &part[i]) == 0;
    scan_part(&part[0]);
    size_t total = part[0].best.count;
    for (int i = 1; i < parts; i++) {
        if (part[i].started) pthread_join(part[i].thread, NULL);
        else scan_part(&part[i]);
        memmove(all + total, part[i].best.hits, part[i].best.count * sizeof *all);
        total += part[i].best.count;
    }
    qsort(all, total, sizeof *all, compare_hits);
    if (total > most) total = most;
    memcpy(hits, all, total * sizeof *hits);
    free(all);
    free(code);
    return total;
}
