#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

Status file_read(const char *path, Buffer *out, Error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) return error_set(err, STATUS_NOT_FOUND, "No such file: %s", path);
        return error_set_errno(err, errno, "%s", path);
    }
    Status status = STATUS_OK;
    for (;;) {
        size_t room = out->maximum - out->size;
        char *at = buffer_reserve(out, room < 65536 ? room : 65536);
        ssize_t n = at ? read(fd, at, room < 65536 ? room : 65536) : 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = error_set_errno(err, errno, "%s", path);
        if (n <= 0) break;
        out->size += (size_t)n;
        out->data[out->size] = '\0';
    }
    char extra;
    if (status == STATUS_OK && out->size == out->maximum && read(fd, &extra, 1) == 1)
        status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s is larger than %zu bytes", path, out->maximum);
    close(fd);
    return status;
}

Status file_write_all(int fd, const void *data, size_t size, Error *err) {
    const char *at = data;
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(err, errno, "write");
        at += n;
        size -= (size_t)n;
    }
    return STATUS_OK;
}

Status file_sync(const char *path, Error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    Status status = fsync(fd) == 0 ? STATUS_OK : error_set_errno(err, errno, "fsync %s", path);
    close(fd);
    return status;
}

Status file_sync_parent(const char *path, Error *err) {
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (length >= sizeof directory) return error_set(err, STATUS_IO, "Path too long: %s", path);
    if (slash && length == 0) length = 1;
    if (slash) memcpy(directory, path, length);
    else directory[length++] = '.';
    directory[length] = '\0';
    return file_sync(directory, err);
}

Status file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, Error *err) {
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (n < 0 || n >= (int)sizeof temporary) return error_set(err, STATUS_IO, "Path too long: %s", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    Status status = file_write_all(fd, data, size, err);
    if (status != STATUS_OK) error_prefix(err, "%s", path);
    if (status == STATUS_OK && fchmod(fd, (mode_t)mode) != 0) status = error_set_errno(err, errno, "%s", path);
    if (status == STATUS_OK && fsync(fd) != 0) status = error_set_errno(err, errno, "fsync %s", path);
    if (close(fd) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "%s", path);
    if (status == STATUS_OK && rename(temporary, path) != 0) status = error_set_errno(err, errno, "%s", path);
    if (status == STATUS_OK) return file_sync_parent(path, err);
    unlink(temporary);
    return status;
}

Status file_make_directories(const char *path, unsigned mode, Error *err) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part) return error_set(err, STATUS_IO, "Not a usable path: '%s'", path);
    memcpy(part, path, length + 1);
    for (char *at = part + 1;; at++) {
        if (*at != '/' && *at != '\0') continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(part, (mode_t)mode) != 0 && errno != EEXIST) return error_set_errno(err, errno, "%s", part);
        if (kept == '\0') break;
        *at = kept;
    }
    return file_is_directory(path) ? STATUS_OK : error_set(err, STATUS_IO, "%s is not a directory", path);
}

bool file_exists(const char *path) { return access(path, F_OK) == 0; }

bool file_is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t file_size(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

Status file_remove_tree(const char *path, Error *err) {
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return STATUS_OK;
    return error_set_errno(err, errno, "%s", path);
}

const char *file_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *file_extension(const char *path) {
    const char *name = file_base_name(path);
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? dot : "";
}
