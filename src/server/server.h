/* Server: what every handler and job can reach. Built by app.c, passed by pointer, never global. */
#pragma once
#include <stdint.h>

#include "base/error.h"

typedef struct Store Store;
typedef struct Objects Objects;
typedef struct Jobs Jobs;
typedef struct WorkerPool WorkerPool;
typedef struct KeyCache KeyCache;
typedef struct RateLimiter RateLimiter;
typedef struct Idempotency Idempotency;
typedef struct Metrics Metrics;

typedef struct Config {
    const char *data_directory;
    const char *listen_host;
    int listen_port;
    const char *public_url;  /* base of absolute addresses without a trailing slash; NULL: from the request's Host header */
    const char *program_directory; /* where pictograph-media and the other workers lie */
    const char *upgrade_url; /* shown in 402 answers; may be NULL */
    int http_threads;
    int handler_threads;
} Config;

typedef struct Server {
    Config config;
    Store *store;
    Objects *objects;
    Jobs *jobs;
    WorkerPool *media;
    WorkerPool *vision;
    KeyCache *keys;
    RateLimiter *rate_limiter;
    Idempotency *idempotency;
    Metrics *metrics;
    int64_t started_at; /* ms */
} Server;

/* app.c: opens everything in order, starts jobs; close undoes it. */
Status server_open(Server *server, const Config *config, Error *err);
void server_close(Server *server);
