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
    int8_t *codes;
    float *scales;
    int32_t *groups;
    ScanTable table;
} Set;

static uint32_t seed = 1;
static double noise(void) {
    seed = seed * 1664525u + 1013904223u;
    return (double)(seed >> 8) / (1 << 24);
}

/* Vectors around a few centres, as pictures of a few kinds are, with many zeros, as features behind a rectifier have. */
static void set_make(Set *s, size_t count, int dimensions) {
    enum { CENTRES = 20 };
    size_t stride = scan_stride(dimensions), d = (size_t)dimensions;
    float *centres = xmalloc(CENTRES * d * sizeof *centres);
    for (size_t i = 0; i < CENTRES * d; i++) centres[i] = (float)fmax(0, noise() - 0.6);
    *s = (Set){.vectors = xmalloc(count * d * sizeof(float)), .codes = scan_alloc(count * stride),
               .scales = xmalloc(count * sizeof(float)), .groups = xmalloc(count * sizeof(int32_t))};
    for (size_t i = 0; i < count; i++) {
        float *v = s->vectors + i * d;
        double squares = 0;
        for (size_t k = 0; k < d; k++) {
            v[k] = (float)fmax(0, centres[i % CENTRES * d + k] + (noise() - 0.5) * 0.3);
            squares += (double)v[k] * v[k];
        }
        for (size_t k = 0; k < d; k++) v[k] = (float)(v[k] / sqrt(squares));
        s->scales[i] = scan_encode(v, dimensions, s->codes + i * stride);
        s->groups[i] = (int32_t)(i % 7) - 1;
    }
    free(centres);
    s->table = (ScanTable){.codes = s->codes, .scales = s->scales, .groups = s->groups, .count = count, .dimensions = dimensions};
}

static void set_free(Set *s) {
    free(s->vectors);
    free(s->codes);
    free(s->scales);
    free(s->groups);
}

static void variants_are_equal(void **state) {
    (void)state;
    enum { N = 1280 };
    _Alignas(SCAN_ALIGNMENT) int8_t a[N], b[N];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < N; i++) { /* the extremes in the first rounds */
            a[i] = round == 0 ? -127 : round == 1 ? 127 : (int8_t)(noise() * 255 - 127);
            b[i] = round == 0 ? 127 : round == 1 ? 127 : (int8_t)(noise() * 255 - 127);
        }
        for (size_t n = SCAN_ALIGNMENT; n <= N; n += SCAN_ALIGNMENT) {
            int64_t want = 0;
            for (size_t i = 0; i < n; i++) want += (int64_t)a[i] * b[i];
            for (const ScanVariant *v = SCAN_VARIANTS; v->name; v++)
                if (v->supported()) assert_int_equal(v->product(a, b, n), want);
        }
    }
}

static void codes_are_close(void **state) {
    (void)state;
    Set s;
    set_make(&s, 200, 1280);
    double worst = 0;
    for (size_t i = 0; i + 1 < 200; i++) {
        const int8_t *a = s.codes + i * 1280, *b = a + 1280;
        double rough = (double)s.scales[i] * s.scales[i + 1] * scan_variant()->product(a, b, 1280);
        worst = fmax(worst, fabs(rough - scan_dot(s.vectors + i * 1280, s.vectors + (i + 1) * 1280, 1280)));
    }
    assert_true(worst < 0.002);
    set_free(&s);
}

static void a_zero_vector_matches_nothing(void **state) {
    (void)state;
    float zero[70] = {0};
    _Alignas(SCAN_ALIGNMENT) int8_t code[128];
    memset(code, 1, sizeof code);
    assert_true(scan_encode(zero, 70, code) == 0);
    for (size_t i = 0; i < sizeof code; i++) assert_int_equal(code[i], 0);
}

static int by_score(const void *a, const void *b) {
    const ScanHit *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : 0;
}

