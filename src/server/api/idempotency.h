/* Idempotency: the second request under one Idempotency-Key gets the first one's answer.
 *
 * Scope: API key × method × path × Idempotency-Key, 24 hours. Same query and body (by SHA-256): the stored status and body. Other body: 409. While
 * the first try runs the second waits, at most IDEMPOTENCY_WAIT seconds. Only successes are kept, so a failed try may be repeated.
 * A finished answer is in memory at once and in the store a moment later; memory lets it go after a minute, secrets after ten.
 *
 * What a request writes is committed together with a row that says so (idempotency_note), which gets its answer afterwards. When the server dies
 * in between, the second try finds a row without an answer: it gets 409 already_exists and changes nothing, so that nothing is charged twice.
 */
#pragma once
#include <stdint.h>

#include "server/api/request.h"

enum {
    IDEMPOTENCY_WAIT = 25,            /* seconds, below the clients' time limit of 30 */
    IDEMPOTENCY_WAITERS_MAXIMUM = 12, /* threads that may wait at once; more are told to come again */
    IDEMPOTENCY_HOURS = 24,
    IDEMPOTENCY_KEY_MAXIMUM = 255,
    IDEMPOTENCY_ENTRIES_MAXIMUM = 10000,
    IDEMPOTENCY_BYTES_MAXIMUM = 64 << 20, /* of answers in memory */
};

typedef struct Idempotency Idempotency;
typedef struct IdempotencyTicket IdempotencyTicket;

Idempotency *idempotency_new(void);
void idempotency_free(Idempotency *idempotency);

typedef enum IdempotencyVerdict {
    IDEMPOTENCY_FIRST,   /* go on; *out must be given to idempotency_finish */
    IDEMPOTENCY_REPLAY,  /* rq->response holds the stored answer */
    IDEMPOTENCY_REFUSED, /* rq->error says why */
} IdempotencyVerdict;

/* May wait. key is the header's value. */
IdempotencyVerdict idempotency_begin(Idempotency *idempotency, Request *rq, const char *key, IdempotencyTicket **out);
/* Inside the transaction of the request's writes: the effect is there from this commit on. */
Status idempotency_note(DbSession *tx, IdempotencyTicket *ticket, Request *rq, Error *err);
/* Keeps rq->response when it is a success; in any case those who wait go on. */
void idempotency_finish(Idempotency *idempotency, IdempotencyTicket *ticket, Request *rq);

/* Lets go of old answers in memory, and with `rows` of those in the store. */
void idempotency_sweep(Idempotency *idempotency, Store *store, bool rows);
