/* Backup and restore: copies of a data folder, by content. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/objects/objects.h"
#include "server/maintenance/maintenance.h"
#include "server/system/system.h"

#include "base/banned.h"

enum { COPY_PIECE = 1 << 20, PATH_SIZE = 4096, OBJECT_MODE = 0440, SHOWN_EVERY = 1000 };

/* Beside the objects: what else of a data folder is state. */
static const char *const FILES[] = {"secret.key", "config.toml"};

#define SELECT_USED(table, column, condition) " UNION SELECT " column " FROM " table " WHERE " column " IS NOT NULL AND " condition

Status maintenance_pin(const char *data, int *fd, Error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/backup.lock", data);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd >= 0 && flock(*fd, LOCK_SH) == 0) return STATUS_OK;
    return error_set_errno(err, errno, "%s", path);
}

bool maintenance_is_pinned(const char *data) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/backup.lock", data);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool pinned = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0) close(fd);
    return pinned;
}

/* --- copying --- */

static Status copy_bytes(int from, int to, Error *err) {
    for (;;) { /* the kernel shares the blocks where the file system can */
        ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_PIECE, 0);
        if (n == 0) return STATUS_OK;
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) break;
        if (n < 0 && errno != EINTR) return error_set_errno(err, errno, "copying");
    }
    char piece[1 << 16];
    for (ssize_t n; (n = read(from, piece, sizeof piece)) != 0;) {
        if (n < 0) return error_set_errno(err, errno, "reading");
        Status status = file_write_all(to, piece, (size_t)n, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* Under a temporary name first. Durable once the folder was synced as a whole. */
static Status copy_file(const char *from, const char *to, unsigned mode, Error *err) {
    char partial[PATH_SIZE];
    snprintf(partial, sizeof partial, "%s.partial", to);
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) return errno == ENOENT ? error_set(err, STATUS_NOT_FOUND, "%s is missing", from) : error_set_errno(err, errno, "%s", from);
    unlink(partial);
    int out = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    Status status = out < 0 ? error_set_errno(err, errno, "%s", partial) : copy_bytes(in, out, err);
    if (status != STATUS_OK && out >= 0) error_prefix(err, "%s", from);
    close(in);
    if (out >= 0 && close(out) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "%s", partial);
    if (status == STATUS_OK && rename(partial, to) != 0) status = error_set_errno(err, errno, "%s", to);
    if (status != STATUS_OK) unlink(partial);
    return status;
}

typedef struct Copy {
    Objects *from, *to;
    FILE *out;
    int64_t objects, copied, bytes, missing;
} Copy;

static Status copy_object(Copy *copy, const char *sha256, Error *err) {
    Arena arena;
    arena_init(&arena, 1 << 16);
    const char *from = objects_path(copy->from, sha256, &arena), *to = objects_path(copy->to, sha256, &arena);
    int64_t size = file_size(from);
    Status status = STATUS_OK;
    copy->objects++;
    if (size < 0) {
        copy->missing++; /* a check names whose they are; the rest is worth keeping */
    } else if (file_size(to) != size) {
        char folder[PATH_SIZE];
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(to, '/') - to), to);
        status = file_make_directories(folder, 0700, err);
        if (status == STATUS_OK) status = copy_file(from, to, OBJECT_MODE, err);
        copy->copied++;
        copy->bytes += size;
    }
    arena_clear(&arena);
    if (copy->objects % SHOWN_EVERY == 0) fprintf(copy->out, "%lld objects\n", (long long)copy->objects);
    return status;
}

/* The objects that a database names. */
static Status copy_objects(Copy *copy, const char *database, Error *err) {
    Store *store = NULL;
    Status status = store_open(&store, database, err);
    if (status != STATUS_OK) return status;
    DbSession *session = db_session(store);
    DbRows rows = db_query(session, err, "SELECT NULL WHERE 0" OBJECT_USES(SELECT_USED));
    while (status == STATUS_OK && db_next(&rows)) status = copy_object(copy, db_text_borrowed(&rows, 0), err);
    Status ended = db_finish(&rows);
    db_session_release(store, session);
    store_close(store);
    return status != STATUS_OK ? status : ended;
}

