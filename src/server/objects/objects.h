/* Objects: bytes by content. A local object is the file DATA/objects/ab/cd/<sha256>; it is written under a temporary name, synced and
 * renamed, so it is there whole or not at all. Rows in the store say which objects are in use; objects without a row older than 24 h are swept.
 *
 * Signed addresses: /storage/v1/objects/<token>?expires=<unix seconds>&signature=<43 characters>. The token is base64url of the claim, at most
 * 512 characters; the signature is base64url of the HMAC-SHA-256 over action, token and expiry with the installation's secret. Whoever holds
 * the address may do what it says until it expires; it holds no key.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/hash.h"
#include "server/store/db.h"

typedef struct Objects Objects;

typedef struct ObjectInfo {
    char sha256[SHA256_HEX_SIZE]; /* also the name */
    char md5[MD5_HEX_SIZE];
    int64_t size; /* bytes */
} ObjectInfo;

/* directory is the server's data folder; objects/, work/ and secret.key in it are made when missing. Sweeps what writers of dead processes
 * left behind. */
Status objects_open(Objects **out, const char *directory, Error *err);
void objects_close(Objects *objects);

/* Streaming write: begin, write any number of times, then commit or abort. STATUS_PAYLOAD_TOO_LARGE once more than maximum bytes came. */
typedef struct ObjectWriter ObjectWriter;
Status object_writer_begin(ObjectWriter **out, Objects *objects, int64_t maximum, Error *err);
Status object_writer_write(ObjectWriter *writer, const void *data, size_t size, Error *err);
/* Durable after return. The writer is freed in both cases. An object that exists already is replaced by the same bytes, so that it is young
 * again and no sweep takes it before its new row is written. */
Status object_writer_commit(ObjectWriter *writer, ObjectInfo *out, Error *err);
void object_writer_abort(ObjectWriter *writer);

/* Takes over a finished regular file of this machine (moved when on the same file system, else copied). Durable after return. */
Status objects_adopt_file(Objects *objects, const char *path, ObjectInfo *out, Error *err);
/* The same in two steps, for whoever reads the file at the same time: first it is hashed and synced, then it gets its lasting name. Nobody may change
 * it in between. */
Status objects_examine_file(const char *path, ObjectInfo *out, Error *err);
Status objects_adopt_examined(Objects *objects, const char *path, const ObjectInfo *info, Error *err);
typedef struct Adoption {
    const char *path;
    ObjectInfo object;
    Error error; /* STATUS_OK: it is an object now */
} Adoption;
/* The same for many files, of paths that differ: what makes one of them durable serves all. Each has an outcome of its own. */
void objects_adopt_files(Objects *objects, Adoption *files, size_t count);
/* Path of an object's file in the arena; says nothing about its existence. */
char *objects_path(const Objects *objects, const char *sha256, Arena *arena);
bool objects_exist(const Objects *objects, const char *sha256);
/* Removes the file, unless it is younger than ten minutes: then someone may be about to write a row for the same bytes, and the sweep is
 * left to decide. A missing one is no error. Only permanent deletion calls it, after the last row is gone. */
Status objects_remove(Objects *objects, const char *sha256, Error *err);
/* Removes every object file older than age_seconds of which unused() says true. */
Status objects_sweep(Objects *objects, double age_seconds, bool (*unused)(const char *sha256, void *context), void *context, Error *err);
enum { OBJECTS_PARTS = 256 };
/* The same for one of OBJECTS_PARTS equal parts, so that a large store is swept bit by bit. */
Status objects_sweep_part(Objects *objects, unsigned part, double age_seconds, bool (*unused)(const char *sha256, void *context), void *context, Error *err);
/* A fresh empty folder DATA/work/<name> for a job, in the arena; remove it with file_remove_tree. NULL on failure. */
char *objects_work_directory(Objects *objects, const char *name, Arena *arena, Error *err);
/* The same path untouched, for a job that goes on where an earlier attempt stopped. NULL when name is no plain file name. */
char *objects_work_path(const Objects *objects, const char *name, Arena *arena);
/* At a start, before anything works: removes what processes that were killed left in DATA/work, but for the folders of which wanted() says true. */
Status objects_sweep_work(Objects *objects, bool (*wanted)(const char *name, void *context), void *context, Error *err);

/* The row of an object that is there; one with a row already keeps it. */
Status object_insert(DbSession *tx, const ObjectInfo *object, Error *err);
/* A row that named the object goes: the sweep removes it once none does. */
Status object_discard(DbSession *tx, const char *sha256, Error *err);

/* What a signed address allows. */
typedef enum ObjectAction { OBJECT_GET = 'g', OBJECT_PUT = 'p', OBJECT_ANNOTATIONS = 'a' } ObjectAction;
typedef struct ObjectClaim {
    ObjectAction action;
    const char *subject;      /* GET: sha256; PUT: upload id; ANNOTATIONS: image id */
    const char *filename;     /* suggested name for Content-Disposition; may be NULL */
    const char *content_type; /* may be NULL */
    int64_t expires_at;       /* ms, signed as whole seconds, rounded up */
} ObjectClaim;
/* Absolute address in the arena: base_url + "/storage/v1/objects/" + … A file name that would make the token too long is left out. */
char *object_sign(const Objects *objects, const char *base_url, const ObjectClaim *claim, Arena *arena);
/* 32 bytes that only this installation can compute for a purpose and a subject, always the same: secrets that need not be stored. */
void objects_derive_secret(const Objects *objects, const char *purpose, const char *subject, unsigned char out[SHA256_SIZE]);
/* Verifies in constant time. expires in unix seconds, as the address says. STATUS_SIGNATURE_INVALID or STATUS_SIGNATURE_EXPIRED; whether the
 * claim's action fits the request is the caller's question. Strings of the claim live in the arena. */
Status object_verify(const Objects *objects, ObjectClaim *out, const char *token, int64_t expires, const char *signature, Arena *arena, Error *err);
