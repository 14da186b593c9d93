/* Organizations: what other features and the server's commands do with them. */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "server/api/request.h"
#include "server/store/db.h"

/* Inside a transaction or not: STATUS_TIER_LIMIT_EXCEEDED, with `limit` in the context of the request's error, when so many more images and bytes would
 * not fit the plan. */
Status organization_require_room(Request *rq, DbSession *session, int64_t images, int64_t bytes, Error *err);

/* The same for work without a request: *limit is NULL when they fit, else "images", "storage" or "both". */
Status organization_find_limit(DbSession *session, const char *organization_id, int64_t images, int64_t bytes, const char **limit, Error *err);
/* STATUS_TIER_LIMIT_EXCEEDED in words where organization_find_limit finds one. */
Status organization_check_room(DbSession *session, const char *organization_id, int64_t images, int64_t bytes, Error *err);

/* Inside a transaction: STATUS_TIER_LIMIT_EXCEEDED when so many more projects would not fit the plan; for a request, its context says so, too. */
Status organization_check_projects(DbSession *tx, const char *organization_id, int64_t more, Error *err);
Status organization_require_projects(Request *rq, DbSession *tx, int64_t more, Error *err);

/* What organization_create fills in. */
typedef struct NewOrganization {
    const char *name;  /* unique */
    const char *email; /* of its first owner; the user is made unless it exists */
    char id[37];
    char user_id[37];
} NewOrganization;

/* Inside a transaction: the organization on the enterprise tier, its owner, its first allowance. STATUS_ALREADY_EXISTS when the name is taken. */
Status organization_create(DbSession *tx, NewOrganization *organization, Error *err);
/* Id by name; STATUS_NOT_FOUND. out needs 37 bytes. */
Status organization_find(DbSession *session, const char *name, char out[37], Error *err);
/* Inside a transaction: the plan and its monthly allowance. STATUS_BAD_REQUEST for an unknown tier. */
Status organization_set_tier(DbSession *tx, const char *organization_id, const char *tier, Error *err);
/* The one spelling of an e-mail address under which people are kept: without blanks around it, in lower case (ASCII). In the arena. */
const char *organization_plain_address(Arena *arena, const char *text);
/* Inside a transaction: the user of an address, however it is spelled, made unless there is one. out needs 37 bytes. */
Status organization_user(DbSession *tx, const char *email, int64_t now, char out[37], Error *err);
