/* Program: what the workers' main functions have in common: options, start-up, sandbox, and then the channel on file descriptor 3, or one
 * request typed by hand, whose answer is printed.
 *
 *     pictograph-media [--write DIR]... [--read DIR]...                    serve
 *     pictograph-media [options] inspect a.jpg max_pixels=1000000          one request: words in the order of the command's row, or KEY=VALUE
 */
#pragma once
#include <stdint.h>

#include "worker/channel.h"

/* Which keys the plain words after a method's name stand for. */
typedef struct WorkerCommand {
    const char *method;
    const char *keys[8];
} WorkerCommand;

typedef struct WorkerMain {
    const char *name; /* "pictograph-media" */
    const char *help; /* the text of --help */
    const WorkerMethod *methods;
    const WorkerCommand *commands; /* ended by a row of NULL */
    uint64_t memory_bytes;         /* limit of the address space */
    bool writes;                   /* without --write the present folder may be written; false: nothing */
    /* Before the sandbox, as no thread may run yet. *context goes to the methods, then to stop. */
    Status (*start)(void **context, const char *argv0, Error *err);
    void (*stop)(void *context);
} WorkerMain;

/* The whole main function. */
int worker_main(const WorkerMain *program, int argc, char **argv);
