/* Worker pools and job processes against children that answer, die, hang, speak rubbish or ignore signals. The children are this very
 * program, started with --worker or --job. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
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
#include "server/jobs/process.h"
#include "server/jobs/workers.h"
#include "worker/channel.h"
#include "base/banned.h"
#include "base/banned.h"

static const char SELF[] = "/proc/self/exe";
#define PATIENCE 20.0 /* s: a busy machine is no failure; what goes wrong here takes for ever */

/* --- the children ---------------------------------------------------------------------------------------------------------- */

static Status worker_echo(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    json_value(call->result, call->params);
    return STATUS_OK;
}

static Status worker_fail(WorkerCall *call, void *context, Error *err) {
    (void)call, (void)context;
    return error_set(err, STATUS_IMAGE_TOO_LARGE, "No such picture fits");
}

static Status worker_die(WorkerCall *call, void *context, Error *err) {
    (void)call, (void)context, (void)err;
    _exit(3);
}

static Status worker_killed(WorkerCall *call, void *context, Error *err) {
    (void)call, (void)context, (void)err;
    raise(SIGKILL);
    return STATUS_OK;
}

/* As if somebody killed it: the first time that the file is not there yet. */
static Status worker_killed_once(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    const char *path = json_get_string(call->params, "mark", "");
    if (!file_exists(path)) {
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        raise(SIGKILL);
    }
    json_int(call->result, getpid());
    return STATUS_OK;
}

static Status worker_crash(WorkerCall *call, void *context, Error *err) {
    if (file_exists(json_get_string(call->params, "mark", ""))) return worker_echo(call, context, err);
    close(open(json_get_string(call->params, "mark", ""), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return STATUS_OK;
}

static Status worker_hang(WorkerCall *call, void *context, Error *err) {
    (void)call, (void)context, (void)err;
    for (;;) pause();
    return STATUS_OK;
}

/* Until a file is there; the answer says how many such calls came before. */
static Status worker_await(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    static int64_t before;
    while (!file_exists(json_get_string(call->params, "mark", ""))) clock_sleep(0.01);
    json_int(call->result, before++);
    return STATUS_OK;
}

static Status worker_rubbish(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    channel_send(call->fd, "{]", 2, NULL);
    return STATUS_OK;
}

static Status worker_slow(WorkerCall *call, void *context, Error *err) {
    (void)context;
    for (double until = clock_monotonic() + json_get_number(call->params, "seconds", 0); clock_monotonic() < until;) {
        if (!worker_progress(call, "{\"step\": 1}")) return error_set(err, STATUS_CANCELLED, "told to stop");
        clock_sleep(0.02);
    }
    json_int(call->result, getpid());
    return STATUS_OK;
}

/* What the child was given: its open files, a variable of the environment, its process group. */
static Status worker_inherited(WorkerCall *call, void *context, Error *err) {
    (void)context, (void)err;
    DIR *dir = opendir("/proc/self/fd");
    int64_t highest = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir) && atoi(entry->d_name) > highest) highest = atoi(entry->d_name);
    if (dir) closedir(dir);
    char here[4096];
    json_begin_object(call->result);
    json_field_int(call->result, "highest", highest);
    json_field_string(call->result, "secret", getenv("PICTOGRAPH_API_KEY"));
    json_field_string(call->result, "path", getenv("PATH"));
    json_field_bool(call->result, "own_group", getpgrp() == getpid());
    json_field_string(call->result, "directory", getcwd(here, sizeof here));
    json_field_bool(call->result, "pipe_signal", signal(SIGPIPE, SIG_DFL) == SIG_DFL);
    json_end_object(call->result);
    return STATUS_OK;
}

static const WorkerMethod METHODS[] = {{"echo", worker_echo}, {"fail", worker_fail}, {"die", worker_die}, {"killed", worker_killed}, {"killed_once", worker_killed_once}, {"crash", worker_crash}, {"hang", worker_hang},
                                       {"rubbish", worker_rubbish}, {"await", worker_await}, {"slow", worker_slow}, {"inherited", worker_inherited}, {NULL, NULL}};