static Status copy_settings(const char *from, const char *to, Arena *arena, Error *err) {
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        const char *path = arena_printf(arena, "%s/%s", from, FILES[i]);
        if (!file_exists(path)) continue;
        Status status = copy_file(path, arena_printf(arena, "%s/%s", to, FILES[i]), 0600, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* The operator's models: small trees of plain files, which may be exchanged at any time, so they are copied anew. */
static Status copy_tree(const char *from, const char *to, Arena *arena, Error *err) {
    DIR *dir = opendir(from);
    if (!dir) return errno == ENOENT ? STATUS_OK : error_set_errno(err, errno, "%s", from);
    Status status = file_make_directories(to, 0700, err);
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(dir));) {
        const char *inner = arena_printf(arena, "%s/%s", from, entry->d_name), *copy = arena_printf(arena, "%s/%s", to, entry->d_name);
        struct stat facts;
        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..") || lstat(inner, &facts) != 0) continue;
        if (S_ISDIR(facts.st_mode)) status = copy_tree(inner, copy, arena, err);
        else if (S_ISREG(facts.st_mode)) status = copy_file(inner, copy, 0600, err);
    }
    closedir(dir);
    return status;
}

static Status sync_folder(const char *path, Error *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Status status = fd < 0 || syncfs(fd) != 0 ? error_set_errno(err, errno, "%s", path) : STATUS_OK;
    if (fd >= 0) close(fd);
    return status;
}

static bool is_empty(const char *path) {
    DIR *dir = opendir(path);
    int entries = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) entries += !text_equal(entry->d_name, ".") && !text_equal(entry->d_name, "..");
    if (dir) closedir(dir);
    return entries == 0;
}

/* Links resolved: a copy inside of what is copied would be copied, too. */
static Status check_outside(const char *path, const char *folder, Error *err) {
    char *inner = realpath(path, NULL), *outer = realpath(folder, NULL);
    size_t size = outer ? strlen(outer) : 0;
    bool inside = inner && outer && strncmp(inner, outer, size) == 0 && (inner[size] == '/' || !inner[size]);
    free(inner);
    free(outer);
    return inside ? error_set(err, STATUS_CONFIGURATION, "%s lies inside %s: name a folder outside of it", path, folder) : STATUS_OK;
}

/* The database of such a folder may lie in two files, of which a copy would take one; and it is no place for a copy. */
static Status check_not_served(const char *path, Arena *arena, Error *err) {
    if (!file_exists(arena_printf(arena, "%s/serve.lock", path))) return STATUS_OK;
    return error_set(err, STATUS_CONFIGURATION, "%s is a data folder that was served, not a backup", path);
}

/* --- backup --- */

/* Objects that the backup's database does not name any more. */
static bool is_unnamed(const char *sha256, void *context) {
    return db_get_int(context, NULL, 1, "SELECT " OBJECT_IS_USED, DB_TEXT(sha256)) == 0;
}

static Status prune(Objects *objects, const char *database, Error *err) {
    Store *store = NULL;
    Status status = store_open(&store, database, err);
    if (status != STATUS_OK) return status;
    DbSession *session = db_session(store);
    status = objects_sweep(objects, 0, is_unnamed, session, err);
    db_session_release(store, session);
    store_close(store);
    return status;
}

static Status snapshot(const char *data, const char *path, Arena *arena, Error *err) {
    Store *store = NULL;
    Status status = file_remove_tree(path, err);
    if (status == STATUS_OK) status = store_open(&store, arena_printf(arena, "%s/pictograph.db", data), err);
    if (status == STATUS_OK) status = store_backup(store, path, err);
    store_close(store);
    return status;
}

static Status back_up(Copy *copy, const char *data, const char *output, Arena *arena, Error *err) {
    const char *database = arena_printf(arena, "%s/pictograph.db", output), *fresh = arena_printf(arena, "%s/pictograph.db.new", output);
    Status status = snapshot(data, fresh, arena, err);
    if (status == STATUS_OK) status = objects_open(&copy->from, data, err);
    if (status == STATUS_OK) status = copy_settings(data, output, arena, err); /* before the objects of the copy are opened: they need the same secret */
    if (status == STATUS_OK) status = objects_open(&copy->to, output, err);
    if (status == STATUS_OK) status = copy_objects(copy, fresh, err);
    if (status == STATUS_OK) status = copy_tree(arena_printf(arena, "%s/models", data), arena_printf(arena, "%s/models", output), arena, err);
    if (status == STATUS_OK) status = sync_folder(output, err);
    if (status == STATUS_OK && rename(fresh, database) != 0) status = error_set_errno(err, errno, "%s", database);
    if (status == STATUS_OK) status = file_sync_parent(database, err);
    if (status == STATUS_OK) status = prune(copy->to, database, err);
    return status;
}

