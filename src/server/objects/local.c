/* Objects as local files. Bytes go to DATA/objects/tmp under a random name; the finished file is synced, named by its hash, and its
 * folder synced. A temporary file is locked by whoever writes it, so an unlocked one is an orphan. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/objects/objects_internal.h"
#include "base/banned.h"

enum { COPY_CHUNK = 1 << 18, YOUNG_SECONDS = 600, OBJECT_MODE = 0440 };

struct ObjectWriter {
    Objects *objects;
    Hasher *hasher;
    int64_t maximum, size;
    int fd;
    char path[]; /* of the temporary file */
};

/* --- opening --------------------------------------------------------------------------------------------------------------- */

static void sweep_orphans(const char *directory) {
    DIR *dir = opendir(directory);
    int removed = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dirfd(dir), entry->d_name, 0) == 0) removed++;
        if (fd >= 0) close(fd);
    }
    if (dir) closedir(dir);
    if (removed) log_event(LOG_INFO, "objects_orphans_removed", "count", log_text("%d", removed), NULL);
}

static char *join(const char *directory, const char *name) {
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = xmalloc(size);
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

Status objects_open(Objects **out, const char *directory, Error *err) {
    Objects *objects = xcalloc(1, sizeof *objects);
    pthread_mutex_init(&objects->names, NULL);
    objects->root = join(directory, "objects");
    objects->work = join(directory, "work");
    char *temporaries = join(objects->root, "tmp");
    Status status = file_make_directories(temporaries, 0700, err);
    if (status == STATUS_OK) status = file_make_directories(objects->work, 0700, err);
    if (status == STATUS_OK) status = signing_open(objects, directory, err);
    if (status == STATUS_OK) sweep_orphans(temporaries);
    free(temporaries);
    *out = status == STATUS_OK ? objects : NULL;
    if (status != STATUS_OK) objects_close(objects);
    return status;
}

void objects_close(Objects *objects) {
    if (!objects) return;
    pthread_mutex_destroy(&objects->names);
    free(objects->root);
    free(objects->work);
    free(objects);
}

/* --- names ----------------------------------------------------------------------------------------------------------------- */

static bool is_object_name(const char *sha256) { return strlen(sha256) == SHA256_HEX_SIZE - 1 && strspn(sha256, "0123456789abcdef") == SHA256_HEX_SIZE - 1; }

char *objects_path(const Objects *objects, const char *sha256, Arena *arena) {
    return arena_printf(arena, "%s/%.2s/%.2s/%s", objects->root, sha256, strlen(sha256) > 2 ? sha256 + 2 : "", sha256);
}

enum { OBJECT_PATH_MAXIMUM = 4096 };

static Status name_object(const Objects *objects, const char *sha256, char out[OBJECT_PATH_MAXIMUM], Error *err) {
    int n = is_object_name(sha256) ? snprintf(out, OBJECT_PATH_MAXIMUM, "%s/%.2s/%.2s/%s", objects->root, sha256, sha256 + 2, sha256) : -1;
    if (n < 0 || n >= OBJECT_PATH_MAXIMUM) return error_set(err, STATUS_INTERNAL_ERROR, "Not the name of an object: '%.80s'", sha256);
    return STATUS_OK;
}

bool objects_exist(const Objects *objects, const char *sha256) {
    char path[OBJECT_PATH_MAXIMUM];
    return name_object(objects, sha256, path, NULL) == STATUS_OK && file_exists(path);
}

static Status make_folder(const char *path, atomic_bool *durable, bool sync, Error *err) {
    if (atomic_load(durable)) return STATUS_OK;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return error_set_errno(err, errno, "%s", path);
    if (!sync) return STATUS_OK;
    Status status = file_sync_parent(path, err); /* also where it exists: whoever made it may not have come that far */
    if (status == STATUS_OK) atomic_store(durable, true);
    return status;
}

static unsigned long folder_of(const char *sha256) {
    char number[5] = {sha256[0], sha256[1], sha256[2], sha256[3]};
    return strtoul(number, NULL, 16);
}

/* Makes the folder objects/ab/cd of an object; with sync, each new level durable in the one above. */
static Status make_fan_out(Objects *objects, const char *sha256, bool sync, Error *err) {
    char path[OBJECT_PATH_MAXIMUM];
    unsigned long folder = folder_of(sha256);
    snprintf(path, sizeof path, "%s/%.2s", objects->root, sha256);
    Status status = make_folder(path, &objects->durable[folder / FAN_OUT], sync, err);
    if (status != STATUS_OK) return status;
    snprintf(path, sizeof path, "%s/%.2s/%.2s", objects->root, sha256, sha256 + 2);
    return make_folder(path, &objects->durable[FAN_OUT + folder], sync, err);
}

/* Gives a finished file its lasting name. Without sync the caller has made its bytes durable and does so with the name. *out_code is the errno
 * of the rename, for EXDEV. */
static Status publish(Objects *objects, int fd, const char *from, const char *sha256, bool sync, int *out_code, Error *err) {
    char path[OBJECT_PATH_MAXIMUM];
    *out_code = 0;
    Status status = name_object(objects, sha256, path, err);
    if (status == STATUS_OK && sync && fsync(fd) != 0) status = error_set_errno(err, errno, "fsync %s", from);
    if (status == STATUS_OK) status = make_fan_out(objects, sha256, sync, err);
    if (status != STATUS_OK) return status;
    pthread_mutex_lock(&objects->names);
    if (futimens(fd, NULL) != 0 || rename(from, path) != 0) *out_code = errno;
    pthread_mutex_unlock(&objects->names);
    if (*out_code) return error_set_errno(err, *out_code, "%s", path);
    return sync ? file_sync_parent(path, err) : STATUS_OK;
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

Status object_writer_begin(ObjectWriter **out, Objects *objects, int64_t maximum, Error *err) {
    *out = NULL;
    char name[UUID_SIZE];
    size_t size = strlen(objects->root) + sizeof "/tmp/" + UUID_SIZE;
    ObjectWriter *writer = xcalloc(1, sizeof *writer + size);
    snprintf(writer->path, size, "%s/tmp/%s", objects->root, uuid_new(name));
    writer->objects = objects;
    writer->maximum = maximum;
    writer->fd = open(writer->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd < 0 || flock(writer->fd, LOCK_EX | LOCK_NB) != 0) {
        Status status = error_set_errno(err, errno, "%s", writer->path);
        object_writer_abort(writer);
        return status;
    }
    writer->hasher = hasher_new();
    *out = writer;
    return STATUS_OK;
}

Status object_writer_write(ObjectWriter *writer, const void *data, size_t size, Error *err) {
    if ((int64_t)size > writer->maximum - writer->size)
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "File exceeds %lld MB", (long long)(writer->maximum >> 20));
    Status status = file_write_all(writer->fd, data, size, err);
    if (status != STATUS_OK) return status;
    hasher_update(writer->hasher, data, size);
    writer->size += (int64_t)size;
    return STATUS_OK;
}

/* The temporary file is gone after this, whether it was published or not. */
static void writer_free(ObjectWriter *writer) {
    if (writer->fd >= 0) close(writer->fd);
    hasher_free(writer->hasher);
    free(writer);
}

Status object_writer_commit(ObjectWriter *writer, ObjectInfo *out, Error *err) {
    int code;
    ObjectInfo info = {.size = writer->size};
    hasher_finish(writer->hasher, info.sha256, info.md5);
    Status status = fchmod(writer->fd, OBJECT_MODE) == 0 ? STATUS_OK : error_set_errno(err, errno, "%s", writer->path);
    if (status == STATUS_OK) status = publish(writer->objects, writer->fd, writer->path, info.sha256, true, &code, err);
    if (status != STATUS_OK) unlink(writer->path);
    else if (out) *out = info;
    writer_free(writer);
    return status;
}

void object_writer_abort(ObjectWriter *writer) {
    if (!writer) return;
    if (writer->fd >= 0) unlink(writer->path);
    writer_free(writer);
}

/* Reads fd from its start to its end, into a hasher, a writer or both. */
static Status read_through(int fd, const char *path, Hasher *hasher, ObjectWriter *writer, Error *err) {
    char *chunk = xmalloc(COPY_CHUNK);
    Status status = STATUS_OK;
    for (off_t at = 0; status == STATUS_OK;) {
        ssize_t n = pread(fd, chunk, COPY_CHUNK, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = error_set_errno(err, errno, "%s", path);
        if (n <= 0) break;
        at += n;
        if (hasher) hasher_update(hasher, chunk, (size_t)n);
        if (writer) status = object_writer_write(writer, chunk, (size_t)n, err);
    }
    free(chunk);
    return status;
}

static Status copy_in(Objects *objects, int fd, const char *path, ObjectInfo *out, Error *err) {
    ObjectWriter *writer;
    Status status = object_writer_begin(&writer, objects, INT64_MAX, err);
    if (status != STATUS_OK) return status;
    status = read_through(fd, path, NULL, writer, err);
    if (status == STATUS_OK) return object_writer_commit(writer, out, err);
    object_writer_abort(writer);
    return status;
}

/* --- adopting -------------------------------------------------------------------------------------------------------------- */

/* Opens and hashes the file, which keeps its name but has an object's mode. */
static Status examine(Adoption *file, int *out_fd) {
    Error *err = &file->error;
    struct stat st;
    int fd = *out_fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", file->path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return error_set(err, STATUS_IO, "%s is not a regular file", file->path);
    if (fchmod(fd, OBJECT_MODE) != 0) return error_set_errno(err, errno, "%s", file->path);
    Hasher *hasher = hasher_new();
    Status status = read_through(fd, file->path, hasher, NULL, err);
    if (status == STATUS_OK) hasher_finish(hasher, file->object.sha256, file->object.md5);
    hasher_free(hasher);
    file->object.size = (int64_t)st.st_size;
    return status;
}

static Status take_over(Objects *objects, Adoption *file, int fd, bool sync) {
    int code;
    Status status = publish(objects, fd, file->path, file->object.sha256, sync, &code, &file->error);
    if (code != EXDEV) return status;
    file->error = (Error){0};
    status = copy_in(objects, fd, file->path, &file->object, &file->error);
    if (status == STATUS_OK) unlink(file->path);
    return status;
}

/* Everything written on the file system of the objects so far; where that fails, each file that was well has failed. */
static void sync_all(const Objects *objects, Adoption *files, size_t count) {
    int fd = open(objects->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = fd >= 0 && syncfs(fd) == 0 ? 0 : errno;
    if (fd >= 0) close(fd);
    for (size_t i = 0; code && i < count; i++)
        if (files[i].error.status == STATUS_OK) error_set_errno(&files[i].error, code, "syncfs %s", objects->root);
}

/* A name may replace that of an object in use, so each file's bytes are durable before any gets its name. */
static void adopt_together(Objects *objects, Adoption *files, const int *fds, size_t count) {
    sync_all(objects, files, count);
    for (size_t i = 0; i < count; i++) {
        Adoption *file = &files[i];
        /* Of bytes that could not be written earlier some other syncfs may have been told, once and for all: this tells of the file. */
        if (file->error.status == STATUS_OK && sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) != 0)
            error_set_errno(&file->error, errno, "%s", file->path);
        if (file->error.status == STATUS_OK) take_over(objects, file, fds[i], false);
    }
    sync_all(objects, files, count);
    for (size_t i = 0; i < count; i++) {
        if (files[i].error.status != STATUS_OK) continue;
        unsigned long folder = folder_of(files[i].object.sha256);
        atomic_store(&objects->durable[folder / FAN_OUT], true);
        atomic_store(&objects->durable[FAN_OUT + folder], true);
    }
}

void objects_adopt_files(Objects *objects, Adoption *files, size_t count) {
    int *fds = xcalloc(count + 1, sizeof *fds);
    for (size_t i = 0; i < count; i++) {
        files[i].error = (Error){0};
        examine(&files[i], &fds[i]);
    }
    if (count > 1) adopt_together(objects, files, fds, count);
    else if (count && files->error.status == STATUS_OK) take_over(objects, files, fds[0], true);
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
    free(fds);
}

Status objects_adopt_file(Objects *objects, const char *path, ObjectInfo *out, Error *err) {
    Adoption file = {.path = path};
    objects_adopt_files(objects, &file, 1);
    if (file.error.status != STATUS_OK && err) *err = file.error;
    if (file.error.status == STATUS_OK && out) *out = file.object;
    return file.error.status;
}

Status objects_examine_file(const char *path, ObjectInfo *out, Error *err) {
    Adoption file = {.path = path};
    int fd;
    Status status = examine(&file, &fd);
    if (status == STATUS_OK && fsync(fd) != 0) status = error_set_errno(&file.error, errno, "fsync %s", path);
    if (fd >= 0) close(fd);
    if (status == STATUS_OK) *out = file.object;
    else if (err) *err = file.error;
    return status;
}

Status objects_adopt_examined(Objects *objects, const char *path, const ObjectInfo *info, Error *err) {
    Adoption file = {.path = path, .object = *info};
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    Status status = fd >= 0 ? take_over(objects, &file, fd, true) : error_set_errno(&file.error, errno, "%s", path);
    if (fd >= 0) close(fd);
    if (status != STATUS_OK && err) *err = file.error;
    return status;
}

/* --- removing -------------------------------------------------------------------------------------------------------------- */

/* Looks at the age again under the lock: the file may have been written anew since the caller asked the store. */
static Status remove_older(Objects *objects, const char *path, double age_seconds, Error *err) {
    struct stat st;
    int code = 0;
    pthread_mutex_lock(&objects->names);
    if (stat(path, &st) != 0) code = errno;
    else if ((double)(clock_now_ms() / 1000 - (int64_t)st.st_mtime) >= age_seconds && unlink(path) != 0) code = errno;
    pthread_mutex_unlock(&objects->names);
    return code == 0 || code == ENOENT ? STATUS_OK : error_set_errno(err, code, "%s", path);
}

Status objects_remove(Objects *objects, const char *sha256, Error *err) {
    char path[OBJECT_PATH_MAXIMUM];
    Status status = name_object(objects, sha256, path, err);
    return status == STATUS_OK ? remove_older(objects, path, YOUNG_SECONDS, err) : status;
}

typedef struct Sweep {
    Objects *objects;
    double age_seconds;
    bool (*unused)(const char *sha256, void *context);
    void *context;
} Sweep;

/* depth 0: objects/, 1: ab/, 2: cd/ with the files */
static Status sweep_folder(const Sweep *sweep, const char *directory, int depth, Error *err) {
    DIR *dir = opendir(directory);
    if (!dir) return errno == ENOENT ? STATUS_OK : error_set_errno(err, errno, "%s", directory);
    Status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(dir));) {
        bool wanted = depth < 2 ? strlen(entry->d_name) == 2 && entry->d_name[0] != '.' : is_object_name(entry->d_name);
        if (!wanted) continue;
        char *path = join(directory, entry->d_name);
        struct stat st;
        bool old = depth == 2 && stat(path, &st) == 0 && (double)(clock_now_ms() / 1000 - (int64_t)st.st_mtime) >= sweep->age_seconds;
        if (depth < 2) status = sweep_folder(sweep, path, depth + 1, err);
        else if (old && sweep->unused(entry->d_name, sweep->context)) status = remove_older(sweep->objects, path, sweep->age_seconds, err);
        free(path);
    }
    closedir(dir);
    return status;
}