static int run_as_job(const char *what) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (text_equal(what, "lines")) {
        fputs("to the log\n", stderr);
        for (int i = 0; i < 1000; i++) printf("{\"line\": %d}\n", i);
        return 7;
    }
    if (text_equal(what, "long")) {
        for (int i = 0; i < (3 << 20); i++) putchar('x');
        printf("\n{\"line\": 0}\n");
        return 0;
    }
    if (text_equal(what, "deaf")) signal(SIGTERM, SIG_IGN);
    if (text_equal(what, "parent") && fork() == 0) /* a child of its own that keeps the output open */
        for (;;) pause();
    printf("{\"pid\": %d}\n", getpid());
    if (text_equal(what, "parent")) return 0;
    for (;;) pause();
    return 0;
}

/* --- pools ----------------------------------------------------------------------------------------------------------------- */

typedef struct Fixture {
    char directory[64];
    WorkerPool *pool;
    Error err;
} Fixture;

static WorkerProgram program(const Fixture *f) {
    static const char *const ARGUMENTS[] = {"--worker", NULL};
    return (WorkerProgram){.path = SELF, .arguments = ARGUMENTS, .name = "fake", .count = 2, .idle_seconds = 60, .directory = f->directory,
                           .died = STATUS_UNDECODABLE_MEDIA};
}

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/workers_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    *state = f;
    WorkerProgram p = program(f);
    return workers_open(&f->pool, &p, &f->err);
}

static int tear_down(void **state) {
    Fixture *f = *state;
    workers_close(f->pool);
    file_remove_tree(f->directory, NULL);
    free(f);
    return 0;
}

static void reopen(Fixture *f, WorkerProgram p) {
    workers_close(f->pool);
    assert_int_equal(workers_open(&f->pool, &p, &f->err), STATUS_OK);
}

static Status call(Fixture *f, const char *method, const char *params, double timeout) {
    yyjson_doc *answer;
    Status status = workers_call(f->pool, &answer, method, params, timeout, NULL, NULL, &f->err);
    yyjson_doc_free(answer);
    return status;
}

/* pid of a worker, by a method that tells it */
static int64_t worker_pid(Fixture *f) {
    yyjson_doc *answer;
    assert_int_equal(workers_call(f->pool, &answer, "slow", "{}", PATIENCE, NULL, NULL, &f->err), STATUS_OK);
    int64_t pid = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(answer), "result"));
    yyjson_doc_free(answer);
    return pid;
}

static void a_call_is_answered(void **state) {
    Fixture *f = *state;
    yyjson_doc *answer;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(workers_call(f->pool, &answer, "echo", "{\"x\": \"grüße\"}", PATIENCE, NULL, NULL, &f->err), STATUS_OK);
        assert_string_equal(json_get_string(yyjson_obj_get(yyjson_doc_get_root(answer), "result"), "x", ""), "grüße");
        yyjson_doc_free(answer);
    }
    assert_int_equal(worker_pid(f), worker_pid(f)); /* one process serves them all */
    assert_int_equal(workers_restarts(f->pool), 0);
    assert_true(workers_available(f->pool));
}

static void a_failure_of_the_worker_comes_back(void **state) {
    Fixture *f = *state;
    assert_int_equal(call(f, "fail", "{}", PATIENCE), STATUS_IMAGE_TOO_LARGE); /* not the first status of the slug */
    assert_string_equal(f->err.message, "No such picture fits");
    assert_int_equal(call(f, "unknown", "{}", PATIENCE), STATUS_INTERNAL_ERROR);
    assert_int_equal(workers_restarts(f->pool), 0);
}

