/* Lines gathered in a buffer under a lock. */
#include "server/api/access_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "server/api/pipeline.h"

#include "base/banned.h"

enum { FULL = 48 << 10, MAXIMUM = 64 << 10, PATH_SHOWN = 200 };

struct AccessLog {
    pthread_mutex_t lock;
    int fd;
    Buffer lines;
};

AccessLog *access_log_new(int fd) {
    AccessLog *log = xcalloc(1, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    log->fd = fd;
    buffer_init(&log->lines, MAXIMUM);
    return log;
}

void access_log_free(AccessLog *log) {
    if (!log) return;
    access_log_flush(log);
    buffer_clear(&log->lines);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static void flush(AccessLog *log) {
    if (log->lines.size) file_write_all(log->fd, log->lines.data, log->lines.size, NULL); /* a full disk must not stop the server */
    buffer_reset(&log->lines);
}

void access_log_flush(AccessLog *log) {
    pthread_mutex_lock(&log->lock);
    flush(log);
    pthread_mutex_unlock(&log->lock);
}

static const char *method_name(HttpMethod method) {
    static const char *const NAMES[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"};
    return NAMES[method];
}

static void write_path(JsonWriter *w, const char *path) {
    size_t shown = 0;
    while (path[shown] > 0x20 && path[shown] < 0x7f && shown < PATH_SHOWN) shown++;
    json_key(w, "path");
    json_string_n(w, path, shown);
}

void access_log_write(AccessLog *log, const Request *rq, double seconds) {
    if (log->fd < 0) return;
    char time[CLOCK_TEXT_SIZE];
    clock_format(clock_now_ms(), time);
    pthread_mutex_lock(&log->lock);
    if (log->lines.size >= FULL) flush(log);
    JsonWriter w;
    json_writer_init(&w, &log->lines);
    json_begin_object(&w);
    json_field_string(&w, "time", time);
    json_field_string(&w, "level", "info");
    json_field_string(&w, "event", "request");
    json_field_string(&w, "request_id", rq->id);
    json_field_string(&w, "method", method_name(rq->method));
    if (rq->route) json_field_string(&w, "operation", rq->route->operation);
    else write_path(&w, rq->path);
    json_field_int(&w, "status", rq->response.status);
    json_field_int(&w, "us", (int64_t)(seconds * 1e6));
    if (rq->principal.key_id[0]) json_field_string(&w, "key_id", rq->principal.key_id);
    json_field_string(&w, "address", rq->remote_address);
    json_end_object(&w);
    buffer_append_byte(&log->lines, '\n');
    pthread_mutex_unlock(&log->lock);
}
