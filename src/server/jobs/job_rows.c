/* The rows of jobs: enqueue, lease, renew, conclude. Whoever removes a row decides the job's end, so ended() runs in that transaction. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "server/jobs/jobs_internal.h"
#include "base/banned.h"

#define JOB_COLUMNS "id, kind, organization_id, payload, attempt, cancel_requested, created_at"

const JobKind *job_kind(const Jobs *jobs, const char *name) {
    for (int i = 0; i < jobs->kind_count; i++)
        if (text_equal(jobs->kinds[i]->name, name)) return jobs->kinds[i];
    return NULL;
}

JobRun *job_run_new(Jobs *jobs) {
    JobRun *run = xcalloc(1, sizeof *run);
    arena_init(&run->arena, JOB_ARENA_LIMIT);
    run->job = (Job){.server = jobs->server, .arena = &run->arena, .jobs = jobs};
    return run;
}

void job_run_free(JobRun *run) {
    if (!run) return;
    yyjson_doc_free(run->payload);
    arena_clear(&run->arena);
    free(run);
}

/* From a row of JOB_COLUMNS. */
static JobRun *read_run(Jobs *jobs, const DbRows *rows) {
    JobRun *run = job_run_new(jobs);
    run->job.id = db_text(rows, 0, &run->arena);
    run->job.kind = db_text(rows, 1, &run->arena);
    run->job.organization_id = db_text(rows, 2, &run->arena);
    const char *payload = db_text_borrowed(rows, 3);
    run->payload = json_parse(payload, strlen(payload), NULL);
    run->job.payload = yyjson_doc_get_root(run->payload);
    run->job.attempt = (int)db_int(rows, 4);
    run->cancel_requested = db_int(rows, 5) != 0;
    run->created_at = db_int(rows, 6);
    run->kind = job_kind(jobs, run->job.kind);
    return run;
}

Status job_enqueue(DbSession *tx, const char *id, const char *kind, const char *organization_id, const char *project_id, const char *payload, Error *err) {
    yyjson_doc *doc = json_parse(payload, strlen(payload), err);
    bool is_object = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (!is_object) return error_set(err, STATUS_INTERNAL_ERROR, "The payload of a job must be a JSON object");
    return db_exec(tx, err, "INSERT INTO jobs (id, kind, organization_id, project_id, payload, created_at) VALUES ($1, $2, $3, $4, $5, $6)", DB_TEXT(id),
                   DB_TEXT(kind), DB_TEXT(organization_id), DB_TEXT(project_id), DB_TEXT(payload), DB_INT(clock_now_ms()));
}

/* --- ending ---------------------------------------------------------------------------------------------------------------- */

void job_ended_add(JobRun *run) {
    Jobs *jobs = run->job.jobs;
    pthread_mutex_lock(&jobs->mutex);
    run->next = jobs->ended;
    jobs->ended = run;
    pthread_mutex_unlock(&jobs->mutex);
}

static void note_end(const JobRun *run) {
    JobRun *ended = job_run_new(run->job.jobs);
    ended->job.id = arena_strdup(&ended->arena, run->job.id);
    job_ended_add(ended);
}

/* Removes the row and lets the feature finish its own, in the caller's transaction. */
static Status end_job(DbSession *tx, const JobRun *run, Status why, const char *message, Error *err) {
    Status status = db_exec(tx, err, "DELETE FROM jobs WHERE id = $1", DB_TEXT(run->job.id));
    if (status != STATUS_OK || db_changes(tx) == 0) return status;
    log_event(why == STATUS_CANCELLED ? LOG_INFO : LOG_WARNING, why == STATUS_CANCELLED ? "job_cancelled" : "job_failed", "job", run->job.id, "kind",
              run->job.kind, "reason", message, NULL);
    note_end(run);
    const Config *config = &run->job.server->config;
    Error outward = {0};
    error_set(&outward, why, "%s", message);
    error_outward(&outward, config->data_directory, config->program_directory);
    return run->kind ? run->kind->ended(tx, &run->job, why, outward.message, err) : STATUS_OK;
}

