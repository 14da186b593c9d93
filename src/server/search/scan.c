#include "server/search/scan.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum {
    THREADS_MAXIMUM = 16,
    VECTORS_A_THREAD = 8192, /* below that another thread is not worth its start */
    VECTORS_A_TURN = 1024,   /* that a thread takes at once: one whose core is busy with something else takes fewer turns */
    AHEAD = 4096,            /* bytes: the processor's own reading ahead ends at a page */
};

double scan_dot(const float *a, const float *b, int dimensions) {
    double sums[4] = {0};
    int i = 0;
    for (; i + 4 <= dimensions; i += 4)
        for (int k = 0; k < 4; k++) sums[k] += (double)a[i + k] * b[i + k];
    for (; i < dimensions; i++) sums[0] += (double)a[i] * b[i];
    return sums[0] + sums[1] + sums[2] + sums[3];
}

double scan_cosine(const float *a, const float *b, int dimensions) {
    double lengths = scan_dot(a, a, dimensions) * scan_dot(b, b, dimensions);
    return lengths > 0 ? scan_dot(a, b, dimensions) / sqrt(lengths) : 0;
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

typedef struct Scan {
    const ScanTable *table;
    const ScanQuery *query;
    CodeQuery code;
    atomic_size_t next; /* the first vector that nobody has taken */
} Scan;

typedef struct Part {
    Scan *scan;
    Best likely; /* by score */
    Best sure;   /* by the least that the cosine can be */
    pthread_t thread;
    bool started;
} Part;

/* How far the cosine can be from the score. */
static double doubt(const CodeQuery *q, const ScanRow *row) { return q->lost * 1.001 + q->length * row->facts.lost + 1e-6; }

/* What the cosine of a wanted vector is at least, as far as is known. */
static double floor_of(const Scan *s, const Best *sure) {
    return sure->count == sure->most ? fmax(s->query->at_least, (double)sure->hits[0].score) : s->query->at_least;
}

static void look_at(Part *p, size_t i) {
    const Scan *s = p->scan;
    const ScanRow *row = &s->table->rows[i];
    size_t bytes = code_bytes(s->table->dimensions);
    int64_t stored = 8 * s->code.sum; /* what the added 8 of each half makes of a product */
    double scale = s->code.scale * row->facts.scale, unsure = doubt(&s->code, row), floor = floor_of(s, &p->sure);
    int64_t high = 16 * (s->query->variant->product(s->table->high + i * bytes, s->code.numbers, bytes) - stored);
    if (scale * (double)high + s->code.length * row->facts.low + unsure < floor) return;
    int64_t low = s->query->variant->product(s->table->low + i * bytes, s->code.numbers, bytes) - stored;
    double score = scale * (double)(high + low);
    if (score + unsure < floor) return;
    offer(&p->likely, (ScanHit){(uint32_t)i, (float)score});
    offer(&p->sure, (ScanHit){(uint32_t)i, (float)(score - unsure)});
}

static void *scan_part(void *context) {
    Part *p = context;
    const ScanTable *t = p->scan->table;
    size_t bytes = code_bytes(t->dimensions), from, to;
    while ((from = atomic_fetch_add(&p->scan->next, VECTORS_A_TURN)) < t->count) {
        to = from + VECTORS_A_TURN < t->count ? from + VECTORS_A_TURN : t->count;
        for (size_t i = from; i < to; i++) {
            for (size_t k = 0; k < bytes; k += CODE_ALIGNMENT) __builtin_prefetch(t->high + i * bytes + k + AHEAD);
            if (t->rows[i].group != SCAN_NO_GROUP && p->scan->query->wanted[t->rows[i].group]) look_at(p, i);
        }
    }
    return NULL;
}

static int part_count(size_t count, int threads) {
    size_t worth = count / VECTORS_A_THREAD + 1;
    if (threads > THREADS_MAXIMUM) threads = THREADS_MAXIMUM;
    return (size_t)threads > worth ? (int)worth : threads < 1 ? 1 : threads;
}

/* Adds what another part found. */
static void join(Part *into, const Part *part) {
    for (size_t i = 0; i < part->likely.count; i++) offer(&into->likely, part->likely.hits[i]);
    for (size_t i = 0; i < part->sure.count; i++) offer(&into->sure, part->sure.hits[i]);
}

/* Those that may be wanted now that all are known, best first. */
static size_t keep(const Scan *s, Part *p, ScanHit *hits) {
    size_t kept = 0;
    double floor = floor_of(s, &p->sure);
    for (size_t i = 0; i < p->likely.count; i++) {
        ScanHit hit = p->likely.hits[i];
        if ((double)hit.score + doubt(&s->code, &s->table->rows[hit.slot]) >= floor) hits[kept++] = hit;
    }
    qsort(hits, kept, sizeof *hits, compare_hits);
    return kept;
}

size_t scan_nearest(const ScanTable *table, const ScanQuery *query, ScanHit *hits, size_t most) {
    if (table->count == 0 || query->best == 0 || most < query->best) return 0;
    int parts = part_count(table->count, query->threads);
    Part part[THREADS_MAXIMUM];
    Scan scan = {.table = table, .query = query, .code = code_query(query->vector, table->dimensions)};
    ScanHit *room = xmalloc((size_t)parts * (most + query->best) * sizeof *room);
    for (int i = 0; i < parts; i++) {
        ScanHit *mine = room + (size_t)i * (most + query->best);
        part[i] = (Part){.scan = &scan, .likely = {.hits = mine, .most = most}, .sure = {.hits = mine + most, .most = query->best}};
    }
    for (int i = 1; i < parts; i++) part[i].started = pthread_create(&part[i].thread, NULL, scan_part, &part[i]) == 0;
    scan_part(&part[0]);
    for (int i = 1; i < parts; i++) {
        if (part[i].started) pthread_join(part[i].thread, NULL);
        join(&part[0], &part[i]);
    }
    size_t kept = keep(&scan, &part[0], hits);
    free(room);
    code_query_clear(&scan.code);
    return kept;
}
