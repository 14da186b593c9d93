/* The sliding window, its table of keys in order of use, and its rows in rate_windows. */
#include "server/api/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

#include "base/banned.h"

enum { BUCKETS = 1 << 14 };

typedef struct Entry {
    uint32_t second; /* unix time */
    uint32_t count;
} Entry;

typedef struct Window {
    char key_id[UUID_SIZE];
    struct Window *chain;           /* same bucket */
    struct Window *newer, *older;   /* order of use */
    Entry *entries;                 /* oldest first */
    uint16_t entry_count, capacity;
    uint32_t total;
    bool dirty;
} Window;

struct RateLimiter {
    pthread_mutex_t lock;
    Window *buckets[BUCKETS];
    Window *newest, *oldest;
    int count;
};

RateLimiter *rate_limiter_new(void) {
    RateLimiter *limiter = xcalloc(1, sizeof *limiter);
    pthread_mutex_init(&limiter->lock, NULL);
    return limiter;
}

static void window_free(Window *window) {
    free(window->entries);
    free(window);
}

void rate_limiter_free(RateLimiter *limiter) {
    if (!limiter) return;
    for (Window *window = limiter->newest, *next; window; window = next) {
        next = window->older;
        window_free(window);
    }
    pthread_mutex_destroy(&limiter->lock);
    free(limiter);
}

static Window **bucket_of(RateLimiter *limiter, const char *key_id) {
    return &limiter->buckets[text_hash(key_id, strlen(key_id)) % BUCKETS]; /* ids are random and ours */
}

static void unlink_use(RateLimiter *limiter, Window *window) {
    *(window->newer ? &window->newer->older : &limiter->newest) = window->older;
    *(window->older ? &window->older->newer : &limiter->oldest) = window->newer;
}

static void link_newest(RateLimiter *limiter, Window *window) {
    window->newer = NULL;
    window->older = limiter->newest;
    *(limiter->newest ? &limiter->newest->newer : &limiter->oldest) = window;
    limiter->newest = window;
}

static void forget_oldest(RateLimiter *limiter) {
    Window *window = limiter->oldest;
    Window **place = bucket_of(limiter, window->key_id);
    while (*place != window) place = &(*place)->chain;
    *place = window->chain;
    unlink_use(limiter, window);
    window_free(window);
    limiter->count--;
}

/* The key's window, made when there is none, now the newest in use. */
static Window *window_get(RateLimiter *limiter, const char *key_id) {
    Window **bucket = bucket_of(limiter, key_id);
    for (Window *window = *bucket; window; window = window->chain) {
        if (strcmp(window->key_id, key_id) != 0) continue;
        if (window != limiter->newest) {
            unlink_use(limiter, window);
            link_newest(limiter, window);
        }
        return window;
    }
    if (limiter->count >= RATE_KEYS_MAXIMUM) forget_oldest(limiter);
    Window *window = xcalloc(1, sizeof *window);
    memcpy(window->key_id, key_id, strnlen(key_id, sizeof window->key_id - 1));
    window->chain = *bucket;
    *bucket = window;
    link_newest(limiter, window);
    limiter->count++;
    return window;
}

/* What a clock that was set back has counted in the future counts as of now: it would stay until then. */
static void drop_expired(Window *window, int64_t now) {
    int gone = 0;
    for (int i = window->entry_count; i-- > 0 && window->entries[i].second > now;) window->entries[i].second = (uint32_t)now;
    while (gone < window->entry_count && window->entries[gone].second + (int64_t)RATE_WINDOW_SECONDS <= now) window->total -= window->entries[gone++].count;
    if (gone == 0) return;
    window->entry_count = (uint16_t)(window->entry_count - gone);
    memmove(window->entries, window->entries + gone, window->entry_count * sizeof(Entry));
}

/* Makes one entry of the two that lie closest, at the later one's time. */
static void merge_closest(Window *window) {
    int best = 0;
    uint32_t gap = UINT32_MAX;
    for (int i = 0; i + 1 < window->entry_count; i++) {
        uint32_t distance = window->entries[i + 1].second - window->entries[i].second;
        if (distance < gap) gap = distance, best = i;
    }
    window->entries[best + 1].count += window->entries[best].count;
    window->entry_count--;
    memmove(window->entries + best, window->entries + best + 1, (size_t)(window->entry_count - best) * sizeof(Entry));
}

static void add_entry(Window *window, uint32_t second, uint32_t count) {
    window->total += count;
    Entry *last = window->entry_count ? &window->entries[window->entry_count - 1] : NULL;
    if (last && last->second >= second) {
        last->count += count;
        return;
    }
    if (window->entry_count == RATE_ENTRIES_MAXIMUM) merge_closest(window);
    if (window->entry_count == window->capacity) {
        window->capacity = (uint16_t)(window->capacity ? window->capacity * 2 : 4);
        window->entries = xrealloc(window->entries, window->capacity * sizeof(Entry));
    }
    window->entries[window->entry_count++] = (Entry){second, count};
}

