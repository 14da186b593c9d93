#include "server/search/index.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "base/text.h"
#include "server/search/scan.h"
#include "base/banned.h"

enum {
    RERANKED = 100,       /* candidates beyond the wanted ones whose true cosine is computed, at most: codes may not tell close ones apart */
    FIRST_CAPACITY = 16, /* vectors: a server holds many small projects */
    GONE_ALLOWED = 1000,  /* vectors that went away before an index is made anew, and at least half of it; names of folders that no vector may have */
};

typedef struct ProjectIndex ProjectIndex;
struct ProjectIndex {
    char *project_id, *model;
    ProjectIndex *next;
    int users;       /* under the list's mutex */
    double last_use; /* a count of searches, likewise */
    pthread_rwlock_t lock; /* of what follows */
    bool loaded;
    int64_t sequence; /* the last note that was read */
    int dimensions;   /* 0: no vector yet */
    size_t count, capacity, gone;
    size_t expected;  /* how many vectors are known to come, so that room is made once */
    uint8_t *high, *low; /* planes of codes.h */
    ScanRow *rows;       /* group: the folder, SCAN_NO_GROUP when archived or gone */
    int64_t *numbers;    /* rising: image_vectors.number */
    Arena arena;      /* of the folders */
    StringMap folders;
    const char **folder_names; /* by group */
    size_t folder_capacity;
};

struct VectorIndexes {
    pthread_mutex_t mutex; /* of the list */
    ProjectIndex *first;
    size_t maximum_bytes;
    double clock;
    int threads;
};

VectorIndexes *indexes_new(size_t maximum_bytes) {
    VectorIndexes *indexes = xcalloc(1, sizeof *indexes);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_mutex_init(&indexes->mutex, NULL);
    indexes->maximum_bytes = maximum_bytes;
    indexes->threads = cores < 1 ? 1 : cores > 4 ? 4 : (int)cores;
    return indexes;
}

/* ---- one index: memory ---- */

static size_t bytes_of(const ProjectIndex *x) {
    return sizeof *x + x->capacity * (2 * code_bytes(x->dimensions) + sizeof *x->rows + sizeof *x->numbers) + x->arena.used + x->folder_capacity * sizeof(char *);
}

static void forget_vectors(ProjectIndex *x) {
    free(x->high);
    free(x->low);
    free(x->rows);
    free(x->numbers);
    free(x->folder_names);
    arena_clear(&x->arena);
    x->high = NULL, x->low = NULL, x->rows = NULL, x->numbers = NULL, x->folder_names = NULL;
    x->count = x->capacity = x->gone = x->folder_capacity = 0;
    x->dimensions = 0;
    x->loaded = false;
    string_map_init(&x->folders, &x->arena);
}

static ProjectIndex *index_new(const char *project_id, const char *model) {
    ProjectIndex *x = xcalloc(1, sizeof *x);
    x->project_id = xstrdup(project_id);
    x->model = xstrdup(model);
    arena_init(&x->arena, SIZE_MAX);
    pthread_rwlock_init(&x->lock, NULL);
    string_map_init(&x->folders, &x->arena);
    return x;
}

static void index_free(ProjectIndex *x) {
    forget_vectors(x);
    pthread_rwlock_destroy(&x->lock);
    free(x->project_id);
    free(x->model);
    free(x);
}

void indexes_free(VectorIndexes *indexes) {
    if (!indexes) return;
    for (ProjectIndex *x = indexes->first, *next; x; x = next) {
        next = x->next;
        index_free(x);
    }
    pthread_mutex_destroy(&indexes->mutex);
    free(indexes);
}

/* There is no aligned realloc. */
static uint8_t *larger_plane(uint8_t *plane, size_t used, size_t size) {
    uint8_t *larger = code_alloc(size);
    if (used) memcpy(larger, plane, used);
    free(plane);
    return larger;
}

static size_t room_wanted(const ProjectIndex *x) {
    size_t grown = x->capacity + x->capacity / 2 + FIRST_CAPACITY; /* half of the room for one would be none */
    return x->expected > x->count ? x->expected : grown;
}

static void make_room(ProjectIndex *x, size_t capacity) {
    size_t bytes = code_bytes(x->dimensions);
    x->high = larger_plane(x->high, x->count * bytes, capacity * bytes);
    x->low = larger_plane(x->low, x->count * bytes, capacity * bytes);
    x->rows = xrealloc(x->rows, capacity * sizeof *x->rows);
    x->numbers = xrealloc(x->numbers, capacity * sizeof *x->numbers);
    x->capacity = capacity;
}

