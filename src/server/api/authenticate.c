/* The cache of verified keys and the way to get into it. */
#include "server/api/authenticate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/attempts.h"
#include "server/api/key_secret.h"
#include "server/api/pipeline.h"
#include "server/api/tiers.h"

#include "base/banned.h"

enum {
    BUCKETS = 1 << 14,
    IN_FLIGHT_MAXIMUM = 64,  /* cold keys under verification, at most; more wait for a place */
    BAD_DIGESTS = 256,       /* wrong keys remembered for a minute, so that their repetition costs nothing */
    CANDIDATES_MAXIMUM = 16, /* keys that share a prefix: 24 random bits */
};

typedef struct Digest {
    unsigned char bytes[SHA256_SIZE];
} Digest;

typedef struct KeyEntry {
    Digest digest;
    struct KeyEntry *chain;
    struct KeyEntry *newer, *older;
    Principal principal;
    int64_t expires_at; /* ms; 0: never */
    uint64_t version;   /* of the cache when the row was read */
    int64_t used_at, saved_at; /* ms */
} KeyEntry;

struct KeyCache {
    pthread_mutex_t lock;
    unsigned char secret[SHA256_SIZE];
    KeyEntry *buckets[BUCKETS];
    KeyEntry *newest, *oldest;
    int count;
    uint64_t version;
    int64_t data_version; /* SQLite's, at the last poll */
    Digest in_flight[IN_FLIGHT_MAXIMUM];
    int in_flight_count;
    struct {
        Digest digest;
        int64_t until; /* ms */
    } bad[BAD_DIGESTS];
    int next_bad;
    int in_flight_maximum;
    Request *parked; /* wait for a verification to end, linked by next_parked */
};

