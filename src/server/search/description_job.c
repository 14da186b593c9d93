/* The job that describes what waits. It takes one image of each waiting project in turn, so that a large upload does not hold up the others; it is
 * paced, more so while images arrive or a batch labels some, and its calls let everybody else's go first. kill -9 at any moment costs nothing: an image leaves the queue in
 * the transaction that stores its description.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "server/jobs/workers.h"
#include "server/search/description.h"
#include "server/search/search_internal.h"
#include "base/banned.h"

#define JOB_ID "description"
enum { BUSY_MS = 2000, PAUSE_AFTER_FAILURE_MS = 15000, INDEX_BYTES = 1 << 30, IMAGE_ARENA_BYTES = 8 << 20 };
#define BUSY_PAUSE_SECONDS 0.25 /* between two images while others arrive or are labelled */
#define REST_MAXIMUM_SECONDS 1.0

Search *search_new(void) {
    Search *search = xcalloc(1, sizeof *search);
    search->indexes = indexes_new(INDEX_BYTES);
    return search;
}

void search_free(Search *search) {
    if (!search) return;
    indexes_free(search->indexes);
    free(search->model);
    free(search);
}

/* ---- one image ---- */

typedef struct Failure {
    const char *image_id;
    int added, most; /* attempts: one that comes to DESCRIPTION_ATTEMPTS is given up */
} Failure;

static Status count_failure(DbSession *tx, void *context, Error *err) {
    const Failure *f = context;
    return db_exec(tx, err, "UPDATE description_queue SET attempts = CASE WHEN attempts + $1 < $2 THEN attempts + $1 ELSE $2 END WHERE image_id = $3", DB_INT(f->added),
                   DB_INT(f->most), DB_TEXT(f->image_id));
}

/* True when all images would fail alike: there is no engine, or no room for what it says. A worker that ended was there. */
static bool is_engines_fault(Status status, bool worker_ended) {
    return status == STATUS_STORAGE_FULL || ((status == STATUS_MODEL_UNAVAILABLE || status == STATUS_SERVICE_UNAVAILABLE) && !worker_ended);
}

/* Counts a failure that is the image's own, which then goes behind the others. What the disk did may pass: such an image is tried again after a pause, and
 * never given up. */
static Status blame(Server *server, const ImageRecord *image, Status status, long restarts, Error *err) {
    bool undecodable = status_info(status)->http < 500 && status_info(status)->http >= 400;
    if (status == STATUS_CANCELLED || is_engines_fault(status, workers_restarts(server->vision) != restarts)) return status;
    log_event(LOG_WARNING, "image_not_described", "image", image->id, "reason", err->message, NULL);
    if (status == STATUS_IO) atomic_store(&server->search->retry_at, clock_now_ms() + PAUSE_AFTER_FAILURE_MS);
    int most = status == STATUS_IO ? DESCRIPTION_ATTEMPTS - 1 : DESCRIPTION_ATTEMPTS;
    return db_write(server->store, count_failure, &(Failure){image->id, undecodable ? DESCRIPTION_ATTEMPTS : 1, most}, err);
}

static Status describe(Job *job, const ImageRecord *image, Error *err) {
    Arena arena;
    arena_init(&arena, IMAGE_ARENA_BYTES);
    long restarts = workers_restarts(job->server->vision);
    Status status = description_make(job->server, &arena, image, true, job_stop, job, err);
    if (status != STATUS_OK) status = blame(job->server, image, status, restarts, err);
    arena_clear(&arena);
    return status;
}

/* ---- which one ---- */

/* The first new image of the first project after `after`, or of the first of all. When there is none, the first that failed before and has a number above
 * *tried, which then is its number: each of them is tried once. */
static Status next_image(Server *server, Arena *arena, const char *after, int64_t *tried, ImageRecord *out, bool *found, Error *err) {
    DbSession *session = db_session(server->store);
    Status status = STATUS_OK;
    int64_t number = 0;
    for (int round = 0; round < 2 && !number && status == STATUS_OK; round++)
        status = db_read_int(session, err, &number, 0, "SELECT number FROM description_queue WHERE attempts < 3 AND attempts = 0 AND project_id > $1 ORDER BY project_id, number LIMIT 1",
                             DB_TEXT(round ? "" : after));
    if (!number && status == STATUS_OK) {
        status = db_read_int(session, err, &number, 0, "SELECT number FROM description_queue WHERE attempts IN (1, 2) AND number > $1 ORDER BY number LIMIT 1", DB_INT(*tried));
        if (number) *tried = number;
    }
    if (status == STATUS_OK) {
        DbRows rows = db_query(session, err, "SELECT " IMAGE_COLUMNS " FROM images i WHERE i.id = (SELECT image_id FROM description_queue WHERE number = $1)", DB_INT(number));
        *found = db_next(&rows);
        if (*found) *out = image_read_row(&rows, arena);
        status = db_finish(&rows);
    }
    db_session_release(server->store, session);
    return status;
}

