/* Maintenance: what an operator does to a data folder from outside: backup, restore, check. All may run beside a server, but restore, which makes
 * the folder. Progress and findings are lines on the given stream. */
#pragma once
#include <stdio.h>

#include "base/error.h"
#include "server/store/db.h"

/* Copies a data folder to another one of the same layout: a consistent state of the database, and the objects that it names. An output that holds
 * an earlier backup is brought up to date: objects never change, so only new ones are copied. Until the new database takes its place in one rename,
 * the earlier backup stays whole. */
Status backup_make(const char *data, const char *output, FILE *out, Error *err);

/* Makes a data folder from a backup. STATUS_CONFIGURATION unless data is missing or empty. What was copied is then checked as by check_data. */
Status backup_restore(const char *data, const char *backup, FILE *out, Error *err);

/* Holds every object against its hash and every derived number (counts of images, annotations, labels, bytes; running balances) against what it
 * is derived from. Derived numbers are mended. STATUS_IO when bytes are missing or damaged, each named with the images that need them. */
Status check_data(const char *data, FILE *out, Error *err);

/* Held (shared) by a backup that runs, so that no sweep takes what it has not copied yet; *fd is to be closed. */
Status maintenance_pin(const char *data, int *fd, Error *err);
/* True while a backup holds the pin. */
bool maintenance_is_pinned(const char *data);
