/* The application: which features there are, and in what order the parts of the server open. Nothing else knows them all. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/api/access_log.h"
#include "server/api/attempts.h"
#include "server/api/authenticate.h"
#include "server/api/idempotency.h"
#include "server/api/metrics.h"
#include "server/api/rate_limit.h"
#include "server/api/upkeep.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/connectors/connectors.h"
#include "server/credits/credits.h"
#include "server/exports/exports.h"
#include "server/http/http.h"
#include "server/imports/imports.h"
#include "server/jobs/jobs.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/search/search.h"
#include "server/server.h"
#include "server/store/db.h"
#include "server/system/system.h"
#include "server/training/training.h"
#include "server/video/video.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/banned.h"

/* --- job kinds: one row a kind, in the feature that has it --- */

static const JobKind *const JOB_KINDS[] = {&EXPORT_JOB, &ZIP_IMPORT_JOB, &TRAINING_JOB, &BATCH_ANNOTATION_JOB, &FRAME_EXTRACTION_JOB, &IMPORT_JOB, &DESCRIPTION_JOB};

/* --- upkeep --- */

static void poll_keys(Server *server) {
    if (!server->poll_session) server->poll_session = db_session(server->store);
    key_cache_poll(server->keys, server->poll_session);
}
static void flush_log(Server *server) { access_log_flush(server->access_log); }
static void save_key_use(Server *server) { key_cache_save_use(server->keys, server->store); }
static void save_rates(Server *server) { rate_limiter_save(server->rate_limiter, server->store, clock_now_ms() / 1000); }
static void sweep_answers(Server *server) { idempotency_sweep(server->idempotency, server->store, false); }
/* What threads have freed stays in their arenas: without this the process keeps what its busiest minutes needed. */
static void give_memory_back(Server *server) { (void)server, malloc_trim(0); }
static void sweep_answer_rows(Server *server) { idempotency_sweep(server->idempotency, server->store, true); }

static const UpkeepTask UPKEEP[] = {
    {0.25, poll_keys}, {0.25, flush_log}, {2, save_key_use}, {30, save_rates}, {30, sweep_answers}, {3600, sweep_answer_rows}, {60, credits_book_due_allowances}, {60, sweep_discarded}, {600, sweep_uploads}, {SWEEP_FILES_SECONDS, sweep_files},
    {0.25, search_upkeep}, {60, search_trim}, {60, give_memory_back},
};

/* --- opening and closing --- */

enum { LABELLERS_MAX = 4 }; /* each has the model loaded */

/* Two decoders, so that one large picture does not hold up the others; one process for models, which keeps them and its images loaded; and for batches one a core. */
static Status open_workers(Server *server, Arena *arena, Error *err) {
    const char *work = arena_printf(arena, "%s/work", server->config.data_directory), *programs = server->config.program_directory;
    WorkerProgram media = {.path = arena_printf(arena, "%s/pictograph-media", programs), .name = "media", .count = 2, .idle_seconds = 60, .directory = work,
                           .died = STATUS_UNDECODABLE_MEDIA, .repeatable = true};
    WorkerProgram video = media;
    video.name = "video";
    video.count = 1; /* it keeps the video open from call to call */
    video.died = STATUS_SERVICE_UNAVAILABLE; /* the job tries again, from where it was */
    video.repeatable = false;
    WorkerProgram vision = {.path = arena_printf(arena, "%s/pictograph-vision", programs), .name = "vision", .count = 1, .idle_seconds = 600, .directory = work,
                            .died = STATUS_MODEL_UNAVAILABLE, .repeatable = true};
    WorkerProgram labeller = vision;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    labeller.name = "labeller";
    labeller.count = (int)(cores < 1 ? 1 : cores > LABELLERS_MAX ? LABELLERS_MAX : cores);
    labeller.idle_seconds = 60;
    WorkerProgram importer = {.path = arena_printf(arena, "%s/pictograph-import", programs), .name = "import", .count = 1, .idle_seconds = 10, .directory = work,
                              .died = STATUS_UNDECODABLE_MEDIA};
    Status status = workers_open(&server->media, &media, err);
    if (status == STATUS_OK) status = workers_open(&server->video, &video, err);
    if (status == STATUS_OK) status = workers_open(&server->vision, &vision, err);
    if (status == STATUS_OK) status = workers_open(&server->labeller, &labeller, err);
    return status == STATUS_OK ? workers_open(&server->importer, &importer, err) : status;
}

static Status open_parts(Server *server, Error *err) {
    Arena arena;
    arena_init(&arena, 1 << 16);
    Status status = store_open(&server->store, arena_printf(&arena, "%s/pictograph.db", server->config.data_directory), err);
    if (status == STATUS_OK) status = objects_open(&server->objects, server->config.data_directory, err);
    if (status == STATUS_OK) sweep_work(server);
    if (status == STATUS_OK) status = open_workers(server, &arena, err);
    arena_clear(&arena);
    if (status != STATUS_OK) return status;
    server->keys = key_cache_new();
    server->attempts = attempts_new();
    server->rate_limiter = rate_limiter_new();
    server->idempotency = idempotency_new();
    server->metrics = metrics_new();
    server->connectors = connectors_open();
    server->operator_answers = operator_answers_new();
    server->search = search_new();
    server->access_log = access_log_new(server->config.access_log ? STDERR_FILENO : -1);
    status = rate_limiter_load(server->rate_limiter, server->store, clock_now_ms() / 1000, err);
    server->jobs = jobs_new(server);
    for (size_t i = 0; i < sizeof JOB_KINDS / sizeof JOB_KINDS[0]; i++) jobs_register(server->jobs, JOB_KINDS[i]);
    if (status == STATUS_OK) status = jobs_start(server->jobs, err);
    if (status != STATUS_OK) return status;
    server->upkeep = upkeep_start(server, UPKEEP, sizeof UPKEEP / sizeof UPKEEP[0]);
    atomic_store(&server->ready, true);
    return http_open(&server->http, server, err);
}

Status server_open(Server *server, const Config *config, Error *err) {
    *server = (Server){.config = *config, .started_at = clock_now_ms()};
    random_bytes(&server->request_seed, sizeof server->request_seed);
    Status status = open_parts(server, err);
    if (status != STATUS_OK) server_close(server);
    return status;
}

void server_hurry(Server *server) {
    workers_hurry(server->media);
    workers_hurry(server->video);
    workers_hurry(server->vision);
}

void server_close(Server *server) {
    atomic_store(&server->ready, false);
    http_close(server->http);
    if (server->jobs) jobs_stop(server->jobs);
    upkeep_stop(server->upkeep);
    jobs_close(server->jobs);
    workers_close(server->media);
    workers_close(server->video);
    workers_close(server->vision);
    workers_close(server->labeller);
    workers_close(server->importer);
    if (server->poll_session) db_session_release(server->store, server->poll_session);
    store_close(server->store);
    objects_close(server->objects);
    idempotency_free(server->idempotency);
    rate_limiter_free(server->rate_limiter);
    key_cache_free(server->keys);
    attempts_free(server->attempts);
    access_log_free(server->access_log);
    metrics_free(server->metrics);
    connectors_close(server->connectors);
    search_free(server->search);
    operator_answers_free(server->operator_answers);
    *server = (Server){0};
}
