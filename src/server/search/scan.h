/* Scan: the nearest vectors to one, as far as codes (codes.h) can tell. Every vector is looked at and the few that may be among the nearest are handed
 * to whoever has the floats to rank them truly. Pure functions, no store.
 *
 * Nothing is left to chance: of each vector a bound is known of how far the upper halves, and then the whole code, can be from the truth
 * (Cauchy-Schwarz). The low halves are read only where the upper ones do not settle that a vector is out.
 */
#pragma once
#include "server/search/codes.h"

enum { SCAN_NO_GROUP = -1 };

typedef struct ScanRow {
    CodeFacts facts;
    int32_t group; /* SCAN_NO_GROUP: left out */
} ScanRow;

typedef struct ScanTable {
    const uint8_t *high, *low; /* one row after the other, each of code_bytes(dimensions) bytes, from code_alloc */
    const ScanRow *rows;
    size_t count;
    int dimensions;
} ScanTable;

typedef struct ScanQuery {
    const float *vector; /* of length 1 */
    const bool *wanted;  /* by group */
    double at_least;     /* nothing below this cosine is asked for */
    size_t best;         /* how many nearest are asked for */
    const CodeVariant *variant;
    int threads; /* at most; used where the table is large enough to be worth it */
} ScanQuery;

typedef struct ScanHit {
    uint32_t slot; /* place in the table */
    float score;   /* the cosine by the code */
} ScanHit;

/* The vectors that may be among the asked ones, best score first (equal ones by place), into hits; returns how many. All the asked ones are there, unless
 * more than `most` (not less than q->best) lie so close to the last of them that codes cannot tell: then the `most` of best score. */
size_t scan_nearest(const ScanTable *table, const ScanQuery *query, ScanHit *hits, size_t most);

/* The true dot product, and the cosine that it makes: of equal vectors exactly 1, though floats of length 1 seldom have just that length. */
double scan_dot(const float *a, const float *b, int dimensions);
double scan_cosine(const float *a, const float *b, int dimensions);
