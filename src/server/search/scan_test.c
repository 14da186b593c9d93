#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "server/search/scan.h"
#include "base/banned.h"

typedef struct Set {
    float *vectors;
    uint8_t *high, *low;
    ScanRow *rows;
    ScanTable table;
} Set;

enum { GROUPS = 6 };
static const bool EVERY[GROUPS] = {true, true, true, true, true, true}, SOME[GROUPS] = {false, true, false, false, true, false}, NONE[GROUPS] = {0};

static uint32_t seed = 1;
static double noise(void) {
    seed = seed * 1664525u + 1013904223u;
    return (double)(seed >> 8) / (1 << 24);
}

static double bell(void) {
    double sum = 0;
    for (int i = 0; i < 6; i++) sum += noise() - 0.5;
    return sum;
}

/* Vectors around a few centres, as pictures of a few kinds are, with many zeros, as features behind a rectifier have. */
static float clustered(size_t kind, size_t k, const float *centres, size_t d) { return (float)fmax(0, centres[kind * d + k] + (noise() - 0.5) * 0.3); }

static void encode(Set *s, size_t i) {
    int d = s->table.dimensions;
    size_t bytes = code_bytes(d);
    s->rows[i].facts = code_encode(s->vectors + i * (size_t)d, d, s->high + i * bytes, s->low + i * bytes);
}

/* kinds: how many clusters; 0: every direction is as likely, nothing near to anything, which no bound can use. */
static void set_make(Set *s, size_t count, int dimensions, size_t kinds) {
    size_t bytes = code_bytes(dimensions), d = (size_t)dimensions;
    float *centres = xmalloc((kinds + 1) * d * sizeof *centres);
    for (size_t i = 0; i < kinds * d; i++) centres[i] = (float)fmax(0, noise() - 0.6);
    *s = (Set){.vectors = xmalloc(count * d * sizeof(float)), .high = code_alloc(count * bytes), .low = code_alloc(count * bytes), .rows = xmalloc(count * sizeof(ScanRow))};
    s->table = (ScanTable){.high = s->high, .low = s->low, .rows = s->rows, .count = count, .dimensions = dimensions};
    for (size_t i = 0; i < count; i++) {
        float *v = s->vectors + i * d;
        double squares = 0;
        for (size_t k = 0; k < d; k++) {
            v[k] = kinds ? clustered(i % kinds, k, centres, d) : (float)bell();
            squares += (double)v[k] * v[k];
        }
        for (size_t k = 0; k < d; k++) v[k] = (float)(v[k] / sqrt(squares));
        encode(s, i);
        s->rows[i].group = (int32_t)(i % 7) - 1;
    }
    free(centres);
}

static void set_free(Set *s) {
    free(s->vectors);
    free(s->high);
    free(s->low);
    free(s->rows);
}

/* ---- codes ---- */

static void variants_are_equal(void **state) {
    (void)state;
    enum { N = 640 };
    _Alignas(CODE_ALIGNMENT) uint8_t halves[N];
    _Alignas(CODE_ALIGNMENT) int8_t numbers[2 * N];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < N; i++) halves[i] = round < 2 ? 255 : (uint8_t)(noise() * 256); /* the extremes in the first rounds */
        for (int i = 0; i < 2 * N; i++) numbers[i] = round == 0 ? -127 : round == 1 ? 127 : (int8_t)(noise() * 255 - 127);
        for (size_t n = CODE_ALIGNMENT; n <= N; n += CODE_ALIGNMENT) {
            int64_t want = 0;
            for (size_t i = 0; i < n; i++) want += (int64_t)(halves[i] % 16) * numbers[i] + (int64_t)(halves[i] / 16) * numbers[n + i];
            for (const CodeVariant *v = CODE_VARIANTS; v->name; v++)
                if (v->supported()) assert_int_equal(v->product(halves, numbers, n), want);
        }
    }
}

/* Number k of a row of a plane. */
static int half_at(const uint8_t *row, int dimensions, int k) {
    int bytes = (int)code_bytes(dimensions);
    return (k < bytes ? row[k] & 15 : row[k - bytes] >> 4) - 8;
}