static void a_dying_hanging_or_raving_worker_costs_one_call(void **state) {
    Fixture *f = *state;
    assert_int_equal(call(f, "die", "{}", PATIENCE), STATUS_UNDECODABLE_MEDIA);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_OK);
    double start = clock_monotonic();
    assert_int_equal(call(f, "hang", "{}", 0.5), STATUS_UNDECODABLE_MEDIA);
    assert_true(clock_monotonic() - start < PATIENCE);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_OK);
    assert_int_equal(call(f, "rubbish", "{}", PATIENCE), STATUS_UNDECODABLE_MEDIA);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_OK);
    assert_int_equal(workers_restarts(f->pool), 3);
    assert_true(workers_available(f->pool));
}

static void a_call_whose_worker_was_killed_is_made_once_more(void **state) {
    Fixture *f = *state;
    char params[128];
    snprintf(params, sizeof params, "{\"mark\": \"%s/mark\"}", f->directory);
    assert_int_equal(call(f, "killed_once", params, PATIENCE), STATUS_SERVICE_UNAVAILABLE); /* calls that do something are their job's to repeat */
    file_remove_tree(f->directory, NULL);
    WorkerProgram p = program(f);
    p.repeatable = true;
    reopen(f, p);
    assert_int_equal(call(f, "killed_once", params, PATIENCE), STATUS_OK);
    assert_int_equal(workers_restarts(f->pool), 1);
    assert_int_equal(call(f, "killed", "{}", PATIENCE), STATUS_UNDECODABLE_MEDIA); /* twice at most */
    assert_int_equal(workers_restarts(f->pool), 3);
    file_remove_tree(f->directory, NULL);
    reopen(f, p);
    assert_int_equal(call(f, "crash", params, PATIENCE), STATUS_UNDECODABLE_MEDIA); /* its own doing */
    assert_int_equal(workers_restarts(f->pool), 1);
}

static bool is_alive(pid_t pid) {
    char path[64];
    Buffer text;
    buffer_init(&text, 4096);
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    bool alive = file_read(path, &text, NULL) == STATUS_OK && !strstr(buffer_text(&text), ") Z ");
    buffer_clear(&text);
    return alive;
}

static bool is_dead_soon(pid_t pid) {
    for (double start = clock_monotonic(); is_alive(pid) && clock_monotonic() - start < PATIENCE;) clock_sleep(0.02);
    return !is_alive(pid);
}

static void a_worker_that_died_idle_is_replaced_silently(void **state) {
    Fixture *f = *state;
    int64_t pid = worker_pid(f);
    kill((pid_t)pid, SIGKILL);
    assert_true(is_dead_soon((pid_t)pid));
    assert_int_not_equal(worker_pid(f), pid);
    assert_int_equal(workers_restarts(f->pool), 1);
}

static bool stop_soon(void *context) {
    double *until = context;
    return clock_monotonic() > *until;
}

static void *hang(void *context) {
    Fixture *f = context;
    yyjson_doc *answer;
    Error err = {0};
    return (void *)(uintptr_t)workers_call(f->pool, &answer, "hang", "{}", 600, NULL, NULL, &err);
}

static void a_server_that_stops_ends_what_nobody_else_would(void **state) {
    Fixture *f = *state;
    pthread_t caller;
    void *status;
    assert_int_equal(pthread_create(&caller, NULL, hang, f), 0);
    for (double start = clock_monotonic(); !workers_busy(f->pool) && clock_monotonic() - start < PATIENCE;) clock_sleep(0.01);
    workers_hurry(f->pool);
    pthread_join(caller, &status);
    assert_int_equal((uintptr_t)status, STATUS_SERVICE_UNAVAILABLE);
}

static void a_call_can_be_stopped(void **state) {
    Fixture *f = *state;
    yyjson_doc *answer;
    double start = clock_monotonic(), until = start + 0.3;
    int64_t pid = worker_pid(f);
    assert_int_equal(workers_call(f->pool, &answer, "slow", "{\"seconds\": 30}", 60, stop_soon, &until, &f->err), STATUS_CANCELLED);
    assert_true(clock_monotonic() - start < PATIENCE);
    assert_null(answer);
    assert_int_equal(worker_pid(f), pid); /* it obeyed and lives */
    until = clock_monotonic() + 0.3;
    start = clock_monotonic();
    assert_int_equal(workers_call(f->pool, &answer, "hang", "{}", 60, stop_soon, &until, &f->err), STATUS_CANCELLED);
    assert_true(clock_monotonic() - start < PATIENCE);
    assert_int_not_equal(worker_pid(f), pid); /* it did not */
}

