/* ZipWriter: a zip that is written as a stream, with a MANIFEST.json of its files at the end.
 *
 * Hashing, compression and writing happen on a thread of the writer's own, so that they overlap with the making of the text; a bounded
 * queue of copies lies between. A failure there is returned by the next call and by every call after it. Images and small texts are
 * stored as they are, other text is deflated. Entries carry no time, so that equal files make equal bytes. Memory does not grow
 * with what is written.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

typedef struct ZipWriter ZipWriter;

/* Creates path, which must not exist. */
Status zip_writer_open(ZipWriter **out, const char *path, Error *err);
/* Entry names are relative paths with "/", without empty, "." or ".." parts or control characters: else STATUS_BAD_REQUEST. */
/* A whole text. */
Status zip_writer_bytes(ZipWriter *zip, const char *name, const void *data, size_t size, Error *err);
/* A copy of a file; it may be removed when the call has returned. */
Status zip_writer_file(ZipWriter *zip, const char *name, const char *source, Error *err);
/* A text in parts. */
Status zip_writer_begin(ZipWriter *zip, const char *name, Error *err);
Status zip_writer_data(ZipWriter *zip, const void *data, size_t size, Error *err);
Status zip_writer_end(ZipWriter *zip, Error *err);
/* Writes MANIFEST.json and closes. head is the text of a JSON object without its last brace, to which `files` is added:
 * [{path, bytes, sha256}, ...] in the order of the zip. */
Status zip_writer_finish(ZipWriter *zip, const char *head, size_t *files, uint64_t *bytes, Error *err);
/* NULL is fine. Without a successful finish the file is removed. */
void zip_writer_free(ZipWriter *zip);
