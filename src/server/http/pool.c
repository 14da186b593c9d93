/* A queue, a condition, some threads. */
#include "server/http/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"

#include "base/banned.h"

enum { STACK_BYTES = 512 << 10 };

struct HandlerPool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    HandlerTask *first, **last;
    size_t waiting;
    bool closing;
    int thread_count;
    pthread_t threads[];
};

static void *serve(void *argument) {
    HandlerPool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->first && !pool->closing) pthread_cond_wait(&pool->work, &pool->lock);
        HandlerTask *task = pool->first;
        if (!task) break; /* closing, and nothing is left */
        pool->first = task->next;
        if (!pool->first) pool->last = &pool->first;
        pool->waiting--;
        pthread_mutex_unlock(&pool->lock);
        task->run(task);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

HandlerPool *handler_pool_new(int threads) {
    HandlerPool *pool = xcalloc(1, sizeof *pool + (size_t)threads * sizeof pool->threads[0]);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->last = &pool->first;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&pool->threads[pool->thread_count], &attributes, serve, pool) == 0) pool->thread_count++;
    pthread_attr_destroy(&attributes);
    if (pool->thread_count == 0) abort(); /* a machine without room for one thread */
    return pool;
}

void handler_pool_submit(HandlerPool *pool, HandlerTask *task) {
    task->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = task;
    pool->last = &task->next;
    pool->waiting++;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

size_t handler_pool_waiting(HandlerPool *pool) {
    pthread_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

void handler_pool_free(HandlerPool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->thread_count; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
