/* Invites. The token in an invite's address is derived from the invite's id and the installation's secret: the table holds only its hash, and
 * whoever reads the table alone can join nothing; admins can still be shown the address again. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/api/api_handlers.h"
#include "server/api/attempts.h"
#include "server/api/tiers.h"
#include "server/api_keys/api_keys.h"
#include "server/objects/objects.h"
#include "server/organizations/mail.h"
#include "server/organizations/organizations.h"

#include "base/banned.h"

enum { TOKEN_SIZE = HASH_BASE64_SIZE(SHA256_SIZE), DAY_MS = 24 * 3600 * 1000 };

#define OPEN_INVITE "accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2"
#define INVITE_COLUMNS "i.id, i.organization_id, i.email, i.role, i.invited_by, i.expires_at, i.created_at, i.accepted_at, i.revoked_at, i.email_sent"

static const char *make_token(Request *rq, const char *id) {
    unsigned char secret[SHA256_SIZE];
    char *token = arena_alloc(&rq->arena, TOKEN_SIZE);
    objects_derive_secret(rq->server->objects, "pictograph invite 1", id, secret);
    hash_base64url(secret, sizeof secret, token);
    return token;
}

static void hash_token(const char *token, char out[SHA256_HEX_SIZE]) {
    unsigned char digest[SHA256_SIZE];
    hash_sha256(token, strlen(token), digest);
    hash_hex(digest, sizeof digest, out);
}

static OrganizationInvite read_invite(Request *rq, const DbRows *rows) {
    Arena *arena = &rq->arena;
    OrganizationInvite i = {
        .id = db_text(rows, 0, arena), .organization_id = db_text(rows, 1, arena), .email = db_text(rows, 2, arena), .role = invite_role_from_name(db_text_borrowed(rows, 3)),
        .invited_by = db_text(rows, 4, arena), .expires_at = db_int(rows, 5), .created_at = db_int(rows, 6), .accepted_at = db_int(rows, 7),
        .has_accepted_at = !db_is_null(rows, 7), .email_sent = db_int(rows, 9) != 0, .has_email_sent = true};
    i.status = i.has_accepted_at ? INVITE_STATUS_ACCEPTED : !db_is_null(rows, 8) ? INVITE_STATUS_REVOKED
             : i.expires_at <= clock_now_ms() ? INVITE_STATUS_EXPIRED : INVITE_STATUS_PENDING;
    if (i.status == INVITE_STATUS_PENDING && rq->principal.role >= ACCESS_ADMIN)
        i.invite_url = arena_printf(arena, "%s/api/v1/invites/%s", rq->base_url, make_token(rq, i.id));
    return i;
}

Status list_invites(Request *rq, const ListInvitesInput *in, InviteListResponse *out) {
    const char *organization = rq->principal.organization_id;
    int64_t most;
    Status status = db_read_int(request_db(rq), &rq->error, &most, 0, "SELECT count(*) FROM invites WHERE organization_id = $1", DB_TEXT(organization));
    if (status != STATUS_OK) return status;
    out->invites.items = arena_new_array(&rq->arena, OrganizationInvite, (size_t)most);
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT " INVITE_COLUMNS " FROM invites i WHERE i.organization_id = $1 ORDER BY i.created_at DESC, i.id LIMIT $2",
                           DB_TEXT(organization), DB_INT(most));
    while (db_next(&rows)) {
        OrganizationInvite invite = read_invite(rq, &rows);
        if (!in->status || in->status == invite.status) out->invites.items[out->invites.count++] = invite;
    }
    return db_finish(&rows);
}

/* --- making --- */

typedef struct NewInvite {
    Request *rq;
    const char *email, *role, *id, *token_hash;
    int64_t expires_at, now;
} NewInvite;