static int32_t group_of(ProjectIndex *x, const char *folder) {
    size_t next = x->folders.count, group = string_map_get_or_set(&x->folders, folder, next);
    if (group == next) {
        if (next == x->folder_capacity) {
            x->folder_capacity = x->folder_capacity ? 2 * x->folder_capacity : 16;
            x->folder_names = xrealloc(x->folder_names, x->folder_capacity * sizeof *x->folder_names);
        }
        x->folder_names[group] = arena_strdup(&x->arena, folder);
    }
    return (int32_t)group;
}

/* ---- one index: in step with the store ---- */

#define VECTOR_COLUMNS "v.number, v.vector, i.folder, i.is_archived"

/* A row of VECTOR_COLUMNS whose number is above all others. A vector of another length than the first has no place. */
static void append(ProjectIndex *x, const DbRows *rows) {
    size_t size;
    const void *blob = db_blob_borrowed(rows, 1, &size);
    if (!blob || size < sizeof(float) || size % sizeof(float) != 0 || size > (1 << 20)) return;
    if (x->dimensions == 0) x->dimensions = (int)(size / sizeof(float));
    if (size != (size_t)x->dimensions * sizeof(float)) return;
    if (x->count == x->capacity) make_room(x, room_wanted(x));
    float *vector = xmalloc(size); /* the store's bytes may lie on any address */
    memcpy(vector, blob, size);
    size_t at = x->count * code_bytes(x->dimensions);
    x->rows[x->count].facts = code_encode(vector, x->dimensions, x->high + at, x->low + at);
    free(vector);
    x->numbers[x->count] = db_int(rows, 0);
    x->rows[x->count].group = db_int(rows, 3) ? SCAN_NO_GROUP : group_of(x, db_text_borrowed(rows, 2));
    x->count++;
}

static Status load(ProjectIndex *x, DbSession *session, Error *err) {
    int64_t expected;
    forget_vectors(x);
    /* First the notes, then the vectors: what comes in between is read twice, which does no harm. */
    Status status = db_read_int(session, err, &x->sequence, 0, "SELECT max(sequence) FROM search_changes");
    if (status == STATUS_OK)
        status = db_read_int(session, err, &expected, 0, "SELECT count(*) FROM image_vectors WHERE project_id = $1 AND model = $2", DB_TEXT(x->project_id),
                             DB_TEXT(x->model));
    if (status != STATUS_OK) return status;
    x->expected = (size_t)expected;
    DbRows rows = db_query(session, err, "SELECT " VECTOR_COLUMNS " FROM image_vectors v JOIN images i ON i.id = v.image_id WHERE v.project_id = $1 AND v.model = $2 "
                           "ORDER BY v.number", DB_TEXT(x->project_id), DB_TEXT(x->model));
    while (db_next(&rows)) append(x, &rows);
    status = db_finish(&rows);
    x->loaded = status == STATUS_OK;
    return status;
}

static size_t slot_of(const ProjectIndex *x, int64_t number) {
    size_t low = 0, high = x->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (x->numbers[middle] < number) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* One vector as the store has it now. */
static Status refresh(ProjectIndex *x, DbSession *session, int64_t number, Error *err) {
    size_t slot = slot_of(x, number);
    bool known = slot < x->count && x->numbers[slot] == number;
    DbRows rows = db_query(session, err, "SELECT " VECTOR_COLUMNS " FROM image_vectors v JOIN images i ON i.id = v.image_id WHERE v.number = $1 AND v.model = $2",
                           DB_INT(number), DB_TEXT(x->model));
    bool there = db_next(&rows);
    if (there && !known && slot == x->count) append(x, &rows);
    else if (there && known) x->rows[slot].group = db_int(&rows, 3) ? SCAN_NO_GROUP : group_of(x, db_text_borrowed(&rows, 2));
    else if (known) {
        x->rows[slot].group = SCAN_NO_GROUP;
        x->gone++;
    }
    return db_finish(&rows);
}

typedef struct Notes {
    int64_t *numbers, last;
    size_t count, capacity;
} Notes;

/* Which vectors changed since the last look, each once and rising. */
static Status read_notes(const ProjectIndex *x, DbSession *session, Notes *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT sequence, number FROM search_changes WHERE project_id = $1 AND sequence > $2 ORDER BY sequence",
                           DB_TEXT(x->project_id), DB_INT(x->sequence));
    *out = (Notes){.last = x->sequence};
    while (db_next(&rows)) {
        if (out->count == out->capacity) {
            out->capacity = out->capacity ? 2 * out->capacity : 64;
            out->numbers = xrealloc(out->numbers, out->capacity * sizeof *out->numbers);
        }
        out->last = db_int(&rows, 0);
        out->numbers[out->count++] = db_int(&rows, 1);
    }
    return db_finish(&rows);
}

