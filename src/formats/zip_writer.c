/* The streaming zip: callers queue messages, a thread turns them into entries. */
#include "formats/zip_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "formats/names.h"
#include "base/banned.h"

/* Below SMALL_TEXT a text is stored as it is: libarchive sets up a new deflate state for each entry, about 0.1 ms, which is more than all the
 * other work on a small label file. */
enum { QUEUE_SIZE = 32, CHUNK_SIZE = 1 << 18, SMALL_TEXT = 1 << 12 };

typedef enum MessageKind { MESSAGE_BYTES, MESSAGE_FILE, MESSAGE_BEGIN, MESSAGE_DATA, MESSAGE_END, MESSAGE_FINISH } MessageKind;

typedef struct Message {
    MessageKind kind;
    char *name; /* owned */
    char *data; /* owned */
    size_t size;
    int fd; /* owned; of MESSAGE_FILE */
} Message;

struct ZipWriter {
    char *path;
    int fd;
    bool finished; /* the file is to stay */

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    Message queue[QUEUE_SIZE]; /* ring */
    size_t queue_start, queue_count;
    Error failure; /* the first one; guarded by lock */

    /* of the thread alone while it runs */
    struct archive *archive;
    struct archive_entry *entry;
    Hasher *hasher;
    char *entry_name;
    uint64_t entry_bytes;
    FILE *list; /* lines of the manifest */
    size_t files;
};

/* ---- the thread's side ---- */

static Status archive_failure(ZipWriter *zip, Error *err) {
    int code = archive_errno(zip->archive);
    const char *why = archive_error_string(zip->archive);
    if (code == ENOSPC || code == EDQUOT) return error_set_errno(err, code, "%s", zip->path);
    return error_set(err, STATUS_IO, "%s: %s", zip->path, why ? why : "cannot write");
}

/* size < 0: not known */
static Status entry_begin(ZipWriter *zip, const char *name, int64_t size, bool deflate, Error *err) {
    archive_entry_clear(zip->entry);
    archive_entry_set_pathname(zip->entry, name);
    archive_entry_set_filetype(zip->entry, AE_IFREG);
    archive_entry_set_perm(zip->entry, 0644);
    if (size >= 0) archive_entry_set_size(zip->entry, size);
    if (deflate) archive_write_zip_set_compression_deflate(zip->archive);
    else archive_write_zip_set_compression_store(zip->archive);
    if (archive_write_header(zip->archive, zip->entry) != ARCHIVE_OK) return archive_failure(zip, err);
    free(zip->entry_name);
    zip->entry_name = xstrdup(name);
    zip->entry_bytes = 0;
    zip->hasher = hasher_new_sha256();
    return STATUS_OK;
}

static Status entry_data(ZipWriter *zip, const char *data, size_t size, Error *err) {
    hasher_update(zip->hasher, data, size);
    zip->entry_bytes += size;
    while (size) {
        ssize_t n = archive_write_data(zip->archive, data, size);
        if (n <= 0) return archive_failure(zip, err);
        data += n;
        size -= (size_t)n;
    }
    return STATUS_OK;
}

static Status entry_end(ZipWriter *zip, Error *err) {
    if (archive_write_finish_entry(zip->archive) != ARCHIVE_OK) return archive_failure(zip, err);
    char sha256[SHA256_HEX_SIZE];
    hasher_finish(zip->hasher, sha256, NULL);
    hasher_free(zip->hasher);
    zip->hasher = NULL;
    Buffer line;
    JsonWriter w;
    buffer_init(&line, 1 << 20);
    json_writer_init(&w, &line);
    json_begin_object(&w);
    json_field_string(&w, "path", zip->entry_name);
    json_field_int(&w, "bytes", (int64_t)zip->entry_bytes);
    json_field_string(&w, "sha256", sha256);
    json_end_object(&w);
    bool ok = fprintf(zip->list, "%s\n%s", zip->files ? "," : "", buffer_text(&line)) > 0;
    buffer_clear(&line);
    zip->files++;
    return ok ? STATUS_OK : error_set_errno(err, errno, "list of the files of %s", zip->path);
}

static Status whole_entry(ZipWriter *zip, const char *name, const char *data, size_t size, Error *err) {
    Status status = entry_begin(zip, name, (int64_t)size, size >= SMALL_TEXT, err);
    if (status == STATUS_OK) status = entry_data(zip, data, size, err);
    if (status == STATUS_OK) status = entry_end(zip, err);
    return status;
}

