/* Worker processes: started, watched, restarted, and called over their channel (worker/channel.h).
 *
 * A pool holds up to `count` processes of one program; a call takes a free one, or waits. A worker that dies, overruns its time or speaks
 * rubbish is killed and replaced; the call ends with STATUS_UNDECODABLE_MEDIA (media) or STATUS_MODEL_UNAVAILABLE (vision), as the pool was told.
 * A program that does not even start is no fault of the caller's file: STATUS_SERVICE_UNAVAILABLE (or the pool's own status when that is a
 * 5xx), at once, until the pause before the next try is over.
 *
 * A worker has file descriptors 0 and 1 (/dev/null), 2 (the server's log) and 3 (the channel), its own process group, few environment
 * variables, and dies with the server.
 */
#pragma once
#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

typedef struct WorkerPool WorkerPool;

typedef struct WorkerProgram {
    const char *path;       /* of the executable */
    const char *const *arguments; /* after the path, ended by NULL; NULL: none */
    const char *name;       /* for logs and metrics: "media" */
    int count;              /* most processes at once; started on demand, ended after idle_seconds without work */
    double idle_seconds;
    const char *directory;  /* working directory; the only place where the worker may write */
    Status died;            /* status of a call whose worker died */
    bool repeatable;        /* calls only look: one whose worker was killed from outside (short memory, a person) is made once more, on another worker.
                             * Of others, such a call ends with STATUS_SERVICE_UNAVAILABLE. */
} WorkerProgram;

/* Copies the program. Starts no process yet: the first call does. */
Status workers_open(WorkerPool **out, const WorkerProgram *program, Error *err);
/* No call may be under way. Ends the processes. NULL is fine. */
void workers_close(WorkerPool *pool);

/* The server stops, and has waited: calls that nothing else stops end within a quarter of a second, with STATUS_SERVICE_UNAVAILABLE or the pool's own
 * 5xx. NULL is fine. */
void workers_hurry(WorkerPool *pool);

/* Calls method with params (JSON text of an object). On success *out is the parsed answer, "result" its member; free it with
 * yyjson_doc_free. An error of the worker comes back as its status and text. timeout in seconds, for the work alone; waiting for a free worker
 * may take as long again and then ends with STATUS_SERVICE_UNAVAILABLE. `stop` may be NULL; it is asked about four times a second and ends
 * the call with STATUS_CANCELLED. */
typedef Status WorkersCall(WorkerPool *pool, yyjson_doc **out, const char *method, const char *params, double timeout, bool (*stop)(void *context),
                           void *context, Error *err);
WorkersCall workers_call;
/* The same for work that nobody waits for: as long as another caller waits for a worker, it waits too. */
WorkersCall workers_call_patiently;
/* Restarts since the pool was opened, for metrics. */
long workers_restarts(WorkerPool *pool);
int workers_count(const WorkerPool *pool); /* most processes at once */
bool workers_busy(WorkerPool *pool); /* one of them is at work, or is being started */
bool workers_available(WorkerPool *pool); /* the program exists and the last start did not fail */
