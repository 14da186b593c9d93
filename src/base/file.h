/* Files: whole reads with a bound, and writes that are either there in full after a power cut or not there at all. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* Appends the whole file to out; STATUS_NOT_FOUND when there is none, STATUS_PAYLOAD_TOO_LARGE past out->maximum. */
Status file_read(const char *path, Buffer *out, Error *err);
/* Writes path by way of a temporary neighbour: write, fsync, rename, fsync of the directory. */
Status file_write_atomic(const char *path, const void *data, size_t size, unsigned mode, Error *err);
/* Writes all of data or fails; goes on after EINTR and short writes. */
Status file_write_all(int fd, const void *data, size_t size, Error *err);
/* fsync of a file that somebody else wrote, or of a directory. */
Status file_sync(const char *path, Error *err);
/* Makes rename and creation of path durable: fsync of its directory. */
Status file_sync_parent(const char *path, Error *err);
/* mkdir -p; directories get mode. */
Status file_make_directories(const char *path, unsigned mode, Error *err);
bool file_exists(const char *path);
bool file_is_directory(const char *path);
/* Bytes of a regular file, -1 when it cannot be told. */
int64_t file_size(const char *path);
/* Removes a file or a tree, without following links; a missing path is no error. */
Status file_remove_tree(const char *path, Error *err);
/* Last component of a path, borrowed. */
const char *file_base_name(const char *path);
/* Extension of a name with its dot, borrowed ("" without one): ".jpg". */
const char *file_extension(const char *path);
