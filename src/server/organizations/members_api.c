/* Members: who belongs to the caller's organization, in which role. Nobody handles a role above their own, and the last owner stays (decisions.md
 * 36). A key is capped by its user's present role; here its generation grows too, so that requests in flight notice. */
#include "base/clock.h"
#include "server/api/api_handlers.h"
#include "server/api/authenticate.h"

#include "base/banned.h"

#define MEMBER_QUERY "SELECT m.id, m.user_id, u.email, u.name, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1"

static OrganizationMember read_member(const DbRows *rows, Arena *arena) {
    return (OrganizationMember){.id = db_text(rows, 0, arena), .user_id = db_text(rows, 1, arena), .email = db_text(rows, 2, arena), .full_name = db_text(rows, 3, arena),
                                .role = role_from_name(db_text_borrowed(rows, 4)), .joined_at = db_int(rows, 5)};
}

Status list_members(Request *rq, MemberListResponse *out) {
    const char *organization = rq->principal.organization_id;
    int64_t most;
    Status status = db_read_int(request_db(rq), &rq->error, &most, 0, "SELECT count(*) FROM members WHERE organization_id = $1", DB_TEXT(organization));
    if (status != STATUS_OK) return status;
    out->members.items = arena_new_array(&rq->arena, OrganizationMember, (size_t)most);
    DbRows rows = db_query(request_db(rq), &rq->error, MEMBER_QUERY " ORDER BY m.created_at, m.id LIMIT $2", DB_TEXT(organization), DB_INT(most));
    while (db_next(&rows)) out->members.items[out->members.count++] = read_member(&rows, &rq->arena);
    return db_finish(&rows);
}

typedef struct MemberChange {
    Request *rq;
    const char *id;
    Role role; /* 0: removed */
    OrganizationMember member;
} MemberChange;

/* The member, when the caller may handle it and the organization keeps an owner. */
static Status load_changeable(DbSession *tx, MemberChange *change, Error *err) {
    Request *rq = change->rq;
    const char *organization = rq->principal.organization_id;
    DbRows rows = db_query(tx, err, MEMBER_QUERY " AND m.id = $2", DB_TEXT(organization), DB_TEXT(change->id));
    bool found = db_next(&rows);
    if (found) change->member = read_member(&rows, &rq->arena);
    Status status = db_finish(&rows);
    if (status == STATUS_OK && !found) status = error_set(err, STATUS_NOT_FOUND, "Member not found");
    if (status == STATUS_OK) status = request_require_at_most_own(rq, (AccessRole)change->member.role, err);
    if (status == STATUS_OK && change->role) status = request_require_at_most_own(rq, (AccessRole)change->role, err);
    if (status != STATUS_OK || change->member.role != ROLE_OWNER || change->role == ROLE_OWNER) return status;
    int64_t others;
    status = db_read_int(tx, err, &others, 0, "SELECT count(*) FROM members WHERE organization_id = $1 AND role = 'owner' AND id <> $2", DB_TEXT(organization), DB_TEXT(change->id));
    return status != STATUS_OK || others ? status : error_set(err, STATUS_LAST_OWNER, "An organization keeps at least one owner");
}

static Status change_role(DbSession *tx, void *context, Error *err) {
    MemberChange *change = context;
    Status status = load_changeable(tx, change, err);
    if (status == STATUS_OK) status = db_exec(tx, err, "UPDATE members SET role = $1 WHERE id = $2", DB_TEXT(role_name(change->role)), DB_TEXT(change->id));
    if (status != STATUS_OK) return status;
    change->member.role = change->role;
    return db_exec(tx, err, "UPDATE api_keys SET generation = generation + 1 WHERE organization_id = $1 AND user_id = $2", DB_TEXT(change->rq->principal.organization_id),
                   DB_TEXT(change->member.user_id));
}

Status update_member_role(Request *rq, const UpdateMemberRoleInput *in, MemberEnvelope *out) {
    MemberChange change = {.rq = rq, .id = in->member_id, .role = in->body->role};
    Status status = request_write(rq, change_role, &change);
    if (status == STATUS_OK) key_cache_changed(rq->server->keys);
    out->member = change.member;
    return status;
}

/* The keys are revoked for good: whoever joins again gets new ones. */
static Status drop_member(DbSession *tx, void *context, Error *err) {
    MemberChange *change = context;
    Status status = load_changeable(tx, change, err);
    if (status == STATUS_OK) status = db_exec(tx, err, "DELETE FROM members WHERE id = $1", DB_TEXT(change->id));
    if (status != STATUS_OK) return status;
    return db_exec(tx, err,
                   "UPDATE api_keys SET revoked_at = $1, is_active = 0, generation = generation + 1 WHERE organization_id = $2 AND user_id = $3 AND revoked_at IS NULL",
                   DB_INT(clock_now_ms()), DB_TEXT(change->rq->principal.organization_id), DB_TEXT(change->member.user_id));
}

Status remove_member(Request *rq, const RemoveMemberInput *in) {
    Status status = request_write(rq, drop_member, &(MemberChange){.rq = rq, .id = in->member_id});
    if (status == STATUS_OK) key_cache_changed(rq->server->keys);
    return status;
}
