/* Jobs with made-up kinds: order and room of queues, cancellation, retries, stopping, and kill -9 of the process that runs them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/jobs/jobs.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

typedef struct Fixture {
    Server server; /* first: a kind finds the fixture through job->server */
    char directory[64];
    char path[96];
    atomic_int running, most_running, runs, last_attempt;
    int pipe; /* of a child: told when its job runs */
    Arena arena;
    Error err;
} Fixture;

/* What happened is written into settings, so that it is there after a crash and gone after a rollback. */
static Status note(DbSession *tx, const char *what, const char *id, Error *err) {
    char name[100];
    snprintf(name, sizeof name, "%s %s", what, id);
    return db_exec(tx, err, "INSERT INTO settings (name, value) VALUES ($1, '1') ON CONFLICT (name) DO UPDATE SET value = value + 1", DB_TEXT(name));
}

static int64_t noted(Fixture *f, const char *what, const char *id) {
    DbSession *db = db_session(f->server.store);
    int64_t n = db_get_int(db, NULL, 0, "SELECT value FROM settings WHERE name = $1", DB_TEXT(arena_printf(&f->arena, "%s %s", what, id)));
    db_session_release(f->server.store, db);
    return n;
}

static Status note_done(DbSession *tx, void *context, Error *err) { return note(tx, "done", ((const Job *)context)->id, err); }

/* payload: seconds to work, and the status to fail with */
static Status work(Job *job, Error *err) {
    Fixture *f = (Fixture *)job->server;
    atomic_fetch_add(&f->runs, 1);
    atomic_store(&f->last_attempt, job->attempt);
    int now = atomic_fetch_add(&f->running, 1) + 1;
    if (now > atomic_load(&f->most_running)) atomic_store(&f->most_running, now);
    if (f->pipe && write(f->pipe, "r", 1) != 1) _exit(9);
    double until = clock_monotonic() + json_get_number(job->payload, "seconds", 0);
    while (clock_monotonic() < until && !job_cancelled(job)) clock_sleep(0.02);
    bool stopped = clock_monotonic() < until;
    atomic_fetch_sub(&f->running, 1);
    if (stopped) return error_set(err, STATUS_CANCELLED, "stopped");
    const char *fail = json_get_string(job->payload, "fail", NULL);
    if (text_equal(fail, "io")) return error_set_errno(err, EIO, "/secret/file");
    if (fail) return error_set(err, status_from_slug(fail), "told to fail by %s/work/x", f->directory);
    return db_write(f->server.store, note_done, job, err);
}

static Status work_ended(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    assert_true(message[0] != '\0' && !strstr(message, "/secret") && !strstr(message, ((const Fixture *)job->server)->directory));
    return note(tx, why == STATUS_CANCELLED ? "cancelled" : status_info(why)->slug, job->id, err);
}

static const JobKind SINGLE = {"single", "one", 1, 2, work, work_ended};
static const JobKind SIBLING = {"sibling", "one", 1, 2, work, work_ended};
static const JobKind DOUBLE = {"double", "two", 2, 2, work, work_ended};

static void start(Fixture *f) {
    f->server.jobs = jobs_new(&f->server);
    jobs_register(f->server.jobs, &SINGLE);
    jobs_register(f->server.jobs, &SIBLING);
    jobs_register(f->server.jobs, &DOUBLE);
    assert_int_equal(jobs_start(f->server.jobs, &f->err), STATUS_OK);
}

static int set_up_idle(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/jobs_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/pictograph.db", f->directory);
    arena_init(&f->arena, 1 << 20);
    *state = f;
    f->server.config.data_directory = f->directory;
    assert_int_equal(objects_open(&f->server.objects, f->directory, &f->err), STATUS_OK);
    return store_open(&f->server.store, f->path, &f->err);
}

static int set_up(void **state) {
    int code = set_up_idle(state);
    if (code == 0) start(*state);
    return code;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    jobs_close(f->server.jobs);
    store_close(f->server.store);
    objects_close(f->server.objects);
    file_remove_tree(f->directory, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

typedef struct Order {
    const char *id, *kind, *payload;
} Order;

static Status enqueue_order(DbSession *tx, void *context, Error *err) {
    const Order *o = context;
    return job_enqueue(tx, o->id, o->kind, "organization", "project", o->payload, err);
}

static void enqueue(Fixture *f, const char *id, const char *kind, const char *payload) {
    assert_int_equal(db_write(f->server.store, enqueue_order, &(Order){id, kind, payload}, &f->err), STATUS_OK);
    if (f->server.jobs) jobs_wake(f->server.jobs);
}

typedef struct Cancellation {
    Jobs *jobs;
    const char *id;
} Cancellation;

static Status cancel_one(DbSession *tx, void *context, Error *err) {
    const Cancellation *c = context;
    return job_cancel(tx, c->jobs, c->id, err);
}

static Status cancel_project(DbSession *tx, void *context, Error *err) { return job_cancel_project(tx, context, "project", err); }

static void cancel(Fixture *f, const char *id) {
    assert_int_equal(db_write(f->server.store, cancel_one, &(Cancellation){f->server.jobs, id}, &f->err), STATUS_OK);
}

static int64_t rows_left(Fixture *f) {
    DbSession *db = db_session(f->server.store);
    int64_t n = db_get_int(db, NULL, -1, "SELECT count(*) FROM jobs");
    db_session_release(f->server.store, db);
    return n;
}

/* Waits until a condition holds: for less than a job that goes on for ever (60 s) or a lease, so that neither passes for its end. */
#define wait_until(condition)                                                        \
    do {                                                                             \
        double start_ = clock_monotonic();                                           \
        while (!(condition) && clock_monotonic() - start_ < 30) clock_sleep(0.02);   \
        assert_true(condition);                                                      \
    } while (0)

static void jobs_of_a_queue_take_turns(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 0.1}");
    enqueue(f, "b", "sibling", "{\"seconds\": 0.1}");
    enqueue(f, "c", "single", "{\"seconds\": 0.1}");
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->most_running), 1);
    assert_int_equal(noted(f, "done", "a") + noted(f, "done", "b") + noted(f, "done", "c"), 3);
}