/* What the facts say of a vector is true of its halves. */
static void facts_are_bounds(void **state) {
    (void)state;
    enum { COUNT = 300 };
    for (int dimensions = 1; dimensions < 400; dimensions += 57) {
        Set s;
        set_make(&s, COUNT, dimensions, dimensions % 2 ? 0 : 5);
        for (size_t i = 0; i < COUNT; i++) {
            const float *v = s.vectors + i * (size_t)dimensions;
            const CodeFacts *f = &s.rows[i].facts;
            double low = 0, lost = 0;
            for (int k = 0; k < dimensions; k++) {
                int upper = half_at(s.high + i * code_bytes(dimensions), dimensions, k), lower = half_at(s.low + i * code_bytes(dimensions), dimensions, k);
                assert_in_range(upper + 7, 0, 14);
                low += (double)f->scale * lower * f->scale * lower;
                lost += pow((double)v[k] - (double)f->scale * (16 * upper + lower), 2);
            }
            assert_true(sqrt(low) <= f->low && f->low <= sqrt(low) * 1.001 + 1e-6);
            assert_true(sqrt(lost) <= f->lost + 1e-6 && f->lost <= sqrt(lost) * 1.01 + 1e-6);
        }
        set_free(&s);
    }
}

static void a_vector_without_direction_matches_nothing(void **state) {
    (void)state;
    float vector[130] = {0};
    _Alignas(CODE_ALIGNMENT) uint8_t high[128], low[128];
    for (int kind = 0; kind < 3; kind++) {
        vector[7] = kind == 0 ? 0 : kind == 1 ? INFINITY : NAN;
        CodeFacts facts = code_encode(vector, 130, high, low);
        assert_true(facts.scale == 0 && facts.low == 0 && facts.lost == 0);
        for (int k = 0; k < 130; k++) assert_true(half_at(high, 130, k) == 0 && half_at(low, 130, k) == 0);
    }
}

/* ---- the scan ---- */

static int by_score(const void *a, const void *b) {
    const ScanHit *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : 0;
}

typedef struct Looked {
    double recall; /* of the ten best by brute force, among the candidates after ranking */
    size_t candidates;
} Looked;

static Looked look(const Set *s, const float *vector, const bool *wanted, double at_least, int threads) {
    enum { TOP = 10, CANDIDATES = 100 };
    int d = s->table.dimensions;
    ScanHit *truth = xmalloc(s->table.count * sizeof *truth), hits[CANDIDATES];
    size_t all = 0, found = 0;
    for (size_t i = 0; i < s->table.count; i++) {
        double cosine = scan_dot(vector, s->vectors + i * (size_t)d, d);
        if (s->rows[i].group != SCAN_NO_GROUP && wanted[s->rows[i].group] && cosine >= at_least) truth[all++] = (ScanHit){(uint32_t)i, (float)cosine};
    }
    qsort(truth, all, sizeof *truth, by_score);
    ScanQuery query = {.vector = vector, .wanted = wanted, .at_least = at_least, .best = TOP, .variant = code_variant(), .threads = threads};
    size_t count = scan_nearest(&s->table, &query, hits, CANDIDATES), top = all < TOP ? all : TOP;
    for (size_t i = 0; i < count; i++) {
        assert_true(s->rows[hits[i].slot].group != SCAN_NO_GROUP && wanted[s->rows[hits[i].slot].group]);
        if (i > 0) assert_true(hits[i - 1].score >= hits[i].score);
    }
    for (size_t i = 0; i < count; i++) hits[i].score = (float)scan_dot(vector, s->vectors + hits[i].slot * (size_t)d, d);
    qsort(hits, count, sizeof *hits, by_score);
    for (size_t i = 0; i < top && i < count; i++) found += hits[i].score == truth[i].score;
    free(truth);
    return (Looked){top ? (double)found / (double)top : 1, count};
}

/* Not one is missed, in clusters as embeddings have them and where there are none. */
static void finds_what_brute_force_finds(void **state) {
    (void)state;
    enum { COUNT = 20000, DIMENSIONS = 192 };
    for (size_t kinds = 0; kinds <= 500; kinds += 500) {
        Set s;
        set_make(&s, COUNT, DIMENSIONS, kinds);
        for (size_t i = 0; i < COUNT; i += 500) {
            const float *vector = s.vectors + i * DIMENSIONS;
            for (int threads = 1; threads <= 3; threads += 2) {
                assert_true(look(&s, vector, EVERY, -1, threads).recall == 1);
                assert_true(look(&s, vector, SOME, -1, threads).recall == 1);
                assert_true(look(&s, vector, EVERY, 0.8, threads).recall == 1);
            }
        }
        assert_int_equal(look(&s, s.vectors, NONE, -1, 2).candidates, 0);
        assert_int_equal(look(&s, s.vectors, EVERY, 1.1, 2).candidates, 0);
        set_free(&s);
    }
}

