/* The streaming zip: callers queue messages, a thread turns them into entries. */
#include "formats/zip_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "formats/names.h"
#include "formats/zip_format.h"
#include "base/banned.h"

/* Below SMALL_TEXT a text is stored as it is: it would not become much smaller, and thousands of them take longer than all the other work. */
enum { QUEUE_SIZE = 32, CHUNK_SIZE = 1 << 18, SMALL_TEXT = 1 << 12, LEVEL = 1 };

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
    Buffer out;       /* what is not in the file yet */
    uint64_t flushed; /* bytes that are */
    ZipEntry entry;
    char *entry_name;
    uint64_t data_at; /* of the entry */
    z_stream deflater; /* of texts in parts */
    struct libdeflate_compressor *compressor; /* of whole texts, in half the time */
    Hasher *hasher;
    FILE *list;      /* lines of the manifest */
    FILE *directory; /* of the zip */
    size_t files;
};

/* ---- the thread's side ---- */

static Status flush(ZipWriter *zip, Error *err) {
    Status status = file_write_all(zip->fd, zip->out.data, zip->out.size, err);
    if (status != STATUS_OK) return error_prefix(err, "%s", zip->path);
    zip->flushed += zip->out.size;
    buffer_reset(&zip->out);
    return STATUS_OK;
}

static uint64_t position(const ZipWriter *zip) { return zip->flushed + zip->out.size; }

/* size 0 where is_open */
static Status entry_begin(ZipWriter *zip, const char *name, size_t size, bool deflated, bool is_open, Error *err) {
    Status status = zip->out.size >= CHUNK_SIZE ? flush(zip, err) : STATUS_OK;
    free(zip->entry_name);
    zip->entry_name = xstrdup(name);
    zip->entry = (ZipEntry){.name = zip->entry_name, .at = position(zip), .size = size, .deflated = deflated, .is_open = is_open};
    zip_local_header(&zip->out, &zip->entry);
    zip->entry.size = 0;
    zip->data_at = position(zip);
    zip->hasher = hasher_new_sha256();
    if (deflated && is_open) deflateReset(&zip->deflater);
    return status;
}

/* flush_mode: of zlib */
static Status deflate_data(ZipWriter *zip, const char *data, size_t size, int flush_mode, Error *err) {
    z_stream *z = &zip->deflater;
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)size;
    Status status = STATUS_OK;
    do {
        if (zip->out.size >= CHUNK_SIZE) status = flush(zip, err);
        z->next_out = (Bytef *)buffer_reserve(&zip->out, CHUNK_SIZE);
        z->avail_out = CHUNK_SIZE;
        deflate(z, flush_mode);
        zip->out.size += CHUNK_SIZE - z->avail_out;
    } while (status == STATUS_OK && z->avail_out == 0);
    return status;
}

static void note_data(ZipWriter *zip, const char *data, size_t size) {
    hasher_update(zip->hasher, data, size);
    zip->entry.crc = libdeflate_crc32(zip->entry.crc, data, size);
    zip->entry.size += size;
}

static Status entry_data(ZipWriter *zip, const char *data, size_t size, Error *err) {
    Status status = STATUS_OK;
    for (size_t part; status == STATUS_OK && size; data += part, size -= part) {
        part = size < CHUNK_SIZE ? size : CHUNK_SIZE;
        note_data(zip, data, part);
        if (zip->entry.deflated) status = deflate_data(zip, data, part, Z_NO_FLUSH, err);
        else buffer_append(&zip->out, data, part);
        if (status == STATUS_OK && zip->out.size >= 2 * CHUNK_SIZE) status = flush(zip, err);
    }
    return status;
}

