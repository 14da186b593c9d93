/* Histograms of latency and counts by status class, one row an operation. */
#include "server/api/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"

#include "base/banned.h"

static const double BOUNDS[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
enum { BOUND_COUNT = sizeof BOUNDS / sizeof BOUNDS[0], CLASSES = 6 };

typedef struct Row {
    atomic_uint_fast64_t by_class[CLASSES]; /* status / 100 */
    atomic_uint_fast64_t by_bound[BOUND_COUNT + 1];
    atomic_uint_fast64_t microseconds;
    atomic_uint_fast64_t received, sent; /* bytes of bodies */
} Row;

struct Metrics {
    Row rows[1]; /* one for requests without operation, then one a route */
};

Metrics *metrics_new(void) { return xcalloc(route_count + 1, sizeof(Row)); }

void metrics_free(Metrics *metrics) { free(metrics); }

static void add(atomic_uint_fast64_t *counter, uint_fast64_t n) { atomic_fetch_add_explicit(counter, n, memory_order_relaxed); }

static uint_fast64_t get(const atomic_uint_fast64_t *counter) { return atomic_load_explicit(counter, memory_order_relaxed); }

void metrics_observe(Metrics *metrics, const Route *route, int status, double seconds, int64_t received, int64_t sent) {
    Row *row = metrics->rows + (route ? route_index(route) + 1 : 0);
    int bound = 0;
    while (bound < BOUND_COUNT && seconds > BOUNDS[bound]) bound++;
    add(&row->by_bound[bound], 1);
    add(&row->by_class[status / 100 < CLASSES ? status / 100 : 0], 1);
    add(&row->microseconds, (uint_fast64_t)(seconds * 1e6));
    add(&row->received, (uint_fast64_t)received);
    add(&row->sent, (uint_fast64_t)sent);
}

static const char *operation_name(size_t index) { return index ? route_table[index - 1].operation : "none"; }

static uint_fast64_t total(const Row *row) {
    uint_fast64_t sum = 0;
    for (int i = 0; i <= BOUND_COUNT; i++) sum += get(&row->by_bound[i]);
    return sum;
}

static void write_bytes(const Metrics *metrics, Buffer *out, const char *name, const char *help, const atomic_uint_fast64_t *(*of)(const Row *row)) {
    buffer_printf(out, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
    for (size_t i = 0; i <= route_count; i++) {
        uint_fast64_t n = get(of(&metrics->rows[i]));
        if (n) buffer_printf(out, "%s{operation=\"%s\"} %lu\n", name, operation_name(i), n);
    }
}

static const atomic_uint_fast64_t *received_of(const Row *row) { return &row->received; }
static const atomic_uint_fast64_t *sent_of(const Row *row) { return &row->sent; }

void metrics_write(const Metrics *metrics, Buffer *out) {
    buffer_append_text(out, "# HELP pictograph_requests_total Requests by operation and status class.\n# TYPE pictograph_requests_total counter\n");
    for (size_t i = 0; i <= route_count; i++)
        for (int class = 1; class < CLASSES; class++) {
            uint_fast64_t n = get(&metrics->rows[i].by_class[class]);
            if (n) buffer_printf(out, "pictograph_requests_total{operation=\"%s\",status=\"%dxx\"} %lu\n", operation_name(i), class, n);
        }
    buffer_append_text(out, "# HELP pictograph_request_seconds Time from request line to reply.\n# TYPE pictograph_request_seconds histogram\n");
    for (size_t i = 0; i <= route_count; i++) {
        const Row *row = &metrics->rows[i];
        if (!total(row)) continue;
        uint_fast64_t sum = 0;
        for (int b = 0; b < BOUND_COUNT; b++) {
            sum += get(&row->by_bound[b]);
            buffer_printf(out, "pictograph_request_seconds_bucket{operation=\"%s\",le=\"%g\"} %lu\n", operation_name(i), BOUNDS[b], sum);
        }
        sum += get(&row->by_bound[BOUND_COUNT]);
        buffer_printf(out, "pictograph_request_seconds_bucket{operation=\"%s\",le=\"+Inf\"} %lu\n", operation_name(i), sum);
        buffer_printf(out, "pictograph_request_seconds_sum{operation=\"%s\"} %.6f\n", operation_name(i), (double)get(&row->microseconds) / 1e6);
        buffer_printf(out, "pictograph_request_seconds_count{operation=\"%s\"} %lu\n", operation_name(i), sum);
    }
    write_bytes(metrics, out, "pictograph_received_bytes_total", "Bytes of request bodies by operation.", received_of);
    write_bytes(metrics, out, "pictograph_sent_bytes_total", "Bytes of reply bodies by operation.", sent_of);
}
