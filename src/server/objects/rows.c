/* Rows of objects. */
#include "base/clock.h"
#include "server/objects/objects.h"
#include "base/banned.h"

Status object_insert(DbSession *tx, const ObjectInfo *object, Error *err) {
    return db_exec(tx, err, "INSERT INTO objects (sha256, md5, size, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (sha256) DO NOTHING",
                   DB_TEXT(object->sha256), DB_TEXT(object->md5), DB_INT(object->size), DB_INT(clock_now_ms()));
}

Status object_discard(DbSession *tx, const char *sha256, Error *err) {
    return db_exec(tx, err, "INSERT INTO discarded_objects (sha256, discarded_at) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING", DB_TEXT(sha256),
                   DB_INT(clock_now_ms()));
}
