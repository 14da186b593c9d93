/* A pool of worker processes. Its keeper thread starts them, because a worker dies with the thread that started it, and ends idle ones;
 * callers talk to the worker that they took, and kill it when it fails them. */
#include "server/jobs/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/condition.h"
#include "base/file.h"
#include "base/log.h"
#include "server/jobs/exchange.h"
#include "server/jobs/process.h"
#include "worker/channel.h"
#include "base/banned.h"

enum { TICK_MS = 250, SEND_TIMEOUT_SECONDS = 10, ARGUMENTS_MAXIMUM = 32, KILLED_STARTS = 3 };
#define START_SECONDS 30.0      /* for the first sign of life */
#define FIRST_BACK_OFF 0.5      /* pause after a failed start; doubles */
#define LONGEST_BACK_OFF 30.0

typedef struct Worker {
    pid_t pid;
    int fd;
    int64_t calls;
    bool proven; /* it has answered */
    double idle_since;
    struct Worker *next;
} Worker;

struct WorkerPool {
    WorkerProgram program;
    const char *argv[ARGUMENTS_MAXIMUM + 2];
    Arena arena; /* of the two above */
    pthread_t keeper;
    atomic_bool hurried; /* see workers_hurry */
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool closing;
    Worker *idle; /* last used first */
    int idle_count;
    int live;    /* idle, at work, or being started */
    int waiting; /* callers without a worker, patient ones included */
    int waiting_first; /* those that are not patient */
    int failed_starts; /* in a row */
    double next_start; /* not before this instant */
    Error start_error;
    long restarts;
};

/* --- under the mutex ------------------------------------------------------------------------------------------------------- */

static void wait_changed(WorkerPool *pool, double seconds) {
    condition_wait(&pool->changed, &pool->mutex, clock_monotonic() + seconds);
}

static void push_idle(WorkerPool *pool, Worker *worker) {
    worker->idle_since = clock_monotonic();
    worker->next = pool->idle;
    pool->idle = worker;
    pool->idle_count++;
    pthread_cond_broadcast(&pool->changed);
}

static Worker *pop_idle(WorkerPool *pool) {
    Worker *worker = pool->idle;
    if (!worker) return NULL;
    pool->idle = worker->next;
    pool->idle_count--;
    return worker;
}

static void note_failed_start(WorkerPool *pool, const Error *why) {
    int doublings = pool->failed_starts < 8 ? pool->failed_starts : 8;
    double pause = FIRST_BACK_OFF * (1 << doublings);
    pool->failed_starts++;
    pool->next_start = clock_monotonic() + (pause < LONGEST_BACK_OFF ? pause : LONGEST_BACK_OFF);
    pool->start_error = *why;
    pthread_cond_broadcast(&pool->changed);
}

/* --- one worker ------------------------------------------------------------------------------------------------------------ */

static Worker *worker_start(const WorkerPool *pool, Error *err) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        error_set_errno(err, errno, "socketpair");
        return NULL;
    }
    /* A worker that was taken over by a hostile file might stop reading. */
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = SEND_TIMEOUT_SECONDS}, sizeof(struct timeval));
    Worker *worker = xcalloc(1, sizeof *worker);
    worker->fd = ends[0];
    ProcessSpec spec = {.argv = pool->argv, .directory = pool->program.directory, .standard_output = -1, .standard_error = -1, .channel = ends[1]};
    Status status = process_start(&worker->pid, &spec, err);
    close(ends[1]);
    if (status == STATUS_OK) {
        log_event(LOG_INFO, "worker_started", "worker", pool->program.name, "pid", log_text("%ld", (long)worker->pid), NULL);
        return worker;
    }
    close(worker->fd);
    free(worker);
    return NULL;
}

/* Returns the exit code. */
static int worker_end(Worker *worker) {
    close(worker->fd);
    int code = process_collect(worker->pid);
    free(worker);
    return code;
}

