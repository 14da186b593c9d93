/* Sandbox: what a worker gives up before it touches the first untrusted byte.
 *
 * After sandbox_enter the process can make no socket, start no program, trace or signal no process and make no new name outside
 * its folders: seccomp lets through the calls of an allow list (libseccomp), Landlock (Linux 5.13 and later) ties writing, and
 * reading too if asked, to named folders. Limits bound memory, and per call processor time; there are no core dumps. None of it
 * needs root. A hostile file may still crash the worker: the supervisor starts another.
 *
 * Enter before any thread starts: threads that already run are not tied by Landlock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct SandboxOptions {
    const char *const *write_folders; /* ended by NULL; must exist. Nothing elsewhere can be written, made or removed */
    const char *const *read_folders;  /* ended by NULL; NULL: reading is not limited. Shared libraries stay readable */
    uint64_t memory_bytes;            /* limit of the address space; 0: none */
} SandboxOptions;

/* What sandbox_enter could set up; the caller says on stderr what is missing. */
typedef struct SandboxReport {
    bool landlock; /* false: the kernel has none, and only seccomp and the limits hold */
    bool seccomp;  /* false only in builds with a sanitizer, whose run-time makes other system calls */
} SandboxReport;

/* For good. A failure names the folder or the step; the worker must then end. */
Status sandbox_enter(const SandboxOptions *options, SandboxReport *report, Error *err);

/* From now on this process may use so many seconds of processor time before the system ends it (SIGXCPU). */
void sandbox_limit_cpu(unsigned seconds);
