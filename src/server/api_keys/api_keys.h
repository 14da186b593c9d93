/* API keys: what the server's commands need of them. The secret's form and hash are api/key_secret.h's. */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "server/api/key_secret.h"
#include "server/store/db.h"

typedef struct NewApiKey {
    const char *organization_id;
    const char *user_id; /* may be NULL: a key of nobody */
    const char *name;
    const char *role;
    const char *created_by;
    int64_t rate_limit; /* 0: the tier's */
    int64_t expires_at; /* ms; 0: never */
    int64_t created_at; /* ms */
    const KeySecret *secret;
    char id[37]; /* filled in */
} NewApiKey;

/* Inside a transaction. */
Status api_key_insert(DbSession *tx, NewApiKey *key, Error *err);
