/* Landing: where a download comes down. The bytes go to <path>.part; the file appears under its name when all is there and its MD5 is
 * right, or not at all. */
#pragma once
#include <pictograph/client.h>
#include <stdio.h>

#include "client/exchange.h"

typedef struct Landing {
    char *path, *part;
    FILE *file;
    Hasher *hasher;
} Landing;

/* Makes missing directories and opens the file. Discard or commit it in either case. */
PictographStatus landing_open(Landing *landing, const char *path, PictographError *error);
/* Lets the exchange's success body land here. */
void landing_receive(Landing *landing, Exchange *exchange);
/* Closes, compares (md5 may be NULL), renames. The landing is cleared in either case. */
PictographStatus landing_commit(Landing *landing, const char *md5, PictographError *error);
/* Removes what has come down so far. */
void landing_discard(Landing *landing);

/* Performs a described exchange into a file. */
PictographStatus landing_fetch(Exchange *exchange, const char *path, const char *md5, PictographError *error);
