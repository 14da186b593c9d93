/* A thread that sleeps until the next task is due. */
#include "server/api/upkeep.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"

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
        struct timespec until = {.tv_sec = (time_t)next, .tv_nsec = (long)((next - (double)(time_t)next) * 1e9)};
        if (!upkeep->stopping) pthread_cond_timedwait(&upkeep->stop_asked, &upkeep->lock, &until);
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
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&upkeep->stop_asked, &attributes);
    pthread_condattr_destroy(&attributes);
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
