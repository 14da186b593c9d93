#include "server/system/system.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/objects/objects.h"
#include "server/store/db.h"
#include "server/maintenance/maintenance.h"
#include "base/banned.h"

enum { ROUND = 500, QUIET_MS = 15 * 60 * 1000, UPLOAD_AGE_MS = 24 * 3600 * 1000 };

/* Previews lie in thumbnails/ab as <sha256>-<size>.<type> of the bytes that they show. Those of which unused() says true go; part begins with ab. */
static Status sweep_previews(const Server *server, const char *part, bool (*unused)(const char *sha256, void *context), void *context, Error *err) {
    Arena arena;
    arena_init(&arena, 1 << 16);
    const char *folder = arena_printf(&arena, "%s/thumbnails/%.2s", server->config.data_directory, part);
    DIR *dir = opendir(folder);
    Status status = dir || errno == ENOENT ? STATUS_OK : error_set_errno(err, errno, "%s", folder);
    for (struct dirent *entry; dir && status == STATUS_OK && (entry = readdir(dir));) {
        char sha256[SHA256_HEX_SIZE];
        snprintf(sha256, sizeof sha256, "%.*s", (int)sizeof sha256 - 1, entry->d_name);
        if (strlen(entry->d_name) < sizeof sha256 || entry->d_name[sizeof sha256 - 1] != '-' || !unused(sha256, context)) continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT) status = error_set_errno(err, errno, "%s/%s", folder, entry->d_name);
    }
    if (dir) closedir(dir);
    arena_clear(&arena);
    return status;
}

static bool is_the_same(const char *sha256, void *wanted) { return strcmp(sha256, wanted) == 0; }

typedef struct Sweep {
    Server *server;
    int64_t removed;
} Sweep;

/* Inside the transaction that sees that nothing names the object; a failure of the file system leaves the row for the next round. */
static Status remove_object(DbSession *tx, Sweep *sweep, const char *sha256, Error *err) {
    int64_t in_use;
    Status status = db_read_int(tx, err, &in_use, 1, "SELECT " OBJECT_IS_USED, DB_TEXT(sha256));
    if (status != STATUS_OK) return status;
    if (!in_use) {
        status = sweep_previews(sweep->server, sha256, is_the_same, (void *)sha256, err);
        if (status == STATUS_OK) status = objects_remove(sweep->server->objects, sha256, err);
        if (status != STATUS_OK) return status;
        status = db_exec(tx, err, "DELETE FROM objects WHERE sha256 = $1", DB_TEXT(sha256));
        if (status != STATUS_OK) return status;
        sweep->removed++;
    }
    return db_exec(tx, err, "DELETE FROM discarded_objects WHERE sha256 = $1", DB_TEXT(sha256));
}

static Status sweep_round(DbSession *tx, void *context, Error *err) {
    Sweep *sweep = context;
    Arena arena;
    arena_init(&arena, 1 << 20);
    const char *names[ROUND];
    size_t count = 0;
    DbRows rows = db_query(tx, err, "SELECT sha256 FROM discarded_objects WHERE discarded_at < $1 ORDER BY discarded_at LIMIT $2", DB_INT(clock_now_ms() - QUIET_MS), DB_INT(ROUND));
    while (count < ROUND && db_next(&rows)) names[count++] = db_text(&rows, 0, &arena);
    Status status = db_finish(&rows);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) status = remove_object(tx, sweep, names[i], err);
    arena_clear(&arena);
    return status;
}

void sweep_discarded(Server *server) {
    if (maintenance_is_pinned(server->config.data_directory)) return;
    Sweep sweep = {.server = server};
    Error err = {0};
    if (db_write(server->store, sweep_round, &sweep, &err) != STATUS_OK) log_event(LOG_ERROR, "sweep_failed", "message", err.message, NULL);
    else if (sweep.removed) log_event(LOG_INFO, "swept", "objects", log_text("%lld", (long long)sweep.removed), NULL);
}

/* --- files without a row, left by a crash between rename and commit, and their previews --- */

typedef struct FileSweep {
    DbSession *session;
    int64_t removed;
} FileSweep;

/* A question that cannot be answered keeps the file. */
static bool is_unused(const char *sha256, void *context) {
    FileSweep *sweep = context;
    bool used = db_get_int(sweep->session, NULL, 1, "SELECT EXISTS (SELECT 1 FROM objects WHERE sha256 = $1) OR " OBJECT_IS_USED, DB_TEXT(sha256)) != 0;
    if (!used) sweep->removed++;
    return !used;
}

/* Which part is due says the clock, so that restarts change nothing: all of them within a day. */
void sweep_files(Server *server) {
    if (maintenance_is_pinned(server->config.data_directory)) return;
    FileSweep sweep = {.session = db_session(server->store)};
    Error err = {0};
    unsigned part = (unsigned)(clock_now_ms() / 1000 / SWEEP_FILES_SECONDS % OBJECTS_PARTS);
    Status status = objects_sweep_part(server->objects, part, UPLOAD_AGE_MS / 1000.0, is_unused, &sweep, &err);
    if (status == STATUS_OK) status = sweep_previews(server, log_text("%02x", part), is_unused, &sweep, &err);
    db_session_release(server->store, sweep.session);
    if (status != STATUS_OK) log_event(LOG_ERROR, "sweep_failed", "message", err.message, NULL);
    else if (sweep.removed) log_event(LOG_INFO, "swept", "files", log_text("%lld", (long long)sweep.removed), NULL);
}

/* --- folders of work --- */

/* A folder bears the id of its job; those of requests bear random ones. A question that cannot be answered keeps it. */
static bool is_of_a_job(const char *name, void *context) { return db_get_int(context, NULL, 1, "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = $1)", DB_TEXT(name)) != 0; }

void sweep_work(Server *server) {
    Error err = {0};
    DbSession *session = db_session(server->store);
    if (objects_sweep_work(server->objects, is_of_a_job, session, &err) != STATUS_OK) log_event(LOG_ERROR, "sweep_failed", "message", err.message, NULL);
    db_session_release(server->store, session);
}

static Status drop_old_uploads(DbSession *tx, void *context, Error *err) {
    int64_t now = clock_now_ms();
    (void)context;
    Status status = db_exec(tx, err,
                            "INSERT INTO discarded_objects (sha256, discarded_at) SELECT DISTINCT object, $1 FROM uploads WHERE created_at < $2 AND object IS NOT NULL "
                            "ON CONFLICT (sha256) DO NOTHING", DB_INT(now), DB_INT(now - UPLOAD_AGE_MS));
    return status == STATUS_OK ? db_exec(tx, err, "DELETE FROM uploads WHERE created_at < $1", DB_INT(now - UPLOAD_AGE_MS)) : status;
}

void sweep_uploads(Server *server) {
    Error err = {0};
    if (db_write(server->store, drop_old_uploads, server, &err) != STATUS_OK) log_event(LOG_ERROR, "sweep_failed", "message", err.message, NULL);
}
