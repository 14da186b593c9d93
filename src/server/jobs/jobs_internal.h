/* What jobs.c (threads) and job_rows.c (SQL) share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "server/jobs/jobs.h"
#include "server/server.h"

enum { JOB_KINDS_MAXIMUM = 32, JOB_LEASE_SECONDS = 60, JOB_LEASE_RENEWAL_SECONDS = 10, JOB_ARENA_LIMIT = 256 << 20 };

/* One job in memory: leased by a runner, or built for a call of ended(). */
typedef struct JobRun {
    Job job; /* first: a Job that run() gets is a JobRun */
    const JobKind *kind;
    Arena arena;
    yyjson_doc *payload;
    int64_t created_at;
    bool cancel_requested; /* in its row, when that was read */
    atomic_bool cancelled;
    pthread_t thread;
    bool finished; /* the thread is about to end; under Jobs.mutex */
    struct JobRun *next;
} JobRun;

struct Jobs {
    Server *server;
    char instance[UUID_SIZE]; /* this process, as leased_by says it */
    const JobKind *kinds[JOB_KINDS_MAXIMUM];
    int kind_count;
    atomic_bool stopping;
    bool started;
    pthread_t keeper;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool woken;
    JobRun *running;
    JobRun *ended; /* ids of jobs whose folders are to go */
};

const JobKind *job_kind(const Jobs *jobs, const char *name);
JobRun *job_run_new(Jobs *jobs);
void job_run_free(JobRun *run);
/* Into jobs->ended, which owns it from then on. */
void job_ended_add(JobRun *run);

/* Leases the oldest job that may run now of the kinds that `allowed` names by index. NULL in *out when there is none. Jobs that are at their
 * end already (cancelled, or out of attempts) are ended on the way. */
Status job_rows_lease(Jobs *jobs, JobRun **out, const bool allowed[JOB_KINDS_MAXIMUM], Error *err);
/* Everything that an earlier process left running may run again at once. */
Status job_rows_take_over(Jobs *jobs, Error *err);
Status job_rows_renew(Jobs *jobs, Error *err);
/* Sets cancelled of each run whose row asks for it; jobs->mutex is held. */
void job_rows_read_cancellations(Jobs *jobs);
/* A question that cannot be answered says yes. */
bool job_rows_has(Jobs *jobs, const char *id);
/* After run() returned: removes the row, puts it back, or ends the job through ended(). */
Status job_rows_conclude(JobRun *run, Status outcome, const char *message, Error *err);