RateVerdict rate_limiter_take(RateLimiter *limiter, const char *key_id, int64_t limit, int64_t now) {
    pthread_mutex_lock(&limiter->lock);
    Window *window = window_get(limiter, key_id);
    drop_expired(window, now);
    RateVerdict verdict = {.allowed = window->total < limit, .limit = limit};
    if (verdict.allowed) {
        add_entry(window, (uint32_t)now, 1);
        window->dirty = true;
    } else {
        int64_t wait = window->entry_count ? window->entries[0].second + (int64_t)RATE_WINDOW_SECONDS - now : RATE_WINDOW_SECONDS;
        verdict.retry_after = wait > 0 ? wait : 1;
    }
    verdict.remaining = window->total < limit ? limit - window->total : 0;
    verdict.reset = window->entry_count ? window->entries[window->entry_count - 1].second + (int64_t)RATE_WINDOW_SECONDS : now;
    pthread_mutex_unlock(&limiter->lock);
    return verdict;
}

Status rate_limiter_load(RateLimiter *limiter, Store *store, int64_t now, Error *err) {
    DbSession *session = db_session(store);
    DbRows rows = db_query(session, err, "SELECT key_id, counts FROM rate_windows WHERE saved_at > $1 ORDER BY saved_at",
                           DB_INT((now - RATE_WINDOW_SECONDS) * 1000));
    pthread_mutex_lock(&limiter->lock);
    while (db_next(&rows)) {
        const char *counts = db_text_borrowed(&rows, 1);
        yyjson_doc *doc = json_parse(counts, strlen(counts), NULL);
        Window *window = window_get(limiter, db_text_borrowed(&rows, 0));
        yyjson_arr_iter pairs = yyjson_arr_iter_with(yyjson_doc_get_root(doc));
        for (yyjson_val *pair; (pair = yyjson_arr_iter_next(&pairs));) {
            int64_t second = yyjson_get_sint(yyjson_arr_get(pair, 0)), count = yyjson_get_sint(yyjson_arr_get(pair, 1));
            if (second > 0 && second <= now && count > 0 && count <= UINT32_MAX) add_entry(window, (uint32_t)second, (uint32_t)count);
        }
        drop_expired(window, now);
        yyjson_doc_free(doc);
    }
    pthread_mutex_unlock(&limiter->lock);
    Status status = db_finish(&rows);
    db_session_release(store, session);
    return status;
}

/* What one save writes: keys one after the other, each with its JSON. Freed by db_write_later with free(), hence one block. */
typedef struct SavedWindows {
    int64_t now_ms;
    size_t size;
    char text[]; /* key id NUL counts NUL ... */
} SavedWindows;

static Status write_windows(DbSession *tx, void *context, Error *err) {
    const SavedWindows *saved = context;
    for (const char *key = saved->text, *end = saved->text + saved->size; key < end;) {
        const char *counts = key + strlen(key) + 1;
        Status status = db_exec(tx, err,
                                "INSERT INTO rate_windows (key_id, counts, saved_at) VALUES ($1, $2, $3)"
                                " ON CONFLICT (key_id) DO UPDATE SET counts = excluded.counts, saved_at = excluded.saved_at",
                                DB_TEXT(key), DB_TEXT(counts), DB_INT(saved->now_ms));
        if (status != STATUS_OK) return status;
        key = counts + strlen(counts) + 1;
    }
    return db_exec(tx, err, "DELETE FROM rate_windows WHERE saved_at < $1", DB_INT(saved->now_ms - RATE_WINDOW_SECONDS * INT64_C(1000)));
}

void rate_limiter_save(RateLimiter *limiter, Store *store, int64_t now) {
    Buffer text;
    buffer_init(&text, (size_t)RATE_KEYS_MAXIMUM * 2048);
    SavedWindows head = {.now_ms = now * 1000};
    buffer_append(&text, &head, sizeof head);
    bool any = false;
    pthread_mutex_lock(&limiter->lock);
    for (Window *window = limiter->newest; window; window = window->older) {
        if (!window->dirty) continue;
        window->dirty = false;
        any = true;
        buffer_append(&text, window->key_id, strlen(window->key_id) + 1);
        for (int i = 0; i < window->entry_count; i++)
            buffer_printf(&text, "%c[%u,%u]", i ? ',' : '[', window->entries[i].second, window->entries[i].count);
        buffer_append(&text, window->entry_count ? "]" : "[]", window->entry_count ? 2 : 3);
    }
    pthread_mutex_unlock(&limiter->lock);
    if (!any || text.failed) {
        buffer_clear(&text);
        return;
    }
    size_t size = text.size - sizeof head;
    SavedWindows *saved = (SavedWindows *)(void *)buffer_take(&text);
    saved->size = size;
    db_write_later(store, write_windows, saved);
}
