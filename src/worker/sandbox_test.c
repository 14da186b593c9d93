/* What the sandbox forbids, each tried in a child process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "worker/sandbox.h"
#include "base/banned.h"

/* Exit codes of the child beside 0 and 1. */
enum { NO_SANDBOX = 70, NO_LANDLOCK = 71, NO_SECCOMP = 72 };

static char inside[64], outside[64];

/* Runs a question inside the sandbox and returns its answer, which is 1 for "was possible". */
static int ask(int (*question)(void), int reads_limited) {
    pid_t pid = fork();
    if (pid == 0) {
        const char *write_folders[] = {inside, NULL};
        const char *read_folders[] = {inside, NULL};
        SandboxOptions options = {.write_folders = write_folders, .read_folders = reads_limited ? read_folders : NULL,
                                  .memory_bytes = 1 << 30};
        SandboxReport report;
        if (sandbox_enter(&options, &report, NULL) != STATUS_OK) _exit(NO_SANDBOX);
        if (!report.landlock) _exit(NO_LANDLOCK);
        if (!report.seccomp) _exit(NO_SECCOMP);
        _exit(question());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int can_write(const char *folder) {
    char path[128];
    snprintf(path, sizeof path, "%s/made", folder);
    return open(path, O_WRONLY | O_CREAT, 0600) >= 0;
}

static int write_inside(void) { return can_write(inside); }
static int write_outside(void) { return can_write(outside); }
static int truncate_outside(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/file", outside);
    return open(path, O_WRONLY | O_TRUNC) >= 0 || unlink(path) == 0;
}
static int read_outside(void) {
    char path[128];
    snprintf(path, sizeof path, "%s/file", outside);
    return open(path, O_RDONLY) >= 0;
}
static int make_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0; }
static int run_program(void) { return execl("/bin/true", "true", (char *)NULL) == 0; }
static int make_process(void) { return fork() >= 0; }
static int trace(void) { return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; }
static int signal_parent(void) { return kill(getppid(), 0) == 0; }
static int raise_core(void) {
    struct rlimit wanted = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    struct rlimit present;
    if (setrlimit(RLIMIT_CORE, &wanted) == 0 && getuid() != 0) return 1;
    return getrlimit(RLIMIT_CORE, &present) != 0;
}
static void *nothing(void *p) { return p; }
static int make_thread(void) {
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}
static int use_much_memory(void) {
    void *p = malloc((size_t)2 << 30);
    return p != NULL;
}
static int spin(void) {
    sandbox_limit_cpu(0);
    for (volatile int i = 0; clock() >= 0; i++) {}
    return 0;
}

typedef struct Case {
    int (*question)(void);
    int reads_limited;
    int expected;
} Case;

static void the_sandbox_forbids_and_allows(void **state) {
    (void)state;
    static const Case CASES[] = {
        {write_inside, 0, 1}, {write_outside, 0, 0}, {truncate_outside, 0, 0}, {read_outside, 0, 1}, {read_outside, 1, 0},
        {write_inside, 1, 1}, {make_socket, 0, 0},   {run_program, 0, 0},      {make_process, 0, 0}, {trace, 0, 0},
        {signal_parent, 0, 0}, {raise_core, 0, 0},   {make_thread, 0, 1},      {use_much_memory, 0, 0},
        {spin, 0, 128 + SIGXCPU},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        int answer = ask(CASES[i].question, CASES[i].reads_limited);
        if (answer == NO_LANDLOCK || answer == NO_SECCOMP) {
            print_message("not everything can be tried here (%s)\n", answer == NO_LANDLOCK ? "no Landlock" : "sanitizer");
            return;
        }
        if (answer != CASES[i].expected) fail_msg("question %zu: %d instead of %d", i, answer, CASES[i].expected);
    }
}

static void a_missing_folder_is_an_error(void **state) {
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        const char *folders[] = {"/nonexistent/folder", NULL};
        SandboxOptions options = {.write_folders = folders};
        SandboxReport report;
        Error err = {0};
        Status status = sandbox_enter(&options, &report, &err);
        _exit(!report.landlock || (status != STATUS_OK && strstr(err.message, "/nonexistent/folder")) ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static int make_folders(void **state) {
    (void)state;
    char path[128];
    snprintf(inside, sizeof inside, "/tmp/sandbox_in_XXXXXX");
    snprintf(outside, sizeof outside, "/tmp/sandbox_out_XXXXXX");
    if (!mkdtemp(inside) || !mkdtemp(outside)) return -1;
    snprintf(path, sizeof path, "%s/file", outside);
    FILE *file = fopen(path, "w");
    return file ? fclose(file) : -1;
}

static int remove_folders(void **state) {
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/made", inside);
    unlink(path);
    snprintf(path, sizeof path, "%s/file", outside);
    unlink(path);
    return rmdir(inside) | rmdir(outside);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_sandbox_forbids_and_allows), cmocka_unit_test(a_missing_folder_is_an_error)};
    return cmocka_run_group_tests_name("sandbox", tests, make_folders, remove_folders);
}