/* The ten best by brute force, and how many of them the scan's candidates hold after ranking. */
static double recall(const Set *s, const float *query, const bool *wanted, int threads) {
    enum { TOP = 10, CANDIDATES = 100 };
    int d = s->table.dimensions;
    ScanHit *truth = xmalloc(s->table.count * sizeof *truth), hits[CANDIDATES];
    size_t all = 0, found = 0;
    for (size_t i = 0; i < s->table.count; i++)
        if (s->groups[i] != SCAN_NO_GROUP && wanted[s->groups[i]]) truth[all++] = (ScanHit){(uint32_t)i, (float)scan_dot(query, s->vectors + i * (size_t)d, d)};
    qsort(truth, all, sizeof *truth, by_score);
    size_t count = scan_nearest(&s->table, query, wanted, scan_variant(), threads, hits, CANDIDATES);
    assert_int_equal(count, all < CANDIDATES ? all : CANDIDATES);
    for (size_t i = 0; i < count; i++) {
        assert_true(s->groups[hits[i].slot] != SCAN_NO_GROUP && wanted[s->groups[hits[i].slot]]);
        if (i > 0) assert_true(hits[i - 1].score >= hits[i].score);
    }
    for (size_t i = 0; i < count; i++) hits[i].score = (float)scan_dot(query, s->vectors + hits[i].slot * (size_t)d, d);
    qsort(hits, count, sizeof *hits, by_score);
    size_t top = all < TOP ? all : TOP;
    for (size_t i = 0; i < top; i++) found += hits[i].score == truth[i].score;
    free(truth);
    return top ? (double)found / (double)top : 1;
}

static void finds_what_brute_force_finds(void **state) {
    (void)state;
    Set s;
    const bool every[6] = {true, true, true, true, true, true}, some[6] = {false, true, false, false, true, false}, none[6] = {0};
    double sum = 0;
    int rounds = 0;
    set_make(&s, 20000, 192);
    for (size_t i = 0; i < 20000; i += 500) {
        for (int threads = 1; threads <= 3; threads += 2) {
            sum += recall(&s, s.vectors + i * 192, every, threads) + recall(&s, s.vectors + i * 192, some, threads);
            rounds += 2;
        }
    }
    assert_true(sum / rounds >= 0.999);
    assert_true(recall(&s, s.vectors, none, 2) == 1);
    set_free(&s);
}

static void small_and_odd_sizes(void **state) {
    (void)state;
    const bool every[6] = {true, true, true, true, true, true};
    for (size_t count = 1; count < 40; count += 3) {
        Set s;
        set_make(&s, count, 65);
        recall(&s, s.vectors, every, 4);
        set_free(&s);
    }
    ScanHit hit;
    float vector[65] = {1};
    assert_int_equal(scan_nearest(&(ScanTable){.dimensions = 65}, vector, every, scan_variant(), 2, &hit, 1), 0);
}

/* Equal scores come in the order of the table however many threads looked. */
static void threads_change_nothing(void **state) {
    (void)state;
    Set s;
    const bool every[6] = {true, true, true, true, true, true};
    ScanHit one[300], four[300];
    set_make(&s, 40000, 64);
    for (size_t i = 100; i < 40000; i += 100) { /* many equal vectors */
        memcpy(s.codes + i * 64, s.codes, 64);
        s.scales[i] = s.scales[0];
    }
    size_t n = scan_nearest(&s.table, s.vectors, every, scan_variant(), 1, one, 300);
    assert_int_equal(scan_nearest(&s.table, s.vectors, every, scan_variant(), 4, four, 300), n);
    assert_memory_equal(one, four, n * sizeof *one);
    for (const ScanVariant *v = SCAN_VARIANTS; v->name; v++)
        if (v->supported()) {
            scan_nearest(&s.table, s.vectors, every, v, 2, four, 300);
            assert_memory_equal(one, four, n * sizeof *one);
        }
    set_free(&s);
}

/* `scan_test bench`: one search of 100,000 vectors of 1,280 numbers, by wall clock and by what the processor spent on it. */
static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int bench(void) {
    enum { ROUNDS = 40 };
    Set s;
    ScanHit hits[110];
    const bool every[6] = {true, true, true, true, true, true};
    set_make(&s, 100000, 1280);
    for (const ScanVariant *v = SCAN_VARIANTS; v->name; v++)
        for (int threads = 1; threads <= 2 && v->supported(); threads++) {
            double best = 1e9, cpu = now(CLOCK_PROCESS_CPUTIME_ID);
            for (int i = 0; i < ROUNDS; i++) {
                double start = now(CLOCK_MONOTONIC);
                scan_nearest(&s.table, s.vectors + i * 1280, every, v, threads, hits, 110);
                best = fmin(best, now(CLOCK_MONOTONIC) - start);
            }
            printf("%-6s %d threads: best %.1f ms, processor time %.1f ms\n", v->name, threads, best, (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / ROUNDS);
        }
    set_free(&s);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "bench") == 0) return bench();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_are_equal),           cmocka_unit_test(codes_are_close),     cmocka_unit_test(a_zero_vector_matches_nothing),
        cmocka_unit_test(finds_what_brute_force_finds), cmocka_unit_test(small_and_odd_sizes), cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
