/* One list per class of sizes and thread. A block begins with a line of the cache that holds its class, and its successor while it waits. */
#include "train/pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/banned.h"

enum {
    LINE = 64,
    FIRST_BITS = 8,      /* the smallest class has 256 bytes */
    STEPS = 8,           /* classes between two powers of two */
    CLASSES = 40 * STEPS /* up to a size that no machine has */
};

typedef struct Block {
    struct Block *next;
    int class;
} Block;

static _Thread_local Block *waiting[CLASSES];
static _Thread_local int registered;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void end_thread(void *unused) {
    (void)unused;
    pool_trim();
}

static void make_key(void) {
    pthread_key_create(&key, end_thread);
}

/* Size of a class: (8 + step) eighths of a power of two. */
static size_t class_size(int class) {
    return ((size_t)(STEPS + class % STEPS) << (FIRST_BITS + class / STEPS)) / STEPS;
}

static int class_of(size_t size) {
    if (size <= (size_t)1 << FIRST_BITS) return 0;
    int bits = 63 - __builtin_clzll((unsigned long long)size - 1); /* 2^bits < size <= 2^(bits + 1) */
    size_t step = ((size - 1) >> (bits - 3)) - STEPS + 1;
    return (bits - FIRST_BITS) * STEPS + (int)step;
}

void *pool_take(size_t size) {
    int class = size <= SIZE_MAX / 4 ? class_of(size) : CLASSES;
    if (class >= CLASSES) return NULL;
    Block *block = waiting[class];
    if (block) {
        waiting[class] = block->next;
    } else {
        block = aligned_alloc(LINE, LINE + (class_size(class) + LINE - 1) / LINE * LINE);
        if (!block) return NULL;
        block->class = class;
    }
    return (char *)block + LINE;
}

void pool_give(void *memory) {
    if (!memory) return;
    if (!registered) { /* any value but NULL has the lists freed when the thread ends */
        pthread_once(&once, make_key);
        registered = pthread_setspecific(key, waiting) == 0;
    }
    Block *block = (Block *)(void *)((char *)memory - LINE);
    block->next = waiting[block->class];
    waiting[block->class] = block;
}

void pool_trim(void) {
    for (int i = 0; i < CLASSES; i++) {
        for (Block *block = waiting[i], *next; block; block = next) {
            next = block->next;
            free(block);
        }
        waiting[i] = NULL;
    }
}
