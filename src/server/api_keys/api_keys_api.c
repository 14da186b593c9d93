/* Handlers of API keys. Nobody handles keys or roles above their own (decisions.md 36). */
#include "server/api_keys/api_keys.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/api/authenticate.h"
#include "server/api/tiers.h"

#include "base/banned.h"

#define KEY_COLUMNS                                                                                                                                  \
    "k.id, k.organization_id, k.name, k.prefix, k.role, k.rate_limit, k.is_active, k.last_used_at, k.expires_at, k.created_by, k.created_at, o.tier"
#define KEY_TABLES " FROM api_keys k JOIN organizations o ON o.id = k.organization_id"

static ApiKey read_key(const DbRows *rows, Arena *arena) {
    int64_t cap = tier_find(db_text_borrowed(rows, 11))->requests_per_hour;
    return (ApiKey){
        .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .name = db_text(rows, 2, arena), .key_prefix = db_text(rows, 3, arena),
        .role = role_from_name(db_text_borrowed(rows, 4)), .rate_limit = !db_is_null(rows, 5) && db_int(rows, 5) < cap ? db_int(rows, 5) : cap,
        .is_active = db_int(rows, 6) != 0, .last_used_at = db_int(rows, 7), .has_last_used_at = !db_is_null(rows, 7), .expires_at = db_int(rows, 8),
        .has_expires_at = !db_is_null(rows, 8), .created_by = db_text(rows, 9, arena), .created_at = db_int(rows, 10)};
}

/* A key of the caller's organization that was not deleted. */
static Status load_key(Request *rq, DbSession *session, const char *id, ApiKey *out, Error *err) {
    DbRows rows = db_query(session, err, "SELECT " KEY_COLUMNS KEY_TABLES " WHERE k.organization_id = $1 AND k.id = $2 AND k.revoked_at IS NULL",
                           DB_TEXT(rq->principal.organization_id), DB_TEXT(id));
    bool found = db_next(&rows);
    if (found) *out = read_key(&rows, &rq->arena);
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "API key not found");
}

/* Role and AccessRole count alike. */
static Status require_own_organization(Request *rq, const char *organization_id) {
    return !organization_id || text_equal(organization_id, rq->principal.organization_id) ? STATUS_OK : request_not_found(rq, "Organization");
}

/* Wrong facts of a new or changed key, all of them. */
static Status check_facts(Request *rq, bool has_limit, int64_t limit, bool has_expiry, int64_t expires_at) {
    int64_t cap = 0;
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT tier FROM organizations WHERE id = $1", DB_TEXT(rq->principal.organization_id));
    if (db_next(&rows)) cap = tier_find(db_text_borrowed(&rows, 0))->requests_per_hour;
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (has_limit && limit > cap)
        request_field_error(rq, "less_than_equal", arena_printf(&rq->arena, "The plan allows at most %lld requests an hour", (long long)cap), "body", "rate_limit", NULL);
    if (has_expiry && expires_at <= clock_now_ms()) request_field_error(rq, "value_error", "The time must lie in the future", "body", "expires_at", NULL);
    return field_errors_status(&rq->errors);
}

/* --- reading --- */

Status list_api_keys(Request *rq, const ListApiKeysInput *in, ApiKeyListResponse *out) {
    const char *organization = rq->principal.organization_id;
    int64_t most;
    Status status = require_own_organization(rq, in->organization_id);
    if (status == STATUS_OK) status = db_read_int(request_db(rq), &rq->error, &most, 0, "SELECT count(*) FROM api_keys WHERE organization_id = $1", DB_TEXT(organization));
    if (status != STATUS_OK) return status;
    out->api_keys.items = arena_new_array(&rq->arena, ApiKey, (size_t)most);
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT " KEY_COLUMNS KEY_TABLES " WHERE k.organization_id = $1 AND k.revoked_at IS NULL ORDER BY k.created_at DESC, k.id LIMIT $2",
                           DB_TEXT(organization), DB_INT(most));
    while (db_next(&rows)) out->api_keys.items[out->api_keys.count++] = read_key(&rows, &rq->arena);
    return db_finish(&rows);
}

Status get_api_key(Request *rq, const GetApiKeyInput *in, ApiKeyEnvelope *out) {
    return load_key(rq, request_db(rq), in->key_id, &out->api_key, &rq->error);
}

/* --- making --- */

static Status insert_key(DbSession *tx, void *context, Error *err) { return api_key_insert(tx, context, err); }

