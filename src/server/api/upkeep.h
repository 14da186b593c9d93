/* Upkeep: one thread that does small recurring work: flushes, polls, sweeps. */
#pragma once
#include <stddef.h>

#include "server/server.h"

typedef struct UpkeepTask {
    double every; /* seconds */
    void (*run)(Server *server);
} UpkeepTask;

/* tasks must outlive it. Each runs once at the start and then after each interval; none may take long. */
Upkeep *upkeep_start(Server *server, const UpkeepTask *tasks, size_t count);
/* Runs every task a last time. NULL is fine. */
void upkeep_stop(Upkeep *upkeep);
