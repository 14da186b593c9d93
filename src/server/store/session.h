/* One SQLite connection with its prepared statements: what store.c and writer.c share. Features use db.h only. */
#pragma once
#include <sqlite3.h>

#include "server/store/db.h"

enum { STATEMENT_CACHE = 96 };

typedef struct Statement {
    sqlite3_stmt *handle;
    uint64_t hash;      /* of its text */
    uint64_t last_used; /* tick of the session; the least recent idle one makes room */
    bool in_use;
    bool cached; /* lies in the session's table; else it is freed after use */
} Statement;

struct DbSession {
    sqlite3 *handle;
    Error open_error; /* status OK, or why there is no connection: then every statement fails with it */
    Statement statements[STATEMENT_CACHE];
    uint64_t ticks;
    int wal_pages; /* in the write-ahead log after the last commit of this session */
    DbSession *next; /* in the pool */
};

typedef enum SessionKind { SESSION_READ, SESSION_WRITE } SessionKind;

/* Opens a connection; only a SESSION_WRITE creates the file. Never NULL: look at open_error. */
DbSession *session_open(const char *path, SessionKind kind);
void session_close(DbSession *session);
/* Runs any number of statements without parameters. */
Status session_script(DbSession *session, const char *sql, Error *err);
/* Ends rows that a caller forgot to finish, which would pin an old state of the database. Logs them. */
void session_finish_forgotten(DbSession *session);
/* Of the pages that its connection keeps. */
int64_t session_cache_bytes(const DbSession *session);
/* Status and text of SQLite's last failure. */
Status session_failure(DbSession *session, Error *err);
