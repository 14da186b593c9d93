/* Unpacking a zip that someone sent: within limits, into one folder, regular files only.
 *
 * Absolute names, ".." parts, links, devices and names that are not UTF-8 are refused; so is an archive that is broken, encrypted, has too
 * many entries, or grows out of proportion. Existing files are never written over. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "formats/names.h"

typedef struct UnpackLimits {
    uint64_t max_entries;
    uint64_t max_bytes; /* unpacked */
    uint64_t max_ratio; /* unpacked to packed, looked at past 64 MiB unpacked */
} UnpackLimits;

/* True when the file begins as a zip does. */
bool unpack_is_zip(const char *path);
/* STATUS_BAD_REQUEST for a hostile or broken archive, STATUS_PAYLOAD_TOO_LARGE past a limit. What was unpacked before stays in folder. */
Status unpack_zip(const char *path, const char *folder, UnpackLimits limits, Error *err);
/* The same, but images are only read, which compares sizes and checksums; their names are added to the list. */
Status unpack_labels(const char *path, const char *folder, UnpackLimits limits, NameList *images, Error *err);
/* Reads every entry of a zip, keeping nothing: sizes and checksums are compared. *out_entries counts them. STATUS_BAD_REQUEST for a broken one. */
Status unpack_verify(const char *path, size_t *out_entries, Error *err);