static void bury(WorkerPool *pool, Worker *worker, const char *reason) {
    long pid = (long)worker->pid;
    int code = worker_end(worker);
    log_event(LOG_WARNING, "worker_died", "worker", pool->program.name, "pid", log_text("%ld", pid), "exit_code", log_text("%d", code), "reason", reason,
              NULL);
    pthread_mutex_lock(&pool->mutex);
    pool->live--;
    pool->restarts++;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

/* --- the keeper ------------------------------------------------------------------------------------------------------------ */

static bool may_start(const WorkerPool *pool) {
    return !pool->closing && pool->waiting > pool->idle_count && pool->live < pool->program.count && clock_monotonic() >= pool->next_start;
}

static void start_one(WorkerPool *pool) {
    Error err = {0};
    pool->live++;
    pthread_mutex_unlock(&pool->mutex);
    Worker *worker = worker_start(pool, &err);
    if (!worker) log_event(LOG_ERROR, "worker_not_started", "worker", pool->program.name, "reason", err.message, NULL);
    pthread_mutex_lock(&pool->mutex);
    if (worker) {
        push_idle(pool, worker);
        return;
    }
    pool->live--;
    note_failed_start(pool, &err);
}

/* Ends workers that were idle long enough; returns the seconds until the next one is due. */
static double end_idle(WorkerPool *pool) {
    double now = clock_monotonic(), next = 3600;
    for (Worker **at = &pool->idle; *at;) {
        Worker *worker = *at;
        double left = worker->idle_since + pool->program.idle_seconds - now;
        if (left > 0 && !pool->closing) {
            next = left < next ? left : next;
            at = &worker->next;
            continue;
        }
        *at = worker->next;
        pool->idle_count--;
        pool->live--;
        worker_end(worker);
    }
    return next;
}

static void *keeper_main(void *context) {
    WorkerPool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->closing) {
        while (may_start(pool)) start_one(pool);
        double pause = end_idle(pool), until_start = pool->next_start - clock_monotonic();
        if (pool->waiting > pool->idle_count && until_start > 0 && until_start < pause) pause = until_start;
        if (!pool->closing && !may_start(pool)) wait_changed(pool, pause + 0.001);
    }
    end_idle(pool);
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

Status workers_open(WorkerPool **out, const WorkerProgram *program, Error *err) {
    Status status = program->directory ? file_make_directories(program->directory, 0700, err) : STATUS_OK;
    if (status != STATUS_OK) return status;
    WorkerPool *pool = xcalloc(1, sizeof *pool);
    arena_init(&pool->arena, 1 << 20);
    pool->program = *program;
    pool->program.path = pool->argv[0] = arena_strdup(&pool->arena, program->path);
    pool->program.name = arena_strdup(&pool->arena, program->name);
    pool->program.directory = arena_strdup(&pool->arena, program->directory);
    for (int i = 0; program->arguments && program->arguments[i] && i < ARGUMENTS_MAXIMUM; i++)
        pool->argv[i + 1] = arena_strdup(&pool->arena, program->arguments[i]);
    pool->program.arguments = pool->argv + 1;
    pthread_mutex_init(&pool->mutex, NULL);
    condition_init(&pool->changed);
    int code = pthread_create(&pool->keeper, NULL, keeper_main, pool);
    if (code != 0) {
        arena_clear(&pool->arena);
        free(pool);
        return error_set_errno(err, code, "worker keeper");
    }
    *out = pool;
    return STATUS_OK;
}

void workers_close(WorkerPool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    pthread_join(pool->keeper, NULL);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
    arena_clear(&pool->arena);
    free(pool);
}

void workers_hurry(WorkerPool *pool) {
    if (pool) atomic_store(&pool->hurried, true);
}

/* --- a call ---------------------------------------------------------------------------------------------------------------- */

#define STOPPING "the server is stopping"

typedef struct Call {
    WorkerPool *pool;
    const char *method;
    const char *params;
    double timeout;
    bool (*stop)(void *context);
    void *context;
    bool patient;
} Call;

static bool shall_end(void *context) {
    const Call *call = context;
    return call->stop ? call->stop(call->context) : atomic_load(&call->pool->hurried);
}

/* call has to outlive the exchange. */
static Exchange next_exchange(Call *call, Worker *worker) {
    return (Exchange){.fd = worker->fd, .id = ++worker->calls, .timeout = call->timeout, .stop = shall_end, .context = call};
}

/* Of a program that does not start: not the fault of what the caller sent. */
static Status unavailable(const WorkerPool *pool, Error *err, const char *why) {
    Status status = status_info(pool->program.died)->http >= 500 ? pool->program.died : STATUS_SERVICE_UNAVAILABLE;
    return error_set(err, status, "The %s worker is not available: %s", pool->program.name, why);
}

static bool may_take(const Call *call) { return !call->patient || call->pool->waiting_first == 0; }

static Status take_worker(Worker **out, Call *call, Error *err) {
    WorkerPool *pool = call->pool;
    Status status = STATUS_OK;
    double deadline = clock_monotonic() + call->timeout;
    *out = NULL;
    pthread_mutex_lock(&pool->mutex);
    pool->waiting++;
    pool->waiting_first += !call->patient;
    pthread_cond_broadcast(&pool->changed);
    while (status == STATUS_OK && !(*out = may_take(call) ? pop_idle(pool) : NULL)) {
        double now = clock_monotonic();
        if (pool->closing) status = unavailable(pool, err, STOPPING);
        else if (pool->live == 0 && now < pool->next_start) status = unavailable(pool, err, pool->start_error.message);
        else if (now >= deadline) status = error_set(err, STATUS_SERVICE_UNAVAILABLE, "All %s workers are busy", pool->program.name);
        else if (shall_end(call)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
        else wait_changed(pool, TICK_MS / 1000.0);
    }
    pool->waiting--;
    pool->waiting_first -= !call->patient;
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

static void give_back(WorkerPool *pool, Worker *worker) {
    pthread_mutex_lock(&pool->mutex);
    push_idle(pool, worker);
    pthread_mutex_unlock(&pool->mutex);
}

/* Any answer will do, even that there is no such method. */
static Status prove(WorkerPool *pool, Worker *worker, Error *err) {
    Exchange exchange = next_exchange(&(Call){.pool = pool, .timeout = START_SECONDS}, worker);
    yyjson_doc *answer = NULL;
    bool broken;
    Status status = channel_request(exchange.fd, exchange.id, "ping", "{}", err);
    if (status == STATUS_OK) status = exchange_receive(&exchange, &answer, &broken, err);
    yyjson_doc_free(answer);
    pthread_mutex_lock(&pool->mutex);
    worker->proven = status == STATUS_OK;
    if (worker->proven) pool->failed_starts = 0;
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

/* Ends a worker that could not be proven. True: another one may be tried, since somebody killed this one, which tells nothing of the program. */
static bool give_up(WorkerPool *pool, Worker *worker, int tries, const Error *why) {
    bool again = tries < KILLED_STARTS && process_was_killed(worker->pid);
    if (!again) {
        pthread_mutex_lock(&pool->mutex);
        note_failed_start(pool, why);
        pthread_mutex_unlock(&pool->mutex);
    }
    bury(pool, worker, why->message);
    return again;
}

/* Gives the request to a worker. One that died while it was idle, or was killed as it started, is replaced silently. */
static Status hand_over(Worker **out, Exchange *out_exchange, Call *call, Error *err) {
    for (int tries = 0;; tries++) {
        Worker *worker = NULL;
        Status status = take_worker(&worker, call, err);
        if (status != STATUS_OK) return status;
        if (!worker->proven && prove(call->pool, worker, err) != STATUS_OK) {
            Error why = *err;
            if (give_up(call->pool, worker, tries, &why)) continue;
            return unavailable(call->pool, err, why.message);
        }
        *out = worker;
        *out_exchange = next_exchange(call, worker);
        status = process_has_ended(worker->pid) ? STATUS_IO : channel_request(out_exchange->fd, out_exchange->id, call->method, call->params, err);
        if (status == STATUS_OK) return status;
        if (status == STATUS_OUT_OF_MEMORY) { /* nothing was sent */
            give_back(call->pool, worker);
            return status;
        }
        bury(call->pool, worker, "it had ended while idle");
    }
}

/* *out_killed: somebody else ended the worker, so it need not be what was sent to it. */
static Status try_call(Call *call, yyjson_doc **out, bool *out_killed, Error *err) {
    WorkerPool *pool = call->pool;
    Worker *worker = NULL;
    Exchange exchange;
    bool broken;
    *out = NULL;
    *out_killed = false;
    Status status = hand_over(&worker, &exchange, call, err);
    if (status != STATUS_OK) return status;
    status = exchange_receive(&exchange, out, &broken, err);
    *out_killed = broken && status != STATUS_TIMEOUT && status != STATUS_CANCELLED && process_was_killed(worker->pid);
    if (broken) bury(pool, worker, err->message);
    else give_back(pool, worker);
    if (status == STATUS_OK || status == STATUS_CANCELLED) return status;
    err->status = *out_killed && !pool->program.repeatable ? STATUS_SERVICE_UNAVAILABLE : pool->program.died; /* the job may try again */
    return error_prefix(err, "The %s worker gave up on this", pool->program.name);
}

static Status call_worker(Call *call, yyjson_doc **out, Error *err) {
    Error local = {0};
    if (!err) err = &local;
    bool killed;
    Status status = try_call(call, out, &killed, err);
    if (killed && call->pool->program.repeatable) status = try_call(call, out, &killed, err);
    if (status == STATUS_CANCELLED && !call->stop) return unavailable(call->pool, err, STOPPING);
    if (status != STATUS_OK || yyjson_obj_get(yyjson_doc_get_root(*out), "result")) return status;
    status = channel_failure(yyjson_obj_get(yyjson_doc_get_root(*out), "error"), err);
    yyjson_doc_free(*out);
    *out = NULL;
    return status;
}

Status workers_call(WorkerPool *pool, yyjson_doc **out, const char *method, const char *params, double timeout, bool (*stop)(void *context), void *context,
                    Error *err) {
    return call_worker(&(Call){pool, method, params, timeout, stop, context, false}, out, err);
}

Status workers_call_patiently(WorkerPool *pool, yyjson_doc **out, const char *method, const char *params, double timeout, bool (*stop)(void *context),
                              void *context, Error *err) {
    return call_worker(&(Call){pool, method, params, timeout, stop, context, true}, out, err);
}

long workers_restarts(WorkerPool *pool) {
    pthread_mutex_lock(&pool->mutex);
    long restarts = pool->restarts;
    pthread_mutex_unlock(&pool->mutex);
    return restarts;
}

int workers_count(const WorkerPool *pool) { return pool->program.count; }

bool workers_busy(WorkerPool *pool) {
    pthread_mutex_lock(&pool->mutex);
    bool busy = pool->live > pool->idle_count;
    pthread_mutex_unlock(&pool->mutex);
    return busy;
}

bool workers_available(WorkerPool *pool) {
    pthread_mutex_lock(&pool->mutex);
    bool available = pool->failed_starts == 0 && access(pool->program.path, X_OK) == 0;
    pthread_mutex_unlock(&pool->mutex);
    return available;
}
