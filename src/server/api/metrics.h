/* Metrics: counters of what the pipeline saw, in Prometheus text form. Lock-free. */
#pragma once
#include "base/buffer.h"
#include "server/api/route.h"

typedef struct Metrics Metrics;

Metrics *metrics_new(void);
void metrics_free(Metrics *metrics);
/* One exchange: what was asked (NULL: no operation), how it ended, how long it took, bytes of the two bodies. */
void metrics_observe(Metrics *metrics, const Route *route, int status, double seconds, int64_t received, int64_t sent);
/* pictograph_requests_total, pictograph_request_seconds, pictograph_received_bytes_total and pictograph_sent_bytes_total by operation; operations that were never called are left out. */
void metrics_write(const Metrics *metrics, Buffer *out);
