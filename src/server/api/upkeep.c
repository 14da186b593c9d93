/* A thread that sleeps until the next task is due. */
#include "server/api/upkeep.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/condition.h"

#include "base/banned.h"

struct Upkeep {
    Server *server;
    const UpkeepTask *tasks;
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop_asked;
    bool stopping;
    double due[];
};

static void *serve(void *argument) {
    Upkeep *upkeep = argument;
    pthread_mutex_lock(&upkeep->lock);
    while (!upkeep->stopping) {
        double now = clock_monotonic(), next = now + 3600;
        for (size_t i = 0; i < upkeep->count; i++) {
            if (upkeep->due[i] <= now) {
                pthread_mutex_unlock(&upkeep->lock);
                upkeep->tasks[i].run(upkeep->server);
                pthread_mutex_lock(&upkeep->lock);
                upkeep->due[i] = now + upkeep->tasks[i].every;
            }
            if (upkeep->due[i] < next) next = upkeep->due[i];
        }
        if (!upkeep->stopping) condition_wait(&upkeep->stop_asked, &upkeep->lock, next);
    }
    pthread_mutex_unlock(&upkeep->lock);
    for (size_t i = 0; i < upkeep->count; i++) upkeep->tasks[i].run(upkeep->server);
    return NULL;
}

Upkeep *upkeep_start(Server *server, const UpkeepTask *tasks, size_t count) {
    Upkeep *upkeep = xcalloc(1, sizeof *upkeep + count * sizeof upkeep->due[0]);
    upkeep->server = server;
    upkeep->tasks = tasks;
    upkeep->count = count;
    pthread_mutex_init(&upkeep->lock, NULL);
    condition_init(&upkeep->stop_asked);
    if (pthread_create(&upkeep->thread, NULL, serve, upkeep) != 0) abort(); /* a machine without room for one thread */
    return upkeep;
}

void upkeep_stop(Upkeep *upkeep) {
    if (!upkeep) return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stopping = true;
    pthread_cond_signal(&upkeep->stop_asked);
    pthread_mutex_unlock(&upkeep->lock);
    pthread_join(upkeep->thread, NULL);
    pthread_cond_destroy(&upkeep->stop_asked);
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}