static Status require_place(DbSession *tx, const NewInvite *n, Error *err) {
    const char *organization = n->rq->principal.organization_id;
    int64_t taken = 0, cap = 0;
    DbRows rows = db_query(tx, err,
                           "SELECT tier, (SELECT count(*) FROM members WHERE organization_id = $1)"
                           " + (SELECT count(*) FROM invites WHERE organization_id = $1 AND " OPEN_INVITE ") FROM organizations WHERE id = $1",
                           DB_TEXT(organization), DB_INT(n->now));
    if (db_next(&rows)) {
        cap = tier_find(db_text_borrowed(&rows, 0))->max_users;
        taken = db_int(&rows, 1);
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK || taken < cap) return status;
    json_field_string(request_error_context(n->rq), "limit", "members");
    return error_set(err, STATUS_TIER_LIMIT_EXCEEDED, "The plan's cap of %lld members, open invites included, is reached", (long long)cap);
}

static Status insert_invite(DbSession *tx, void *context, Error *err) {
    const NewInvite *n = context;
    const char *organization = n->rq->principal.organization_id;
    int64_t member = 0, invited = 0;
    Status status = require_place(tx, n, err);
    if (status == STATUS_OK)
        status = db_read_int(tx, err, &member, 0, "SELECT 1 FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1 AND u.email = $2",
                             DB_TEXT(organization), DB_TEXT(n->email));
    if (member) return error_set(err, STATUS_ALREADY_MEMBER, "%s is a member already", n->email);
    if (status == STATUS_OK)
        status = db_read_int(tx, err, &invited, 0, "SELECT 1 FROM invites WHERE organization_id = $1 AND " OPEN_INVITE " AND email = $3", DB_TEXT(organization),
                             DB_INT(n->now), DB_TEXT(n->email));
    if (invited) return error_set(err, STATUS_ALREADY_EXISTS, "%s is invited already", n->email);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "INSERT INTO invites (id, organization_id, email, role, token_hash, invited_by, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                   DB_TEXT(n->id), DB_TEXT(organization), DB_TEXT(n->email), DB_TEXT(n->role), DB_TEXT(n->token_hash), DB_TEXT(request_creator(n->rq)),
                   DB_INT(n->expires_at), DB_INT(n->now));
}

/* Once the invite is there: a message that does not go out takes nothing back, for the address is in the answer. */
static Status mark_sent(DbSession *tx, void *context, Error *err) {
    return db_exec(tx, err, "UPDATE invites SET email_sent = 1 WHERE id = $1", DB_TEXT(((NewInvite *)context)->id));
}

static bool send_invite(NewInvite *n, const char *url) {
    Request *rq = n->rq;
    const Config *config = &rq->server->config;
    Error err = {0};
    char until[CLOCK_TEXT_SIZE];
    if (!mail_is_configured(config)) return false;
    const char *organization = "an organization";
    DbRows rows = db_query(request_db(rq), NULL, "SELECT name FROM organizations WHERE id = $1", DB_TEXT(rq->principal.organization_id));
    if (db_next(&rows)) organization = db_text(&rows, 0, &rq->arena);
    db_finish(&rows);
    Mail mail = {.to = n->email, .subject = arena_printf(&rq->arena, "Invitation to %s on Pictograph", organization),
                 .text = arena_printf(&rq->arena, "You are invited to %s on Pictograph, as %s.\n\nThis address works once, until %.10s:\n\n%s\n\n"
                                      "Whoever has it can join in your place: keep it to yourself. If you expected no invitation, leave it alone.\n",
                                      organization, n->role, clock_format(n->expires_at, until), url)};
    Status status = mail_send(config, &rq->arena, &mail, &err);
    if (status == STATUS_OK) status = db_write(rq->server->store, mark_sent, n, &err);
    if (status != STATUS_OK) log_event(LOG_WARNING, "invite_not_mailed", "invite", n->id, "reason", err.message, NULL);
    return status == STATUS_OK;
}

