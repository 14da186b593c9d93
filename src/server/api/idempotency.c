/* The map of tries under way and answers just given, over the table of answers. */
#include "server/api/idempotency.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/condition.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/pipeline.h"

#include "base/banned.h"

enum { BUCKETS = 1 << 12, KEEP_MS = 60 * 1000, KEEP_SECRET_MS = 600 * 1000, STATUS_OF_SECRET = 409, STATUS_OF_UNANSWERED = 0 };

typedef struct Scope {
    unsigned char bytes[SHA256_SIZE];
} Scope;

/* One try: under way, then its answer. */
struct IdempotencyTicket {
    Scope scope;
    char body_sha256[SHA256_HEX_SIZE];
    char *key; /* the header's value */
    struct IdempotencyTicket *chain;
    struct IdempotencyTicket *newer, *older; /* order of making */
    bool noted; /* its row may be in the store */
    bool done;
    bool secret;
    int64_t done_at; /* ms */
    int status;
    char *reply; /* NULL: empty */
    size_t reply_size;
};

struct Idempotency {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a try ended */
    IdempotencyTicket *buckets[BUCKETS];
    IdempotencyTicket *newest, *oldest;
    int count;
    int waiters;
    size_t bytes;
};

Idempotency *idempotency_new(void) {
    Idempotency *map = xcalloc(1, sizeof *map);
    pthread_mutex_init(&map->lock, NULL);
    condition_init(&map->changed);
    return map;
}

/* --- the map; all under the lock --- */

static IdempotencyTicket **bucket_of(Idempotency *map, const Scope *scope) {
    uint32_t h;
    memcpy(&h, scope->bytes, sizeof h);
    return &map->buckets[h % BUCKETS];
}

static IdempotencyTicket *ticket_find(Idempotency *map, const Scope *scope) {
    for (IdempotencyTicket *t = *bucket_of(map, scope); t; t = t->chain)
        if (memcmp(&t->scope, scope, sizeof *scope) == 0) return t;
    return NULL;
}

static void ticket_remove(Idempotency *map, IdempotencyTicket *t) {
    IdempotencyTicket **place = bucket_of(map, &t->scope);
    while (*place != t) place = &(*place)->chain;
    *place = t->chain;
    *(t->newer ? &t->newer->older : &map->newest) = t->older;
    *(t->older ? &t->older->newer : &map->oldest) = t->newer;
    map->count--;
    map->bytes -= t->reply_size;
    free(t->reply);
    free(t->key);
    free(t);
}

static IdempotencyTicket *ticket_add(Idempotency *map, const Scope *scope, const char *body_sha256, const char *key) {
    IdempotencyTicket *t = xcalloc(1, sizeof *t);
    t->scope = *scope;
    memcpy(t->body_sha256, body_sha256, SHA256_HEX_SIZE);
    t->key = xstrdup(key);
    IdempotencyTicket **bucket = bucket_of(map, scope);
    t->chain = *bucket;
    *bucket = t;
    t->older = map->newest;
    *(map->newest ? &map->newest->newer : &map->oldest) = t;
    map->newest = t;
    map->count++;
    return t;
}

/* Oldest answers first; tries under way stay. */
static void make_room(Idempotency *map) {
    for (IdempotencyTicket *t = map->oldest, *next; t && (map->count > IDEMPOTENCY_ENTRIES_MAXIMUM || map->bytes > IDEMPOTENCY_BYTES_MAXIMUM); t = next) {
        next = t->newer;
        if (t->done) ticket_remove(map, t);
    }
}

void idempotency_free(Idempotency *map) {
    if (!map) return;
    while (map->newest) ticket_remove(map, map->newest);
    pthread_cond_destroy(&map->changed);
    pthread_mutex_destroy(&map->lock);
    free(map);
}

/* --- what identifies a try --- */

static const char *method_name(const Request *rq) { return rq->method == HTTP_POST ? "POST" : rq->method == HTTP_PUT ? "PUT" : "PATCH"; }

