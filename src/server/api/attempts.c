#include "server/api/attempts.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "server/api/pipeline.h"

#include "base/banned.h"

enum {
    ADDRESS_SETS = 1 << 11, /* by keyed hash, so that nobody can choose to meet in one; the least guilty of a full set makes room */
    ADDRESS_WAYS = 8,
};

typedef struct Row {
    unsigned char network[16]; /* IPv6's first half, or a mapped IPv4 address */
    int64_t minute;
    int count;
} Row;

struct Attempts {
    pthread_mutex_t lock;
    unsigned char secret[SHA256_SIZE];
    Row rows[ADDRESS_SETS][ADDRESS_WAYS];
};

Attempts *attempts_new(void) {
    Attempts *attempts = xcalloc(1, sizeof *attempts);
    pthread_mutex_init(&attempts->lock, NULL);
    random_bytes(attempts->secret, sizeof attempts->secret);
    return attempts;
}

void attempts_free(Attempts *attempts) {
    if (!attempts) return;
    pthread_mutex_destroy(&attempts->lock);
    free(attempts);
}

static void network_of(const char *address, unsigned char out[16]) {
    memset(out, 0, 16);
    if (inet_pton(AF_INET, address, out + 12) == 1) memset(out + 10, 0xff, 2);
    else if (inet_pton(AF_INET6, address, out) == 1) memset(out + 8, 0, 8);
}

/* The address's row of this minute, made when there is none. Under the lock. */
static Row *row_of(Attempts *attempts, const char *address) {
    unsigned char network[16], digest[SHA256_SIZE];
    network_of(address, network);
    hash_hmac_sha256(attempts->secret, sizeof attempts->secret, network, sizeof network, digest);
    Row *set = attempts->rows[(digest[0] | digest[1] << 8) % ADDRESS_SETS], *room = set;
    int64_t minute = clock_now_ms() / 60000;
    for (Row *row = set; row < set + ADDRESS_WAYS; row++) {
        if (row->minute != minute) *row = (Row){.minute = minute};
        if (row->count && memcmp(row->network, network, sizeof network) == 0) return row;
        if (row->count < room->count) room = row;
    }
    *room = (Row){.minute = minute};
    memcpy(room->network, network, sizeof network);
    return room;
}

static Status refuse(Request *rq) {
    int64_t now = clock_now_ms() / 1000, wait = 60 - now % 60;
    rq->passage->rate = (RateVerdict){.limit = FAILED_ATTEMPTS_PER_MINUTE, .reset = now + wait, .retry_after = wait};
    json_field_int(request_error_context(rq), "retry_after", wait);
    return request_fail(rq, STATUS_RATE_LIMITED, "Too many attempts with wrong keys or tokens; retry in %lld s", (long long)wait);
}

Status attempts_check(Attempts *attempts, Request *rq) {
    pthread_mutex_lock(&attempts->lock);
    bool exhausted = row_of(attempts, rq->remote_address)->count >= FAILED_ATTEMPTS_PER_MINUTE;
    pthread_mutex_unlock(&attempts->lock);
    return exhausted ? refuse(rq) : STATUS_OK;
}

void attempts_note(Attempts *attempts, const Request *rq) {
    pthread_mutex_lock(&attempts->lock);
    row_of(attempts, rq->remote_address)->count++;
    pthread_mutex_unlock(&attempts->lock);
}
