/* The one thread that writes: callers' functions queue up, share a transaction, and are woken after its commit. */
#pragma once
#include "server/store/session.h"

typedef struct Writer Writer;

/* Takes the session over. */
Status writer_start(Writer **out, DbSession *session, Error *err);
/* Refuses further writes, runs the queued ones, closes the session. NULL is fine. */
void writer_stop(Writer *writer);
/* After the last transaction. */
int64_t writer_cache_bytes(const Writer *writer);
Status writer_run(Writer *writer, DbFunction function, void *context, Error *err);
void writer_run_later(Writer *writer, DbFunction function, void *context);