static Scope scope_of(const Request *rq, const char *key) {
    char *text = arena_printf(&((Request *)rq)->arena, "%s\n%s\n%s\n%s", rq->principal.key_id, method_name(rq), rq->path, key);
    Scope scope;
    hash_sha256(text, strlen(text), scope.bytes);
    return scope;
}

/* Of query and body. */
static void hash_input(const Request *rq, char out[SHA256_HEX_SIZE]) {
    Hasher *hasher = hasher_new_sha256();
    hasher_update(hasher, rq->query, strlen(rq->query) + 1);
    hasher_update(hasher, rq->body, rq->body_size);
    hasher_finish(hasher, out, NULL);
    hasher_free(hasher);
}

static bool key_is_valid(const char *key) {
    size_t length = strlen(key);
    if (length == 0 || length > IDEMPOTENCY_KEY_MAXIMUM) return false;
    for (const char *p = key; *p; p++)
        if (*p < 0x21 || *p > 0x7e) return false;
    return true;
}

/* --- answers --- */

static IdempotencyVerdict refuse_conflict(Request *rq) {
    request_fail(rq, STATUS_IDEMPOTENCY_CONFLICT, "Idempotency-Key was used with a different request");
    return IDEMPOTENCY_REFUSED;
}

/* The secret is gone; what was made is named. */
static IdempotencyVerdict refuse_secret(Request *rq, const char *context) {
    yyjson_doc *doc = json_parse(context, strlen(context), NULL);
    size_t at, count;
    yyjson_val *name, *value;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), at, count, name, value) {
        json_key(request_error_context(rq), yyjson_get_str(name));
        json_value(request_error_context(rq), value);
    }
    yyjson_doc_free(doc);
    request_fail(rq, STATUS_ALREADY_EXISTS, "This request was carried out before, and its secret is shown only once");
    return IDEMPOTENCY_REFUSED;
}

/* The server died between the commit and the answer. */
static IdempotencyVerdict refuse_unanswered(Request *rq) {
    request_fail(rq, STATUS_ALREADY_EXISTS, "This request was carried out before, but its answer was lost: what it made already exists");
    return IDEMPOTENCY_REFUSED;
}

static IdempotencyVerdict replay(Request *rq, int status, const char *reply, size_t size) {
    buffer_reset(&rq->response.body);
    buffer_append(&rq->response.body, reply, size);
    rq->response.status = status;
    return IDEMPOTENCY_REPLAY;
}

/* From the store; IDEMPOTENCY_FIRST when there is none. */
static IdempotencyVerdict look_up_row(Request *rq, const char *key, const char *body_sha256) {
    IdempotencyVerdict verdict = IDEMPOTENCY_FIRST;
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT body_sha256, status, reply FROM idempotency"
                           " WHERE key_id = $1 AND method = $2 AND path = $3 AND idempotency_key = $4 AND created_at > $5",
                           DB_TEXT(rq->principal.key_id), DB_TEXT(method_name(rq)), DB_TEXT(rq->path), DB_TEXT(key),
                           DB_INT(clock_now_ms() - IDEMPOTENCY_HOURS * INT64_C(3600000)));
    if (db_next(&rows)) {
        const char *reply = db_text_borrowed(&rows, 2);
        if (!text_equal(db_text_borrowed(&rows, 0), body_sha256)) verdict = refuse_conflict(rq);
        else if (db_int(&rows, 1) == STATUS_OF_UNANSWERED) verdict = refuse_unanswered(rq);
        else if (db_int(&rows, 1) == STATUS_OF_SECRET) verdict = refuse_secret(rq, reply);
        else verdict = replay(rq, (int)db_int(&rows, 1), reply, strlen(reply));
    }
    return db_finish(&rows) == STATUS_OK ? verdict : IDEMPOTENCY_REFUSED;
}