typedef struct Caller {
    Fixture *fixture;
    Status status;
    int64_t pid;
} Caller;

static void *call_slowly(void *context) {
    Caller *c = context;
    yyjson_doc *answer;
    c->status = workers_call(c->fixture->pool, &answer, "slow", "{\"seconds\": 0.3}", PATIENCE, NULL, NULL, NULL);
    c->pid = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(answer), "result"));
    yyjson_doc_free(answer);
    return NULL;
}

static void as_many_processes_as_allowed_share_the_work(void **state) {
    Fixture *f = *state;
    enum { CALLERS = 6 };
    Caller callers[CALLERS];
    pthread_t threads[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (Caller){.fixture = f};
        assert_int_equal(pthread_create(&threads[i], NULL, call_slowly, &callers[i]), 0);
    }
    for (double start = clock_monotonic(); !workers_busy(f->pool) && clock_monotonic() - start < PATIENCE;) clock_sleep(0.01);
    assert_true(workers_busy(f->pool));
    int64_t other = 0;
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].status, STATUS_OK);
        if (callers[i].pid == callers[0].pid) continue;
        assert_true(other == 0 || other == callers[i].pid);
        other = callers[i].pid;
    }
    assert_int_not_equal(other, 0);
    assert_false(workers_busy(f->pool));
}

typedef struct Turn {
    Fixture *fixture;
    WorkersCall *call;
    const char *params;
    atomic_bool waits;
    Status status;
    int64_t place;
} Turn;

/* Asked of every call now and then, while it waits for a worker, too. */
static bool note_wait(void *context) {
    atomic_store(&((Turn *)context)->waits, true);
    return false;
}

static void *take_turn(void *context) {
    Turn *t = context;
    yyjson_doc *answer;
    t->status = t->call(t->fixture->pool, &answer, "await", t->params, PATIENCE, note_wait, t, NULL);
    t->place = yyjson_get_sint(yyjson_obj_get(yyjson_doc_get_root(answer), "result"));
    yyjson_doc_free(answer);
    return NULL;
}

/* Of those that wait, whoever asked first: a patient one is served when nobody else waits. */
static void a_patient_call_comes_last(void **state) {
    Fixture *f = *state;
    enum { TURNS = 5, PATIENT = 1 };
    Turn turns[TURNS];
    pthread_t threads[TURNS];
    WorkerProgram one = program(f);
    one.count = 1;
    reopen(f, one);
    char mark[80], params[128];
    snprintf(mark, sizeof mark, "%s/mark", f->directory);
    snprintf(params, sizeof params, "{\"mark\": \"%s\"}", mark);
    for (int i = 0; i < TURNS; i++) {
        turns[i] = (Turn){.fixture = f, .call = i == PATIENT ? workers_call_patiently : workers_call, .params = params};
        assert_int_equal(pthread_create(&threads[i], NULL, take_turn, &turns[i]), 0);
        while (!atomic_load(&turns[i].waits)) clock_sleep(0.005); /* one has the worker, the others wait for it */
    }
    close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    for (int i = 0; i < TURNS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(turns[i].status, STATUS_OK);
    }
    assert_int_equal(turns[PATIENT].place, TURNS - 1);
}

static void idle_workers_end(void **state) {
    Fixture *f = *state;
    WorkerProgram p = program(f);
    p.idle_seconds = 1;
    reopen(f, p);
    int64_t pid = worker_pid(f);
    assert_true(is_alive((pid_t)pid));
    assert_true(is_dead_soon((pid_t)pid));
    assert_int_not_equal(worker_pid(f), pid);
    assert_int_equal(workers_restarts(f->pool), 0);
}