KeyCache *key_cache_new(void) {
    KeyCache *cache = xcalloc(1, sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    random_bytes(cache->secret, sizeof cache->secret);
    cache->version = 1;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    cache->in_flight_maximum = processors < 4 ? 1 : processors / 2 < IN_FLIGHT_MAXIMUM ? (int)processors / 2 : IN_FLIGHT_MAXIMUM;
    return cache;
}

void key_cache_free(KeyCache *cache) {
    if (!cache) return;
    for (KeyEntry *entry = cache->newest, *next; entry; entry = next) {
        next = entry->older;
        free(entry);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* --- the row --- */

/* Reads what a key may do now. STATUS_OK, or the 401 that it deserves. */
static Status read_principal(DbSession *db, const char *key_id, Principal *out, int64_t *expires_at, Error *err) {
    Principal p = {0};
    *expires_at = 0;
    Status verdict = STATUS_REVOKED_API_KEY; /* no row */
    DbRows rows = db_query(db, err,
                           "SELECT k.organization_id, k.user_id, k.role, m.role, o.tier, k.rate_limit, k.generation, k.is_active, k.revoked_at, k.expires_at"
                           " FROM api_keys k JOIN organizations o ON o.id = k.organization_id"
                           " LEFT JOIN members m ON m.organization_id = k.organization_id AND m.user_id = k.user_id WHERE k.id = $1",
                           DB_TEXT(key_id));
    if (db_next(&rows)) {
        const char *organization = db_text_borrowed(&rows, 0), *user = db_text_borrowed(&rows, 1);
        memcpy(p.key_id, key_id, strnlen(key_id, sizeof p.key_id - 1));
        memcpy(p.organization_id, organization, strnlen(organization, sizeof p.organization_id - 1));
        if (user) memcpy(p.user_id, user, strnlen(user, sizeof p.user_id - 1));
        p.role = access_role_from_name(db_text_borrowed(&rows, 2));
        AccessRole member = access_role_from_name(db_text_borrowed(&rows, 3)); /* ACCESS_NONE: removed */
        if (user && member < p.role) p.role = member;
        int64_t tier = tier_find(db_text_borrowed(&rows, 4))->requests_per_hour;
        p.rate_limit = !db_is_null(&rows, 5) && db_int(&rows, 5) < tier ? db_int(&rows, 5) : tier;
        p.generation = db_int(&rows, 6);
        *expires_at = db_int(&rows, 9);
        verdict = db_int(&rows, 7) && db_is_null(&rows, 8) && p.role != ACCESS_NONE ? STATUS_OK : STATUS_REVOKED_API_KEY;
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    *out = p;
    return verdict == STATUS_OK ? STATUS_OK : error_set(err, verdict, "This API key has been revoked or suspended");
}

static Status check_expiry(int64_t expires_at, Error *err) {
    if (!expires_at || expires_at > clock_now_ms()) return STATUS_OK;
    return error_set(err, STATUS_EXPIRED_API_KEY, "This API key has expired");
}

Status principal_recheck(DbSession *tx, const Principal *principal, Error *err) {
    Principal now;
    int64_t expires_at;
    Status status = read_principal(tx, principal->key_id, &now, &expires_at, err);
    if (status == STATUS_OK) status = check_expiry(expires_at, err);
    if (status != STATUS_OK || now.generation == principal->generation) return status;
    if (now.role < principal->role) return error_set(err, STATUS_INSUFFICIENT_ROLE, "The role of this API key was lowered while the request ran");
    return STATUS_OK;
}

/* --- the table; all under the lock --- */

static KeyEntry **bucket_of(KeyCache *cache, const Digest *digest) {
    uint32_t h;
    memcpy(&h, digest->bytes, sizeof h);
    return &cache->buckets[h % BUCKETS];
}

static void unlink_use(KeyCache *cache, KeyEntry *entry) {
    *(entry->newer ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(KeyCache *cache, KeyEntry *entry) {
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static KeyEntry *entry_find(KeyCache *cache, const Digest *digest) {
    for (KeyEntry *entry = *bucket_of(cache, digest); entry; entry = entry->chain)
        if (hash_equal(&entry->digest, digest, sizeof *digest)) return entry;
    return NULL;
}

static void entry_remove(KeyCache *cache, KeyEntry *entry) {
    KeyEntry **place = bucket_of(cache, &entry->digest);
    while (*place != entry) place = &(*place)->chain;
    *place = entry->chain;
    unlink_use(cache, entry);
    free(entry);
    cache->count--;
}

static KeyEntry *entry_add(KeyCache *cache, const Digest *digest) {
    if (cache->count >= KEY_CACHE_MAXIMUM) entry_remove(cache, cache->oldest);
    KeyEntry *entry = xcalloc(1, sizeof *entry);
    entry->digest = *digest;
    KeyEntry **bucket = bucket_of(cache, digest);
    entry->chain = *bucket;
    *bucket = entry;
    link_newest(cache, entry);
    cache->count++;
    return entry;
}

/* --- wrong keys --- */

static bool is_known_bad(const KeyCache *cache, const Digest *digest) {
    int64_t now = clock_now_ms();
    for (int i = 0; i < BAD_DIGESTS; i++)
        if (cache->bad[i].until > now && memcmp(&cache->bad[i].digest, digest, sizeof *digest) == 0) return true;
    return false;
}

static void note_bad(KeyCache *cache, const Digest *digest) {
    cache->bad[cache->next_bad].digest = *digest;
    cache->bad[cache->next_bad].until = clock_now_ms() + 60000;
    cache->next_bad = (cache->next_bad + 1) % BAD_DIGESTS;
}

/* --- verification --- */

static int in_flight_index(const KeyCache *cache, const Digest *digest) {
    for (int i = 0; i < cache->in_flight_count; i++)
        if (memcmp(&cache->in_flight[i], digest, sizeof *digest) == 0) return i;
    return -1;
}

/* Id of the key whose secret this is, by bcrypt; STATUS_NOT_FOUND when there is none. */
static Status verify(DbSession *db, const char *key, char out[UUID_SIZE], Error *err) {
    struct {
        char id[UUID_SIZE], hash[KEY_HASH_SIZE];
    } candidates[CANDIDATES_MAXIMUM];
    int count = 0;
    DbRows rows = db_query(db, err, "SELECT id, secret_hash FROM api_keys WHERE prefix = $1 LIMIT 16", DB_TEXT_N(key, KEY_PREFIX_SIZE - 1));
    while (db_next(&rows) && count < CANDIDATES_MAXIMUM) {
        memset(&candidates[count], 0, sizeof candidates[count]);
        const char *id = db_text_borrowed(&rows, 0), *hash = db_text_borrowed(&rows, 1);
        memcpy(candidates[count].id, id, strnlen(id, UUID_SIZE - 1));
        memcpy(candidates[count++].hash, hash, strnlen(hash, KEY_HASH_SIZE - 1));
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    for (int i = 0; i < count; i++) {
        if (!key_secret_matches(key, candidates[i].hash)) continue;
        memcpy(out, candidates[i].id, UUID_SIZE);
        return STATUS_OK;
    }
    return STATUS_NOT_FOUND;
}

static void resume_parked(KeyCache *cache) {
    Request *parked = cache->parked;
    cache->parked = NULL;
    while (parked) {
        Request *rq = parked;
        parked = rq->passage->next_parked; /* before rq goes on */
        rq->resume(rq);
    }
}

/* Verifies a cold key; enters and leaves with the lock held, and the caller looks again, unless rq->error says that the database could not tell. False:
 * someone verifies it, or as many as may; the request was parked. */
static bool verify_or_park(KeyCache *cache, Request *rq, const char *key, const Digest *digest) {
    if (in_flight_index(cache, digest) >= 0 || cache->in_flight_count == cache->in_flight_maximum) {
        rq->passage->next_parked = cache->parked;
        cache->parked = rq;
        return false;
    }
    cache->in_flight[cache->in_flight_count++] = *digest;
    pthread_mutex_unlock(&cache->lock);
    char id[UUID_SIZE];
    Status status = verify(request_db(rq), key, id, &rq->error);
    pthread_mutex_lock(&cache->lock);
    cache->in_flight[in_flight_index(cache, digest)] = cache->in_flight[cache->in_flight_count - 1];
    cache->in_flight_count--;
    if (status == STATUS_OK) memcpy(entry_add(cache, digest)->principal.key_id, id, UUID_SIZE); /* version 0: its row is read next */
    if (status == STATUS_NOT_FOUND) note_bad(cache, digest);
    resume_parked(cache);
    return true;
}

/* The entry's facts into rq, after a look at its row when the database changed. Enters and leaves with the lock held. */
static Status use_entry(KeyCache *cache, Request *rq, KeyEntry *entry) {
    if (entry != cache->newest) {
        unlink_use(cache, entry);
        link_newest(cache, entry);
    }
    if (entry->version != cache->version) {
        uint64_t version = cache->version;
        Digest digest = entry->digest;
        char id[UUID_SIZE];
        memcpy(id, entry->principal.key_id, UUID_SIZE);
        pthread_mutex_unlock(&cache->lock);
        Principal principal;
        int64_t expires_at;
        Status status = read_principal(request_db(rq), id, &principal, &expires_at, &rq->error);
        pthread_mutex_lock(&cache->lock);
        entry = entry_find(cache, &digest);
        if (status != STATUS_OK) { /* a dead key is verified anew each time, as it may come to life */
            if (entry && status_info(status)->http == 401) entry->version = 0;
            return status;
        }
        rq->principal = principal;
        if (!entry) return check_expiry(expires_at, &rq->error); /* pushed out meanwhile: this request still has its facts */
        entry->principal = principal;
        entry->expires_at = expires_at;
        entry->version = version;
    }
    rq->principal = entry->principal;
    entry->used_at = clock_now_ms();
    return check_expiry(entry->expires_at, &rq->error);
}

/* A key that is certainly wrong: counted, and refused. */
static void refuse_key(Request *rq, bool plausible) {
    if (attempts_check(rq->server->attempts, rq) != STATUS_OK) return;
    attempts_note(rq->server->attempts, rq);
    request_fail(rq, STATUS_INVALID_API_KEY, plausible ? "Invalid API key" : "Invalid API key: a key is pk_live_ and 43 more characters, without quotes");
}

AuthenticationResult authenticate_request(Request *rq, bool may_wait) {
    const char *sent = request_header(rq, "X-API-Key");
    size_t length = sent ? strlen(sent) : 0;
    while (length && (sent[length - 1] == ' ' || sent[length - 1] == '\t')) length--; /* no part of the field (RFC 9110, 5.5), but libmicrohttpd leaves it */
    const char *key = length ? arena_strndup(&rq->arena, sent, length) : NULL;
    if (!key) {
        request_fail(rq, STATUS_MISSING_API_KEY, "Missing API key: send it in the X-API-Key header");
        return AUTHENTICATION_FAILED;
    }
    KeyCache *cache = rq->server->keys;
    bool plausible = key_secret_is_plausible(key);
    Digest digest = {0};
    if (plausible) hash_hmac_sha256(cache->secret, sizeof cache->secret, key, strlen(key), digest.bytes);
    AuthenticationResult result = AUTHENTICATION_FAILED;
    pthread_mutex_lock(&cache->lock);
    for (;;) {
        KeyEntry *entry = plausible ? entry_find(cache, &digest) : NULL;
        if (entry) {
            if (use_entry(cache, rq, entry) == STATUS_OK) result = AUTHENTICATED;
            break;
        }
        if (!plausible || is_known_bad(cache, &digest)) {
            refuse_key(rq, plausible);
            break;
        }
        if (attempts_check(rq->server->attempts, rq) != STATUS_OK) break;
        if (!may_wait || !verify_or_park(cache, rq, key, &digest)) {
            result = may_wait ? AUTHENTICATION_PARKED : AUTHENTICATION_WAITS;
            break;
        }
        if (rq->error.status != STATUS_OK) break;
    }
    pthread_mutex_unlock(&cache->lock);
    return result;
}

/* --- upkeep --- */

void key_cache_changed(KeyCache *cache) {
    pthread_mutex_lock(&cache->lock);
    cache->version++;
    pthread_mutex_unlock(&cache->lock);
}

void key_cache_poll(KeyCache *cache, DbSession *session) {
    /* SQLite's own counter; it grows for a session when another connection, of any process, has committed. */
    int64_t data_version = db_get_int(session, NULL, -1, "PRAGMA data_version");
    pthread_mutex_lock(&cache->lock);
    if (data_version != cache->data_version) cache->version++;
    cache->data_version = data_version;
    pthread_mutex_unlock(&cache->lock);
}

typedef struct SavedUse {
    int count;
    struct {
        char key_id[UUID_SIZE];
        int64_t used_at;
    } keys[];
} SavedUse;

static Status write_use(DbSession *tx, void *context, Error *err) {
    const SavedUse *saved = context;
    for (int i = 0; i < saved->count; i++) {
        Status status = db_exec(tx, err, "UPDATE api_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
                                DB_INT(saved->keys[i].used_at), DB_TEXT(saved->keys[i].key_id));
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

void key_cache_save_use(KeyCache *cache, Store *store) {
    int64_t now = clock_now_ms();
    pthread_mutex_lock(&cache->lock);
    SavedUse *saved = xcalloc(1, sizeof *saved + (size_t)cache->count * sizeof saved->keys[0]);
    for (KeyEntry *entry = cache->newest; entry; entry = entry->older) {
        if (entry->used_at <= entry->saved_at || now - entry->saved_at < 60000) continue;
        entry->saved_at = now;
        memcpy(saved->keys[saved->count].key_id, entry->principal.key_id, UUID_SIZE);
        saved->keys[saved->count++].used_at = entry->used_at;
    }
    pthread_mutex_unlock(&cache->lock);
    if (saved->count) db_write_later(store, write_use, saved);
    else free(saved);
}
