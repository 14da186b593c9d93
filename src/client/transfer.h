/* Transfer: many exchanges at once on the calling thread, by curl's multi interface.
 *
 * A transfer is a chain of exchanges on behalf of one item, such as signed address → PUT → registration. The plan's begin describes the
 * first exchange of the next item; proceed sees the end of each exchange and describes the following one. Tries are repeated by the
 * rules of exchange.h, and a waiting retry holds its slot but no thread.
 */
#pragma once
#include <pictograph/client.h>

#include "client/exchange.h"

typedef struct Transfer {
    Exchange exchange; /* cleared by the engine when proceed ends the chain; proceed clears it itself before it describes the next one */
    void *user;        /* the item; the plan's own */
    int step;          /* exchanges that have ended, counted by the engine */
    enum { TRANSFER_FREE, TRANSFER_RUNNING, TRANSFER_WAITING } state;
    double wake_at;    /* of a retry, monotonic */
} Transfer;

typedef enum TransferNext {
    TRANSFER_MORE, /* the next exchange is described */
    TRANSFER_OVER, /* this item is finished, well or badly */
    TRANSFER_STOP  /* the whole run ends; error tells why */
} TransferNext;

typedef struct TransferPlan {
    /* Describes the first exchange of the next item; false when none is left. */
    bool (*begin)(void *context, Transfer *transfer);
    /* error->status is PICTOGRAPH_OK after a 2xx; the answer is in transfer->exchange. */
    TransferNext (*proceed)(void *context, Transfer *transfer, PictographError *error);
    /* Called for each item that a stop or cancellation interrupts; may be NULL. */
    void (*abandon)(void *context, Transfer *transfer);
    void *context;
    int workers; /* 1 … CLIENT_CONNECTIONS; more is cut */
} TransferPlan;

PictographStatus transfer_run(PictographClient *client, const TransferPlan *plan, PictographError *error);
