/* The threads of jobs: one keeper that leases, renews and hears of cancellations, and one thread for each job that runs. */
#include "server/jobs/jobs.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/condition.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "server/jobs/jobs_internal.h"
#include "server/objects/objects.h"
#include "base/banned.h"

enum { BUSY_PAUSE_MS = 500, IDLE_PAUSE_MS = 2000, CONCLUDE_PAUSE_SECONDS = 30 };

Jobs *jobs_new(Server *server) {
    Jobs *jobs = xcalloc(1, sizeof *jobs);
    jobs->server = server;
    uuid_new(jobs->instance);
    pthread_mutex_init(&jobs->mutex, NULL);
    condition_init(&jobs->changed);
    return jobs;
}

void jobs_register(Jobs *jobs, const JobKind *kind) {
    if (jobs->kind_count == JOB_KINDS_MAXIMUM || jobs->started) abort(); /* a mistake of the program, not of its input */
    jobs->kinds[jobs->kind_count++] = kind;
}

void jobs_wake(Jobs *jobs) {
    pthread_mutex_lock(&jobs->mutex);
    jobs->woken = true;
    pthread_cond_signal(&jobs->changed);
    pthread_mutex_unlock(&jobs->mutex);
}

bool job_stopping(const Job *job) { return atomic_load(&job->jobs->stopping); }
bool job_cancelled(const Job *job) { return atomic_load(&((const JobRun *)job)->cancelled) || job_stopping(job); }
bool job_stop(void *job) { return job_cancelled(job); }

int jobs_running(Jobs *jobs) {
    int n = 0;
    pthread_mutex_lock(&jobs->mutex);
    for (JobRun *run = jobs->running; run; run = run->next) n += !run->finished;
    pthread_mutex_unlock(&jobs->mutex);
    return n;
}

/* --- one job --------------------------------------------------------------------------------------------------------------- */

/* The store may be full or busy for a while: until the server stops it is tried again, ever more rarely; after that at the next start. */
static void conclude(JobRun *run, Status outcome, const char *message) {
    for (int try = 1;; try++) {
        Error err = {0};
        if (job_rows_conclude(run, outcome, message, &err) == STATUS_OK) return;
        log_event(LOG_ERROR, "job_not_concluded", "job", run->job.id, "kind", run->job.kind, "reason", err.message, NULL);
        for (int second = 0; second < try && second < CONCLUDE_PAUSE_SECONDS; second++) {
            if (job_stopping(&run->job)) return;
            clock_sleep(1);
        }
    }
}

static void *run_job(void *context) {
    JobRun *run = context;
    Jobs *jobs = run->job.jobs;
    Error err = {0};
    double start = clock_monotonic();
    log_event(LOG_INFO, "job_started", "job", run->job.id, "kind", run->job.kind, "attempt", log_text("%d", run->job.attempt), NULL);
    Status outcome = run->kind->run(&run->job, &err);
    log_event(LOG_INFO, "job_returned", "job", run->job.id, "kind", run->job.kind, "status", status_info(outcome)->slug, "reason", err.message, "seconds",
              log_text("%.3f", clock_monotonic() - start), NULL);
    conclude(run, outcome, err.message);
    pthread_mutex_lock(&jobs->mutex);
    run->finished = true;
    jobs->woken = true;
    pthread_cond_signal(&jobs->changed);
    pthread_mutex_unlock(&jobs->mutex);
    return NULL;
}

/* --- the keeper ------------------------------------------------------------------------------------------------------------ */

static void join_finished(Jobs *jobs) {
    JobRun *finished = NULL;
    pthread_mutex_lock(&jobs->mutex);
    for (JobRun **at = &jobs->running; *at;) {
        JobRun *run = *at;
        if (!run->finished) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        run->next = finished;
        finished = run;
    }
    pthread_mutex_unlock(&jobs->mutex);
    for (JobRun *run = finished, *next; run; run = next) {
        next = run->next;
        pthread_join(run->thread, NULL);
        job_run_free(run);
    }
}

/* Marks the kinds whose queue has room. Only the keeper adds runs, so the answer stays true while it leases. */
static bool find_room(Jobs *jobs, bool allowed[JOB_KINDS_MAXIMUM]) {
    bool any = false;
    pthread_mutex_lock(&jobs->mutex);
    for (int i = 0; i < jobs->kind_count; i++) {
        const char *queue = jobs->kinds[i]->queue;
        int room = 1;
        for (int k = 0; k < jobs->kind_count; k++)
            if (text_equal(jobs->kinds[k]->queue, queue) && jobs->kinds[k]->parallel > room) room = jobs->kinds[k]->parallel;
        for (JobRun *run = jobs->running; run; run = run->next) room -= text_equal(run->kind->queue, queue);
        allowed[i] = room > 0;
        any |= allowed[i];
    }
    pthread_mutex_unlock(&jobs->mutex);
    return any;
}

