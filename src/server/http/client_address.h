/* Client address: from whom a request came when proxies stand in front. X-Forwarded-For is anyone's to write, so only the word of configured
 * addresses is taken. Pure functions over text. */
#pragma once
#include "base/arena.h"
#include "base/error.h"

typedef struct ProxyList ProxyList;

enum { PROXIES_MAXIMUM = 64 };

/* "127.0.0.1, 10.0.0.0/8, fd00::/8"; the list lives in the arena. STATUS_CONFIGURATION names what is no address. */
Status proxy_list_parse(const ProxyList **out, const char *text, Arena *arena, Error *err);
/* peer, unless it is a trusted proxy: then the last address in forwarded (may be NULL) that is none. What is no address ends the search, and
 * the proxy that passed it on counts as the client. proxies may be NULL: nobody is trusted. */
const char *client_address(const ProxyList *proxies, const char *peer, const char *forwarded, Arena *arena);