/* The header again, with what is known now. */
static Status mend_header(ZipWriter *zip, Error *err) {
    Buffer header;
    buffer_init(&header, 1 << 20);
    zip_local_header(&header, &zip->entry);
    Status status = STATUS_OK;
    if (zip->entry.at >= zip->flushed) memcpy(zip->out.data + (zip->entry.at - zip->flushed), header.data, header.size);
    else if (pwrite(zip->fd, header.data, header.size, (off_t)zip->entry.at) != (ssize_t)header.size) status = error_set_errno(err, errno, "%s", zip->path);
    buffer_clear(&header);
    return status;
}

/* Where the file stands in the manifest and in the directory of the zip. */
static Status note_file(ZipWriter *zip, Error *err) {
    char sha256[SHA256_HEX_SIZE];
    Buffer line;
    JsonWriter w;
    hasher_finish(zip->hasher, sha256, NULL);
    hasher_free(zip->hasher);
    zip->hasher = NULL;
    buffer_init(&line, 1 << 20);
    json_writer_init(&w, &line);
    json_begin_object(&w);
    json_field_string(&w, "path", zip->entry_name);
    json_field_int(&w, "bytes", (int64_t)zip->entry.size);
    json_field_string(&w, "sha256", sha256);
    json_end_object(&w);
    bool ok = fprintf(zip->list, "%s\n%s", zip->files++ ? "," : "", buffer_text(&line)) > 0;
    buffer_reset(&line);
    zip_directory_entry(&line, &zip->entry);
    ok &= fwrite(line.data, 1, line.size, zip->directory) == line.size;
    buffer_clear(&line);
    return ok ? STATUS_OK : error_set_errno(err, errno, "list of the files of %s", zip->path);
}

static Status entry_end(ZipWriter *zip, Error *err) {
    Status status = zip->entry.deflated && zip->entry.is_open ? deflate_data(zip, "", 0, Z_FINISH, err) : STATUS_OK;
    zip->entry.packed = position(zip) - zip->data_at;
    if (status == STATUS_OK) status = mend_header(zip, err);
    return status == STATUS_OK ? note_file(zip, err) : status;
}

static Status whole_entry(ZipWriter *zip, const char *name, const char *data, size_t size, Error *err) {
    bool deflated = size >= SMALL_TEXT;
    Status status = entry_begin(zip, name, size, deflated, false, err);
    if (status == STATUS_OK && deflated) {
        size_t most = libdeflate_deflate_compress_bound(zip->compressor, size);
        note_data(zip, data, size);
        zip->out.size += libdeflate_deflate_compress(zip->compressor, data, size, buffer_reserve(&zip->out, most), most);
    } else if (status == STATUS_OK) {
        status = entry_data(zip, data, size, err);
    }
    return status == STATUS_OK ? entry_end(zip, err) : status;
}

