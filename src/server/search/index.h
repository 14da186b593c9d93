/* Index: the vectors of projects in memory, as codes (codes.h), made from the store when first asked and kept in step with it.
 *
 * The store is the truth. Triggers note in search_changes which vectors came, went, or whose image was moved or archived; every search first reads
 * the notes since the last one, so whatever was committed before a search is seen by it, whoever wrote it. Nothing else has to tell the index.
 *
 * 1,304 bytes a vector of 1,280 numbers. Indexes that were not used longest are dropped above a bound of memory; a single one may exceed it.
 */
#pragma once
#include "base/arena.h"
#include "base/error.h"
#include "server/store/db.h"

typedef struct VectorIndexes VectorIndexes;

typedef struct IndexQuery {
    const char *project_id, *model;
    const float *vector; /* of length 1 */
    int dimensions;
    const char *folder;  /* with its subfolders; "/" is everything */
    const char *not_image_id; /* is left out; may be NULL */
    double threshold;    /* of the true cosine */
    size_t limit;
} IndexQuery;

typedef struct IndexHit {
    const char *image_id; /* in the arena */
    int64_t number;       /* of the vector, in the order of description */
    double similarity;    /* the true cosine */
} IndexHit;

VectorIndexes *indexes_new(size_t maximum_bytes);
void indexes_free(VectorIndexes *indexes);

/* Best first, equal ones in the order in which they were described. The images are there and not archived as the index saw it; whoever reads their
 * rows later may find one gone. */
Status indexes_search(VectorIndexes *indexes, DbSession *session, Arena *arena, const IndexQuery *query, IndexHit **hits, size_t *count, Error *err);

/* Brings every index in step and forgets the notes that all of them have read. */
Status indexes_trim(VectorIndexes *indexes, Store *store, Error *err);

/* Facts for metrics and tests. */
size_t indexes_bytes(VectorIndexes *indexes);