/* Waits for a try under way to end. False when it takes too long, or too many wait. */
static bool wait_for_change(Idempotency *map, double deadline) {
    if (map->waiters >= IDEMPOTENCY_WAITERS_MAXIMUM) return false;
    map->waiters++;
    int result = condition_wait(&map->changed, &map->lock, deadline);
    map->waiters--;
    return result != ETIMEDOUT;
}

/* What the map alone can say; IDEMPOTENCY_FIRST: nothing, the scope is free. Under the lock. */
static IdempotencyVerdict look_up_memory(Idempotency *map, Request *rq, const Scope *scope, const char *body_sha256) {
    double deadline = clock_monotonic() + IDEMPOTENCY_WAIT;
    for (IdempotencyTicket *t; (t = ticket_find(map, scope));) {
        if (strcmp(t->body_sha256, body_sha256) != 0) return refuse_conflict(rq);
        if (t->done) return replay(rq, t->status, t->reply, t->reply_size);
        if (wait_for_change(map, deadline)) continue;
        request_fail(rq, STATUS_IDEMPOTENCY_IN_PROGRESS, "The first request under this Idempotency-Key is still running");
        return IDEMPOTENCY_REFUSED;
    }
    return IDEMPOTENCY_FIRST;
}

IdempotencyVerdict idempotency_begin(Idempotency *map, Request *rq, const char *key, IdempotencyTicket **out) {
    if (!key_is_valid(key)) {
        request_field_error(rq, "string_pattern_mismatch", "1 to 255 visible ASCII characters are allowed", "header", "Idempotency-Key", NULL);
        request_fail(rq, STATUS_VALIDATION_ERROR, "1 field failed validation");
        return IDEMPOTENCY_REFUSED;
    }
    Scope scope = scope_of(rq, key);
    char body_sha256[SHA256_HEX_SIZE];
    hash_input(rq, body_sha256);
    pthread_mutex_lock(&map->lock);
    IdempotencyVerdict verdict = look_up_memory(map, rq, &scope, body_sha256);
    IdempotencyTicket *ticket = verdict == IDEMPOTENCY_FIRST ? ticket_add(map, &scope, body_sha256, key) : NULL;
    pthread_mutex_unlock(&map->lock);
    if (!ticket) return verdict;
    verdict = look_up_row(rq, key, body_sha256); /* others of this scope wait meanwhile */
    if (verdict == IDEMPOTENCY_FIRST) {
        *out = ticket;
        return verdict;
    }
    pthread_mutex_lock(&map->lock);
    ticket_remove(map, ticket);
    pthread_cond_broadcast(&map->changed);
    pthread_mutex_unlock(&map->lock);
    return verdict;
}

/* --- keeping an answer --- */

typedef struct StoredAnswer {
    char key_id[UUID_SIZE];
    char body_sha256[SHA256_HEX_SIZE];
    const char *method; /* a literal */
    int status;
    int64_t created_at;
    const char *path, *key, *reply; /* into text */
    char text[];
} StoredAnswer;

static Status write_answer(DbSession *tx, void *context, Error *err) {
    const StoredAnswer *a = context;
    return db_exec(tx, err,
                   "INSERT INTO idempotency (key_id, method, path, idempotency_key, body_sha256, status, reply, created_at)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key_id, method, path, idempotency_key) DO UPDATE SET"
                   " body_sha256 = excluded.body_sha256, status = excluded.status, reply = excluded.reply, created_at = excluded.created_at",
                   DB_TEXT(a->key_id), DB_TEXT(a->method), DB_TEXT(a->path), DB_TEXT(a->key), DB_TEXT(a->body_sha256), DB_INT(a->status),
                   DB_TEXT(a->reply), DB_INT(a->created_at));
}

