/* Downloads that are whole or absent. */
#include "client/landing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "client/failure.h"

#include "base/banned.h"

static PictographStatus make_parent(const char *path, PictographError *error) {
    char *directory = xstrdup(path);
    char *slash = strrchr(directory, '/');
    Error base = {0};
    PictographStatus status = PICTOGRAPH_OK;
    if (slash && slash != directory) {
        *slash = '\0';
        if (file_make_directories(directory, 0777, &base)) status = failure_from_base(error, &base);
    }
    free(directory);
    return status;
}

PictographStatus landing_open(Landing *landing, const char *path, PictographError *error) {
    *landing = (Landing){.path = xstrdup(path), .hasher = hasher_new_md5()};
    size_t length = strlen(path);
    landing->part = xmalloc(length + sizeof ".part");
    memcpy(landing->part, path, length);
    memcpy(landing->part + length, ".part", sizeof ".part");
    PictographStatus status = make_parent(path, error);
    if (status) return status;
    landing->file = fopen(landing->part, "wbe");
    return landing->file ? PICTOGRAPH_OK : failure_set(error, PICTOGRAPH_FILE, "%s: %s", landing->part, strerror(errno));
}

void landing_receive(Landing *landing, Exchange *exchange) {
    exchange->sink = landing->file;
    exchange->hasher = landing->hasher;
}

static void clear(Landing *landing) {
    hasher_free(landing->hasher);
    free(landing->path);
    free(landing->part);
    *landing = (Landing){0};
}

PictographStatus landing_commit(Landing *landing, const char *md5, PictographError *error) {
    char found[MD5_HEX_SIZE];
    hasher_finish(landing->hasher, NULL, found);
    bool written = !ferror(landing->file);
    written = fclose(landing->file) == 0 && written;
    int cause = errno;
    PictographStatus status = PICTOGRAPH_OK;
    if (!written)
        status = failure_set(error, PICTOGRAPH_FILE, "%s: %s", landing->part, strerror(cause));
    else if (md5 && !text_equal(md5, found))
        status = failure_set(error, PICTOGRAPH_SERVER, "%s: the MD5 of what arrived is %s, not %s", landing->path, found, md5);
    else if (rename(landing->part, landing->path))
        status = failure_set(error, PICTOGRAPH_FILE, "%s: %s", landing->path, strerror(errno));
    if (status) unlink(landing->part);
    clear(landing);
    return status;
}

void landing_discard(Landing *landing) {
    if (landing->file) {
        fclose(landing->file);
        unlink(landing->part);
    }
    clear(landing);
}

PictographStatus landing_fetch(Exchange *exchange, const char *path, const char *md5, PictographError *error) {
    Landing landing;
    PictographStatus status = landing_open(&landing, path, error);
    if (!status) {
        landing_receive(&landing, exchange);
        status = exchange_perform(exchange, error);
    }
    if (!status) return landing_commit(&landing, md5, error);
    landing_discard(&landing);
    return status;
}
