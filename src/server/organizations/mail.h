/* Mail through the operator's SMTP server, when the settings smtp.url and smtp.from name one. */
#pragma once
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/server.h"

typedef struct Mail {
    const char *to;      /* an address that PATTERN_EMAIL matches */
    const char *subject; /* any text */
    const char *text;    /* UTF-8, lines ended by \n */
} Mail;

bool mail_is_configured(const Config *config);
/* Hands the message to the server, within ten seconds. With smtp.user set it goes encrypted or not at all. Waits: never call it in a transaction.
 * STATUS_UPSTREAM_ERROR says why not, without the password. */
Status mail_send(const Config *config, Arena *arena, const Mail *mail, Error *err);