static void start_run(Jobs *jobs, JobRun *run) {
    pthread_mutex_lock(&jobs->mutex);
    run->next = jobs->running;
    jobs->running = run;
    int code = pthread_create(&run->thread, NULL, run_job, run);
    if (code != 0) jobs->running = run->next;
    pthread_mutex_unlock(&jobs->mutex);
    if (code == 0) return;
    conclude(run, STATUS_SERVICE_UNAVAILABLE, "No thread for the job");
    job_run_free(run);
}

static void start_what_may_run(Jobs *jobs) {
    bool allowed[JOB_KINDS_MAXIMUM];
    while (!atomic_load(&jobs->stopping) && find_room(jobs, allowed)) {
        JobRun *run;
        Error err = {0};
        if (job_rows_lease(jobs, &run, allowed, &err) != STATUS_OK) log_event(LOG_ERROR, "job_lease_failed", "reason", err.message, NULL);
        if (!run) return;
        start_run(jobs, run);
    }
}

/* The folders of ended jobs. Not in the transaction that ends one: it must be quick, and a folder may hold a hundred thousand files. While there is a
 * row, that transaction is not committed, or was undone. */
static void remove_folders(Jobs *jobs) {
    pthread_mutex_lock(&jobs->mutex);
    JobRun *ended = jobs->ended;
    jobs->ended = NULL;
    pthread_mutex_unlock(&jobs->mutex);
    for (JobRun *run = ended, *next; run; run = next) {
        next = run->next;
        if (job_rows_has(jobs, run->job.id)) {
            job_ended_add(run);
            continue;
        }
        const char *folder = objects_work_path(jobs->server->objects, run->job.id, &run->arena);
        if (folder) file_remove_tree(folder, NULL);
        job_run_free(run);
    }
}

/* True while something runs. */
static bool listen_for_cancellations(Jobs *jobs) {
    pthread_mutex_lock(&jobs->mutex);
    bool busy = jobs->running != NULL;
    if (busy) job_rows_read_cancellations(jobs);
    pthread_mutex_unlock(&jobs->mutex);
    return busy;
}

static void pause_keeper(Jobs *jobs, int ms) {
    double until = clock_monotonic() + ms / 1000.0;
    pthread_mutex_lock(&jobs->mutex);
    while (!jobs->woken && condition_wait(&jobs->changed, &jobs->mutex, until) == 0) {}
    jobs->woken = false;
    pthread_mutex_unlock(&jobs->mutex);
}

static void *keeper_main(void *context) {
    Jobs *jobs = context;
    double renewed = clock_monotonic();
    for (bool busy = true; !atomic_load(&jobs->stopping) || busy;) {
        join_finished(jobs);
        start_what_may_run(jobs);
        remove_folders(jobs);
        busy = listen_for_cancellations(jobs);
        if (busy && clock_monotonic() - renewed > JOB_LEASE_RENEWAL_SECONDS) {
            Error err = {0};
            renewed = clock_monotonic();
            if (job_rows_renew(jobs, &err) != STATUS_OK) log_event(LOG_ERROR, "job_lease_not_renewed", "reason", err.message, NULL);
        }
        if (busy || !atomic_load(&jobs->stopping)) pause_keeper(jobs, busy ? BUSY_PAUSE_MS : IDLE_PAUSE_MS);
    }
    return NULL;
}

Status jobs_start(Jobs *jobs, Error *err) {
    Status status = job_rows_take_over(jobs, err);
    if (status != STATUS_OK) return status;
    int code = pthread_create(&jobs->keeper, NULL, keeper_main, jobs);
    if (code != 0) return error_set_errno(err, code, "job keeper");
    jobs->started = true;
    return STATUS_OK;
}

void jobs_stop(Jobs *jobs) {
    if (!jobs->started) return;
    atomic_store(&jobs->stopping, true);
    jobs_wake(jobs);
    pthread_join(jobs->keeper, NULL); /* it ends after the last run */
    jobs->started = false;
}

void jobs_close(Jobs *jobs) {
    if (!jobs) return;
    jobs_stop(jobs);
    for (JobRun *run = jobs->ended, *next; run; run = next) { /* the next start sweeps their folders */
        next = run->next;
        job_run_free(run);
    }
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->mutex);
    free(jobs);
}
