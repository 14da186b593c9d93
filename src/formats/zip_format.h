/* The headers of a zip, as bytes behind what a buffer holds: plain ones, and those of ZIP64 where something takes more than 32 bits. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

typedef struct ZipEntry {
    const char *name;
    uint64_t at;           /* of its header */
    uint64_t size, packed; /* bytes of the file, and of it in the zip */
    uint32_t crc;
    bool deflated; /* else stored */
    bool is_open;  /* its size is known at its end only: its header has room for any */
} ZipEntry;

/* What stands before the data. The header of an entry is as long at its end as at its beginning, when `is_open` or its size was known. */
void zip_local_header(Buffer *out, const ZipEntry *entry);
/* What stands for it in the directory. */
void zip_directory_entry(Buffer *out, const ZipEntry *entry);
/* What stands behind the directory. */
void zip_end(Buffer *out, uint64_t entries, uint64_t directory_at, uint64_t directory_size);