/* More neighbours than candidates, all closer together than a byte a number can tell: the best by their codes are taken, and most of them are right. */
static void a_crowd_is_cut(void **state) {
    (void)state;
    enum { COUNT = 3000, DIMENSIONS = 256 };
    Set s;
    set_make(&s, COUNT, DIMENSIONS, 1);
    for (size_t i = 1; i < COUNT; i++) {
        float *v = s.vectors + i * DIMENSIONS;
        double squares = 0;
        for (size_t k = 0; k < DIMENSIONS; k++) {
            v[k] = s.vectors[k] + (float)((noise() - 0.5) * 2e-4);
            squares += (double)v[k] * v[k];
        }
        for (size_t k = 0; k < DIMENSIONS; k++) v[k] = (float)(v[k] / sqrt(squares));
        encode(&s, i);
    }
    Looked looked = look(&s, s.vectors + DIMENSIONS, EVERY, -1, 2);
    assert_int_equal(looked.candidates, 100);
    set_free(&s);
}

static void small_and_odd_sizes(void **state) {
    (void)state;
    for (size_t count = 1; count < 40; count += 3) {
        Set s;
        set_make(&s, count, 65, 20);
        assert_true(look(&s, s.vectors, EVERY, -1, 4).recall == 1);
        set_free(&s);
    }
    ScanHit hit;
    float vector[65] = {1};
    ScanQuery query = {.vector = vector, .wanted = EVERY, .best = 1, .variant = code_variant(), .threads = 2};
    assert_int_equal(scan_nearest(&(ScanTable){.dimensions = 65}, &query, &hit, 1), 0);
}

/* Equal scores come in the order of the table however many threads looked. */
static void threads_change_nothing(void **state) {
    (void)state;
    enum { COUNT = 40000, DIMENSIONS = 64, MOST = 300 };
    Set s;
    ScanHit one[MOST], other[MOST];
    set_make(&s, COUNT, DIMENSIONS, 20);
    for (size_t i = 100; i < COUNT; i += 100) { /* many equal vectors */
        memcpy(s.vectors + i * DIMENSIONS, s.vectors, DIMENSIONS * sizeof(float));
        encode(&s, i);
    }
    ScanQuery query = {.vector = s.vectors, .wanted = EVERY, .at_least = -1, .best = 20, .variant = code_variant(), .threads = 1};
    size_t n = scan_nearest(&s.table, &query, one, MOST);
    assert_int_equal(n, MOST);
    for (const CodeVariant *v = CODE_VARIANTS; v->name; v++)
        for (query.threads = 1; query.threads <= 4 && v->supported(); query.threads++) {
            query.variant = v;
            assert_int_equal(scan_nearest(&s.table, &query, other, MOST), n);
            assert_memory_equal(one, other, n * sizeof *one);
        }
    set_free(&s);
}

/* `scan_test bench`: one search of 100,000 vectors of 1,280 numbers, by wall clock and by what the processor spent on it. */
static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void bench_variant(const Set *s, const char *kind, const CodeVariant *v, int threads) {
    enum { ROUNDS = 40, MOST = 111 };
    ScanHit hits[MOST];
    size_t found = 0;
    double best = 1e9, cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < ROUNDS; i++) {
        ScanQuery query = {.vector = s->vectors + (size_t)i * 1280, .wanted = EVERY, .best = 11, .variant = v, .threads = threads};
        double start = now(CLOCK_MONOTONIC);
        found += scan_nearest(&s->table, &query, hits, MOST);
        best = fmin(best, now(CLOCK_MONOTONIC) - start);
    }
    printf("%-10s %-6s %d threads: best %.1f ms, processor time %.1f ms, %zu candidates\n", kind, v->name, threads, best,
           (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / ROUNDS, found / ROUNDS);
}

static int bench(void) {
    for (size_t kinds = 0; kinds <= 2000; kinds += 2000) {
        Set s;
        double start = now(CLOCK_MONOTONIC);
        set_make(&s, 100000, 1280, kinds);
        for (const CodeVariant *v = CODE_VARIANTS; v->name; v++)
            for (int threads = 1; threads <= 2 && v->supported(); threads++) bench_variant(&s, kinds ? "clustered" : "random", v, threads);
        start = now(CLOCK_MONOTONIC);
        for (size_t i = 0; i < 100000; i++) encode(&s, i);
        printf("encoding: %.0f ms\n", now(CLOCK_MONOTONIC) - start);
        set_free(&s);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "bench") == 0) return bench();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_are_equal),
        cmocka_unit_test(facts_are_bounds),
        cmocka_unit_test(a_vector_without_direction_matches_nothing),
        cmocka_unit_test(finds_what_brute_force_finds),
        cmocka_unit_test(a_crowd_is_cut),
        cmocka_unit_test(small_and_odd_sizes),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