static void a_program_that_does_not_start_is_said_so_at_once(void **state) {
    Fixture *f = *state;
    static const char *const NO_ARGUMENTS[] = {NULL};
    WorkerProgram p = program(f);
    p.path = "/no/such/program";
    reopen(f, p);
    assert_false(workers_available(f->pool));
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_SERVICE_UNAVAILABLE);
    assert_non_null(strstr(f->err.message, "No such file"));
    double start = clock_monotonic();
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_SERVICE_UNAVAILABLE);
    assert_true(clock_monotonic() - start < PATIENCE / 2);
    p.path = "/bin/false"; /* starts, and ends at once */
    p.arguments = NO_ARGUMENTS;
    p.died = STATUS_MODEL_UNAVAILABLE;
    reopen(f, p);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_MODEL_UNAVAILABLE);
    assert_false(workers_available(f->pool));
    clock_sleep(0.6); /* the pause is over: it is tried again */
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_MODEL_UNAVAILABLE);
}

static void a_worker_that_is_killed_as_it_starts_is_replaced(void **state) {
    Fixture *f = *state;
    static const char *const ARGUMENTS[] = {"--worker-killed", "2", NULL}, *const OFTEN[] = {"--worker-killed", "100", NULL};
    WorkerProgram p = program(f);
    p.arguments = ARGUMENTS;
    reopen(f, p);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_OK);
    assert_int_equal(workers_restarts(f->pool), 2);
    p.arguments = OFTEN; /* then something is wrong with the machine, and nobody waits for ever */
    reopen(f, p);
    assert_int_equal(call(f, "echo", "{}", PATIENCE), STATUS_SERVICE_UNAVAILABLE);
    assert_int_equal(workers_restarts(f->pool), 4);
    assert_false(workers_available(f->pool));
}

static void a_worker_inherits_little(void **state) {
    Fixture *f = *state;
    setenv("PICTOGRAPH_API_KEY", "pk_live_secret", 1);
    signal(SIGPIPE, SIG_IGN);
    int leaked = dup(0);
    yyjson_doc *answer;
    assert_int_equal(workers_call(f->pool, &answer, "inherited", "{}", PATIENCE, NULL, NULL, &f->err), STATUS_OK);
    yyjson_val *result = yyjson_obj_get(yyjson_doc_get_root(answer), "result");
    assert_int_equal(json_get_int(result, "highest", -1), 3);
    assert_true(yyjson_is_null(yyjson_obj_get(result, "secret")));
    assert_string_equal(json_get_string(result, "path", ""), getenv("PATH"));
    assert_string_equal(json_get_string(result, "directory", ""), f->directory);
    assert_true(json_get_bool(result, "own_group", false));
    assert_true(json_get_bool(result, "pipe_signal", false));
    yyjson_doc_free(answer);
    close(leaked);
    unsetenv("PICTOGRAPH_API_KEY");
}

static void workers_die_with_the_server(void **state) {
    Fixture *f = *state;
    int ends[2];
    int64_t pid = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t server = fork();
    if (server == 0) {
        WorkerProgram p = program(f);
        if (workers_open(&f->pool, &p, NULL) != STATUS_OK) _exit(1);
        pid = worker_pid(f);
        if (write(ends[1], &pid, sizeof pid) != sizeof pid) _exit(2);
        call(f, "hang", "{}", 60);
        _exit(3);
    }
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    clock_sleep(0.1);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    assert_true(is_dead_soon((pid_t)pid));
    close(ends[0]);
    close(ends[1]);
}

/* --- one process for one job ----------------------------------------------------------------------------------------------- */

typedef struct Listener {
    int lines, ticks, stop_after;
    int64_t pid;
} Listener;

static bool listen_to(const char *json, void *context) {
    Listener *l = context;
    if (!json) l->ticks++;
    else l->lines++;
    yyjson_doc *doc = json ? json_parse(json, strlen(json), NULL) : NULL;
    if (doc) l->pid = json_get_int(yyjson_doc_get_root(doc), "pid", 0);
    yyjson_doc_free(doc);
    return l->stop_after == 0 || l->lines < l->stop_after;
}

