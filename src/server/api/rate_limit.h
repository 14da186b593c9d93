/* Rate limit: a sliding hour per key.
 *
 * Each key has a short list of (second, requests). Requests of one second share an entry; when the list is full the two entries that lie
 * closest become one, counted at the later time. So a key with few requests is counted to the second, a busy one to about a minute, never to
 * its advantage, and a key takes at most half a kilobyte. At most RATE_KEYS_MAXIMUM keys are remembered; the one unused for longest goes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/store/db.h"

enum { RATE_WINDOW_SECONDS = 3600, RATE_KEYS_MAXIMUM = 100000, RATE_ENTRIES_MAXIMUM = 64 };

typedef struct RateLimiter RateLimiter;

typedef struct RateVerdict {
    bool allowed;        /* false: not counted */
    int64_t limit;       /* requests in the window */
    int64_t remaining;
    int64_t reset;       /* unix second at which the window is clear again */
    int64_t retry_after; /* seconds until the oldest counted request leaves; 0 when allowed */
} RateVerdict;

RateLimiter *rate_limiter_new(void);
void rate_limiter_free(RateLimiter *limiter);
/* Counts one request of a key at `now` (unix seconds) unless limit requests are in the window. */
RateVerdict rate_limiter_take(RateLimiter *limiter, const char *key_id, int64_t limit, int64_t now);

/* Reads what an earlier process saved and is younger than the window. */
Status rate_limiter_load(RateLimiter *limiter, Store *store, int64_t now, Error *err);
/* Queues a write of the keys that were used since the last call. */
void rate_limiter_save(RateLimiter *limiter, Store *store, int64_t now);
