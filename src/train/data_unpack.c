/* Unpacking of an export's archive by libarchive, which reads what a stranger may have written: names are checked here, and only
 * plain files and folders come out. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "train/data.h"

#include "base/banned.h"

enum { READ_BLOCK = 1 << 16, NAME_MAXIMUM = 4096, FILES_MAXIMUM = 20000000 };

/* Relative, no empty, "." or ".." part, no backslash, no control character. A final "/" is a folder's. */
static bool name_is_safe(const char *name)
{
    if (!name || !*name || *name == '/' || strlen(name) > NAME_MAXIMUM || !text_is_utf8(name, strlen(name)))
        return false;
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f || part[i] == '\\')
                return false;
        part += length + (part[length] == '/');
    }
    return true;
}

static Status archive_failure(struct archive *archive, const char *what, Error *err)
{
    const char *text = archive_error_string(archive);
    return error_set(err, STATUS_UNDECODABLE_MEDIA, "%s: %s", what, text ? text : "damaged archive");
}

/* Copies the present entry's content, taking it off *left. */
static Status unpack_file(struct archive *archive, const char *path, int64_t *left, Error *err)
{
    char *slash = strrchr(path, '/');
    Arena arena;
    arena_init(&arena, 1 << 16);
    Status status = file_make_directories(arena_strndup(&arena, path, (size_t)(slash - path)), 0755, err);
    arena_clear(&arena);
    if (status)
        return status;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(err, errno, "%s", path);
    char block[READ_BLOCK];
    for (la_ssize_t got; !status && (got = archive_read_data(archive, block, sizeof block)) != 0;) {
        if (got < 0)
            status = archive_failure(archive, path, err);
        else if ((*left -= got) < 0)
            status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: the archive holds more than may be unpacked", path);
        else
            status = file_write_all(fd, block, (size_t)got, err);
    }
    close(fd);
    return status;
}

static Status unpack_entry(struct archive *archive, struct archive_entry *entry, const char *folder, int64_t *left, Error *err)
{
    const char *name = archive_entry_pathname(entry);
    if (!name_is_safe(name))
        return error_set(err, STATUS_VALIDATION_ERROR, "The archive holds a file with the name '%.100s'", name ? name : "");
    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry))
        return error_set(err, STATUS_VALIDATION_ERROR, "The archive holds a link: '%.100s'", name);
    Arena arena;
    arena_init(&arena, 1 << 16);
    char *path = arena_printf(&arena, "%s/%s", folder, name);
    Status status = STATUS_OK;
    if (archive_entry_filetype(entry) == AE_IFDIR)
        status = file_make_directories(path, 0755, err);
    else if (archive_entry_filetype(entry) == AE_IFREG)
        status = unpack_file(archive, path, left, err);
    else
        status = error_set(err, STATUS_VALIDATION_ERROR, "The archive holds something that is no file: '%.100s'", name);
    arena_clear(&arena);
    return status;
}

static Status unpack_all(const char *archive_path, const char *folder, int64_t limit, Error *err)
{
    Status status = STATUS_OK;
    struct archive *archive = archive_read_new();
    archive_read_support_format_zip(archive);
    if (archive_read_open_filename(archive, archive_path, READ_BLOCK)) {
        status = archive_failure(archive, archive_path, err);
        goto out;
    }
    int64_t left = limit, files = 0;
    while (!status) {
        struct archive_entry *entry;
        int result = archive_read_next_header(archive, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result < ARCHIVE_WARN)
            status = archive_failure(archive, archive_path, err);
        else if (++files > FILES_MAXIMUM)
            status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s holds too many files", archive_path);
        else
            status = unpack_entry(archive, entry, folder, &left, err);
    }
out:
    archive_read_free(archive);
    return status;
}

Status train_unpack(const char *archive_path, const char *folder, int64_t limit, Error *err)
{
    Status status = file_make_directories(folder, 0755, err);
    if (status)
        return status;
    /* libarchive gives names in the thread's encoding, and none at all for "ü" in the C locale that a program starts with. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 == (locale_t)0)
        return error_set_errno(err, errno, "There is no locale C.UTF-8");
    locale_t before = uselocale(utf8);
    status = unpack_all(archive_path, folder, limit, err);
    uselocale(before);
    freelocale(utf8);
    return status;
}