static int run(Fixture *f, Listener *l, const char *what) {
    const char *argv[] = {SELF, "--job", what, NULL};
    char log[96];
    int code = -1;
    snprintf(log, sizeof log, "%s/log", f->directory);
    assert_int_equal(process_run(&code, argv, f->directory, log, listen_to, l, &f->err), STATUS_OK);
    return code;
}

static void a_process_tells_lines_and_its_exit_code(void **state) {
    Fixture *f = *state;
    Listener l = {0};
    char log[96];
    Buffer text;
    buffer_init(&text, 1000);
    snprintf(log, sizeof log, "%s/log", f->directory);
    assert_int_equal(run(f, &l, "lines"), 7);
    assert_int_equal(l.lines, 1000);
    assert_int_equal(file_read(log, &text, &f->err), STATUS_OK);
    assert_string_equal(buffer_text(&text), "to the log\n");
    buffer_clear(&text);
    Listener m = {0};
    assert_int_equal(run(f, &m, "long"), 0); /* a line without end is left out, the next one is not */
    assert_int_equal(m.lines, 1);
}

static void a_process_is_stopped_gently_then_hard(void **state) {
    Fixture *f = *state;
    Listener l = {.stop_after = 1};
    assert_int_equal(run(f, &l, "wait"), 128 + SIGTERM);
    Listener deaf = {.stop_after = 1};
    double start = clock_monotonic();
    assert_int_equal(run(f, &deaf, "deaf"), 128 + SIGKILL);
    assert_true(clock_monotonic() - start > 1.5);
}

static void what_a_process_started_ends_with_it(void **state) {
    Fixture *f = *state;
    Listener l = {0};
    assert_int_equal(run(f, &l, "parent"), 0); /* whose child would stay for ever */
    assert_int_equal(l.lines, 1);
    const char *argv[] = {"/no/such/program", NULL};
    int code;
    char log[96];
    snprintf(log, sizeof log, "%s/log", f->directory);
    assert_int_equal(process_run(&code, argv, NULL, log, listen_to, &l, &f->err), STATUS_IO);
}

/* The first `times` processes in this working directory are killed. */
static int serve_when_left_alone(const char *times) {
    char name[32];
    for (int i = 0; i < atoi(times); i++) {
        snprintf(name, sizeof name, "start-%d", i);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) return raise(SIGKILL);
    }
    return worker_serve(3, METHODS, NULL);
}

int main(int argc, char **argv) {
    if (argc > 2 && text_equal(argv[1], "--worker-killed")) return serve_when_left_alone(argv[2]);
    if (argc > 1 && text_equal(argv[1], "--worker")) return worker_serve(3, METHODS, NULL);
    if (argc > 2 && text_equal(argv[1], "--job")) return run_as_job(argv[2]);
#define WORKERS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WORKERS_TEST(a_call_is_answered),
        WORKERS_TEST(a_failure_of_the_worker_comes_back),
        WORKERS_TEST(a_dying_hanging_or_raving_worker_costs_one_call),
        WORKERS_TEST(a_call_whose_worker_was_killed_is_made_once_more),
        WORKERS_TEST(a_worker_that_died_idle_is_replaced_silently),
        WORKERS_TEST(a_call_can_be_stopped),
        WORKERS_TEST(a_server_that_stops_ends_what_nobody_else_would),
        WORKERS_TEST(as_many_processes_as_allowed_share_the_work),
        WORKERS_TEST(a_patient_call_comes_last),
        WORKERS_TEST(idle_workers_end),
        WORKERS_TEST(a_program_that_does_not_start_is_said_so_at_once),
        WORKERS_TEST(a_worker_that_is_killed_as_it_starts_is_replaced),
        WORKERS_TEST(a_worker_inherits_little),
        WORKERS_TEST(workers_die_with_the_server),
        WORKERS_TEST(a_process_tells_lines_and_its_exit_code),
        WORKERS_TEST(a_process_is_stopped_gently_then_hard),
        WORKERS_TEST(what_a_process_started_ends_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