Status create_api_key(Request *rq, const CreateApiKeyInput *in, CreatedApiKey *out) {
    const ApiKeyCreateRequest *body = in->body;
    Status status = require_own_organization(rq, body->organization_id);
    if (status == STATUS_OK) status = request_require_at_most_own(rq, (AccessRole)body->role, &rq->error);
    if (status == STATUS_OK) status = check_facts(rq, body->has_rate_limit, body->rate_limit, body->has_expires_at, body->expires_at);
    if (status != STATUS_OK) return status;
    KeySecret *secret = arena_new(&rq->arena, KeySecret);
    status = key_secret_make(secret, &rq->error);
    if (status != STATUS_OK) return status;
    NewApiKey *key = arena_new(&rq->arena, NewApiKey);
    *key = (NewApiKey){.organization_id = rq->principal.organization_id, .user_id = rq->principal.user_id[0] ? rq->principal.user_id : NULL, .name = body->name,
                       .role = role_name(body->role), .created_by = request_creator(rq), .rate_limit = body->has_rate_limit ? body->rate_limit : 0,
                       .expires_at = body->has_expires_at ? body->expires_at : 0, .created_at = clock_now_ms(), .secret = secret};
    status = request_write(rq, insert_key, key);
    ApiKey facts;
    if (status == STATUS_OK) status = load_key(rq, request_db(rq), key->id, &facts, &rq->error);
    if (status != STATUS_OK) return status;
    *out = (CreatedApiKey){.id = facts.id, .key_id = facts.id, .organization_id = facts.organization_id, .name = facts.name, .role = facts.role,
                           .key_prefix = facts.key_prefix, .full_key = secret->text, .api_key = secret->text, .rate_limit = facts.rate_limit,
                           .is_active = facts.is_active, .has_is_active = true, .expires_at = facts.expires_at, .has_expires_at = facts.has_expires_at,
                           .created_at = facts.created_at};
    request_reply_is_secret(rq, "key_id", facts.id);
    return STATUS_OK;
}

/* --- changing --- */

typedef struct KeyChange {
    Request *rq;
    const char *id;
    const ApiKeyUpdateRequest *body; /* NULL: revoke */
    ApiKey key;                      /* afterwards */
} KeyChange;

/* The caller may touch this key at all. */
static Status load_changeable(DbSession *tx, KeyChange *change, Error *err) {
    Status status = load_key(change->rq, tx, change->id, &change->key, err);
    return status == STATUS_OK ? request_require_at_most_own(change->rq, (AccessRole)change->key.role, err) : status;
}

static Status update_key(DbSession *tx, void *context, Error *err) {
    KeyChange *change = context;
    const ApiKeyUpdateRequest *body = change->body;
    Status status = load_changeable(tx, change, err);
    if (status == STATUS_OK && body->role) status = request_require_at_most_own(change->rq, (AccessRole)body->role, err);
    if (status != STATUS_OK) return status;
    bool sets_expiry = body->has_expires_at || body->expires_at_is_null;
    status = db_exec(tx, err,
                     "UPDATE api_keys SET name = COALESCE($1, name), role = COALESCE($2, role), rate_limit = COALESCE($3, rate_limit),"
                     " is_active = COALESCE($4, is_active), expires_at = CASE WHEN $5 = 1 THEN $6 ELSE expires_at END, generation = generation + 1 WHERE id = $7",
                     DB_TEXT(body->name), DB_TEXT(role_name(body->role)), DB_INT_OR_NULL(body->has_rate_limit, body->rate_limit),
                     DB_INT_OR_NULL(body->has_is_active, body->is_active), DB_INT(sets_expiry), DB_INT_OR_NULL(body->has_expires_at, body->expires_at),
                     DB_TEXT(change->id));
    return status == STATUS_OK ? load_key(change->rq, tx, change->id, &change->key, err) : status;
}

Status update_api_key(Request *rq, const UpdateApiKeyInput *in, ApiKeyEnvelope *out) {
    const ApiKeyUpdateRequest *body = in->body;
    KeyChange change = {.rq = rq, .id = in->key_id, .body = body};
    Status status = load_changeable(request_db(rq), &change, &rq->error); /* 404 and 403 come before 422 */
    if (status == STATUS_OK) status = check_facts(rq, body->has_rate_limit, body->rate_limit, body->has_expires_at, body->expires_at);
    if (status == STATUS_OK) status = request_write(rq, update_key, &change);
    if (status == STATUS_OK) key_cache_changed(rq->server->keys);
    out->api_key = change.key;
    return status;
}

static Status revoke_key(DbSession *tx, void *context, Error *err) {
    KeyChange *change = context;
    Status status = load_changeable(tx, change, err);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "UPDATE api_keys SET revoked_at = $1, is_active = 0, generation = generation + 1 WHERE id = $2", DB_INT(clock_now_ms()),
                   DB_TEXT(change->id));
}

Status delete_api_key(Request *rq, const DeleteApiKeyInput *in) {
    Status status = request_write(rq, revoke_key, &(KeyChange){.rq = rq, .id = in->key_id});
    if (status == STATUS_OK) key_cache_changed(rq->server->keys);
    return status;
}
