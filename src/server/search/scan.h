/* Scan: the nearest vectors to one, exactly as far as bytes can tell: every vector is looked at, as signed bytes, and the best few are handed to
 * whoever has the floats to rank them truly. Pure functions, no store.
 *
 * A vector of length 1 becomes `code`, each number rounded to 1/127 of the largest, and `scale`, so that v ≈ scale * code. The dot product of two
 * codes times both scales is then the cosine, to about 0.001. One product has variants for the processor's vector units, chosen when the program
 * runs; all give the same integer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCAN_ALIGNMENT = 64 }; /* of codes, in bytes; a code's length is a multiple of it, filled up with zeros */
enum { SCAN_NO_GROUP = -1 };

static inline size_t scan_stride(int dimensions) { return ((size_t)dimensions + SCAN_ALIGNMENT - 1) / SCAN_ALIGNMENT * SCAN_ALIGNMENT; }

/* Memory for so many bytes of codes, aligned; in large pages where the system has them, as a scan is as fast as memory is read. free() frees it. */
int8_t *scan_alloc(size_t size);
/* Encodes a vector into scan_stride(dimensions) bytes. Returns the scale. */
float scan_encode(const float *vector, int dimensions, int8_t *code);

/* A dot product of two aligned codes of n bytes, n a multiple of SCAN_ALIGNMENT. No byte is -128. */
typedef int32_t (*ScanProduct)(const int8_t *a, const int8_t *b, size_t n);
typedef struct ScanVariant {
    const char *name; /* "avx512", "avx2", "plain" */
    bool (*supported)(void);
    ScanProduct product;
} ScanVariant;
/* Fastest first, ended by a row of NULL; "plain" always works. */
extern const ScanVariant SCAN_VARIANTS[];
/* The first that this processor supports. */
const ScanVariant *scan_variant(void);

typedef struct ScanTable {
    const int8_t *codes; /* one after the other, each of scan_stride(dimensions) bytes, aligned to SCAN_ALIGNMENT */
    const float *scales;
    const int32_t *groups; /* group of each vector; SCAN_NO_GROUP: left out */
    size_t count;
    int dimensions;
} ScanTable;

typedef struct ScanHit {
    uint32_t slot; /* place in the table */
    float score;   /* the cosine, nearly */
} ScanHit;

/* The `most` best vectors of the groups whose entry in wanted is true, best first (equal ones by place), into hits; returns how many. Uses up to
 * `threads` threads where the table is large enough to be worth it. */
size_t scan_nearest(const ScanTable *table, const float *vector, const bool *wanted, const ScanVariant *variant, int threads, ScanHit *hits, size_t most);

/* The true dot product. */
double scan_dot(const float *a, const float *b, int dimensions);