static Status copied_entry(ZipWriter *zip, const Message *m, Error *err) {
    Status status = entry_begin(zip, m->name, (int64_t)m->size, false, err);
    char *chunk = xmalloc(CHUNK_SIZE);
    size_t rest = m->size;
    while (status == STATUS_OK && rest) {
        ssize_t n = read(m->fd, chunk, rest < CHUNK_SIZE ? rest : CHUNK_SIZE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = error_set_errno(err, errno, "%s", m->name);
        else if (n == 0) status = error_set(err, STATUS_IO, "%s became shorter while it was copied", m->name);
        else status = entry_data(zip, chunk, (size_t)n, err);
        rest -= n > 0 ? (size_t)n : 0;
    }
    free(chunk);
    return status == STATUS_OK ? entry_end(zip, err) : status;
}

/* The manifest does not list itself, so its lines stay as they are while it is written. */
static Status manifest(ZipWriter *zip, const char *head, Error *err) {
    if (fflush(zip->list) != 0 || fseek(zip->list, 0, SEEK_SET) != 0) return error_set_errno(err, errno, "list of files");
    Status status = entry_begin(zip, "MANIFEST.json", -1, true, err);
    static const char OPEN[] = ",\n\"files\": [", CLOSE[] = "\n]}\n";
    if (status == STATUS_OK) status = entry_data(zip, head, strlen(head), err);
    if (status == STATUS_OK) status = entry_data(zip, OPEN, sizeof OPEN - 1, err);
    char *chunk = xmalloc(CHUNK_SIZE);
    size_t n;
    while (status == STATUS_OK && (n = fread(chunk, 1, CHUNK_SIZE, zip->list)) > 0) status = entry_data(zip, chunk, n, err);
    free(chunk);
    if (status == STATUS_OK && ferror(zip->list)) status = error_set_errno(err, errno, "list of the files of %s", zip->path);
    if (status == STATUS_OK) status = entry_data(zip, CLOSE, sizeof CLOSE - 1, err);
    if (status == STATUS_OK) status = entry_end(zip, err);
    if (status == STATUS_OK && archive_write_close(zip->archive) != ARCHIVE_OK) status = archive_failure(zip, err);
    return status;
}

static Status handle(ZipWriter *zip, const Message *m, Error *err) {
    switch (m->kind) {
    case MESSAGE_BYTES: return whole_entry(zip, m->name, m->data, m->size, err);
    case MESSAGE_FILE: return copied_entry(zip, m, err);
    case MESSAGE_BEGIN: return entry_begin(zip, m->name, -1, true, err);
    case MESSAGE_DATA: return entry_data(zip, m->data, m->size, err);
    case MESSAGE_END: return entry_end(zip, err);
    case MESSAGE_FINISH: return m->data ? manifest(zip, m->data, err) : error_set(err, STATUS_CANCELLED, "%s was given up", zip->path);
    }
    return STATUS_INTERNAL_ERROR;
}

static void message_clear(Message *m) {
    free(m->name);
    free(m->data);
    if (m->fd >= 0) close(m->fd);
}

static Message take(ZipWriter *zip) {
    pthread_mutex_lock(&zip->lock);
    while (!zip->queue_count) pthread_cond_wait(&zip->not_empty, &zip->lock);
    Message m = zip->queue[zip->queue_start];
    zip->queue_start = (zip->queue_start + 1) % QUEUE_SIZE;
    zip->queue_count--;
    pthread_cond_signal(&zip->not_full);
    pthread_mutex_unlock(&zip->lock);
    return m;
}

static void *run(void *argument) {
    ZipWriter *zip = argument;
    /* libarchive marks names as UTF-8 only in such a locale; this one is the thread's own. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8) uselocale(utf8);
    Error err = {0};
    for (bool last = false; !last;) {
        Message m = take(zip);
        last = m.kind == MESSAGE_FINISH;
        if (err.status == STATUS_OK && handle(zip, &m, &err) != STATUS_OK) {
            pthread_mutex_lock(&zip->lock);
            zip->failure = err;
            pthread_mutex_unlock(&zip->lock);
        }
        message_clear(&m);
    }
    uselocale(LC_GLOBAL_LOCALE);
    if (utf8) freelocale(utf8);
    return NULL;
}

/* ---- the callers' side ---- */

/* Queues a message and takes over what it owns. */
static Status put(ZipWriter *zip, Message m, Error *err) {
    pthread_mutex_lock(&zip->lock);
    while (zip->queue_count == QUEUE_SIZE) pthread_cond_wait(&zip->not_full, &zip->lock);
    zip->queue[(zip->queue_start + zip->queue_count++) % QUEUE_SIZE] = m;
    Error failure = zip->failure;
    pthread_cond_signal(&zip->not_empty);
    pthread_mutex_unlock(&zip->lock);
    if (failure.status != STATUS_OK && err) *err = failure;
    return failure.status;
}

static char *copy(const void *data, size_t size) {
    char *copied = xmalloc(size + 1);
    if (size) memcpy(copied, data, size);
    copied[size] = '\0';
    return copied;
}

static Status check_name(const char *name, Error *err) {
    if (name_is_safe_path(name)) return STATUS_OK;
    return error_set(err, STATUS_BAD_REQUEST, "'%s' cannot be the name of a file in a zip", name);
}

static Status prepare_archive(ZipWriter *zip, Error *err) {
    zip->archive = archive_write_new();
    zip->entry = archive_entry_new();
    zip->list = tmpfile();
    if (!zip->list) return error_set_errno(err, errno, "temporary file");
    if (!zip->archive || !zip->entry) return error_set(err, STATUS_OUT_OF_MEMORY, "no memory for a zip");
    archive_write_set_format_zip(zip->archive);
    archive_write_set_format_option(zip->archive, "zip", "compression-level", "1");
    archive_write_set_bytes_per_block(zip->archive, CHUNK_SIZE);
    archive_write_set_bytes_in_last_block(zip->archive, 1);
    if (archive_write_open_fd(zip->archive, zip->fd) != ARCHIVE_OK) return archive_failure(zip, err);
    return STATUS_OK;
}

Status zip_writer_open(ZipWriter **out, const char *path, Error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    ZipWriter *zip = xcalloc(1, sizeof *zip);
    zip->path = xstrdup(path);
    zip->fd = fd;
    pthread_mutex_init(&zip->lock, NULL);
    pthread_cond_init(&zip->not_empty, NULL);
    pthread_cond_init(&zip->not_full, NULL);
    Status status = prepare_archive(zip, err);
    if (status == STATUS_OK && pthread_create(&zip->thread, NULL, run, zip) != 0) status = error_set(err, STATUS_IO, "cannot start a thread");
    zip->running = status == STATUS_OK;
    if (status == STATUS_OK) *out = zip;
    else zip_writer_free(zip);
    return status;
}

Status zip_writer_bytes(ZipWriter *zip, const char *name, const void *data, size_t size, Error *err) {
    Status status = check_name(name, err);
    if (status != STATUS_OK) return status;
    return put(zip, (Message){MESSAGE_BYTES, xstrdup(name), copy(data, size), size, -1}, err);
}

Status zip_writer_file(ZipWriter *zip, const char *name, const char *source, Error *err) {
    Status status = check_name(name, err);
    if (status != STATUS_OK) return status;
    int fd = open(source, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", source);
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(err, STATUS_IO, "%s is not a regular file", source);
    }
    return put(zip, (Message){MESSAGE_FILE, xstrdup(name), NULL, (size_t)info.st_size, fd}, err);
}

Status zip_writer_begin(ZipWriter *zip, const char *name, Error *err) {
    Status status = check_name(name, err);
    return status == STATUS_OK ? put(zip, (Message){MESSAGE_BEGIN, xstrdup(name), NULL, 0, -1}, err) : status;
}

Status zip_writer_data(ZipWriter *zip, const void *data, size_t size, Error *err) {
    const char *at = data;
    Status status = STATUS_OK;
    while (size && status == STATUS_OK) {
        size_t part = size < CHUNK_SIZE ? size : CHUNK_SIZE;
        status = put(zip, (Message){MESSAGE_DATA, NULL, copy(at, part), part, -1}, err);
        at += part;
        size -= part;
    }
    return status;
}

Status zip_writer_end(ZipWriter *zip, Error *err) { return put(zip, (Message){.kind = MESSAGE_END, .fd = -1}, err); }

/* Lets the thread come to its end; head NULL: without a manifest. */
static void stop(ZipWriter *zip, const char *head) {
    if (!zip->running) return;
    zip->running = false;
    put(zip, (Message){.kind = MESSAGE_FINISH, .data = xstrdup(head), .fd = -1}, NULL);
    pthread_join(zip->thread, NULL);
}

Status zip_writer_finish(ZipWriter *zip, const char *head, size_t *files, uint64_t *bytes, Error *err) {
    stop(zip, head);
    if (zip->failure.status != STATUS_OK) {
        if (err) *err = zip->failure;
        return zip->failure.status;
    }
    struct stat info;
    if (fstat(zip->fd, &info) != 0) return error_set_errno(err, errno, "%s", zip->path);
    *files = zip->files;
    *bytes = (uint64_t)info.st_size;
    zip->finished = true;
    return STATUS_OK;
}

void zip_writer_free(ZipWriter *zip) {
    if (!zip) return;
    stop(zip, NULL);
    if (zip->archive) archive_write_free(zip->archive);
    if (zip->entry) archive_entry_free(zip->entry);
    if (zip->list) fclose(zip->list);
    hasher_free(zip->hasher);
    if (zip->fd >= 0) close(zip->fd);
    if (!zip->finished) unlink(zip->path);
    pthread_mutex_destroy(&zip->lock);
    pthread_cond_destroy(&zip->not_empty);
    pthread_cond_destroy(&zip->not_full);
    free(zip->entry_name);
    free(zip->path);
    free(zip);
}
