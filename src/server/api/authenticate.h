/* Authentication: from X-API-Key to a Principal.
 *
 * A key that was verified once (bcrypt, a fifth of a second, on a handler thread) is known afterwards by HMAC-SHA-256(process secret, key); only
 * that digest is kept. What the key may do is read from its row again whenever the database changed since (key_cache_poll notices, four times
 * a second, also what other processes wrote; key_cache_changed says so at once), so that revocation, suspension, roles and expiry act within a second.
 * A cold key is verified once, and no more keys at a time than half the processors; requests that wait for that have no thread meanwhile.
 * Wrong keys, malformed ones included, are counted by address (attempts.h).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/api/request.h"
#include "server/store/db.h"

enum { KEY_CACHE_MAXIMUM = 20000 };

typedef struct KeyCache KeyCache;

KeyCache *key_cache_new(void);
void key_cache_free(KeyCache *cache);

typedef enum AuthenticationResult {
    AUTHENTICATED,        /* rq->principal is filled */
    AUTHENTICATION_WAITS, /* a cold key: again, on a handler thread */
    AUTHENTICATION_PARKED, /* rq->resume is called when the verification it waits for has ended; rq must not be touched */
    AUTHENTICATION_FAILED /* rq->error says why */
} AuthenticationResult;

AuthenticationResult authenticate_request(Request *rq, bool may_wait);
/* Inside a transaction: STATUS_OK while the key is what it was when the request was let in; else why it is not. */
Status principal_recheck(DbSession *tx, const Principal *principal, Error *err);

/* Keys, members or tiers were changed by this process: the next request of each key looks at its row. */
void key_cache_changed(KeyCache *cache);
/* The same when anything was written since the last call, by whomever. session must always be the same one. */
void key_cache_poll(KeyCache *cache, DbSession *session);
/* Queues a write of last_used_at for keys that were used since it was last written, at most once a minute for each key. */
void key_cache_save_use(KeyCache *cache, Store *store);