static void a_queue_may_run_several_at_once(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 5; i++) enqueue(f, arena_printf(&f->arena, "d%d", i), "double", "{\"seconds\": 0.3}");
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->most_running), 2);
    assert_int_equal(atomic_load(&f->runs), 5);
}

static void a_running_job_is_cancelled(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 60}");
    wait_until(jobs_running(f->server.jobs) == 1 && atomic_load(&f->runs) == 1);
    cancel(f, "a");
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "cancelled", "a"), 1);
    cancel(f, "a"); /* it is over: nothing happens */
    cancel(f, "unknown");
    assert_int_equal(noted(f, "cancelled", "a"), 1);
    assert_int_equal(noted(f, "done", "a"), 0);
}

static void a_waiting_job_is_cancelled_here_and_now(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 60}");
    wait_until(atomic_load(&f->runs) == 1);
    enqueue(f, "b", "single", "{}");
    cancel(f, "b");
    assert_int_equal(noted(f, "cancelled", "b"), 1);
    assert_int_equal(rows_left(f), 1);
    enqueue(f, "c", "sibling", "{}");
    assert_int_equal(db_write(f->server.store, cancel_project, f->server.jobs, &f->err), STATUS_OK);
    jobs_wake(f->server.jobs);
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "cancelled", "a"), 1);
    assert_int_equal(noted(f, "cancelled", "c"), 1);
    assert_int_equal(atomic_load(&f->runs), 1);
}

static void a_final_failure_ends_a_job_at_once(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"fail\": \"validation_error\"}");
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->runs), 1);
    assert_int_equal(noted(f, "validation_error", "a"), 1);
}

static void a_passing_failure_is_tried_again_and_then_ends_once(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"fail\": \"model_unavailable\"}");
    enqueue(f, "b", "double", "{\"fail\": \"upstream_error\"}");
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->runs), 4);
    assert_int_equal(noted(f, "model_unavailable", "a"), 1);
    assert_int_equal(noted(f, "upstream_error", "b"), 1);
}

static void a_failure_does_not_tell_of_the_servers_files(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"fail\": \"io\"}");
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "internal_error", "a"), 1);
}

static Status cancel_and_fail(DbSession *tx, void *context, Error *err) {
    Status status = cancel_one(tx, context, err);
    return status == STATUS_OK ? error_set(err, STATUS_CONFLICT, "not after all") : status;
}

static void the_folder_of_a_job_goes_once_its_end_is_committed(void **state) {
    Fixture *f = *state;
    const char *failed = objects_work_directory(f->server.objects, "failed", &f->arena, &f->err);
    enqueue(f, "failed", "double", "{\"fail\": \"validation_error\"}");
    wait_until(!file_exists(failed));
    enqueue(f, "long", "single", "{\"seconds\": 60}");
    wait_until(atomic_load(&f->runs) == 2);
    const char *waiting = objects_work_directory(f->server.objects, "waiting", &f->arena, &f->err); /* an earlier attempt left it */
    enqueue(f, "waiting", "single", "{}");
    assert_int_equal(db_write(f->server.store, cancel_and_fail, &(Cancellation){f->server.jobs, "waiting"}, &f->err), STATUS_CONFLICT);
    jobs_wake(f->server.jobs);
    clock_sleep(0.2);
    assert_true(file_exists(waiting));
    cancel(f, "waiting");
    wait_until(!file_exists(waiting));
    cancel(f, "long");
}

static Status execute(DbSession *tx, void *context, Error *err) { return db_exec(tx, err, context); }

static void an_end_that_cannot_be_written_down_is_tried_again(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 0.3}");
    wait_until(atomic_load(&f->runs) == 1);
    assert_int_equal(db_write(f->server.store, execute, "ALTER TABLE jobs RENAME TO hidden", &f->err), STATUS_OK);
    wait_until(noted(f, "done", "a") == 1);
    clock_sleep(0.3);
    assert_int_equal(db_write(f->server.store, execute, "ALTER TABLE hidden RENAME TO jobs", &f->err), STATUS_OK);
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->runs), 1);
}

