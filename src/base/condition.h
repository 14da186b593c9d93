/* Condition variables by the clock of clock_monotonic. */
#pragma once
#include <pthread.h>
#include <time.h>

static inline void condition_init(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* 0, or ETIMEDOUT once it is `until`. */
static inline int condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, double until) {
    struct timespec t = {.tv_sec = (time_t)until, .tv_nsec = (long)((until - (double)(time_t)until) * 1e9)};
    return pthread_cond_timedwait(condition, mutex, &t);
}
