/* Statements on one SQLite connection: prepared once, found again by their text, bound by the number in $1, $2, ... */
#include "server/store/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

/* Waiting for another process (a server command beside a running server) before SERVICE_UNAVAILABLE. */
enum { BUSY_TIMEOUT_MS = 10000 };

static const char READ_SETUP[] = "PRAGMA cache_size = -1024; PRAGMA query_only = ON; PRAGMA foreign_keys = ON";
/* Foreign keys are switched on after the migrations. The log is cut back to its limit when it is started anew. temp_store stays at files: what a savepoint
 * keeps in memory is a list that every statement walks, and 10,000 of them in one transaction take a minute. */
static const char WRITE_SETUP[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;"
                                  "PRAGMA journal_size_limit = 67108864";

static Status status_of(int code, int system_errno) {
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID)
        return STATUS_ALREADY_EXISTS;
    switch (code & 0xFF) {
    case SQLITE_CONSTRAINT: return STATUS_CONFLICT;
    case SQLITE_FULL: return STATUS_STORAGE_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return STATUS_SERVICE_UNAVAILABLE;
    case SQLITE_NOMEM: return STATUS_OUT_OF_MEMORY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return system_errno == ENOSPC || system_errno == EDQUOT ? STATUS_STORAGE_FULL : STATUS_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_READONLY:
    case SQLITE_PERM: return STATUS_IO;
    default: return STATUS_INTERNAL_ERROR;
    }
}

Status session_failure(DbSession *session, Error *err) {
    if (!session->handle) return error_set(err, session->open_error.status, "%s", session->open_error.message);
    Status status = status_of(sqlite3_extended_errcode(session->handle), sqlite3_system_errno(session->handle));
    return error_set(err, status, "database: %s", sqlite3_errmsg(session->handle));
}

static int remember_wal_pages(void *context, sqlite3 *handle, const char *database, int pages) {
    (void)handle, (void)database;
    DbSession *session = context;
    session->wal_pages = pages;
    return SQLITE_OK;
}

DbSession *session_open(const char *path, SessionKind kind) {
    DbSession *session = xcalloc(1, sizeof *session);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (kind == SESSION_WRITE ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &session->handle, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_extended_result_codes(session->handle, 1);
        sqlite3_busy_timeout(session->handle, BUSY_TIMEOUT_MS);
        code = sqlite3_exec(session->handle, kind == SESSION_WRITE ? WRITE_SETUP : READ_SETUP, NULL, NULL, NULL);
        sqlite3_wal_hook(session->handle, remember_wal_pages, session); /* in place of automatic checkpoints: see writer.c */
    }
    if (code != SQLITE_OK) {
        const char *why = session->handle ? sqlite3_errmsg(session->handle) : sqlite3_errstr(code);
        int system_errno = session->handle ? sqlite3_system_errno(session->handle) : 0;
        error_set(&session->open_error, status_of(code, system_errno), "database %s: %s", path, why);
        sqlite3_close(session->handle);
        session->handle = NULL;
    }
    return session;
}

void session_close(DbSession *session) {
    if (!session) return;
    for (int i = 0; i < STATEMENT_CACHE; i++) sqlite3_finalize(session->statements[i].handle);
    sqlite3_close_v2(session->handle);
    free(session);
}

Status session_script(DbSession *session, const char *sql, Error *err) {
    if (!session->handle || sqlite3_exec(session->handle, sql, NULL, NULL, NULL) != SQLITE_OK) return session_failure(session, err);
    return STATUS_OK;
}

/* The idle statement of that text, else the slot to prepare it in: an empty one, the idle one not used for longest, or a loose one. */
static Statement *find_statement(DbSession *session, const char *sql) {
    uint64_t hash = text_hash(sql, strlen(sql));
    Statement *oldest = NULL;
    for (int i = 0; i < STATEMENT_CACHE; i++) {
        Statement *s = &session->statements[i];
        if (s->in_use) continue;
        if (s->handle && s->hash == hash && strcmp(sqlite3_sql(s->handle), sql) == 0) return s;
        if (!oldest || s->last_used < oldest->last_used) oldest = s; /* an empty slot has never been used: 0 */
    }
    if (!oldest) oldest = xcalloc(1, sizeof *oldest);
    else oldest->cached = true;
    sqlite3_finalize(oldest->handle);
    oldest->handle = NULL;
    oldest->hash = hash;
    return oldest;
}

static void statement_release(Statement *statement) {
    statement->in_use = false;
    if (statement->handle) {
        sqlite3_reset(statement->handle); /* repeats the failure of the last step, which was reported already */
        sqlite3_clear_bindings(statement->handle);
    }
    if (statement->cached) return;
    sqlite3_finalize(statement->handle);
    free(statement);
}

static int bind_value(sqlite3_stmt *handle, int index, const DbValue *value) {
    switch (value->type) {
    case DB_TYPE_INT: return sqlite3_bind_int64(handle, index, value->integer);
    case DB_TYPE_REAL: return sqlite3_bind_double(handle, index, value->real);
    case DB_TYPE_TEXT: {
        size_t size = value->data && value->size == (size_t)-1 ? strlen(value->data) : value->size;
        return sqlite3_bind_text64(handle, index, value->data, value->data ? size : 0, SQLITE_STATIC, SQLITE_UTF8);
    }
    case DB_TYPE_BLOB: return sqlite3_bind_blob64(handle, index, value->data ? value->data : "", value->size, SQLITE_STATIC);
    default: return sqlite3_bind_null(handle, index);
    }
}

