/* Health, readiness, metrics, and the contract itself. */
#include <stdio.h>
#include <sys/statvfs.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/api/metrics.h"
#include "server/api/route.h"
#include "server/http/http.h"
#include "server/jobs/workers.h"

#include "base/banned.h"

Status get_health(Request *rq, HealthStatus *out) {
    out->version = PICTOGRAPH_VERSION;
    out->uptime_seconds = (double)(clock_now_ms() - rq->server->started_at) / 1000;
    out->has_uptime_seconds = true;
    return STATUS_OK;
}

/* --- readiness --- */

typedef struct Check {
    const char *name;
    bool essential; /* without it the server is unavailable, else degraded */
    bool (*good)(Request *rq, const char **detail);
} Check;

static bool database_answers(Request *rq, const char **detail) {
    Error err = {0};
    int64_t count;
    bool good = db_read_int(request_db(rq), &err, &count, 0, "SELECT count(*) FROM settings") == STATUS_OK;
    if (!good) *detail = arena_strdup(&rq->arena, err.message);
    return good;
}

static bool objects_are_writable(Request *rq, const char **detail) {
    const char *folder = arena_printf(&rq->arena, "%s/objects", rq->server->config.data_directory);
    bool good = access(folder, W_OK | X_OK) == 0;
    if (!good) *detail = "the object folder cannot be written";
    return good;
}

static bool jobs_run(Request *rq, const char **detail) {
    bool good = atomic_load(&rq->server->ready);
    if (!good) *detail = "starting or stopping";
    return good;
}

static bool program_is_there(Request *rq, const char *name, const char **detail) {
    bool good = access(arena_printf(&rq->arena, "%s/%s", rq->server->config.program_directory, name), X_OK) == 0;
    if (!good) *detail = arena_printf(&rq->arena, "%s is not installed", name);
    return good;
}

static bool worker_starts(Request *rq, const char *program, WorkerPool *pool, const char **detail) {
    if (!program_is_there(rq, program, detail)) return false;
    bool good = workers_available(pool);
    if (!good) *detail = arena_printf(&rq->arena, "%s does not start; the server's log says why", program);
    return good;
}

static bool decoder_works(Request *rq, const char **detail) { return worker_starts(rq, "pictograph-media", rq->server->media, detail); }
static bool segmenter_works(Request *rq, const char **detail) { return worker_starts(rq, "pictograph-vision", rq->server->vision, detail); }
static bool trainer_is_there(Request *rq, const char **detail) { return program_is_there(rq, "pictograph-train", detail); }

static const Check CHECKS[] = {
    {"database", true, database_answers}, {"objects", true, objects_are_writable}, {"jobs", true, jobs_run},
    {"decoder", false, decoder_works},    {"segmenter", false, segmenter_works},   {"trainer", false, trainer_is_there},
};

Status get_readiness(Request *rq, ReadinessStatus *out) {
    Buffer text;
    JsonWriter w;
    bool available = true, whole = true;
    buffer_init(&text, 8192);
    json_writer_init(&w, &text);
    json_begin_object(&w);
    for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++) {
        const char *detail = NULL;
        bool good = CHECKS[i].good(rq, &detail);
        json_key(&w, CHECKS[i].name);
        json_begin_object(&w);
        json_field_bool(&w, "ok", good);
        json_field_string(&w, "detail", detail);
        json_end_object(&w);
        whole = whole && good;
        available = available && (good || !CHECKS[i].essential);
    }
    json_end_object(&w);
    out->checks = arena_strndup(&rq->arena, text.data, text.size);
    buffer_clear(&text);
    out->status = whole ? READINESS_STATUS_STATUS_READY : available ? READINESS_STATUS_STATUS_DEGRADED : READINESS_STATUS_STATUS_UNAVAILABLE;
    rq->response.status = available ? 200 : 503;
    return STATUS_OK;
}

/* --- metrics --- */

static bool is_loopback(const char *address) { return text_starts_with(address, "127.") || text_equal(address, "::1"); }

/* Resident memory in bytes, 0 when it cannot be told. */
static long resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    if (file) fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void write_jobs(DbSession *db, Buffer *out) {
    buffer_append_text(out, "# HELP pictograph_jobs Jobs that wait or run, by kind.\n# TYPE pictograph_jobs gauge\n");
    DbRows rows = db_query(db, NULL, "SELECT kind, state, count(*) FROM jobs WHERE state IN ('pending', 'running') GROUP BY kind, state ORDER BY kind, state");
    while (db_next(&rows))
        buffer_printf(out, "pictograph_jobs{kind=\"%s\",state=\"%s\"} %lld\n", db_text_borrowed(&rows, 0), db_text_borrowed(&rows, 1), (long long)db_int(&rows, 2));
    db_finish(&rows);
}

static void write_workers(const Server *server, Buffer *out) {
    buffer_append_text(out, "# HELP pictograph_worker_restarts_total Worker processes that were replaced.\n# TYPE pictograph_worker_restarts_total counter\n");
    const struct { const char *name; WorkerPool *pool; } pools[] = {{"media", server->media}, {"video", server->video}, {"vision", server->vision}, {"labeller", server->labeller},
                                                           {"import", server->importer}};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        buffer_printf(out, "pictograph_worker_restarts_total{worker=\"%s\"} %ld\n", pools[i].name, workers_restarts(pools[i].pool));
}

static double free_bytes(const char *directory) {
    struct statvfs facts;
    return statvfs(directory, &facts) == 0 ? (double)facts.f_bavail * (double)facts.f_frsize : 0;
}

static void write_gauge(Buffer *out, const char *name, const char *help, double value) {
    buffer_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

Status get_metrics(Request *rq) {
    const Server *server = rq->server;
    if (!server->config.public_metrics && !is_loopback(rq->remote_address))
        return request_fail(rq, STATUS_INSUFFICIENT_ROLE, "Metrics are served to the loopback address only");
    Buffer *out = &rq->response.body;
    rq->response.status = 200;
    rq->response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    write_gauge(out, "pictograph_uptime_seconds", "Time since the start.", (double)(clock_now_ms() - server->started_at) / 1000);
    write_gauge(out, "pictograph_resident_bytes", "Memory of the server process.", (double)resident_bytes());
    write_gauge(out, "pictograph_database_cache_bytes", "Of it, pages of the database.", (double)store_cache_bytes(server->store));
    DbSession *db = request_db(rq);
    write_gauge(out, "pictograph_jobs_pending", "Jobs that wait.", (double)db_get_int(db, NULL, 0, "SELECT count(*) FROM jobs WHERE state = 'pending'"));
    write_gauge(out, "pictograph_jobs_running", "Jobs that run.", (double)db_get_int(db, NULL, 0, "SELECT count(*) FROM jobs WHERE state = 'running'"));
    write_jobs(db, out);
    write_gauge(out, "pictograph_requests_waiting", "Requests that no handler thread has begun.", (double)http_waiting(server->http));
    write_gauge(out, "pictograph_disk_free_bytes", "Space left for the data folder.", free_bytes(server->config.data_directory));
    write_workers(server, out);
    metrics_write(server->metrics, out);
    return STATUS_OK;
}

/* --- the contract --- */

Status get_open_api(Request *rq) {
    response_bytes(rq, "application/json", API_DOCUMENT, API_DOCUMENT_SIZE);
    response_etag(rq, API_DOCUMENT, API_DOCUMENT_SIZE);
    return STATUS_OK;
}