Status create_invite(Request *rq, const CreateInviteInput *in, InviteEnvelope *out) {
    char hash[SHA256_HEX_SIZE];
    char *id = uuid_new(arena_alloc(&rq->arena, UUID_SIZE));
    const char *token = make_token(rq, id);
    hash_token(token, hash);
    int64_t now = clock_now_ms();
    NewInvite n = {rq, organization_plain_address(&rq->arena, in->body->email), invite_role_name(in->body->role), id, hash, now + in->body->expires_in_days * DAY_MS, now};
    Status status = request_write(rq, insert_invite, &n);
    if (status != STATUS_OK) return status;
    const char *url = arena_printf(&rq->arena, "%s/api/v1/invites/%s", rq->base_url, token);
    out->invite = (OrganizationInvite){
        .id = id, .organization_id = rq->principal.organization_id, .email = n.email, .role = in->body->role, .status = INVITE_STATUS_PENDING,
        .invited_by = request_creator(rq), .expires_at = n.expires_at, .created_at = now,
        .invite_url = url, .email_sent = send_invite(&n, url), .has_email_sent = true};
    request_reply_is_secret(rq, "invite_id", id);
    return STATUS_OK;
}

/* --- withdrawing --- */

typedef struct Revocation {
    Request *rq;
    const char *id;
} Revocation;

static Status close_invite(DbSession *tx, void *context, Error *err) {
    const Revocation *r = context;
    const char *organization = r->rq->principal.organization_id;
    int64_t accepted;
    Status status = db_read_int(tx, err, &accepted, -1, "SELECT accepted_at IS NOT NULL FROM invites WHERE organization_id = $1 AND id = $2", DB_TEXT(organization), DB_TEXT(r->id));
    if (status != STATUS_OK) return status;
    if (accepted < 0) return error_set(err, STATUS_NOT_FOUND, "Invite not found");
    if (accepted) return error_set(err, STATUS_INVITE_NOT_PENDING, "The invite was accepted; remove the member instead");
    return db_exec(tx, err, "UPDATE invites SET revoked_at = $2 WHERE id = $1 AND " OPEN_INVITE, DB_TEXT(r->id), DB_INT(clock_now_ms()));
}

Status revoke_invite(Request *rq, const RevokeInviteInput *in) { return request_write(rq, close_invite, &(Revocation){rq, in->invite_id}); }

/* --- for the person invited --- */

typedef struct OpenInvite {
    OrganizationInvite invite;
    InviteAcceptResponseOrganization organization;
    int64_t requests_per_hour; /* of the plan */
} OpenInvite;

/* The invite of a token while it is open: else 404, or 410. */
static Status find_open(Request *rq, DbSession *session, const char *token, OpenInvite *out, Error *err) {
    char hash[SHA256_HEX_SIZE];
    hash_token(token, hash);
    DbRows rows = db_query(session, err,
                           "SELECT " INVITE_COLUMNS ", o.name, o.slug, o.tier FROM invites i JOIN organizations o ON o.id = i.organization_id WHERE i.token_hash = $1",
                           DB_TEXT(hash));
    bool found = db_next(&rows);
    if (found) {
        out->invite = read_invite(rq, &rows);
        out->organization = (InviteAcceptResponseOrganization){out->invite.organization_id, db_text(&rows, 10, &rq->arena), db_text(&rows, 11, &rq->arena)};
        out->requests_per_hour = tier_find(db_text_borrowed(&rows, 12))->requests_per_hour;
    }
    Status status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    if (!found) return error_set(err, STATUS_NOT_FOUND, "Invite not found");
    if (out->invite.status == INVITE_STATUS_PENDING) return STATUS_OK;
    return error_set(err, STATUS_INVITE_CLOSED, "This invite is no longer open: it is %s", invite_status_name(out->invite.status));
}

/* As find_open, for whoever holds the token or guesses it: wrong ones are counted by address, as wrong keys are. */
static Status find_for_stranger(Request *rq, const char *token, OpenInvite *out) {
    Status status = attempts_check(rq->server->attempts, rq);
    if (status == STATUS_OK) status = find_open(rq, request_db(rq), token, out, &rq->error);
    if (status == STATUS_NOT_FOUND) attempts_note(rq->server->attempts, rq);
    return status;
}