Status objects_sweep(Objects *objects, double age_seconds, bool (*unused)(const char *sha256, void *context), void *context, Error *err) {
    return sweep_folder(&(Sweep){objects, age_seconds, unused, context}, objects->root, 0, err);
}

Status objects_sweep_part(Objects *objects, unsigned part, double age_seconds, bool (*unused)(const char *sha256, void *context), void *context, Error *err) {
    char name[3];
    snprintf(name, sizeof name, "%02x", part % OBJECTS_PARTS);
    char *path = join(objects->root, name);
    Status status = sweep_folder(&(Sweep){objects, age_seconds, unused, context}, path, 1, err);
    free(path);
    return status;
}

/* --- work folders ---------------------------------------------------------------------------------------------------------- */

char *objects_work_path(const Objects *objects, const char *name, Arena *arena) {
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/')) return NULL;
    return arena_printf(arena, "%s/%s", objects->work, name);
}

char *objects_work_directory(Objects *objects, const char *name, Arena *arena, Error *err) {
    char *path = objects_work_path(objects, name, arena);
    if (!path) {
        error_set(err, STATUS_INTERNAL_ERROR, "Not the name of a work folder: '%.80s'", name);
        return NULL;
    }
    if (file_remove_tree(path, err) != STATUS_OK || file_make_directories(path, 0700, err) != STATUS_OK) return NULL;
    return path;
}

Status objects_sweep_work(Objects *objects, bool (*wanted)(const char *name, void *context), void *context, Error *err) {
    DIR *dir = opendir(objects->work);
    if (!dir) return error_set_errno(err, errno, "%s", objects->work);
    Status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(dir));) {
        if (text_equal(entry->d_name, ".") || text_equal(entry->d_name, "..") || wanted(entry->d_name, context)) continue;
        char *path = join(objects->work, entry->d_name);
        status = file_remove_tree(path, err);
        free(path);
    }
    closedir(dir);
    return status;
}
