/* See the header. */
#include "formats/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "formats/composer.h"
#include "base/banned.h"

#define RATIO_FREE_BYTES ((uint64_t)64 << 20)

typedef struct Unpacker {
    struct archive *archive;
    const char *path;
    Tree *tree;
    bool with_images;
    UnpackLimits limits;
    uint64_t packed, unpacked, entries;
    char *chunk;
    Buffer labels;   /* that are not in their file yet */
    size_t label_at; /* where the next one begins there */
    int fd; /* of path */
    Composer *composer;
    char header[1 << 13]; /* what lies before an entry's data; larger ones do not occur */
} Unpacker;
enum { CHUNK_SIZE = 1 << 18 };

bool unpack_is_zip(const char *path) {
    unsigned char head[4] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool whole = read(fd, head, 4) == 4;
    close(fd);
    return whole && head[0] == 'P' && head[1] == 'K' && ((head[2] == 3 && head[3] == 4) || (head[2] == 5 && head[3] == 6));
}

static Status broken(const Unpacker *u, Error *err) {
    const char *why = archive_error_string(u->archive);
    return error_set(err, STATUS_BAD_REQUEST, "%s: not a sound zip: %s", file_base_name(u->path), why ? why : "unreadable");
}

static Status count_bytes(Unpacker *u, uint64_t size, Error *err) {
    u->unpacked += size;
    if (u->limits.stop && u->limits.stop(u->limits.context)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    const char *name = file_base_name(u->path);
    if (u->unpacked > u->limits.max_bytes)
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: more than %llu bytes when unpacked", name, (unsigned long long)u->limits.max_bytes);
    if (u->unpacked > RATIO_FREE_BYTES && u->unpacked / u->limits.max_ratio > u->packed)
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: unpacks to more than %llu times its size", name, (unsigned long long)u->limits.max_ratio);
    return STATUS_OK;
}

/* fd -1: the data is only read, which compares its checksum. */
static Status copy_data(Unpacker *u, int fd, Error *err) {
    for (;;) {
        la_ssize_t n = archive_read_data(u->archive, u->chunk, CHUNK_SIZE);
        if (n < 0) return broken(u, err);
        if (n == 0) return STATUS_OK;
        Status status = count_bytes(u, (uint64_t)n, err);
        if (status == STATUS_OK && fd >= 0) status = file_write_all(fd, u->chunk, (size_t)n, err);
        if (status != STATUS_OK) return status;
    }
}

static Status flush_labels(Unpacker *u, Error *err) {
    Status status = file_write_all(u->tree->labels, u->labels.data, u->labels.size, err);
    buffer_reset(&u->labels);
    return status;
}

/* Behind the labels before it; several go to their file at once. */
static Status add_label(Unpacker *u, const char *name, Error *err) {
    size_t size = 0;
    for (;;) {
        Status status = u->labels.size >= CHUNK_SIZE ? flush_labels(u, err) : STATUS_OK;
        la_ssize_t n = archive_read_data(u->archive, buffer_reserve(&u->labels, CHUNK_SIZE), CHUNK_SIZE);
        if (status == STATUS_OK && n < 0) return broken(u, err);
        if (status == STATUS_OK) status = count_bytes(u, (uint64_t)n, err);
        if (status != STATUS_OK) return status;
        if (n == 0) break;
        u->labels.size += (size_t)n;
        size += (size_t)n;
    }
    tree_add(u->tree, name, (int64_t)u->label_at, size);
    u->label_at += size;
    return STATUS_OK;
}

static Status refuse(const Unpacker *u, const char *name, const char *why, Error *err) {
    return error_set(err, STATUS_BAD_REQUEST, "%s: '%s' %s", file_base_name(u->path), text_is_utf8(name, strlen(name)) ? name : "?", why);
}

/* The parts of a safe path hold neither ".." nor links: nothing in the folder but what this unpacker made. */
static Status write_image(Unpacker *u, const char *name, Error *err) {
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    char *path = arena_printf(&arena, "%s/%s", u->tree->root, name);
    char *parent = arena_strndup(&arena, path, (size_t)(strrchr(path, '/') - path));
    Status status = file_make_directories(parent, 0700, err);
    int fd = -1;
    if (status != STATUS_OK && (errno == ENOTDIR || errno == EEXIST)) status = refuse(u, name, "lies in a folder that is a file, too", err);
    if (status == STATUS_OK && (fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0) {
        if (errno == EEXIST) status = refuse(u, name, "occurs twice", err);
        else status = error_set_errno(err, errno, "%s", path);
    }
    if (status == STATUS_OK) status = copy_data(u, fd, err);
    if (status == STATUS_OK) tree_add(u->tree, name, TREE_ON_DISK, 0);
    if (fd >= 0) close(fd);
    arena_clear(&arena);
    return status;
}

static Status check_image(Unpacker *u, const char *name, Error *err) {
    tree_add(u->tree, name, TREE_NO_BYTES, 0);
    return copy_data(u, -1, err);
}

static unsigned number_at(const char *bytes) { return (unsigned char)bytes[0] | (unsigned)(unsigned char)bytes[1] << 8; }

/* A name as the zip spells it, byte for byte. libarchive composes a name that is marked as UTF-8 (NFC), and a label that spells it as the file
 * was called would find no file. The local header has the bytes; it ends where the data begins, which is as far as libarchive has read. */
static const char *spelled_name(Unpacker *u, const char *name) {
    enum { HEADER_SIZE = 30, NAME_SIZE_AT = 26, EXTRA_SIZE_AT = 28 };
    if (text_is_ascii(name)) return name;
    int64_t end = archive_filter_bytes(u->archive, 0);
    size_t size = end < 0 ? 0 : (uint64_t)end < sizeof u->header ? (size_t)end : sizeof u->header;
    if (pread(u->fd, u->header, size, (off_t)(end - (int64_t)size)) != (ssize_t)size) return name;
    for (size_t length = HEADER_SIZE; length <= size; length++) {
        char *header = u->header + size - length;
        size_t name_size = number_at(header + NAME_SIZE_AT);
        if (memcmp(header, "PK\3\4", 4) != 0 || HEADER_SIZE + name_size + number_at(header + EXTRA_SIZE_AT) != length) continue;
        char *spelled = memmove(u->header, header + HEADER_SIZE, name_size);
        spelled[name_size] = '\0';
        return strcmp(composer_form(u->composer, spelled), name) == 0 ? spelled : name;
    }
    return name;
}

/* Safe, and no longer than a file system takes. */
static bool is_usable(const char *name) {
    bool fits = strlen(name) < PATH_MAX / 2;
    for (const char *part = name, *end; fits && *part; part = end + (*end == '/')) {
        end = strchrnul(part, '/');
        fits = end - part <= NAME_MAX;
    }
    return fits && name_is_safe_path(name);
}

static Status unpack_entry(Unpacker *u, struct archive_entry *entry, Error *err) {
    if (++u->entries > u->limits.max_entries)
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: more than %llu entries", file_base_name(u->path), (unsigned long long)u->limits.max_entries);
    const char *name = archive_entry_pathname_utf8(entry);
    if (!name) name = archive_entry_pathname(entry);
    name = name ? spelled_name(u, name) : "\xff"; /* a name that is no text */
    if (name[0] == '.' && name[1] == '/') name += 2;
    if (archive_entry_filetype(entry) == AE_IFDIR) return STATUS_OK; /* folders are made by their files */
    bool plain = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry) && !archive_entry_symlink(entry);
    if (!plain) return refuse(u, name, "is not a plain file", err);
    if (name_leads_out(name)) return refuse(u, name, "is an unsafe name", err);
    if (archive_entry_is_encrypted(entry)) return error_set(err, STATUS_BAD_REQUEST, "%s: encrypted", file_base_name(u->path));
    bool usable = is_usable(name);
    if (!usable) tree_pass_over(u->tree, name, "a name that cannot be used; passed over");
    if (!usable) return copy_data(u, -1, err);
    if (!name_is_image(name)) return add_label(u, name, err);
    return u->with_images ? write_image(u, name, err) : check_image(u, name, err);
}

/* Without its directory at the end a zip was cut off, though libarchive would go on with what is there. */
static bool has_end_record(const Unpacker *u) {
    enum { RECORD_SIZE = 22, COMMENT_MAX = 65535 };
    size_t size = u->packed < RECORD_SIZE + COMMENT_MAX ? (size_t)u->packed : RECORD_SIZE + COMMENT_MAX;
    char *tail = xmalloc(size);
    bool found = size >= RECORD_SIZE && pread(u->fd, tail, size, (off_t)(u->packed - size)) == (ssize_t)size &&
                 memmem(tail, size - RECORD_SIZE + 4, "PK\5\6", 4);
    free(tail);
    return found;
}

static Status unpack_all(Unpacker *u, Error *err) {
    if (!has_end_record(u)) return error_set(err, STATUS_BAD_REQUEST, "%s: not a whole zip: its end is missing", file_base_name(u->path));
    archive_read_support_format_zip(u->archive);
    if (archive_read_open_filename(u->archive, u->path, CHUNK_SIZE) != ARCHIVE_OK) return broken(u, err);
    for (struct archive_entry *entry;;) {
        int result = archive_read_next_header(u->archive, &entry);
        if (result == ARCHIVE_EOF) return STATUS_OK;
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return broken(u, err);
        Status status = unpack_entry(u, entry, err);
        if (status != STATUS_OK) return status;
    }
}

static Status unpack(Unpacker *u, Error *err) {
    int64_t packed = file_size(u->path);
    if (packed < 0 || (u->fd = open(u->path, O_RDONLY | O_CLOEXEC)) < 0) return error_set(err, STATUS_NOT_FOUND, "No such file: %s", u->path);
    /* libarchive turns names into UTF-8 by the locale; this one is the calling thread's own for the time being. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = (locale_t)0;
    if (utf8) before = uselocale(utf8);
    u->packed = (uint64_t)packed;
    u->archive = archive_read_new();
    u->chunk = xmalloc(CHUNK_SIZE);
    buffer_init(&u->labels, 4 * CHUNK_SIZE);
    u->composer = composer_new();
    if (!u->limits.max_ratio) u->limits.max_ratio = UINT64_MAX;
    Status status = u->archive ? unpack_all(u, err) : error_set(err, STATUS_OUT_OF_MEMORY, "no memory for a zip");
    if (status == STATUS_OK) status = flush_labels(u, err);
    archive_read_free(u->archive);
    buffer_clear(&u->labels);
    composer_free(u->composer);
    free(u->chunk);
    close(u->fd);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return status;
}

Status unpack_zip(const char *path, Tree *tree, bool with_images, UnpackLimits limits, size_t *out_entries, Error *err) {
    Unpacker u = {.path = path, .tree = tree, .with_images = with_images, .limits = limits};
    Status status = unpack(&u, err);
    *out_entries = (size_t)u.entries;
    return status;
}