static void a_payload_must_be_an_object(void **state) {
    Fixture *f = *state;
    assert_int_not_equal(db_write(f->server.store, enqueue_order, &(Order){"a", "single", "[1]"}, &f->err), STATUS_OK);
    assert_int_not_equal(db_write(f->server.store, enqueue_order, &(Order){"a", "single", "{"}, &f->err), STATUS_OK);
    assert_int_equal(rows_left(f), 0);
}

static void a_stop_puts_jobs_back_and_the_next_start_takes_them_up(void **state) {
    Fixture *f = *state;
    for (int stops = 0; stops < 3; stops++) { /* more often than max_attempts: stops do not count */
        if (stops == 0) enqueue(f, "a", "single", "{\"seconds\": 60}");
        wait_until(atomic_load(&f->runs) == stops + 1);
        double begin = clock_monotonic();
        jobs_close(f->server.jobs);
        f->server.jobs = NULL;
        assert_true(clock_monotonic() - begin < 30);
        assert_int_equal(rows_left(f), 1);
        if (stops == 2) assert_int_equal(db_write(f->server.store, execute, "UPDATE jobs SET payload = '{}'", &f->err), STATUS_OK);
        start(f);
    }
    wait_until(rows_left(f) == 0);
    assert_int_equal(atomic_load(&f->last_attempt), 1);
    assert_int_equal(noted(f, "done", "a"), 1);
    assert_int_equal(noted(f, "cancelled", "a"), 0);
}

/* Runs the jobs in a child, which is killed once its job runs. */
static void run_and_kill(Fixture *f) {
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        f->pipe = ends[1];
        if (store_open(&f->server.store, f->path, NULL) != STATUS_OK) _exit(1);
        start(f);
        for (;;) pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
}

static void a_job_survives_kill_9_until_its_attempts_are_spent(void **state) {
    Fixture *f = *state;
    enqueue(f, "long", "single", "{\"seconds\": 60}");
    enqueue(f, "next", "single", "{}");
    store_close(f->server.store);
    f->server.store = NULL;
    run_and_kill(f);
    run_and_kill(f); /* the second attempt, the last that this kind has */
    assert_int_equal(store_open(&f->server.store, f->path, &f->err), STATUS_OK);
    start(f);
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "internal_error", "long"), 1);
    assert_int_equal(noted(f, "done", "long"), 0);
    assert_int_equal(noted(f, "done", "next"), 1);
}

static void a_job_goes_on_after_kill_9(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 0.5}");
    store_close(f->server.store);
    f->server.store = NULL;
    run_and_kill(f);
    assert_int_equal(store_open(&f->server.store, f->path, &f->err), STATUS_OK);
    start(f);
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "done", "a"), 1);
    assert_int_equal(atomic_load(&f->last_attempt), 2);
}

static void a_cancellation_outlives_kill_9(void **state) {
    Fixture *f = *state;
    enqueue(f, "a", "single", "{\"seconds\": 60}");
    store_close(f->server.store);
    f->server.store = NULL;
    run_and_kill(f);
    assert_int_equal(store_open(&f->server.store, f->path, &f->err), STATUS_OK);
    f->server.jobs = jobs_new(&f->server);
    jobs_register(f->server.jobs, &SINGLE);
    cancel(f, "a"); /* its row still says running */
    assert_int_equal(noted(f, "cancelled", "a"), 0);
    assert_int_equal(jobs_start(f->server.jobs, &f->err), STATUS_OK);
    wait_until(rows_left(f) == 0);
    assert_int_equal(noted(f, "cancelled", "a"), 1);
    assert_int_equal(atomic_load(&f->runs), 0);
}

int main(void) {
#define JOBS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define CRASH_TEST(function) cmocka_unit_test_setup_teardown(function, set_up_idle, tear_down)
    const struct CMUnitTest tests[] = {
        JOBS_TEST(jobs_of_a_queue_take_turns),
        JOBS_TEST(a_queue_may_run_several_at_once),
        JOBS_TEST(a_running_job_is_cancelled),
        JOBS_TEST(a_waiting_job_is_cancelled_here_and_now),
        JOBS_TEST(a_final_failure_ends_a_job_at_once),
        JOBS_TEST(a_passing_failure_is_tried_again_and_then_ends_once),
        JOBS_TEST(a_failure_does_not_tell_of_the_servers_files),
        JOBS_TEST(the_folder_of_a_job_goes_once_its_end_is_committed),
        JOBS_TEST(an_end_that_cannot_be_written_down_is_tried_again),
        JOBS_TEST(a_payload_must_be_an_object),
        JOBS_TEST(a_stop_puts_jobs_back_and_the_next_start_takes_them_up),
        CRASH_TEST(a_job_survives_kill_9_until_its_attempts_are_spent),
        CRASH_TEST(a_job_goes_on_after_kill_9),
        CRASH_TEST(a_cancellation_outlives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
