/* Starting a child of the server: its own process group, a cleaned environment, no inherited files but those named, and death with the
 * thread that started it (PR_SET_PDEATHSIG), so that nothing outlives a killed server. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct ProcessSpec {
    const char *const *argv; /* ended by NULL; argv[0] is the path of the executable */
    const char *directory;   /* working directory; NULL: the server's */
    int standard_output;     /* descriptor to be 1 there; -1: /dev/null */
    int standard_error;      /* descriptor to be 2 there; -1: the server's */
    int channel;             /* descriptor to be 3 there; -1: none */
} ProcessSpec;

/* STATUS_IO when the program could not be executed. The calling thread must live at least as long as the process is to live. */
Status process_start(pid_t *out, const ProcessSpec *spec, Error *err);
/* True once the process has ended. It must still be collected by process_collect. */
bool process_has_ended(pid_t pid);
/* Of a process that has ended or is about to: whether SIGKILL did it, which nothing inside it raises. Before process_collect. */
bool process_was_killed(pid_t pid);
/* Kills what is left of the process and its group, and takes its exit code off the system: 128 + signal for a killed one. */
int process_collect(pid_t pid);

/* One process for one job (pictograph-train): argv ended by NULL, JSON lines of its stdout to `line`, which returns false to stop it: SIGTERM,
 * after 2 s SIGKILL. Its stderr goes to log_path. Returns STATUS_OK and the exit code; line() is also called with NULL four times a second. */
Status process_run(int *out_exit_code, const char *const argv[], const char *directory, const char *log_path,
                   bool (*line)(const char *json, void *context), void *context, Error *err);
