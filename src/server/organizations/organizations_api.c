/* The caller's organization: read and renamed. */
#include "base/clock.h"
#include "server/api/api_handlers.h"
#include "server/api/tiers.h"
#include "server/credits/credits.h"

#include "base/banned.h"

Status get_organization(Request *rq, OrganizationEnvelope *out) {
    Arena *arena = &rq->arena;
    const char *id = rq->principal.organization_id;
    Organization *o = &out->organization;
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT name, slug, tier, billing_email, monthly_allowance, credits_reset_at, created_at, updated_at,"
                           " (SELECT count(*) FROM members WHERE organization_id = $1),"
                           " (SELECT count(*) FROM invites WHERE organization_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2)"
                           " FROM organizations WHERE id = $1",
                           DB_TEXT(id), DB_INT(clock_now_ms()));
    if (db_next(&rows)) {
        const Tier *tier = tier_find(db_text_borrowed(&rows, 2));
        *o = (Organization){
            .id = id, .name = db_text(&rows, 0, arena), .slug = db_text(&rows, 1, arena), .subscription_tier = subscription_tier_from_name(tier->name),
            .billing_email = db_text(&rows, 3, arena), .credits_monthly_allowance = db_int(&rows, 4), .credits_reset_at = db_int(&rows, 5),
            .has_credits_reset_at = !db_is_null(&rows, 5), .created_at = db_int(&rows, 6), .updated_at = db_int(&rows, 7), .member_count = db_int(&rows, 8), .pending_invite_count = db_int(&rows, 9),
            .max_users = tier->max_users, .max_images = tier->max_images, .max_storage_bytes = tier->max_storage_bytes,
            .rate_limit_per_hour = tier->requests_per_hour, .has_rate_limit_per_hour = true};
    }
    Status status = db_finish(&rows);
    if (status == STATUS_OK && !o->id) return request_not_found(rq, "Organization");
    if (status == STATUS_OK) status = credits_balance(request_db(rq), id, &o->credits_remaining, &rq->error);
    if (o->credits_remaining < 0) o->credits_remaining = 0;
    return status;
}

typedef struct OrganizationChange {
    const char *id;
    const OrganizationUpdateRequest *body;
} OrganizationChange;

static Status change_organization(DbSession *tx, void *context, Error *err) {
    const OrganizationChange *change = context;
    const OrganizationUpdateRequest *body = change->body;
    int64_t taken;
    Status status = db_read_int(tx, err, &taken, 0, "SELECT 1 FROM organizations WHERE name = $1 AND id <> $2", DB_TEXT(body->name), DB_TEXT(change->id));
    if (status == STATUS_OK && taken) return error_set(err, STATUS_ALREADY_EXISTS, "An organization of that name exists already");
    if (status != STATUS_OK) return status;
    bool sets_email = body->billing_email || body->billing_email_is_null;
    return db_exec(tx, err,
                   "UPDATE organizations SET name = COALESCE($1, name), billing_email = CASE WHEN $2 = 1 THEN $3 ELSE billing_email END, updated_at = $4 WHERE id = $5",
                   DB_TEXT(body->name), DB_INT(sets_email), DB_TEXT(body->billing_email), DB_INT(clock_now_ms()), DB_TEXT(change->id));
}

Status update_organization(Request *rq, const UpdateOrganizationInput *in, OrganizationEnvelope *out) {
    Status status = request_write(rq, change_organization, &(OrganizationChange){rq->principal.organization_id, in->body});
    return status == STATUS_OK ? get_organization(rq, out) : status;
}
