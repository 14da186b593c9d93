/* Group commit. While one batch's fsync runs, further writes queue up; they make the next batch, so that the disk's rate of fsync
 * limits batches and not writes. Each function has its own savepoint: its failure undoes nothing of its neighbours'. One without neighbours has none, as
 * under a savepoint SQLite copies every page before it changes. */
#include "server/store/writer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/banned.h"

enum {
    BATCH_MAXIMUM = 512,
    CHECKPOINT_PAGES = 1000 /* 4 MB of log, moved into the file once the callers are awake; more makes fewer but longer waits (bench/store_bench) */
};

typedef struct Write {
    DbFunction function;
    void *context;
    Error error;
    Status status;
    bool detached; /* nobody waits: the writer frees it and its context */
    sem_t done;
    struct Write *next;
} Write;

struct Writer {
    DbSession *session;
    atomic_int_fast64_t cache_bytes;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t filled;
    Write *first, **last;
    bool stopping;
};

static void run_write(DbSession *tx, Write *write, bool alone) {
    write->status = alone ? STATUS_OK : db_exec(tx, &write->error, "SAVEPOINT write");
    if (write->status != STATUS_OK) return;
    write->status = write->function(tx, write->context, &write->error);
    session_finish_forgotten(tx);
    if (sqlite3_get_autocommit(tx->handle)) { /* SQLite gave the whole transaction up: disk full, input/output error */
        if (write->status == STATUS_OK) write->status = error_set(&write->error, STATUS_IO, "database: the transaction was rolled back");
        return;
    }
    if (alone) return;
    if (write->status == STATUS_OK) write->status = db_exec(tx, &write->error, "RELEASE write");
    if (write->status == STATUS_OK) return;
    db_exec(tx, NULL, "ROLLBACK TO write");
    db_exec(tx, NULL, "RELEASE write");
}

static void fail_all(Write *batch, const Error *why) {
    for (Write *write = batch; write; write = write->next) {
        write->status = why->status;
        write->error = *why;
    }
}

/* Either every function that returned STATUS_OK is durable, or all of the batch fail. */
static void run_batch(DbSession *tx, Write *batch) {
    Error error = {0};
    bool alone = !batch->next;
    Status status = db_exec(tx, &error, "BEGIN IMMEDIATE");
    for (Write *write = batch; write && status == STATUS_OK; write = write->next) {
        run_write(tx, write, alone);
        if (!sqlite3_get_autocommit(tx->handle)) continue;
        status = write->status;
        error = write->error;
    }
    if (status == STATUS_OK && alone && batch->status != STATUS_OK) {
        db_exec(tx, NULL, "ROLLBACK");
        return;
    }
    if (status == STATUS_OK) status = db_exec(tx, &error, "COMMIT");
    if (status == STATUS_OK) return;
    if (!sqlite3_get_autocommit(tx->handle)) db_exec(tx, NULL, "ROLLBACK");
    log_event(LOG_ERROR, "db_commit_failed", "reason", error.message, NULL);
    fail_all(batch, &error);
}

static void wake_callers(Write *batch) {
    for (Write *write = batch, *next; write; write = next) {
        next = write->next;
        if (!write->detached) {
            sem_post(&write->done); /* write may be gone from here on */
            continue;
        }
        if (write->status != STATUS_OK) log_event(LOG_ERROR, "db_write_failed", "reason", write->error.message, NULL);
        free(write->context);
        free(write);
    }
}

/* Waits for writes; NULL once stopping and all are done. */
static Write *take_batch(Writer *writer) {
    pthread_mutex_lock(&writer->mutex);
    while (!writer->first && !writer->stopping) pthread_cond_wait(&writer->filled, &writer->mutex);
    Write *batch = writer->first, **end = &writer->first;
    for (int n = 0; *end && n < BATCH_MAXIMUM; n++) end = &(*end)->next;
    writer->first = *end;
    if (*end) *end = NULL;
    else writer->last = &writer->first;
    pthread_mutex_unlock(&writer->mutex);
    return batch;
}

static void checkpoint_when_due(DbSession *session) {
    if (session->wal_pages < CHECKPOINT_PAGES) return;
    session->wal_pages = 0;
    sqlite3_wal_checkpoint_v2(session->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL); /* what it cannot do now, the next one does */
}

static void *writer_main(void *context) {
    Writer *writer = context;
    for (Write *batch = take_batch(writer); batch; batch = take_batch(writer)) {
        run_batch(writer->session, batch);
        wake_callers(batch);
        checkpoint_when_due(writer->session);
        atomic_store_explicit(&writer->cache_bytes, session_cache_bytes(writer->session), memory_order_relaxed);
    }
    return NULL;
}

Status writer_start(Writer **out, DbSession *session, Error *err) {
    Writer *writer = xcalloc(1, sizeof *writer);
    writer->session = session;
    writer->last = &writer->first;
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->filled, NULL);
    int code = pthread_create(&writer->thread, NULL, writer_main, writer);
    if (code != 0) {
        free(writer);
        session_close(session);
        return error_set_errno(err, code, "database writer");
    }
    *out = writer;
    return STATUS_OK;
}

void writer_stop(Writer *writer) {
    if (!writer) return;
    pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    pthread_cond_destroy(&writer->filled);
    pthread_mutex_destroy(&writer->mutex);
    session_close(writer->session);
    free(writer);
}

int64_t writer_cache_bytes(const Writer *writer) { return atomic_load_explicit(&writer->cache_bytes, memory_order_relaxed); }

static bool enqueue(Writer *writer, Write *write) {
    pthread_mutex_lock(&writer->mutex);
    bool open = !writer->stopping;
    if (open) {
        *writer->last = write;
        writer->last = &write->next;
        pthread_cond_signal(&writer->filled);
    }
    pthread_mutex_unlock(&writer->mutex);
    return open;
}

Status writer_run(Writer *writer, DbFunction function, void *context, Error *err) {
    if (pthread_equal(pthread_self(), writer->thread)) return error_set(err, STATUS_INTERNAL_ERROR, "database: db_write inside a write function");
    Write write = {.function = function, .context = context};
    sem_init(&write.done, 0, 0);
    if (enqueue(writer, &write)) {
        while (sem_wait(&write.done) != 0 && errno == EINTR) {}
    } else {
        write.status = error_set(&write.error, STATUS_SERVICE_UNAVAILABLE, "The server is stopping");
    }
    sem_destroy(&write.done);
    if (write.status != STATUS_OK && err) *err = write.error;
    return write.status;
}

void writer_run_later(Writer *writer, DbFunction function, void *context) {
    Write *write = xcalloc(1, sizeof *write);
    write->function = function;
    write->context = context;
    write->detached = true;
    if (enqueue(writer, write)) return;
    free(context);
    free(write);
}
