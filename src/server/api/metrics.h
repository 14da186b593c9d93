/* Metrics: counters of what the pipeline saw, in Prometheus text form. Lock-free. */
#pragma once
#include "base/buffer.h"
#include "server/api/route.h"

typedef struct Metrics Metrics;

Metrics *metrics_new(void);
void metrics_free(Metrics *metrics);
/* One exchange. route may be NULL: no operation. */
void metrics_observe(Metrics *metrics, const Route *route, int status, double seconds);
/* pictograph_requests_total and pictograph_request_seconds by operation; operations that were never called are left out. */
void metrics_write(const Metrics *metrics, Buffer *out);
