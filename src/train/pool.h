/* Pool: memory that a thread asks for in the same few sizes at every step of a training.
 *
 * What is given back waits in the thread's own list of its size and is handed out again as it is: no search, no joining of neighbours, no page that
 * the kernel clears anew. Sizes are rounded up by an eighth at most. A thread's lists are freed when it ends, or by pool_trim().
 */
#pragma once
#include <stddef.h>

/* At least size bytes, uninitialised, aligned to 64; NULL when there is no memory. */
void *pool_take(size_t size);
/* Memory of pool_take(), of this thread or another; NULL is fine. */
void pool_give(void *memory);
/* Frees what waits in this thread's lists: its sizes have changed. */
void pool_trim(void);
