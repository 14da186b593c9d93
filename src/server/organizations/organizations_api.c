/* The caller's organization. */
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
                           " (SELECT count(*) FROM members WHERE organization_id = $1) FROM organizations WHERE id = $1",
                           DB_TEXT(id));
    if (db_next(&rows)) {
        const Tier *tier = tier_find(db_text_borrowed(&rows, 2));
        *o = (Organization){
            .id = id, .name = db_text(&rows, 0, arena), .slug = db_text(&rows, 1, arena), .subscription_tier = subscription_tier_from_name(tier->name),
            .billing_email = db_text(&rows, 3, arena), .credits_monthly_allowance = db_int(&rows, 4), .credits_reset_at = db_int(&rows, 5),
            .has_credits_reset_at = !db_is_null(&rows, 5), .created_at = db_int(&rows, 6), .updated_at = db_int(&rows, 7), .member_count = db_int(&rows, 8),
            .max_users = tier->max_users, .max_images = tier->max_images, .max_storage_bytes = tier->max_storage_bytes,
            .rate_limit_per_hour = tier->requests_per_hour, .has_rate_limit_per_hour = true};
    }
    Status status = db_finish(&rows);
    if (status == STATUS_OK && !o->id) return request_not_found(rq, "Organization");
    int64_t balance = credits_balance(request_db(rq), id);
    o->credits_remaining = balance > 0 ? balance : 0;
    return status;
}