static char *append(char **at, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

Status idempotency_note(DbSession *tx, IdempotencyTicket *t, Request *rq, Error *err) {
    t->noted = true;
    StoredAnswer a = {.method = method_name(rq), .status = STATUS_OF_UNANSWERED, .created_at = clock_now_ms(), .path = rq->path, .key = t->key, .reply = ""};
    memcpy(a.key_id, rq->principal.key_id, UUID_SIZE);
    memcpy(a.body_sha256, t->body_sha256, SHA256_HEX_SIZE);
    return write_answer(tx, &a, err);
}

/* A try that failed in the end may be repeated. */
static Status forget(DbSession *tx, void *context, Error *err) {
    const StoredAnswer *a = context;
    return db_exec(tx, err, "DELETE FROM idempotency WHERE key_id = $1 AND method = $2 AND path = $3 AND idempotency_key = $4 AND status = $5", DB_TEXT(a->key_id),
                   DB_TEXT(a->method), DB_TEXT(a->path), DB_TEXT(a->key), DB_INT(STATUS_OF_UNANSWERED));
}

static void forget_note(const IdempotencyTicket *t, Request *rq) {
    StoredAnswer a = {.method = method_name(rq), .path = rq->path, .key = t->key};
    memcpy(a.key_id, rq->principal.key_id, UUID_SIZE);
    db_write(rq->server->store, forget, &a, NULL);
}

/* Queues the row. Of an answer that holds a secret only the id of what was made is stored. */
static void store_answer(const IdempotencyTicket *t, Request *rq) {
    const Passage *p = rq->passage;
    const char *reply = t->reply ? t->reply : "";
    if (p->secret_name) reply = arena_printf(&rq->arena, "{\"%s\":\"%s\"}", p->secret_name, p->secret_id);
    StoredAnswer *a = xcalloc(1, sizeof *a + strlen(rq->path) + strlen(t->key) + strlen(reply) + 3);
    memcpy(a->key_id, rq->principal.key_id, UUID_SIZE);
    memcpy(a->body_sha256, t->body_sha256, SHA256_HEX_SIZE);
    a->method = method_name(rq);
    a->status = p->secret_name ? STATUS_OF_SECRET : t->status;
    a->created_at = t->done_at;
    char *at = a->text;
    a->path = append(&at, rq->path);
    a->key = append(&at, t->key);
    a->reply = append(&at, reply);
    db_write_later(rq->server->store, write_answer, a);
}

void idempotency_finish(Idempotency *map, IdempotencyTicket *t, Request *rq) {
    const Response *r = &rq->response;
    bool success = rq->error.status == STATUS_OK && r->status >= 200 && r->status < 300 && r->file_fd < 0;
    if (!success && t->noted) forget_note(t, rq); /* before others of this scope look */
    pthread_mutex_lock(&map->lock);
    if (success) {
        t->done = true;
        t->secret = rq->passage->secret_name != NULL;
        t->done_at = clock_now_ms();
        t->status = r->status;
        t->reply_size = r->body.size;
        t->reply = xmalloc(r->body.size + 1);
        if (r->body.size) memcpy(t->reply, r->body.data, r->body.size);
        t->reply[r->body.size] = '\0';
        map->bytes += t->reply_size;
        store_answer(t, rq);
        make_room(map);
    } else {
        ticket_remove(map, t);
    }
    pthread_cond_broadcast(&map->changed);
    pthread_mutex_unlock(&map->lock);
}

static Status delete_old_rows(DbSession *tx, void *context, Error *err) {
    const int64_t *before = context;
    return db_exec(tx, err, "DELETE FROM idempotency WHERE created_at < $1", DB_INT(*before));
}

void idempotency_sweep(Idempotency *map, Store *store, bool rows) {
    int64_t now = clock_now_ms();
    pthread_mutex_lock(&map->lock);
    for (IdempotencyTicket *t = map->oldest, *next; t; t = next) {
        next = t->newer;
        if (t->done && now - t->done_at > (t->secret ? KEEP_SECRET_MS : KEEP_MS)) ticket_remove(map, t);
    }
    pthread_mutex_unlock(&map->lock);
    if (!rows) return;
    int64_t *before = xmalloc(sizeof *before);
    *before = now - IDEMPOTENCY_HOURS * INT64_C(3600000);
    db_write_later(store, delete_old_rows, before);
}
