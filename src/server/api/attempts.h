/* Attempts: how often an address (of IPv6: a /64 network) has shown a secret that nobody has in this minute: a key, malformed ones included, or the token
 * of an invite. One that did so FAILED_ATTEMPTS_PER_MINUTE times gets 429. Memory is bounded: a table of fixed size.
 */
#pragma once
#include "server/api/request.h"

enum { FAILED_ATTEMPTS_PER_MINUTE = 60 };

typedef struct Attempts Attempts;

Attempts *attempts_new(void);
void attempts_free(Attempts *attempts);

/* STATUS_OK, or rq failed with 429: its address has no attempt left. */
Status attempts_check(Attempts *attempts, Request *rq);
/* Counts a failed one. */
void attempts_note(Attempts *attempts, const Request *rq);
