/* Access log: one JSON line a request on standard error, gathered and written a few times a second. Keys, signatures and queries are not in it. */
#pragma once
#include "server/api/request.h"

typedef struct AccessLog AccessLog;

/* fd is borrowed; -1 writes nothing. */
AccessLog *access_log_new(int fd);
/* Writes what is left. NULL is fine. */
void access_log_free(AccessLog *log);
void access_log_write(AccessLog *log, const Request *rq, double seconds);
void access_log_flush(AccessLog *log);