static Status cancel_rows(DbSession *tx, Jobs *jobs, const char *select_sql, const char *value, Error *err) {
    JobRun *pending = NULL;
    DbRows rows = db_query(tx, err, select_sql, DB_TEXT(value));
    while (db_next(&rows)) {
        JobRun *run = read_run(jobs, &rows);
        run->next = pending;
        pending = run;
    }
    Status status = db_finish(&rows);
    for (JobRun *run = pending, *next; run; run = next) {
        next = run->next;
        if (status == STATUS_OK) status = end_job(tx, run, STATUS_CANCELLED, "Cancelled", err);
        job_run_free(run);
    }
    return status;
}

Status job_cancel(DbSession *tx, Jobs *jobs, const char *id, Error *err) {
    Status status = db_exec(tx, err, "UPDATE jobs SET cancel_requested = 1 WHERE id = $1 AND state = 'running'", DB_TEXT(id));
    if (status != STATUS_OK || db_changes(tx) > 0) return status;
    return cancel_rows(tx, jobs, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = $1 AND state = 'pending'", id, err);
}

Status job_cancel_project(DbSession *tx, Jobs *jobs, const char *project_id, Error *err) {
    Status status = db_exec(tx, err, "UPDATE jobs SET cancel_requested = 1 WHERE project_id = $1 AND state = 'running'", DB_TEXT(project_id));
    if (status != STATUS_OK) return status;
    return cancel_rows(tx, jobs, "SELECT " JOB_COLUMNS " FROM jobs WHERE project_id = $1 AND state = 'pending'", project_id, err);
}

typedef struct Conclusion {
    JobRun *run;
    Status outcome;
    const char *message;
} Conclusion;

static bool worth_another_try(const JobRun *run, Status outcome) {
    return run->job.attempt < run->kind->max_attempts && status_info(outcome)->http >= 500 && outcome != STATUS_CANCELLED;
}

/* 2, 4, 8, ... 64 s */
static int64_t retry_pause_ms(int attempt) { return 1000 << (attempt < 6 ? attempt : 6); }

static Status put_back(DbSession *tx, const JobRun *run, int attempt, int64_t not_before, Error *err) {
    return db_exec(tx, err, "UPDATE jobs SET state = 'pending', leased_by = NULL, lease_until = $1, attempt = $2 WHERE id = $3", DB_INT(not_before),
                   DB_INT(attempt), DB_TEXT(run->job.id));
}

static Status conclude(DbSession *tx, void *context, Error *err) {
    const Conclusion *c = context;
    JobRun *run = c->run;
    int64_t cancelled;
    Status status = db_read_int(tx, err, &cancelled, -1, "SELECT cancel_requested FROM jobs WHERE id = $1 AND leased_by = $2", DB_TEXT(run->job.id),
                                DB_TEXT(run->job.jobs->instance));
    if (status != STATUS_OK || cancelled < 0) return status; /* another process has the job now */
    if (c->outcome == STATUS_OK) return db_exec(tx, err, "DELETE FROM jobs WHERE id = $1", DB_TEXT(run->job.id));
    if (cancelled) return end_job(tx, run, STATUS_CANCELLED, "Cancelled", err);
    if (atomic_load(&run->job.jobs->stopping)) return put_back(tx, run, run->job.attempt - 1, 0, err);
    if (worth_another_try(run, c->outcome)) return put_back(tx, run, run->job.attempt, clock_now_ms() + retry_pause_ms(run->job.attempt), err);
    return end_job(tx, run, c->outcome, c->message, err);
}

Status job_rows_conclude(JobRun *run, Status outcome, const char *message, Error *err) {
    return db_write(run->job.server->store, conclude, &(Conclusion){run, outcome, message}, err);
}

/* --- leasing --------------------------------------------------------------------------------------------------------------- */

typedef struct Lease {
    Jobs *jobs;
    const bool *allowed;
    JobRun *taken;
} Lease;

/* The oldest job of a kind that nobody works on: waiting, its pause over, or left by a process that stopped renewing. */
static const char NEXT_OF_KIND[] = "SELECT " JOB_COLUMNS " FROM jobs WHERE kind = $1 AND ((state = 'pending' AND coalesce(lease_until, 0) <= $2) OR "
                                   "(state = 'running' AND lease_until < $2 AND leased_by <> $3)) ORDER BY created_at, id LIMIT 1";

static Status find_oldest(DbSession *tx, const Lease *lease, JobRun **out, Error *err) {
    Status status = STATUS_OK;
    *out = NULL;
    for (int i = 0; i < lease->jobs->kind_count && status == STATUS_OK; i++) {
        if (!lease->allowed[i]) continue;
        DbRows rows = db_query(tx, err, NEXT_OF_KIND, DB_TEXT(lease->jobs->kinds[i]->name), DB_INT(clock_now_ms()), DB_TEXT(lease->jobs->instance));
        while (db_next(&rows)) {
            JobRun *found = read_run(lease->jobs, &rows);
            bool older = !*out || found->created_at < (*out)->created_at;
            job_run_free(older ? *out : found);
            if (older) *out = found;
        }
        status = db_finish(&rows);
    }
    return status;
}

static Status take(DbSession *tx, const Lease *lease, JobRun *run, Error *err) {
    run->job.attempt++;
    return db_exec(tx, err, "UPDATE jobs SET state = 'running', attempt = $1, leased_by = $2, lease_until = $3 WHERE id = $4", DB_INT(run->job.attempt),
                   DB_TEXT(lease->jobs->instance), DB_INT(clock_now_ms() + JOB_LEASE_SECONDS * 1000), DB_TEXT(run->job.id));
}

static Status lease_oldest(DbSession *tx, void *context, Error *err) {
    Lease *lease = context;
    for (;;) {
        JobRun *run;
        Status status = find_oldest(tx, lease, &run, err);
        if (status != STATUS_OK || !run) {
            job_run_free(run);
            return status;
        }
        bool spent = run->job.attempt >= run->kind->max_attempts;
        if (!run->cancel_requested && !spent) {
            status = take(tx, lease, run, err);
            if (status == STATUS_OK) lease->taken = run;
            else job_run_free(run);
            return status;
        }
        status = run->cancel_requested ? end_job(tx, run, STATUS_CANCELLED, "Cancelled", err)
                                       : end_job(tx, run, STATUS_INTERNAL_ERROR, "The server stopped while this ran", err);
        job_run_free(run);
        if (status != STATUS_OK) return status;
    }
}

Status job_rows_lease(Jobs *jobs, JobRun **out, const bool allowed[JOB_KINDS_MAXIMUM], Error *err) {
    Lease lease = {.jobs = jobs, .allowed = allowed};
    Status status = db_write(jobs->server->store, lease_oldest, &lease, err);
    *out = status == STATUS_OK ? lease.taken : NULL;
    if (status != STATUS_OK) job_run_free(lease.taken);
    return status;
}

static Status take_over(DbSession *tx, void *context, Error *err) {
    (void)context;
    return db_exec(tx, err, "UPDATE jobs SET state = 'pending', leased_by = NULL, lease_until = NULL WHERE state = 'running'");
}

Status job_rows_take_over(Jobs *jobs, Error *err) { return db_write(jobs->server->store, take_over, NULL, err); }

static Status renew(DbSession *tx, void *context, Error *err) {
    const Jobs *jobs = context;
    return db_exec(tx, err, "UPDATE jobs SET lease_until = $1 WHERE state = 'running' AND leased_by = $2",
                   DB_INT(clock_now_ms() + JOB_LEASE_SECONDS * 1000), DB_TEXT(jobs->instance));
}

Status job_rows_renew(Jobs *jobs, Error *err) { return db_write(jobs->server->store, renew, jobs, err); }

bool job_rows_has(Jobs *jobs, const char *id) {
    DbSession *db = db_session(jobs->server->store);
    bool there = db_get_int(db, NULL, 1, "SELECT count(*) FROM jobs WHERE id = $1", DB_TEXT(id)) != 0;
    db_session_release(jobs->server->store, db);
    return there;
}

void job_rows_read_cancellations(Jobs *jobs) {
    DbSession *db = db_session(jobs->server->store);
    DbRows rows = db_query(db, NULL, "SELECT id FROM jobs WHERE state = 'running' AND cancel_requested = 1");
    while (db_next(&rows))
        for (JobRun *run = jobs->running; run; run = run->next)
            if (text_equal(run->job.id, db_text_borrowed(&rows, 0))) atomic_store(&run->cancelled, true);
    db_finish(&rows);
    db_session_release(jobs->server->store, db);
}
