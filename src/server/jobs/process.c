/* fork and exec with care: between the two only async-signal-safe calls, since other threads may hold any lock. */
#include "server/jobs/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

/* What a child may know of the server's environment. Keys and other secrets are in none of these. */
static const char *const KEPT_VARIABLES[] = {"PATH=", "HOME=", "LANG=", "LC_", "TZ=", "LD_LIBRARY_PATH=", "OMP_", "MALLOC_", "MKL_", "CUDA_", "NVIDIA_",
                                             "PICTOGRAPH_ONNXRUNTIME=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS="};

/* Files of the child by role, all numbered above those that the child gets, so that placing one overwrites no other. */
enum { FILE_NULL, FILE_OUTPUT, FILE_ERROR, FILE_CHANNEL, FILE_REPORT, FILES, ABOVE_ALL = 10 };
enum { LAST_MOMENTS = 250 };

static bool is_kept(const char *variable) {
    for (size_t i = 0; i < sizeof KEPT_VARIABLES / sizeof *KEPT_VARIABLES; i++)
        if (text_starts_with(variable, KEPT_VARIABLES[i])) return true;
    return false;
}

/* Free the array with free(); its strings are the environment's own. */
static char **clean_environment(void) {
    size_t count = 0, kept = 0;
    while (environ[count]) count++;
    char **clean = xcalloc(count + 1, sizeof *clean);
    for (size_t i = 0; i < count; i++)
        if (is_kept(environ[i])) clean[kept++] = environ[i];
    return clean;
}

/* --- the child, before exec -------------------------------------------------------------------------------------------------- */

static void reset_signals(void) {
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL); /* ignored ones would stay ignored */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool place_files(const int files[FILES]) {
    int first_unwanted = files[FILE_CHANNEL] >= 0 ? 4 : 3;
    if (dup2(files[FILE_NULL], 0) < 0 || dup2(files[FILE_OUTPUT] >= 0 ? files[FILE_OUTPUT] : files[FILE_NULL], 1) < 0) return false;
    if (files[FILE_ERROR] >= 0 && dup2(files[FILE_ERROR], 2) < 0) return false;
    if (files[FILE_CHANNEL] >= 0 && dup2(files[FILE_CHANNEL], 3) < 0) return false;
    return close_range((unsigned)first_unwanted, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

static _Noreturn void become(const ProcessSpec *spec, char **environment, const int files[FILES], pid_t parent) {
    reset_signals();
    umask(077);
    bool ready = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && (!spec->directory || chdir(spec->directory) == 0) && place_files(files);
    if (getppid() != parent) _exit(127); /* it died before the line above */
    if (ready) execve(spec->argv[0], (char *const *)spec->argv, environment);
    int code = errno;
    if (write(files[FILE_REPORT], &code, sizeof code) != sizeof code) _exit(126);
    _exit(127);
}

/* --- the parent -------------------------------------------------------------------------------------------------------------- */

static bool lift_files(int files[FILES], const int sources[FILES]) {
    for (int i = 0; i < FILES; i++) files[i] = -1;
    for (int i = 0; i < FILES; i++)
        if (sources[i] >= 0 && (files[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, ABOVE_ALL)) < 0) return false;
    return true;
}

static void close_files(const int files[FILES]) {
    for (int i = 0; i < FILES; i++)
        if (files[i] >= 0) close(files[i]);
}

static Status fork_child(pid_t *out, const ProcessSpec *spec, const int sources[FILES], Error *err) {
    int files[FILES];
    char **environment = clean_environment();
    pid_t parent = getpid(), pid = lift_files(files, sources) ? fork() : -1;
    if (pid == 0) become(spec, environment, files, parent);
    Status status = pid > 0 ? STATUS_OK : error_set_errno(err, errno, "%s", spec->argv[0]);
    free(environment);
    close_files(files);
    *out = pid;
    return status;
}

/* The child's end closes when exec succeeds; else an errno comes. */
static Status await_exec(pid_t pid, const char *path, int report, Error *err) {
    int code = 0;
    ssize_t n;
    do n = read(report, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    if (n == 0) return STATUS_OK;
    process_collect(pid);
    return error_set_errno(err, code, "%s", path);
}

Status process_start(pid_t *out, const ProcessSpec *spec, Error *err) {
    int report[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return error_set_errno(err, errno, "/dev/null");
    if (pipe2(report, O_CLOEXEC) != 0) {
        close(null);
        return error_set_errno(err, errno, "pipe");
    }
    const int sources[FILES] = {null, spec->standard_output, spec->standard_error, spec->channel, report[1]};
    Status status = fork_child(out, spec, sources, err);
    close(null);
    close(report[1]);
    if (status == STATUS_OK) status = await_exec(*out, spec->argv[0], report[0], err);
    close(report[0]);
    return status;
}

bool process_has_ended(pid_t pid) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

bool process_was_killed(pid_t pid) {
    for (int i = 0; i < LAST_MOMENTS; i++) { /* its files are closed a moment before it has ended */
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return false;
        if (info.si_pid == pid) return info.si_code == CLD_KILLED && info.si_status == SIGKILL;
        clock_sleep(0.002);
    }
    return false;
}

int process_collect(pid_t pid) {
    int status = 0;
    kill(-pid, SIGKILL); /* before the wait: the number is still ours */
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
