/* See the header. */
#include "formats/zip_format.h"

#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "base/banned.h"

enum { VERSION = 20, VERSION_64 = 45, BY_UNIX = 3 << 8, EXTRA_64 = 1, EXTRA_ALIGNMENT = 0xd935, LOCAL_EXTRA_SIZE = 20, DIRECTORY_EXTRA_SIZE = 28 };

static void number(Buffer *out, uint64_t value, size_t bytes) {
    for (; bytes; bytes--, value >>= 8) buffer_append_byte(out, (char)(value & 0xff));
}

static bool is_beyond_32(uint64_t value) { return value >= UINT32_MAX; }

/* What both headers have: from the version that reads it to the size of the extra field. */
static void facts(Buffer *out, const ZipEntry *e, bool is_64, size_t extra_size) {
    number(out, is_64 ? VERSION_64 : VERSION, 2);
    number(out, text_is_ascii(e->name) ? 0 : 1 << 11, 2); /* UTF-8 */
    number(out, e->deflated ? 8 : 0, 2);
    number(out, (uint64_t)(1 << 5 | 1) << 16, 4); /* midnight, 1980-01-01 */
    number(out, e->crc, 4);
    number(out, is_64 ? UINT32_MAX : e->packed, 4);
    number(out, is_64 ? UINT32_MAX : e->size, 4);
    number(out, strlen(e->name), 2);
    number(out, extra_size, 2);
}

/* Room that is not needed, which is nearly always, is a field that readers pass over, as of archives whose data is aligned. */
void zip_local_header(Buffer *out, const ZipEntry *e) {
    bool is_64 = is_beyond_32(e->size) || is_beyond_32(e->packed), has_extra = is_64 || e->is_open;
    buffer_append(out, "PK\3\4", 4);
    facts(out, e, is_64, has_extra ? LOCAL_EXTRA_SIZE : 0);
    buffer_append_text(out, e->name);
    if (!has_extra) return;
    number(out, is_64 ? EXTRA_64 : EXTRA_ALIGNMENT, 2);
    number(out, LOCAL_EXTRA_SIZE - 4, 2);
    number(out, is_64 ? e->size : 0, 8);
    number(out, is_64 ? e->packed : 0, 8);
}

void zip_directory_entry(Buffer *out, const ZipEntry *e) {
    bool is_64 = is_beyond_32(e->size) || is_beyond_32(e->packed) || is_beyond_32(e->at);
    buffer_append(out, "PK\1\2", 4);
    number(out, BY_UNIX | VERSION_64, 2);
    facts(out, e, is_64, is_64 ? DIRECTORY_EXTRA_SIZE : 0);
    number(out, 0, 2 + 2 + 2); /* comment, disk, inner attributes */
    number(out, (uint64_t)(S_IFREG | 0644) << 16, 4);
    number(out, is_64 ? UINT32_MAX : e->at, 4);
    buffer_append_text(out, e->name);
    if (!is_64) return;
    number(out, EXTRA_64, 2);
    number(out, DIRECTORY_EXTRA_SIZE - 4, 2);
    number(out, e->size, 8);
    number(out, e->packed, 8);
    number(out, e->at, 8);
}

static void end_64(Buffer *out, uint64_t entries, uint64_t at, uint64_t size) {
    buffer_append(out, "PK\6\6", 4);
    number(out, 44, 8); /* bytes of this record from here on */
    number(out, BY_UNIX | VERSION_64, 2);
    number(out, VERSION_64, 2);
    number(out, 0, 4 + 4); /* disks */
    number(out, entries, 8);
    number(out, entries, 8);
    number(out, size, 8);
    number(out, at, 8);
    buffer_append(out, "PK\6\7", 4); /* where that record stands */
    number(out, 0, 4);
    number(out, at + size, 8);
    number(out, 1, 4);
}

void zip_end(Buffer *out, uint64_t entries, uint64_t at, uint64_t size) {
    bool is_64 = entries >= UINT16_MAX || is_beyond_32(at) || is_beyond_32(size);
    if (is_64) end_64(out, entries, at, size);
    buffer_append(out, "PK\5\6", 4);
    number(out, 0, 2 + 2); /* disks */
    number(out, is_64 ? UINT16_MAX : entries, 2);
    number(out, is_64 ? UINT16_MAX : entries, 2);
    number(out, is_64 ? UINT32_MAX : size, 4);
    number(out, is_64 ? UINT32_MAX : at, 4);
    number(out, 0, 2);
}
