/* The one statement that makes a key. */
#include "server/api_keys/api_keys.h"

#include "base/hash.h"

#include "base/banned.h"

Status api_key_insert(DbSession *tx, NewApiKey *key, Error *err) {
    return db_exec(tx, err,
                   "INSERT INTO api_keys (id, organization_id, user_id, name, prefix, secret_hash, role, rate_limit, expires_at, created_by, created_at)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                   DB_TEXT(uuid_new(key->id)), DB_TEXT(key->organization_id), DB_TEXT(key->user_id), DB_TEXT(key->name), DB_TEXT(key->secret->prefix),
                   DB_TEXT(key->secret->hash), DB_TEXT(key->role), DB_INT_OR_NULL(key->rate_limit > 0, key->rate_limit),
                   DB_INT_OR_NULL(key->expires_at > 0, key->expires_at), DB_TEXT(key->created_by), DB_INT(key->created_at));
}
