/* Jobs: long work as rows with a lease and a heartbeat, so that it survives kill -9 of the server or of a worker.
 *
 * A feature registers its kinds (one row each) at start. To start a job it calls job_enqueue inside its own write transaction, next to
 * its own row (an export, a training run, a batch), which the job's payload names. A runner thread leases the job, calls run(), renews the
 * lease, and ends the job. A job that was running when the server died is taken up again at its next start, at most max_attempts times;
 * then ended() is called. The feature's row, not the job row, is what users see: a finished job has no row any more.
 *
 * run() works outside any transaction and writes with db_write. It must check job_cancelled at least once a second. It may be called
 * again for work that it finished just before the server died, so it first looks at the state of the feature's row.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "server/store/db.h"

typedef struct Server Server;
typedef struct Jobs Jobs;

typedef struct Job {
    const char *id;
    const char *kind;
    const char *organization_id;
    yyjson_val *payload; /* object, as enqueued */
    int attempt;         /* 1 for the first */
    Server *server;
    Arena *arena; /* of this run */
    Jobs *jobs;
} Job;

typedef struct JobKind {
    const char *name;
    const char *queue; /* jobs of one queue run one after the other unless `parallel` says more: "training", "export", "vision" */
    int parallel;      /* of the whole queue; the largest of its kinds counts */
    int max_attempts;
    /* Does the work and brings the feature's row to its final state. STATUS_CANCELLED when it stopped because of job_cancelled. A failure
     * whose HTTP status is below 500 (not found, invalid, ...) is final; others are tried again after a pause, up to max_attempts. */
    Status (*run)(Job *job, Error *err);
    /* Called exactly once, in the write transaction that removes the job's row, when run() failed for good, or when the job was cancelled
     * before or while it ran (why is STATUS_CANCELLED then): brings the feature's row to failed or cancelled and returns what was charged.
     * message is fit for users. The job's work folder, if it has one, is removed afterwards.
     * The feature's row may be gone, its project having been deleted: that is no failure. */
    Status (*ended)(DbSession *tx, const Job *job, Status why, const char *message, Error *err);
} JobKind;

Jobs *jobs_new(Server *server);
/* Before jobs_start. The row must outlive jobs. */
void jobs_register(Jobs *jobs, const JobKind *kind);
/* Takes up what an earlier process left, then runs. The caller holds the lock of the data folder: nobody else runs its jobs. */
Status jobs_start(Jobs *jobs, Error *err);
/* Stops leasing, asks running jobs to pause (job_stopping turns true, they return STATUS_CANCELLED without acting on it and are taken up at the
 * next start, the attempt uncounted), waits for them. */
void jobs_stop(Jobs *jobs);
/* Stops if that was not done. NULL is fine. */
void jobs_close(Jobs *jobs);

/* Inside a write transaction. payload is JSON text of an object; project_id may be NULL. */
Status job_enqueue(DbSession *tx, const char *id, const char *kind, const char *organization_id, const char *project_id,
                   const char *payload, Error *err);
/* Wakes a runner; call it after the transaction that enqueued or cancelled was committed. */
void jobs_wake(Jobs *jobs);
/* Asks a job to end, inside a write transaction. A job that is not running yet ends here and now through its ended(); for a running one
 * that follows once it has stopped. A job that is finished or unknown is no failure. */
Status job_cancel(DbSession *tx, Jobs *jobs, const char *id, Error *err);
/* The same for all jobs of a project. */
Status job_cancel_project(DbSession *tx, Jobs *jobs, const char *project_id, Error *err);

/* For run(): true once someone cancelled the job, or the server stops. */
bool job_cancelled(const Job *job);
bool job_stopping(const Job *job);
/* job_cancelled in the form of workers_call's `stop`; context is the Job. */
bool job_stop(void *job);
/* Number of jobs that run now, for metrics. */
int jobs_running(Jobs *jobs);