static Status copied_entry(ZipWriter *zip, const Message *m, Error *err) {
    Status status = entry_begin(zip, m->name, m->size, false, false, err);
    for (size_t rest = m->size; status == STATUS_OK && rest;) {
        char *to = buffer_reserve(&zip->out, CHUNK_SIZE);
        ssize_t n = read(m->fd, to, rest < CHUNK_SIZE ? rest : CHUNK_SIZE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_errno(err, errno, "%s", m->name);
        if (n == 0) return error_set(err, STATUS_IO, "%s became shorter while it was copied", m->name);
        note_data(zip, to, (size_t)n);
        zip->out.size += (size_t)n;
        rest -= (size_t)n;
        if (zip->out.size >= 2 * CHUNK_SIZE) status = flush(zip, err);
    }
    return status == STATUS_OK ? entry_end(zip, err) : status;
}

/* What was put into a temporary file, by way of `take`. */
static Status take_back(ZipWriter *zip, FILE *from, Status (*take)(ZipWriter *zip, const char *data, size_t size, Error *err), Error *err) {
    char *chunk = xmalloc(CHUNK_SIZE);
    size_t n;
    Status status = fflush(from) == 0 && fseek(from, 0, SEEK_SET) == 0 ? STATUS_OK : error_set_errno(err, errno, "list of the files of %s", zip->path);
    while (status == STATUS_OK && (n = fread(chunk, 1, CHUNK_SIZE, from)) > 0) status = take(zip, chunk, n, err);
    free(chunk);
    return status == STATUS_OK && ferror(from) ? error_set_errno(err, errno, "list of the files of %s", zip->path) : status;
}

/* The manifest does not list itself: its line comes when its lines were read. */
static Status manifest(ZipWriter *zip, const char *head, Error *err) {
    static const char OPEN[] = ",\n\"files\": [", CLOSE[] = "\n]}\n";
    Status status = entry_begin(zip, "MANIFEST.json", 0, true, true, err);
    if (status == STATUS_OK) status = entry_data(zip, head, strlen(head), err);
    if (status == STATUS_OK) status = entry_data(zip, OPEN, sizeof OPEN - 1, err);
    if (status == STATUS_OK) status = take_back(zip, zip->list, entry_data, err);
    if (status == STATUS_OK) status = entry_data(zip, CLOSE, sizeof CLOSE - 1, err);
    return status == STATUS_OK ? entry_end(zip, err) : status;
}

static Status plain_data(ZipWriter *zip, const char *data, size_t size, Error *err) {
    buffer_append(&zip->out, data, size);
    return flush(zip, err);
}

static Status finish(ZipWriter *zip, const char *head, Error *err) {
    Status status = manifest(zip, head, err);
    uint64_t at = position(zip);
    if (status == STATUS_OK) status = take_back(zip, zip->directory, plain_data, err);
    zip_end(&zip->out, zip->files, at, position(zip) - at);
    return status == STATUS_OK ? flush(zip, err) : status;
}

static Status handle(ZipWriter *zip, const Message *m, Error *err) {
    switch (m->kind) {
    case MESSAGE_BYTES: return whole_entry(zip, m->name, m->data, m->size, err);
    case MESSAGE_FILE: return copied_entry(zip, m, err);
    case MESSAGE_BEGIN: return entry_begin(zip, m->name, 0, true, true, err);
    case MESSAGE_DATA: return entry_data(zip, m->data, m->size, err);
    case MESSAGE_END: return entry_end(zip, err);
    case MESSAGE_FINISH: return m->data ? finish(zip, m->data, err) : error_set(err, STATUS_CANCELLED, "%s was given up", zip->path);
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
    if (--zip->queue_count == QUEUE_SIZE / 2) pthread_cond_signal(&zip->not_full); /* not for each: to wake somebody takes longer than to make a message */
    pthread_mutex_unlock(&zip->lock);
    return m;
}

static void *run(void *argument) {
    ZipWriter *zip = argument;
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

static Status prepare(ZipWriter *zip, Error *err) {
    zip->list = tmpfile();
    zip->directory = tmpfile();
    if (!zip->list || !zip->directory) return error_set_errno(err, errno, "temporary file");
    zip->compressor = libdeflate_alloc_compressor(LEVEL);
    if (!zip->compressor || deflateInit2(&zip->deflater, LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return error_set(err, STATUS_OUT_OF_MEMORY, "no memory for a zip");
    return STATUS_OK;
}

Status zip_writer_open(ZipWriter **out, const char *path, Error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    ZipWriter *zip = xcalloc(1, sizeof *zip);
    zip->path = xstrdup(path);
    zip->fd = fd;
    buffer_init(&zip->out, SIZE_MAX / 2);
    pthread_mutex_init(&zip->lock, NULL);
    pthread_cond_init(&zip->not_empty, NULL);
    pthread_cond_init(&zip->not_full, NULL);
    Status status = prepare(zip, err);
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
    libdeflate_free_compressor(zip->compressor);
    if (zip->deflater.state) deflateEnd(&zip->deflater);
    if (zip->list) fclose(zip->list);
    if (zip->directory) fclose(zip->directory);
    buffer_clear(&zip->out);
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
