/* Codes: a vector of length 1 as a byte a number, in two planes of half bytes. A scan is as fast as memory is read, and the upper halves alone say of
 * most vectors that they are too far away. Pure functions, no store.
 *
 * v ≈ scale * code. A number of the code lies from -119 to 119 and is 16 * high + low, high from -7 to 7, low from -8 to 7. A plane holds one half
 * of every number, with 8 added, two to a byte: byte j of a row holds number j in its lower half and number j + code_bytes() in its upper one.
 *
 * One product has variants for the processor's vector units, chosen when the program runs; all give the same integer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODE_ALIGNMENT = 64 }; /* of rows, in bytes; a row's length is a multiple of it */

/* Of a row of a plane. */
static inline size_t code_bytes(int dimensions) { return ((size_t)dimensions + 2 * CODE_ALIGNMENT - 1) / (2 * CODE_ALIGNMENT) * CODE_ALIGNMENT; }

/* Memory for so many bytes of rows, aligned; in large pages where the system has them. free() frees it. */
uint8_t *code_alloc(size_t size);

/* What is known of a vector beside its halves. Lengths are rounded up. */
typedef struct CodeFacts {
    float scale;
    float low;  /* the length of scale * low: what the upper halves leave out */
    float lost; /* the length of v - scale * code: what the code leaves out */
} CodeFacts;

/* Encodes a vector into code_bytes(dimensions) bytes of each plane. One without a direction (all zeros, infinite) has a scale of 0. */
CodeFacts code_encode(const float *vector, int dimensions, uint8_t *high, uint8_t *low);

/* The other side of products: it is never split, so a number has all of -127 to 127. */
typedef struct CodeQuery {
    int8_t *numbers; /* 2 * code_bytes(dimensions), filled up with zeros, aligned */
    int64_t sum;     /* of them */
    double scale, length, lost; /* length: of scale * numbers */
} CodeQuery;
CodeQuery code_query(const float *vector, int dimensions);
void code_query_clear(CodeQuery *query);

/* The sum over a row of n bytes, n a multiple of CODE_ALIGNMENT, of each half (as stored, 0 to 15) times its number of a query, all aligned. */
typedef int32_t (*CodeProduct)(const uint8_t *halves, const int8_t *numbers, size_t n);
typedef struct CodeVariant {
    const char *name; /* "vnni", "avx2", "plain" */
    bool (*supported)(void);
    CodeProduct product;
} CodeVariant;
/* Fastest first, ended by a row of NULL; "plain" always works. */
extern const CodeVariant CODE_VARIANTS[];
/* The first that this processor supports. */
const CodeVariant *code_variant(void);
