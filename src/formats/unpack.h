/* Unpacking a zip that someone sent: within limits, images into one folder, labels into one file, regular files only.
 *
 * Absolute names, ".." parts, links and devices are refused; so is an archive that is broken, encrypted, has too many entries, or grows out of
 * proportion. Names that cannot be used otherwise, as those that are not UTF-8, are passed over. Existing files are never written over. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "formats/tree.h"

typedef struct UnpackLimits {
    uint64_t max_entries;
    uint64_t max_bytes; /* unpacked */
    uint64_t max_ratio; /* unpacked to packed, looked at past 64 MiB unpacked */
    bool (*stop)(void *context); /* true: nobody wants the rest; NULL: never */
    void *context;
} UnpackLimits;

/* True when the file begins as a zip does. */
bool unpack_is_zip(const char *path);
/* Into a tree that was begun: the caller finishes it. Without images these are only read, which compares sizes and checksums, and have names alone.
 * *out_entries counts what the zip holds. STATUS_BAD_REQUEST for a hostile or broken archive, STATUS_PAYLOAD_TOO_LARGE past a limit, STATUS_CANCELLED
 * when it was stopped. What was unpacked before stays. */
Status unpack_zip(const char *path, Tree *tree, bool with_images, UnpackLimits limits, size_t *out_entries, Error *err);
