/* The store: SQL on one SQLite database, in what PostgreSQL understands too ($1 parameters, upserts, RETURNING).
 *
 * But for these, which a port to PostgreSQL has to write anew. In migrations: the bodies of triggers, strftime in some of them, WITHOUT ROWID,
 * AUTOINCREMENT and keys that SQLite counts up by itself, the type BLOB. In statements: json_each (search), max() of two values (video), PRAGMA
 * (data_version in api, the checks of maintenance and doctor), VACUUM INTO and how a session is opened (store).
 *
 * Reading: a session is borrowed, used by one thread at a time and given back. It sees what was committed when its statement began.
 *     DbSession *db = db_session(store);  ...  db_session_release(store, db);
 * Writing: db_write runs a function on the one writer thread, inside a savepoint of a group transaction: many callers' functions
 * share one commit and one fsync. It returns once the commit is durable, or the function failed and its savepoint was undone.
 * Such a function must be quick, must not wait for anything, and must not keep pointers into rows.
 *
 *     static Status rename_project(DbSession *tx, void *context, Error *err) {
 *         const Rename *r = context;
 *         return db_exec(tx, err, "UPDATE projects SET name = $1 WHERE id = $2", DB_TEXT(r->name), DB_TEXT(r->id));
 *     }
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef struct Store Store;         /* one database; shared by all threads */
typedef struct DbSession DbSession; /* one connection; used by one thread at a time */

/* Parameters: DB_TEXT copies nothing, it must live until the statement ended. NULL text is SQL NULL. */
typedef enum DbType { DB_TYPE_END, DB_TYPE_NULL, DB_TYPE_INT, DB_TYPE_REAL, DB_TYPE_TEXT, DB_TYPE_BLOB } DbType;
typedef struct DbValue {
    DbType type;
    int64_t integer;
    double real;
    const void *data;
    size_t size;
} DbValue;
#define DB_TEXT(text_) ((DbValue){.type = DB_TYPE_TEXT, .data = (text_), .size = (size_t)-1})
#define DB_TEXT_N(text_, size_) ((DbValue){.type = DB_TYPE_TEXT, .data = (text_), .size = (size_)})
#define DB_BLOB(data_, size_) ((DbValue){.type = DB_TYPE_BLOB, .data = (data_), .size = (size_)})
#define DB_INT(value_) ((DbValue){.type = DB_TYPE_INT, .integer = (value_)})
#define DB_REAL(value_) ((DbValue){.type = DB_TYPE_REAL, .real = (value_)})
#define DB_NULL ((DbValue){.type = DB_TYPE_NULL})
/* The value when the condition holds, else NULL. */
#define DB_INT_OR_NULL(present_, value_) ((present_) ? DB_INT(value_) : DB_NULL)

/* Opens or creates the database of a data folder and brings its schema up to date. */
Status store_open(Store **out, const char *path, Error *err);
/* Waits for queued writes, then closes. NULL is fine. */
void store_close(Store *store);
/* Copies the live database to a new file, consistent, without stopping writers. */
Status store_backup(Store *store, const char *path, Error *err);

/* Pages of the database in this process's memory, without those of sessions on loan: at most 1 MB for each of the sessions kept open, and 8 MB for the writer. */
int64_t store_cache_bytes(Store *store);

/* Never NULL: without a connection every statement of the session fails and says why. */
DbSession *db_session(Store *store);
void db_session_release(Store *store, DbSession *session);

typedef Status (*DbFunction)(DbSession *tx, void *context, Error *err);
/* See above. A failure of the function undoes what it wrote and is returned, its text in err. */
Status db_write(Store *store, DbFunction function, void *context, Error *err);
/* As db_write, without waiting; context is freed with free() after the function ran. Failures are logged. */
void db_write_later(Store *store, DbFunction function, void *context);

/* Statements: prepared once and found again by their text, which may lie anywhere. Values are $1, $2, ..., never part of the text. */
#define db_exec(session, err, sql, ...) db_exec_values((session), (err), (sql), (const DbValue[]){__VA_ARGS__ __VA_OPT__(,) {.type = DB_TYPE_END}})
Status db_exec_values(DbSession *session, Error *err, const char *sql, const DbValue *values);
/* Rows that the last db_exec of this session changed. */
int64_t db_changes(DbSession *session);

typedef struct DbRows {
    DbSession *session;
    void *statement;
    Error *err;
    Status status; /* STATUS_OK while rows come; a failure ends the loop and stays here */
} DbRows;
/*     DbRows rows = db_query(session, err, "SELECT id, name FROM projects WHERE organization_id = $1", DB_TEXT(org));
 *     while (db_next(&rows)) use(db_text(&rows, 0, arena));
 *     return db_finish(&rows);
 * db_finish must be called, after which the row values are gone. It returns STATUS_OK or what went wrong. */
#define db_query(session, err, sql, ...) db_query_values((session), (err), (sql), (const DbValue[]){__VA_ARGS__ __VA_OPT__(,) {.type = DB_TYPE_END}})
DbRows db_query_values(DbSession *session, Error *err, const char *sql, const DbValue *values);
bool db_next(DbRows *rows);
Status db_finish(DbRows *rows);

bool db_is_null(const DbRows *rows, int column);
int64_t db_int(const DbRows *rows, int column); /* 0 for NULL */
double db_real(const DbRows *rows, int column);
/* A copy in the arena; NULL for NULL. */
char *db_text(const DbRows *rows, int column, Arena *arena);
/* Borrowed until the next db_next or db_finish; NULL for NULL. */
const char *db_text_borrowed(const DbRows *rows, int column);
const void *db_blob_borrowed(const DbRows *rows, int column, size_t *out_size);

/* One integer: the first column of the first row; `otherwise` when there is no row, when it is NULL, and after a failure, which is returned. */
#define db_read_int(session, err, out, otherwise, sql, ...) \
    db_read_int_values((session), (err), (out), (otherwise), (sql), (const DbValue[]){__VA_ARGS__ __VA_OPT__(,) {.type = DB_TYPE_END}})
Status db_read_int_values(DbSession *session, Error *err, int64_t *out, int64_t otherwise, const char *sql, const DbValue *values);
/* The same for tests and hints: only where one may go on with `otherwise` although nothing could be read. Anything that is answered, written or
 * removed on the strength of it takes db_read_int. */
#define db_get_int(session, err, otherwise, sql, ...) \
    db_get_int_values((session), (err), (otherwise), (sql), (const DbValue[]){__VA_ARGS__ __VA_OPT__(,) {.type = DB_TYPE_END}})
int64_t db_get_int_values(DbSession *session, Error *err, int64_t otherwise, const char *sql, const DbValue *values);

/* A statement that breaks a UNIQUE constraint fails with STATUS_ALREADY_EXISTS, any other broken constraint with STATUS_CONFLICT, a full
 * disk with STATUS_STORAGE_FULL. */
