/* Backoff: which failed tries are repeated, and when. Pure functions; limits.yaml `client` holds the figures. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { BACKOFF_RETRY_AFTER_MAX = 120 }; /* seconds of a 429 that are slept; a longer wait is the caller's to decide */

/* Whether a try that ended with http_status (0: no answer came) may be repeated. 429 always may; else the method must be safe to repeat,
 * or carry an idempotency key. */
bool backoff_may_repeat(const char *method, bool has_idempotency_key, int http_status);
/* Seconds before try number attempt + 2: 1, 2, 4 … × 0.75–1.25, at most 30. `chance` is uniform in [0, 1]. */
double backoff_delay(int attempt, double chance);
/* Seconds of a Retry-After header, which is a number or a date; false when it is neither. A date that has passed gives 0. */
bool backoff_retry_after(const char *text, int64_t now_ms, double *out_seconds);
