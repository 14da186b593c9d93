/* A worker program of this installation as our own child, called over its channel (worker/channel.h, descriptor 3). */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

typedef struct WorkerChild {
    const char *name;
    pid_t pid; /* 0: not running */
    int fd;
    int64_t last_id;
} WorkerChild;

/* Starts `name` (such as "pictograph-vision"), which lies beside this program, or in the folder that PICTOGRAPH_BIN names. It may write in
 * write_folder alone (NULL: nowhere). STATUS_CONFIGURATION when it is not installed. Stop it in either case. */
Status worker_child_start(WorkerChild *child, const char *name, const char *write_folder, Error *err);
/* Sends the parameters (text of a JSON object) and waits for the answer: *out is the whole reply, whose member "result" is the answer; free
 * it with yyjson_doc_free. STATUS_CANCELLED when `stop` (may be NULL) says so. */
Status worker_child_call(WorkerChild *child, const char *method, const Buffer *params, double timeout_seconds, bool (*stop)(void *context),
                         void *context, yyjson_doc **out, Error *err);
void worker_child_stop(WorkerChild *child);