Status preview_invite(Request *rq, const PreviewInviteInput *in, InvitePreview *out) {
    OpenInvite open;
    Status status = find_for_stranger(rq, in->token, &open);
    if (status != STATUS_OK) return status;
    *out = (InvitePreview){open.organization.name, open.invite.email, open.invite.role, open.invite.status, open.invite.expires_at};
    return STATUS_OK;
}

typedef struct Joining {
    Request *rq;
    const char *token, *full_name;
    OpenInvite open;
    KeySecret secret;
    NewApiKey key;
    char user_id[UUID_SIZE], member_id[UUID_SIZE];
    const char *shown_name; /* of the user */
} Joining;

static Status insert_member(DbSession *tx, Joining *j, Error *err) {
    const OrganizationInvite *invite = &j->open.invite;
    int64_t member = 0;
    Status status = organization_user(tx, invite->email, j->key.created_at, j->user_id, err);
    if (status == STATUS_OK)
        status = db_read_int(tx, err, &member, 0, "SELECT 1 FROM members WHERE organization_id = $1 AND user_id = $2", DB_TEXT(invite->organization_id), DB_TEXT(j->user_id));
    if (member) return error_set(err, STATUS_ALREADY_MEMBER, "%s is a member already", invite->email);
    if (status == STATUS_OK) status = db_exec(tx, err, "UPDATE users SET name = COALESCE(name, $1) WHERE id = $2", DB_TEXT(j->full_name), DB_TEXT(j->user_id));
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(tx, err, "SELECT name FROM users WHERE id = $1", DB_TEXT(j->user_id));
    if (db_next(&rows)) j->shown_name = db_text(&rows, 0, &j->rq->arena);
    status = db_finish(&rows);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err, "INSERT INTO members (id, organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)", DB_TEXT(uuid_new(j->member_id)),
                   DB_TEXT(invite->organization_id), DB_TEXT(j->user_id), DB_TEXT(invite_role_name(invite->role)), DB_INT(j->key.created_at));
}

static Status join(DbSession *tx, void *context, Error *err) {
    Joining *j = context;
    Status status = find_open(j->rq, tx, j->token, &j->open, err); /* again: it works once */
    if (status == STATUS_OK) status = insert_member(tx, j, err);
    if (status == STATUS_OK) status = api_key_insert(tx, &j->key, err);
    return status == STATUS_OK ? db_exec(tx, err, "UPDATE invites SET accepted_at = $1 WHERE id = $2", DB_INT(j->key.created_at), DB_TEXT(j->open.invite.id)) : status;
}

Status accept_invite(Request *rq, const AcceptInviteInput *in, InviteAcceptResponse *out) {
    Joining *j = arena_new(&rq->arena, Joining);
    *j = (Joining){.rq = rq, .token = in->token, .full_name = in->body ? in->body->full_name : NULL};
    Status status = find_for_stranger(rq, in->token, &j->open); /* before the bcrypt, which strangers may not ask for */
    if (status == STATUS_OK) status = key_secret_make(&j->secret, &rq->error);
    if (status != STATUS_OK) return status;
    const char *role = invite_role_name(j->open.invite.role);
    j->key = (NewApiKey){.organization_id = j->open.organization.id, .user_id = j->user_id, .name = in->body && in->body->key_name ? in->body->key_name : "first key",
                         .role = role, .created_by = j->user_id, .created_at = clock_now_ms(), .secret = &j->secret};
    status = request_write(rq, join, j);
    if (status != STATUS_OK) return status;
    out->organization = j->open.organization;
    out->member = (OrganizationMember){.id = j->member_id, .user_id = j->user_id, .email = j->open.invite.email, .full_name = j->shown_name,
                                       .role = role_from_name(role), .joined_at = j->key.created_at};
    out->api_key = (CreatedApiKey){.id = j->key.id, .key_id = j->key.id, .organization_id = j->open.organization.id, .name = j->key.name, .role = role_from_name(role),
                                   .key_prefix = j->secret.prefix, .full_key = j->secret.text, .api_key = j->secret.text, .rate_limit = j->open.requests_per_hour,
                                   .is_active = true, .has_is_active = true, .created_at = j->key.created_at};
    return STATUS_OK;
}