static int compare_numbers(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool is_stale(const ProjectIndex *x) { return (x->gone > GONE_ALLOWED && x->gone > x->count / 2) || x->folders.count > x->count + GONE_ALLOWED; }

/* Under the lock for writing. */
static Status follow(ProjectIndex *x, DbSession *session, Error *err) {
    Notes notes;
    if (!x->loaded || is_stale(x)) return load(x, session, err);
    Status status = read_notes(x, session, &notes, err);
    if (notes.count) qsort(notes.numbers, notes.count, sizeof *notes.numbers, compare_numbers);
    for (size_t i = 0; i < notes.count && status == STATUS_OK; i++)
        if (i == 0 || notes.numbers[i] != notes.numbers[i - 1]) status = refresh(x, session, notes.numbers[i], err);
    if (status == STATUS_OK) x->sequence = notes.last;
    free(notes.numbers);
    return status;
}

/* A question that cannot be answered is left to follow(), which says so. */
static bool is_behind(const ProjectIndex *x, DbSession *session) {
    return !x->loaded || db_get_int(session, NULL, 1, "SELECT EXISTS (SELECT 1 FROM search_changes WHERE project_id = $1 AND sequence > $2)", DB_TEXT(x->project_id),
                                    DB_INT(x->sequence)) != 0;
}

/* Leaves the index locked for reading and in step, or unlocked with a failure. */
static Status lock_in_step(ProjectIndex *x, DbSession *session, Error *err) {
    pthread_rwlock_rdlock(&x->lock);
    if (!is_behind(x, session)) return STATUS_OK;
    pthread_rwlock_unlock(&x->lock);
    pthread_rwlock_wrlock(&x->lock);
    Status status = follow(x, session, err);
    pthread_rwlock_unlock(&x->lock);
    if (status == STATUS_OK) pthread_rwlock_rdlock(&x->lock);
    return status;
}

/* ---- the list ---- */

static ProjectIndex *take_index(VectorIndexes *indexes, const char *project_id, const char *model) {
    pthread_mutex_lock(&indexes->mutex);
    ProjectIndex *x = indexes->first;
    while (x && (strcmp(x->project_id, project_id) != 0 || strcmp(x->model, model) != 0)) x = x->next;
    if (!x) {
        x = index_new(project_id, model);
        x->next = indexes->first;
        indexes->first = x;
    }
    x->users++;
    x->last_use = ++indexes->clock;
    pthread_mutex_unlock(&indexes->mutex);
    return x;
}

/* Under the mutex. An index that nobody uses is not locked. */
static size_t idle_bytes(const VectorIndexes *indexes, ProjectIndex **oldest) {
    size_t bytes = 0;
    *oldest = NULL;
    for (ProjectIndex *x = indexes->first; x; x = x->next) {
        if (x->users) continue;
        bytes += bytes_of(x);
        if (!*oldest || x->last_use < (*oldest)->last_use) *oldest = x;
    }
    return bytes;
}

/* Under the mutex. Nobody uses it. */
static void drop_index(VectorIndexes *indexes, ProjectIndex *x) {
    ProjectIndex **at = &indexes->first;
    while (*at != x) at = &(*at)->next;
    *at = x->next;
    index_free(x);
}

static void give_back(VectorIndexes *indexes, ProjectIndex *used) {
    ProjectIndex *oldest;
    pthread_mutex_lock(&indexes->mutex);
    used->users--;
    while (idle_bytes(indexes, &oldest) > indexes->maximum_bytes && oldest != used) drop_index(indexes, oldest);
    pthread_mutex_unlock(&indexes->mutex);
}

size_t indexes_bytes(VectorIndexes *indexes) {
    ProjectIndex *oldest;
    pthread_mutex_lock(&indexes->mutex);
    size_t bytes = idle_bytes(indexes, &oldest);
    pthread_mutex_unlock(&indexes->mutex);
    return bytes;
}

/* ---- searching ---- */

static bool in_folder(const char *folder, const char *scope) {
    size_t length = strlen(scope);
    return length <= 1 || (strncmp(folder, scope, length) == 0 && (folder[length] == '\0' || folder[length] == '/'));
}

static bool *wanted_groups(const ProjectIndex *x, const char *scope) {
    bool *wanted = xcalloc(x->folders.count + 1, sizeof *wanted);
    for (size_t g = 0; g < x->folders.count; g++) wanted[g] = in_folder(x->folder_names[g], scope);
    return wanted;
}

static int compare_similarity(const void *a, const void *b) {
    const IndexHit *x = a, *y = b;
    if (x->similarity != y->similarity) return x->similarity < y->similarity ? 1 : -1;
    return compare_numbers(&x->number, &y->number);
}

/* The true cosine of a candidate; false when it is below the threshold, gone, or the image itself. */
static Status weigh(DbSession *session, Arena *arena, const IndexQuery *q, int64_t number, float *room, IndexHit *out, bool *kept, Error *err) {
    size_t size, wanted = (size_t)q->dimensions * sizeof *room;
    *kept = false;
    DbRows rows = db_query(session, err, "SELECT vector, image_id FROM image_vectors WHERE number = $1", DB_INT(number));
    if (db_next(&rows)) {
        const void *blob = db_blob_borrowed(&rows, 0, &size);
        if (blob && size == wanted && !text_equal(db_text_borrowed(&rows, 1), q->not_image_id)) {
            memcpy(room, blob, size);
            out->number = number;
            out->similarity = scan_cosine(room, q->vector, q->dimensions);
            *kept = out->similarity >= q->threshold;
            if (*kept) out->image_id = db_text(&rows, 1, arena);
        }
    }
    return db_finish(&rows);
}

/* Under the lock for reading: the candidates' numbers, best first. */
static size_t find_candidates(const VectorIndexes *indexes, const ProjectIndex *x, const IndexQuery *q, int64_t *numbers, size_t most) {
    if (x->count == 0 || x->dimensions != q->dimensions) return 0;
    ScanHit *hits = xmalloc(most * sizeof *hits);
    bool *wanted = wanted_groups(x, q->folder);
    ScanTable table = {.high = x->high, .low = x->low, .rows = x->rows, .count = x->count, .dimensions = x->dimensions};
    ScanQuery query = {.vector = q->vector, .wanted = wanted, .at_least = q->threshold, .best = most - RERANKED, .variant = code_variant(), .threads = indexes->threads};
    size_t count = scan_nearest(&table, &query, hits, most);
    for (size_t i = 0; i < count; i++) numbers[i] = x->numbers[hits[i].slot];
    free(wanted);
    free(hits);
    return count;
}

Status indexes_search(VectorIndexes *indexes, DbSession *session, Arena *arena, const IndexQuery *query, IndexHit **hits, size_t *count, Error *err) {
    size_t most = query->limit + 1 + RERANKED, kept = 0;
    int64_t *numbers = arena_new_array(arena, int64_t, most);
    float *room = arena_new_array(arena, float, (size_t)query->dimensions);
    ProjectIndex *x = take_index(indexes, query->project_id, query->model);
    *hits = arena_new_array(arena, IndexHit, most);
    Status status = lock_in_step(x, session, err);
    size_t candidates = status == STATUS_OK ? find_candidates(indexes, x, query, numbers, most) : 0;
    if (status == STATUS_OK) pthread_rwlock_unlock(&x->lock);
    give_back(indexes, x);
    qsort(numbers, candidates, sizeof *numbers, compare_numbers); /* in the order in which they lie on the disk */
    for (size_t i = 0; i < candidates && status == STATUS_OK; i++) {
        bool keep;
        status = weigh(session, arena, query, numbers[i], room, &(*hits)[kept], &keep, err);
        kept += keep;
    }
    qsort(*hits, kept, sizeof **hits, compare_similarity);
    *count = kept < query->limit ? kept : query->limit;
    return status;
}

/* ---- trimming ---- */

static Status forget_notes(DbSession *tx, void *context, Error *err) {
    return db_exec(tx, err, "DELETE FROM search_changes WHERE sequence <= $1", DB_INT(*(const int64_t *)context));
}

Status indexes_trim(VectorIndexes *indexes, Store *store, Error *err) {
    int64_t last;
    DbSession *session = db_session(store);
    Status status = db_read_int(session, err, &last, 0, "SELECT max(sequence) FROM search_changes");
    pthread_mutex_lock(&indexes->mutex); /* an index that is made meanwhile starts from a later note */
    for (ProjectIndex *x = indexes->first, *next; x && last && status == STATUS_OK; x = next) {
        next = x->next;
        pthread_rwlock_wrlock(&x->lock);
        if (x->loaded) status = follow(x, session, err);
        if (status == STATUS_OK && x->loaded && x->sequence < last) x->sequence = last;
        bool empty = x->gone == x->count;
        pthread_rwlock_unlock(&x->lock);
        if (empty && !x->users) drop_index(indexes, x); /* its project is gone */
    }
    pthread_mutex_unlock(&indexes->mutex);
    db_session_release(store, session);
    return last && status == STATUS_OK ? db_write(store, forget_notes, &last, err) : status;
}