/* SQLite takes $1 for a name and numbers names as they appear: each is looked up by the number that it spells. */
static Status bind_values(DbSession *session, Statement *statement, const DbValue *values, Error *err) {
    int given = 0;
    while (values[given].type != DB_TYPE_END) given++;
    int wanted = sqlite3_bind_parameter_count(statement->handle);
    int highest = 0;
    for (int i = 1; i <= wanted; i++) {
        const char *name = sqlite3_bind_parameter_name(statement->handle, i);
        int number = name && name[0] == '$' ? atoi(name + 1) : 0;
        if (number < 1 || number > given)
            return error_set(err, STATUS_INTERNAL_ERROR, "database: no value for %s of: %s", name ? name : "?", sqlite3_sql(statement->handle));
        if (number > highest) highest = number;
        if (bind_value(statement->handle, i, &values[number - 1]) != SQLITE_OK) return session_failure(session, err);
    }
    if (highest != given) return error_set(err, STATUS_INTERNAL_ERROR, "database: %d values for $%d of: %s", given, highest, sqlite3_sql(statement->handle));
    return STATUS_OK;
}

static Status statement_start(DbSession *session, Statement **out, const char *sql, const DbValue *values, Error *err) {
    *out = NULL;
    if (!session->handle) return session_failure(session, err);
    Statement *statement = find_statement(session, sql);
    statement->in_use = true;
    statement->last_used = ++session->ticks;
    Status status = STATUS_OK;
    if (!statement->handle && sqlite3_prepare_v3(session->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle, NULL) != SQLITE_OK)
        status = session_failure(session, err);
    if (status == STATUS_OK) status = bind_values(session, statement, values, err);
    if (status == STATUS_OK) *out = statement;
    else statement_release(statement);
    return status;
}

Status db_exec_values(DbSession *session, Error *err, const char *sql, const DbValue *values) {
    Statement *statement;
    Status status = statement_start(session, &statement, sql, values, err);
    if (status != STATUS_OK) return status;
    int code;
    do code = sqlite3_step(statement->handle);
    while (code == SQLITE_ROW);
    if (code != SQLITE_DONE) status = session_failure(session, err);
    statement_release(statement);
    return status;
}

int64_t db_changes(DbSession *session) { return session->handle ? sqlite3_changes64(session->handle) : 0; }

DbRows db_query_values(DbSession *session, Error *err, const char *sql, const DbValue *values) {
    DbRows rows = {.session = session, .err = err};
    Statement *statement;
    rows.status = statement_start(session, &statement, sql, values, err);
    rows.statement = statement;
    return rows;
}

static sqlite3_stmt *handle_of(const DbRows *rows) { return ((const Statement *)rows->statement)->handle; }

bool db_next(DbRows *rows) {
    if (rows->status != STATUS_OK || !rows->statement) return false;
    int code = sqlite3_step(handle_of(rows));
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) rows->status = session_failure(rows->session, rows->err);
    statement_release(rows->statement); /* a further db_next would start the query again */
    rows->statement = NULL;
    return false;
}

Status db_finish(DbRows *rows) {
    if (rows->statement) statement_release(rows->statement);
    rows->statement = NULL;
    return rows->status;
}

void session_finish_forgotten(DbSession *session) {
    for (int i = 0; i < STATEMENT_CACHE; i++) {
        Statement *s = &session->statements[i];
        if (!s->in_use) continue;
        log_event(LOG_ERROR, "db_rows_not_finished", "sql", sqlite3_sql(s->handle), NULL);
        statement_release(s);
    }
}

int64_t session_cache_bytes(const DbSession *session) {
    int now = 0, most;
    sqlite3_db_status(session->handle, SQLITE_DBSTATUS_CACHE_USED, &now, &most, 0);
    return now;
}

bool db_is_null(const DbRows *rows, int column) { return sqlite3_column_type(handle_of(rows), column) == SQLITE_NULL; }
int64_t db_int(const DbRows *rows, int column) { return sqlite3_column_int64(handle_of(rows), column); }
double db_real(const DbRows *rows, int column) { return sqlite3_column_double(handle_of(rows), column); }

const char *db_text_borrowed(const DbRows *rows, int column) { return (const char *)sqlite3_column_text(handle_of(rows), column); }

char *db_text(const DbRows *rows, int column, Arena *arena) {
    const char *text = db_text_borrowed(rows, column);
    return text ? arena_strndup(arena, text, (size_t)sqlite3_column_bytes(handle_of(rows), column)) : NULL;
}

const void *db_blob_borrowed(const DbRows *rows, int column, size_t *out_size) {
    const void *blob = sqlite3_column_blob(handle_of(rows), column);
    *out_size = (size_t)sqlite3_column_bytes(handle_of(rows), column);
    return blob;
}

Status db_read_int_values(DbSession *session, Error *err, int64_t *out, int64_t otherwise, const char *sql, const DbValue *values) {
    DbRows rows = db_query_values(session, err, sql, values);
    *out = db_next(&rows) && !db_is_null(&rows, 0) ? db_int(&rows, 0) : otherwise;
    return db_finish(&rows);
}

int64_t db_get_int_values(DbSession *session, Error *err, int64_t otherwise, const char *sql, const DbValue *values) {
    int64_t result;
    db_read_int_values(session, err, &result, otherwise, sql, values);
    return result;
}
