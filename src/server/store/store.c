/* The SQLite store: opening, migrating, lending sessions, backing up. Writes are writer.c's, statements session.c's. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "server/store/db.h"
#include "server/store/migrations.h"
#include "server/store/session.h"
#include "server/store/writer.h"
#include "base/banned.h"

enum { IDLE_SESSIONS = 8 /* kept open after a burst */, STATEMENT_JOURNAL_BYTES = 124 << 10 };

struct Store {
    char *path;
    Writer *writer;
    pthread_mutex_t mutex; /* of the pool */
    DbSession *idle;       /* last one given back first: its caches are warm */
    int idle_count;
};

static Status take_step(DbSession *session, int number, Error *err) {
    const Migration *step = &MIGRATIONS[number - 1];
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d", number);
    Status status = session_script(session, step->sql, err);
    if (status == STATUS_OK) status = session_script(session, version, err);
    if (status != STATUS_OK) return error_prefix(err, "migration %s", step->name);
    return STATUS_OK;
}

/* All missing steps in one transaction: a database is of the old version or of the new one. */
static Status migrate(DbSession *session, Error *err) {
    Status status = session_script(session, "BEGIN IMMEDIATE", err);
    if (status != STATUS_OK) return status;
    int64_t version;
    status = db_read_int(session, err, &version, 0, "PRAGMA user_version");
    if (version > MIGRATION_COUNT)
        status = error_set(err, STATUS_CONFIGURATION, "The database has version %d, this program knows %d: use a newer program", (int)version, MIGRATION_COUNT);
    for (int number = (int)version + 1; status == STATUS_OK && number <= MIGRATION_COUNT; number++) status = take_step(session, number, err);
    if (status == STATUS_OK) status = session_script(session, "COMMIT", err);
    if (status != STATUS_OK) session_script(session, "ROLLBACK", NULL);
    else if (version < MIGRATION_COUNT) log_event(LOG_INFO, "db_migrated", "version", log_text("%d", MIGRATION_COUNT), NULL);
    return status;
}

Status store_open(Store **out, const char *path, Error *err) {
    *out = NULL;
    Error local = {0};
    if (!err) err = &local;
    /* Refused harmlessly once SQLite runs. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* its counters are one lock for all threads */
    /* What one statement may have to undo stays in memory: with the triggers it is twenty pages an image, above SQLite's own limit of 64 KB. Not 128 KB or
     * more: what is spilled to a file is written at once, and SQLite's file layer writes less than that (its seekAndWriteFd), else "disk full". */
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, STATEMENT_JOURNAL_BYTES);
    DbSession *session = session_open(path, SESSION_WRITE);
    Status status = session->handle ? STATUS_OK : session_failure(session, err);
    if (status == STATUS_OK) status = migrate(session, err);
    if (status == STATUS_OK) status = session_script(session, "PRAGMA foreign_keys = ON", err);
    Writer *writer = NULL;
    if (status == STATUS_OK) status = writer_start(&writer, session, err);
    else session_close(session);
    if (status != STATUS_OK) return status;

    Store *store = xcalloc(1, sizeof *store);
    store->path = xstrdup(path);
    store->writer = writer;
    pthread_mutex_init(&store->mutex, NULL);
    *out = store;
    return STATUS_OK;
}

void store_close(Store *store) {
    if (!store) return;
    writer_stop(store->writer);
    for (DbSession *session = store->idle, *next; session; session = next) {
        next = session->next;
        session_close(session);
    }
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
}

DbSession *db_session(Store *store) {
    pthread_mutex_lock(&store->mutex);
    DbSession *session = store->idle;
    if (session) {
        store->idle = session->next;
        store->idle_count--;
    }
    pthread_mutex_unlock(&store->mutex);
    return session ? session : session_open(store->path, SESSION_READ);
}

void db_session_release(Store *store, DbSession *session) {
    if (!session) return;
    session_finish_forgotten(session);
    pthread_mutex_lock(&store->mutex);
    bool keep = session->handle && store->idle_count < IDLE_SESSIONS;
    if (keep) {
        session->next = store->idle;
        store->idle = session;
        store->idle_count++;
    }
    pthread_mutex_unlock(&store->mutex);
    if (!keep) session_close(session);
}

int64_t store_cache_bytes(Store *store) {
    int64_t bytes = writer_cache_bytes(store->writer);
    pthread_mutex_lock(&store->mutex);
    for (const DbSession *session = store->idle; session; session = session->next) bytes += session_cache_bytes(session);
    pthread_mutex_unlock(&store->mutex);
    return bytes;
}

Status db_write(Store *store, DbFunction function, void *context, Error *err) { return writer_run(store->writer, function, context, err); }
void db_write_later(Store *store, DbFunction function, void *context) { writer_run_later(store->writer, function, context); }

/* VACUUM INTO reads one state of the database while writers go on; it does not sync what it writes. */
Status store_backup(Store *store, const char *path, Error *err) {
    if (file_exists(path)) return error_set(err, STATUS_ALREADY_EXISTS, "%s exists", path);
    DbSession *session = session_open(store->path, SESSION_READ);
    char partial[4096];
    snprintf(partial, sizeof partial, "%s.partial", path);
    unlink(partial);
    Status status = session_script(session, "PRAGMA query_only = OFF", err);
    if (status == STATUS_OK) status = db_exec(session, err, "VACUUM INTO $1", DB_TEXT(partial));
    session_close(session);
    if (status == STATUS_OK) status = file_sync(partial, err);
    if (status == STATUS_OK && rename(partial, path) != 0) status = error_set_errno(err, errno, "%s", path);
    if (status == STATUS_OK) status = file_sync_parent(path, err);
    if (status != STATUS_OK) unlink(partial);
    return status;
}
