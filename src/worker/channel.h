/* Channel: the protocol between the server and a worker process.
 *
 * A message is a 4-byte little-endian length and that many bytes of UTF-8 JSON, over one end of a socketpair. Inside a machine
 * paths travel, not file contents. Requests carry "id" and "method"; a reply carries the same "id" and either "result" or "error"
 * {"status": number, "code": slug, "message": text}, status being a Status of base/error.h, several of which share a slug; a progress message carries "id" and "progress". The worker serves one request at a time unless
 * its own header says otherwise; closing the socket asks it to end.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

enum { CHANNEL_MAXIMUM = 16 << 20 }; /* bytes of one message */

/* Sends one message whole. STATUS_IO when the peer is gone. */
Status channel_send(int fd, const char *json, size_t size, Error *err);
/* The request {"id", "method", "params"}; params is JSON text. STATUS_OUT_OF_MEMORY: too large, nothing was sent. */
Status channel_request(int fd, int64_t id, const char *method, const char *params, Error *err);
/* Waits up to timeout seconds (negative: for ever) for one whole message, which replaces the content of out.
 * STATUS_TIMEOUT when none came; STATUS_IO when the peer is gone or sent rubbish. */
Status channel_receive(int fd, double timeout_seconds, Buffer *out, Error *err);

/* Status (never OK) and text of the "error" of a reply. Of a status that is none, or that only the caller can tell, the slug counts: the worker may have
 * been taken over by what it was given. */
Status channel_failure(yyjson_val *error, Error *err);

/* The worker's side. A method fills `result`, a started JSON writer positioned where one value belongs. */
typedef struct WorkerCall {
    int fd;
    int64_t id;
    const char *method;
    yyjson_val *params; /* object */
    JsonWriter *result;
} WorkerCall;

typedef struct WorkerMethod {
    const char *name;
    Status (*run)(WorkerCall *call, void *context, Error *err);
} WorkerMethod;

/* Reports progress of the present call: {"id":…, "progress": json}. False once the caller asked to cancel ({"cancel": id} on the
 * channel) or is gone: the method then ends with STATUS_CANCELLED. */
bool worker_progress(WorkerCall *call, const char *json);

/* Serves methods (ended by a row of NULL) until the peer closes. Returns the exit code of the process. */
int worker_serve(int fd, const WorkerMethod *methods, void *context);
