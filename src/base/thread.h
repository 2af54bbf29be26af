/* A pool of threads and parallel loops over small chunks handed out dynamically; the caller works
 * too. Waiting threads spin briefly, then sleep on a futex, so that the pool stays fast beside
 * other busy programs. Also here, since both are process-wide: the floating-point environment and
 * the request to stop (Ctrl-C). */
#ifndef RODNIK_BASE_THREAD_H
#define RODNIK_BASE_THREAD_H

#include "base/error.h"

enum { THREAD_COUNT_MAX = 1024 };

struct thread_pool;

/* Starts count - 1 workers (count 0: one thread for each processor this process may run on).  Every
 * worker, and the calling thread, gets the floating-point environment of docs/numerics.md. */
MUST_USE status thread_pool_create(struct thread_pool **out, int count, struct error *error);
void thread_pool_destroy(struct thread_pool *pool);
int thread_pool_count(const struct thread_pool *pool);

/* Those this process may run on. */
int processors_allowed(void);
/* From now on the calling thread, and threads it starts, run on their share of these: the index-th
 * of `count` runs of neighbours; where there are fewer processors than shares, on one of them. */
void processors_take_share(int index, int count);
/* Keeps each thread of the pool, the calling one too, on a processor of its own, as long as there
 * is one for each; else does nothing. */
void thread_pool_pin(struct thread_pool *pool);

/* A body works on items [begin, end); thread is in [0, count) and names whose scratch memory may be
 * used. */
typedef void thread_body(void *context, size_t begin, size_t end, int thread);

/* Runs body over [0, items) in chunks of at most `chunk` items, in any order, on all threads;
 * returns when all are done. Every thread begins with its share and then takes from the others'.
 * Not reentrant: a body must not call it.  Called by one thread at a time. */
void parallel_for(struct thread_pool *pool, size_t items, size_t chunk, thread_body *body,
                  void *context);

/* Where the share of a thread in such a loop begins (thread = count: where all end). */
size_t parallel_share(const struct thread_pool *pool, size_t items, size_t chunk, int thread);

/* Round to nearest; on x86 also flush denormal results and inputs to zero. */
void float_environment_set(void);
bool float_environment_is_set(void);

/* Makes SIGINT and SIGTERM set a flag; a second SIGINT ends the process the usual way. */
void interrupt_install(void);
bool interrupt_requested(void);
void interrupt_clear(void);

double time_monotonic_s(void);

#endif