/* Images arrive, or a batch labels them. */
static bool is_busy(Server *server) {
    DbSession *session = db_session(server->store);
    int64_t last = db_get_int(session, NULL, 0, "SELECT queued_at FROM description_queue ORDER BY number DESC LIMIT 1");
    db_session_release(server->store, session);
    return clock_now_ms() - last < BUSY_MS || workers_busy(server->labeller);
}

/* Not long, however long the call took: most of that it waited behind others. Ends when the job shall. */
static void rest(Job *job, double seconds) {
    double until = clock_monotonic() + (seconds < REST_MAXIMUM_SECONDS ? seconds : REST_MAXIMUM_SECONDS);
    for (double left; (left = until - clock_monotonic()) > 0 && !job_cancelled(job);) clock_sleep(left < 0.1 ? left : 0.1);
}

static Status run_descriptions(Job *job, Error *err) {
    char after[64] = "";
    int64_t tried = clock_now_ms() < atomic_load(&job->server->search->retry_at) ? INT64_MAX : 0;
    Status status = description_possible(job->server, job->arena, err);
    for (bool found = true; found && status == STATUS_OK;) {
        Arena arena;
        ImageRecord image;
        arena_init(&arena, 1 << 16);
        if (job_cancelled(job)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
        if (status == STATUS_OK) status = next_image(job->server, &arena, after, &tried, &image, &found, err);
        if (status == STATUS_OK && found) {
            snprintf(after, sizeof after, "%s", image.project_id);
            double start = clock_monotonic();
            status = describe(job, &image, err);
            rest(job, is_busy(job->server) ? BUSY_PAUSE_SECONDS : clock_monotonic() - start); /* never more than half of a core's time */
        }
        arena_clear(&arena);
    }
    if (status == STATUS_OK || status == STATUS_CANCELLED) return status;
    /* The images wait on; the next job takes them up when the engine may be well again. */
    log_event(LOG_WARNING, "descriptions_paused", "reason", err->message, NULL);
    atomic_store(&job->server->search->not_before, clock_now_ms() + PAUSE_AFTER_FAILURE_MS);
    return STATUS_OK;
}

static Status end_descriptions(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    (void)tx, (void)job, (void)why, (void)message, (void)err;
    return STATUS_OK; /* what waits stays in the queue */
}

const JobKind DESCRIPTION_JOB = {.name = "description", .queue = "description", .parallel = 1, .max_attempts = 3, .run = run_descriptions, .ended = end_descriptions};

/* ---- starting it ---- */

static Status enqueue(DbSession *tx, void *context, Error *err) {
    (void)context;
    int64_t there;
    Status status = db_read_int(tx, err, &there, 0, "SELECT 1 FROM jobs WHERE id = $1", DB_TEXT(JOB_ID));
    return status != STATUS_OK || there ? status : job_enqueue(tx, JOB_ID, DESCRIPTION_JOB.name, "", NULL, "{}", err);
}

/* Vectors of another model are of no use: their images wait again. */
static Status forget_other_models(DbSession *tx, void *context, Error *err) {
    return db_exec(tx, err, "INSERT INTO description_queue (image_id, project_id, queued_at) SELECT image_id, project_id, 0 FROM image_vectors WHERE model <> $1 "
                   "ON CONFLICT DO NOTHING", DB_TEXT(context));
}

static void settle(Server *server, const char *model) {
    Search *search = server->search;
    if (text_equal(search->model, model) || db_write(server->store, forget_other_models, (void *)(uintptr_t)model, NULL) != STATUS_OK) return;
    if (search->model) log_event(LOG_INFO, "describing_model_changed", "from", search->model, "to", model, NULL);
    free(search->model);
    search->model = xstrdup(model);
}

/* Upkeep never waits for a worker: a folder of models that has to be looked at is left to the job. */
static bool is_wanted(Server *server, Arena *arena) {
    const char *model;
    bool known, ready;
    description_model_known(server, arena, &model, &known, &ready);
    if (ready) settle(server, model);
    if (clock_now_ms() < atomic_load(&server->search->not_before) || (known && !ready)) return false;
    DbSession *session = db_session(server->store);
    int most = clock_now_ms() < atomic_load(&server->search->retry_at) ? 1 : DESCRIPTION_ATTEMPTS;
    bool wanted = (!known || db_get_int(session, NULL, 0, "SELECT 1 FROM description_queue WHERE attempts < 3 AND attempts < $1 LIMIT 1", DB_INT(most)) != 0) &&
                  db_get_int(session, NULL, 0, "SELECT 1 FROM jobs WHERE id = $1", DB_TEXT(JOB_ID)) == 0;
    db_session_release(server->store, session);
    return wanted;
}

void search_upkeep(Server *server) {
    Arena arena;
    arena_init(&arena, 1 << 16);
    if (is_wanted(server, &arena) && db_write(server->store, enqueue, NULL, NULL) == STATUS_OK) jobs_wake(server->jobs);
    arena_clear(&arena);
}

void search_trim(Server *server) {
    Error err = {0};
    if (indexes_trim(server->search->indexes, server->store, &err) != STATUS_OK) log_event(LOG_WARNING, "search_not_trimmed", "reason", err.message, NULL);
}
