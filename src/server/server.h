/* Server: what every handler and job can reach. Built by app.c, passed by pointer, never global. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Store Store;
typedef struct Objects Objects;
typedef struct Jobs Jobs;
typedef struct WorkerPool WorkerPool;
typedef struct Attempts Attempts;
typedef struct KeyCache KeyCache;
typedef struct RateLimiter RateLimiter;
typedef struct Idempotency Idempotency;
typedef struct Metrics Metrics;
typedef struct AccessLog AccessLog;
typedef struct Upkeep Upkeep;
typedef struct HttpServer HttpServer;
typedef struct Connectors Connectors;
typedef struct Search Search;
typedef struct OperatorAnswers OperatorAnswers;

typedef struct Config {
    const char *data_directory;
    const char *listen_host;
    int listen_port;
    const char *public_url;        /* base of absolute addresses without a trailing slash; NULL: from the request's Host header */
    const char *program_directory; /* where pictograph-media and the other workers lie */
    const char *builtin_models;    /* folder of the models that set-up makes, see builtin_model_path; it need not exist */
    const char *upgrade_url;       /* shown in 402 answers; may be NULL */
    const char *smtp_url, *smtp_from, *smtp_user, *smtp_password; /* for invites; NULL: no mail, no login */
    const char *v7_url, *roboflow_url; /* of the sources of imports; NULL: their public addresses */
    int http_threads;
    int handler_threads;
    int body_timeout; /* seconds, see HTTP_BODY_TIMEOUT */
    const struct ProxyList *trusted_proxies; /* whose X-Forwarded-For is believed; NULL: nobody's */
    bool access_log;
    bool public_metrics; /* /metrics for every address, not the loopback alone */
} Config;

typedef struct Server {
    Config config;
    Store *store;
    Objects *objects;
    Jobs *jobs;
    WorkerPool *media;
    WorkerPool *video; /* the media program again: frames of long videos do not hold up images */
    WorkerPool *vision;
    WorkerPool *labeller; /* the vision program again: batches do not hold up prompts */
    WorkerPool *importer;
    KeyCache *keys;
    Attempts *attempts;
    RateLimiter *rate_limiter;
    Idempotency *idempotency;
    Metrics *metrics;
    AccessLog *access_log;
    OperatorAnswers *operator_answers;
    Search *search;
    Upkeep *upkeep;
    HttpServer *http;
    Connectors *connectors; /* keys of running imports */
    struct DbSession *poll_session; /* upkeep's own, see key_cache_poll */
    int64_t started_at; /* ms */
    atomic_bool ready;  /* everything is open and jobs run */
    uint64_t request_seed; /* see request_open */
    atomic_uint_fast64_t request_count;
    atomic_int waiting_tools; /* calls of agent tools that wait for a job on a handler thread */
} Server;

/* app.c: opens everything in order, starts jobs, serves; close drains and undoes it. */
Status server_open(Server *server, const Config *config, Error *err);
void server_close(Server *server);
/* While it closes: ends what requests still wait for, so that they are answered. */
void server_hurry(Server *server);
