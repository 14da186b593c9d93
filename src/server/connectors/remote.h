/* Remote: one connection to the HTTP interface of a source. Used by one thread at a time.
 *
 * Calls wait out a 429 as its Retry-After says and repeat what broke on the way (429, 5xx, network) with growing pauses, until the deadline or
 * until `stop` says so. The key goes to the source's own origin and nowhere else: API calls follow no redirect, downloads follow up to five, without
 * the key once they leave the origin, over http and https only and never from https down to http. Downloads connect to no loopback, private or
 * link-local address unless the source itself, as the operator configured it, is at such a one. No proxy, no cookies; TLS is verified.
 * No text of an error holds the key, whatever the source answers.
 *
 * Failures: STATUS_PROVIDER_AUTH_FAILED (401, 403 of an API call), STATUS_NOT_FOUND (404), STATUS_UPSTREAM_TIMEOUT, STATUS_CANCELLED,
 * STATUS_PAYLOAD_TOO_LARGE, and STATUS_UPSTREAM_ERROR for all else.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "server/objects/objects.h"

typedef struct Remote Remote;

typedef enum RemoteKeyPlace {
    REMOTE_KEY_IN_HEADER, /* Authorization: ApiKey … */
    REMOTE_KEY_IN_QUERY,  /* ?api_key=… */
} RemoteKeyPlace;

typedef struct RemoteOptions {
    const char *service;  /* "V7", for texts */
    const char *base_url; /* without a trailing slash */
    const char *key;
    RemoteKeyPlace key_place;
    double deadline; /* clock_monotonic() after which nothing is tried any more, nor where a host has no address; 0: none */
    bool (*stop)(void *context); /* may be NULL; asked about once a second at least */
    void *context;
} RemoteOptions;

/* Copies the key; base_url and service are borrowed. A key with control characters cannot be sent: STATUS_PROVIDER_AUTH_FAILED. */
Status remote_open(Remote **out, const RemoteOptions *options, Error *err);
/* Wipes the key. NULL is fine. */
void remote_close(Remote *remote);

/* GET, or POST when body (JSON) is not NULL. path begins with '/' and may hold a query; build it with remote_escape. The document lies in the arena. */
Status remote_call(Remote *remote, Arena *arena, const char *path, const char *body, yyjson_doc **out, Error *err);

/* Streams what lies at url (absolute, or a path of the API) into a new object of at most maximum bytes. content_type: as it was announced, "" when not. */
typedef struct RemoteFile {
    ObjectInfo object;
    char content_type[80];
} RemoteFile;
Status remote_download(Remote *remote, Objects *objects, const char *url, int64_t maximum, RemoteFile *out, Error *err);
/* The same into a file of this machine, made at path. */
Status remote_download_to(Remote *remote, const char *url, int64_t maximum, const char *path, Error *err);

/* Percent-encoded for one path segment or query value, in the arena. */
const char *remote_escape(Arena *arena, const char *text);

/* False for loopback, private, link-local, multicast and reserved addresses, and whatever is no internet address. */
bool address_is_public(const struct sockaddr *address);
