/* The engine of parallel transfers. */
#include "client/transfer.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "client/failure.h"
#include "client/handle.h"

#include "base/banned.h"

enum { LONGEST_NAP_MS = 100 }; /* between two looks at the cancel flag */

typedef struct Engine {
    PictographClient *client;
    const TransferPlan *plan;
    CURLM *multi;
    Transfer *slots;
    int slot_count, busy;
    bool drained; /* begin has no more items */
    PictographError failure;
} Engine;

static PictographStatus launch(Engine *engine, Transfer *transfer);

static void release(Engine *engine, Transfer *transfer) {
    exchange_clear(&transfer->exchange);
    transfer->state = TRANSFER_FREE;
    engine->busy--;
}

/* An exchange is over, well or badly: go on with the chain, or free the slot. */
static PictographStatus go_on(Engine *engine, Transfer *transfer, PictographError *error) {
    TransferNext next = engine->plan->proceed(engine->plan->context, transfer, error);
    transfer->step++;
    if (next == TRANSFER_STOP) {
        transfer->state = TRANSFER_WAITING; /* no longer curl's */
        failure_move(&engine->failure, error);
        return engine->failure.status;
    }
    pictograph_error_clear(error);
    if (next == TRANSFER_MORE) return launch(engine, transfer);
    release(engine, transfer);
    return PICTOGRAPH_OK;
}

static PictographStatus launch(Engine *engine, Transfer *transfer) {
    transfer->state = TRANSFER_RUNNING; /* also when it fails: it is to be abandoned then */
    if (transfer->exchange.url.failed || transfer->exchange.body.failed) {
        PictographError error = {0};
        failure_set(&error, PICTOGRAPH_VALIDATION, "The request is too large");
        return go_on(engine, transfer, &error);
    }
    exchange_start(&transfer->exchange);
    if (!transfer->exchange.easy || curl_multi_add_handle(engine->multi, transfer->exchange.easy) != CURLM_OK)
        return failure_set(&engine->failure, PICTOGRAPH_NETWORK, "libcurl has no memory");
    return PICTOGRAPH_OK;
}

static PictographStatus fill_slots(Engine *engine) {
    for (int i = 0; i < engine->slot_count && !engine->drained; i++) {
        Transfer *transfer = &engine->slots[i];
        if (transfer->state != TRANSFER_FREE) continue;
        *transfer = (Transfer){0};
        if (!engine->plan->begin(engine->plan->context, transfer)) {
            engine->drained = true;
        } else {
            engine->busy++;
            if (launch(engine, transfer)) return engine->failure.status;
        }
    }
    return PICTOGRAPH_OK;
}

/* One exchange ended: repeat it, or go on. */
static PictographStatus settle(Engine *engine, Transfer *transfer, CURLcode code) {
    double wait = 0;
    PictographError error = {0};
    curl_multi_remove_handle(engine->multi, transfer->exchange.easy);
    if (exchange_finish(&transfer->exchange, code, &wait, &error) == EXCHANGE_AGAIN) {
        transfer->state = TRANSFER_WAITING;
        transfer->wake_at = clock_monotonic() + wait;
        pictograph_error_clear(&error);
        return PICTOGRAPH_OK;
    }
    return go_on(engine, transfer, &error);
}

static Transfer *owner_of(Engine *engine, const CURL *easy) {
    for (int i = 0; i < engine->slot_count; i++)
        if (engine->slots[i].state == TRANSFER_RUNNING && engine->slots[i].exchange.easy == easy) return &engine->slots[i];
    return NULL;
}

static PictographStatus settle_ended(Engine *engine) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(engine->multi, &left));) {
        Transfer *transfer = message->msg == CURLMSG_DONE ? owner_of(engine, message->easy_handle) : NULL;
        if (transfer && settle(engine, transfer, message->data.result)) return engine->failure.status;
    }
    return PICTOGRAPH_OK;
}

/* Starts the retries that are due; gives the milliseconds until the next one. */
static PictographStatus wake_retries(Engine *engine, int *out_nap_ms) {
    double now = clock_monotonic(), nap = LONGEST_NAP_MS;
    for (int i = 0; i < engine->slot_count; i++) {
        Transfer *transfer = &engine->slots[i];
        if (transfer->state != TRANSFER_WAITING) continue;
        double left = (transfer->wake_at - now) * 1000;
        if (left <= 0 && launch(engine, transfer)) return engine->failure.status;
        if (left > 0 && left < nap) nap = left;
    }
    *out_nap_ms = (int)nap + 1;
    return PICTOGRAPH_OK;
}

static PictographStatus run(Engine *engine) {
    int nap = LONGEST_NAP_MS, running;
    for (;;) {
        if (client_is_cancelled(engine->client)) return failure_set(&engine->failure, PICTOGRAPH_CANCELLED, "Cancelled");
        if (fill_slots(engine)) return engine->failure.status;
        if (engine->busy == 0 && engine->drained) return PICTOGRAPH_OK;
        if (curl_multi_perform(engine->multi, &running) != CURLM_OK)
            return failure_set(&engine->failure, PICTOGRAPH_NETWORK, "libcurl's transfers broke down");
        if (settle_ended(engine) || wake_retries(engine, &nap)) return engine->failure.status;
        if (engine->busy == engine->slot_count || engine->drained) curl_multi_poll(engine->multi, NULL, 0, nap, NULL);
    }
}

static void abandon_all(Engine *engine) {
    for (int i = 0; i < engine->slot_count; i++) {
        Transfer *transfer = &engine->slots[i];
        if (transfer->state == TRANSFER_RUNNING) curl_multi_remove_handle(engine->multi, transfer->exchange.easy);
        if (transfer->state != TRANSFER_FREE && engine->plan->abandon) engine->plan->abandon(engine->plan->context, transfer);
        exchange_clear(&transfer->exchange);
    }
}

PictographStatus transfer_run(PictographClient *client, const TransferPlan *plan, PictographError *error) {
    Engine engine = {.client = client, .plan = plan, .multi = curl_multi_init()};
    engine.slot_count = plan->workers < 1 ? 1 : plan->workers > CLIENT_CONNECTIONS ? CLIENT_CONNECTIONS : plan->workers;
    engine.slots = xcalloc((size_t)engine.slot_count, sizeof *engine.slots);
    failure_reset(error);
    PictographStatus status = PICTOGRAPH_NETWORK;
    if (engine.multi) {
        curl_multi_setopt(engine.multi, CURLMOPT_MAXCONNECTS, (long)CLIENT_CONNECTIONS);
        status = run(&engine);
    } else {
        failure_set(&engine.failure, PICTOGRAPH_NETWORK, "libcurl has no memory");
    }
    if (status) abandon_all(&engine);
    failure_move(error, &engine.failure);
    curl_multi_cleanup(engine.multi);
    free(engine.slots);
    return status;
}
