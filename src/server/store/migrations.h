/* Migrations: the steps that bring a database's schema up to date, embedded from migrations/NNNN_name.sql at build time.
 * A database's schema version is the number of steps it has taken. */
#pragma once

typedef struct Migration {
    const char *name; /* "0001_initial" */
    const char *sql;  /* any number of statements */
} Migration;

extern const Migration MIGRATIONS[];
extern const int MIGRATION_COUNT;