Status backup_make(const char *data, const char *output, FILE *out, Error *err) {
    Arena arena;
    Copy copy = {.out = out};
    int pin = -1;
    arena_init(&arena, 64 << 20);
    Status status = file_make_directories(output, 0700, err);
    if (status == STATUS_OK && !is_empty(output) && !file_exists(arena_printf(&arena, "%s/pictograph.db", output)) && !file_exists(arena_printf(&arena, "%s/pictograph.db.new", output)))
        status = error_set(err, STATUS_CONFIGURATION, "%s is not empty and holds no backup", output);
    if (status == STATUS_OK) status = check_not_served(output, &arena, err);
    if (status == STATUS_OK) status = check_outside(output, data, err);
    if (status != STATUS_OK) rmdir(output); /* if it was made now */
    if (status == STATUS_OK) status = maintenance_pin(data, &pin, err);
    if (status == STATUS_OK) status = back_up(&copy, data, output, &arena, err);
    if (status == STATUS_OK)
        fprintf(out, "%s: %lld objects, %lld of them copied now (%.1f MB)\n", output, (long long)copy.objects, (long long)copy.copied, (double)copy.bytes / 1e6);
    if (status == STATUS_OK && copy.missing)
        status = error_set(err, STATUS_IO, "%lld objects are missing in %s: 'pictographd check --data %s' names what needs them", (long long)copy.missing, data, data);
    objects_close(copy.from);
    objects_close(copy.to);
    if (pin >= 0) close(pin);
    arena_clear(&arena);
    return status;
}

/* --- restore --- */

static Status restore(Copy *copy, const char *data, const char *backup, Arena *arena, Error *err) {
    const char *source = arena_printf(arena, "%s/pictograph.db", backup), *fresh = arena_printf(arena, "%s/pictograph.db.new", data);
    Status status = copy_settings(backup, data, arena, err);
    if (status == STATUS_OK) status = copy_file(source, fresh, 0600, err);
    if (status == STATUS_OK) status = objects_open(&copy->from, backup, err);
    if (status == STATUS_OK) status = objects_open(&copy->to, data, err);
    if (status == STATUS_OK) status = copy_objects(copy, fresh, err);
    if (status == STATUS_OK) status = copy_tree(arena_printf(arena, "%s/models", backup), arena_printf(arena, "%s/models", data), arena, err);
    if (status == STATUS_OK) status = sync_folder(data, err);
    if (status == STATUS_OK && rename(fresh, arena_printf(arena, "%s/pictograph.db", data)) != 0) status = error_set_errno(err, errno, "%s", fresh);
    if (status == STATUS_OK) status = file_sync_parent(fresh, err);
    return status;
}

Status backup_restore(const char *data, const char *backup, FILE *out, Error *err) {
    Arena arena;
    Copy copy = {.out = out};
    arena_init(&arena, 64 << 20);
    Status status = STATUS_OK;
    if (!file_exists(arena_printf(&arena, "%s/pictograph.db", backup))) status = error_set(err, STATUS_CONFIGURATION, "%s holds no backup", backup);
    if (status == STATUS_OK) status = check_not_served(backup, &arena, err);
    if (status == STATUS_OK && file_exists(data) && !is_empty(data)) status = error_set(err, STATUS_CONFIGURATION, "%s is not empty: a backup is restored into a new folder", data);
    bool ours = status == STATUS_OK;
    if (status == STATUS_OK) status = file_make_directories(data, 0700, err);
    if (status == STATUS_OK) status = check_outside(data, backup, err);
    if (status == STATUS_OK) status = restore(&copy, data, backup, &arena, err);
    objects_close(copy.from);
    objects_close(copy.to);
    if (status != STATUS_OK && ours) file_remove_tree(data, NULL); /* nothing half-made stays */
    else if (status == STATUS_OK) fprintf(out, "%s: %lld objects restored\n", data, (long long)(copy.objects - copy.missing));
    if (status == STATUS_OK) status = check_data(data, out, err);
    arena_clear(&arena);
    return status;
}
