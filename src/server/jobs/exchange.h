/* One request and its answer on a worker's channel. What goes wrong here is the worker's fault, or a cancellation. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

typedef struct Exchange {
    int fd;
    int64_t id; /* of the request; every one on a channel has its own */
    double timeout; /* seconds */
    bool (*stop)(void *context); /* NULL: nothing stops it; else asked about four times a second */
    void *context;
} Exchange;

/* Waits for the message that has "result" or "error". *out_broken: the worker cannot be used again, which may come with STATUS_CANCELLED too,
 * when it did not obey in time. Free *out with yyjson_doc_free. */
Status exchange_receive(const Exchange *exchange, yyjson_doc **out, bool *out_broken, Error *err);
