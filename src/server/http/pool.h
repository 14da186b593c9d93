/* Handler pool: threads for everything that may wait, so that the event loops never do. */
#pragma once
#include <stddef.h>

typedef struct HandlerPool HandlerPool;

/* A piece of work; embedded in what it works on. It must stay until run was called. */
typedef struct HandlerTask {
    void (*run)(struct HandlerTask *task);
    struct HandlerTask *next; /* the pool's own */
} HandlerTask;

HandlerPool *handler_pool_new(int threads);
/* Never waits. Tasks begin in the order of their coming. */
void handler_pool_submit(HandlerPool *pool, HandlerTask *task);
/* Tasks that no thread has begun. */
size_t handler_pool_waiting(HandlerPool *pool);
/* Runs what was submitted to its end, then ends the threads. NULL is fine. */
void handler_pool_free(HandlerPool *pool);
