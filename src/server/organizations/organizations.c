/* Making, finding and changing organizations, and the caps of their plans. */
#include "server/organizations/organizations.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/tiers.h"
#include "server/credits/credits.h"

#include "base/banned.h"

Status organization_find_limit(DbSession *session, const char *organization_id, int64_t images, int64_t bytes, const char **limit, Error *err) {
    DbRows rows = db_query(session, err, "SELECT tier, image_count, storage_bytes FROM organizations WHERE id = $1", DB_TEXT(organization_id));
    *limit = NULL;
    if (db_next(&rows)) {
        const Tier *tier = tier_find(db_text_borrowed(&rows, 0));
        bool images_full = images > tier->max_images - db_int(&rows, 1), storage_full = bytes > tier->max_storage_bytes - db_int(&rows, 2);
        if (images_full || storage_full) *limit = images_full && storage_full ? "both" : images_full ? "images" : "storage";
    }
    return db_finish(&rows);
}

static Status limit_reached(Error *err, const char *limit) {
    return error_set(err, STATUS_TIER_LIMIT_EXCEEDED, "The plan's cap of %s is reached", strcmp(limit, "both") == 0 ? "images and storage" : limit);
}

Status organization_check_room(DbSession *session, const char *organization_id, int64_t images, int64_t bytes, Error *err) {
    const char *limit;
    Status status = organization_find_limit(session, organization_id, images, bytes, &limit, err);
    return status == STATUS_OK && limit ? limit_reached(err, limit) : status;
}

Status organization_check_projects(DbSession *tx, const char *organization_id, int64_t more, Error *err) {
    bool full = false;
    DbRows rows = db_query(tx, err, "SELECT tier, (SELECT count(*) FROM projects WHERE organization_id = $1) FROM organizations WHERE id = $1", DB_TEXT(organization_id));
    if (db_next(&rows)) full = more && more > tier_find(db_text_borrowed(&rows, 0))->max_projects - db_int(&rows, 1);
    Status status = db_finish(&rows);
    return status == STATUS_OK && full ? limit_reached(err, "projects") : status;
}

Status organization_require_projects(Request *rq, DbSession *tx, int64_t more, Error *err) {
    Status status = organization_check_projects(tx, rq->principal.organization_id, more, err);
    if (status == STATUS_TIER_LIMIT_EXCEEDED) json_field_string(request_error_context(rq), "limit", "projects");
    return status;
}

Status organization_require_room(Request *rq, DbSession *session, int64_t images, int64_t bytes, Error *err) {
    const char *limit;
    Status status = organization_find_limit(session, rq->principal.organization_id, images, bytes, &limit, err);
    if (status != STATUS_OK || !limit) return status;
    json_field_string(request_error_context(rq), "limit", limit);
    return limit_reached(err, limit);
}

/* "Acme & Söhne" -> "acme-s-hne"; never empty. */
static void make_slug(const char *name, char *out, size_t size) {
    size_t n = 0;
    for (const char *p = name; *p && n + 1 < size; p++) {
        if (isalnum((unsigned char)*p)) out[n++] = (char)tolower((unsigned char)*p);
        else if (n && out[n - 1] != '-') out[n++] = '-';
    }
    while (n && out[n - 1] == '-') n--;
    out[n] = '\0';
    if (!n) snprintf(out, size, "organization");
}

/* A slug that no organization has: with a number behind it when need be. */
static Status make_free_slug(DbSession *tx, const char *name, char *out, size_t size, Error *err) {
    char base[100];
    int64_t taken;
    make_slug(name, base, sizeof base);
    snprintf(out, size, "%s", base);
    for (int i = 2;; i++) {
        Status status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM organizations WHERE slug = $1", DB_TEXT(out));
        if (!taken) return status;
        snprintf(out, size, "%s-%d", base, i);
    }
}

const char *organization_plain_address(Arena *arena, const char *text) {
    char *address = arena_strdup(arena, text_trim(arena, text));
    for (char *p = address; *p; p++) *p = (char)tolower((unsigned char)*p);
    return address;
}

static Status find_or_make_user(DbSession *tx, const char *email, int64_t now, char out[37], Error *err) {
    char id[UUID_SIZE];
    Status status = db_exec(tx, err, "INSERT INTO users (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING", DB_TEXT(uuid_new(id)),
                            DB_TEXT(email), DB_INT(now));
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(tx, err, "SELECT id FROM users WHERE email = $1", DB_TEXT(email));
    if (db_next(&rows)) snprintf(out, UUID_SIZE, "%s", db_text_borrowed(&rows, 0));
    return db_finish(&rows);
}

Status organization_user(DbSession *tx, const char *email, int64_t now, char out[37], Error *err) {
    Arena arena;
    arena_init(&arena, 1 << 16);
    Status status = find_or_make_user(tx, organization_plain_address(&arena, email), now, out, err);
    arena_clear(&arena);
    return status;
}

Status organization_create(DbSession *tx, NewOrganization *o, Error *err) {
    static const char TIER[] = "enterprise";
    char slug[120], member_id[UUID_SIZE];
    int64_t now = clock_now_ms(), taken;
    Status status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM organizations WHERE name = $1", DB_TEXT(o->name));
    if (taken) return error_set(err, STATUS_ALREADY_EXISTS, "Organization '%s' already exists", o->name);
    if (status == STATUS_OK) status = make_free_slug(tx, o->name, slug, sizeof slug, err);
    /* The allowance is due at once: booking it makes the first ledger row. */
    if (status == STATUS_OK)
        status = db_exec(tx, err,
                         "INSERT INTO organizations (id, name, slug, tier, billing_email, monthly_allowance, credits_reset_at, created_at, updated_at)"
                         " VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7)",
                         DB_TEXT(uuid_new(o->id)), DB_TEXT(o->name), DB_TEXT(slug), DB_TEXT(TIER), DB_TEXT(o->email),
                         DB_INT(tier_find(TIER)->monthly_credits), DB_INT(now));
    if (status == STATUS_OK) status = credits_book_allowance(tx, o->id, now, err);
    if (status == STATUS_OK) status = organization_user(tx, o->email, now, o->user_id, err);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "INSERT INTO members (id, organization_id, user_id, role, created_at) VALUES ($1, $2, $3, 'owner', $4)",
                   DB_TEXT(uuid_new(member_id)), DB_TEXT(o->id), DB_TEXT(o->user_id), DB_INT(now));
}

Status organization_find(DbSession *session, const char *name, char out[37], Error *err) {
    DbRows rows = db_query(session, err, "SELECT id FROM organizations WHERE name = $1", DB_TEXT(name));
    bool found = db_next(&rows);
    if (found) snprintf(out, UUID_SIZE, "%s", db_text_borrowed(&rows, 0));
    Status status = db_finish(&rows);
    return status != STATUS_OK || found ? status : error_set(err, STATUS_NOT_FOUND, "There is no organization '%s'", name);
}

Status organization_set_tier(DbSession *tx, const char *organization_id, const char *name, Error *err) {
    const Tier *tier = tier_find_exact(name);
    if (!tier) return error_set(err, STATUS_BAD_REQUEST, "Unknown tier '%s': one of free, core, pro, enterprise", name);
    return db_exec(tx, err, "UPDATE organizations SET tier = $1, monthly_allowance = $2, updated_at = $3 WHERE id = $4", DB_TEXT(tier->name),
                   DB_INT(tier->monthly_credits), DB_INT(clock_now_ms()), DB_TEXT(organization_id));
}
