#include "base/thread.h"

#include <errno.h>
#include <fenv.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* A waiter spins about this long before it sleeps: longer than most gaps between loops of a step
 * (waking it up takes 50 us), but who waits for a thread without a processor burns its own share
 * (measured: docs/notebook.md).  The clock is asked every SPIN_ROUNDS, since processors pause for
 * 10 to 50 ns. */
enum { SPIN_NS = 30000, SPIN_ROUNDS = 32, CACHE_LINE = 64 };

/* A loop waits for the workers that joined it, never for one that did not get a processor in time.
 * */
#define LOOP_OPEN 0x80000000u

struct loop {
    thread_body *body;
    void *context;
    size_t items, chunk;
};

struct thread_pool {
    int count;
    struct loop loop;
    _Alignas(CACHE_LINE) _Atomic uint32_t generation; /* a new value is a new loop; futex */
    _Alignas(
        CACHE_LINE) _Atomic uint32_t state; /* LOOP_OPEN and the number of workers in it; futex */
    _Alignas(CACHE_LINE) _Atomic uint32_t sleepers; /* workers asleep on generation */
    atomic_bool stop;
    struct worker *workers;
    void *block;
};

/* The items that a thread begins with.  Who is done takes from others, so that nobody waits for a
 * thread without a processor; and since shares of loops over the same items are the same, a thread
 * mostly meets what it has in its caches. */
struct worker {
    _Alignas(CACHE_LINE) atomic_size_t next;
    size_t end;
    struct thread_pool *pool;
    pthread_t thread;
    int index;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until *word is other than `value` (true) or the time is over. */
static bool spin_while(const _Atomic uint32_t *word, uint32_t value)
{
    for (double end = 0;;) {
        for (int i = 0; i < SPIN_ROUNDS; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return true;
            relax();
        }
        double now = time_monotonic_s();
        if (end == 0)
            end = now + SPIN_NS * 1e-9;
        else if (now >= end)
            return false;
    }
}

static void run_share(const struct loop *loop, struct worker *owner, int thread)
{
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&owner->next, loop->chunk, memory_order_relaxed);
        if (begin >= owner->end)
            return;
        size_t end = owner->end - begin < loop->chunk ? owner->end : begin + loop->chunk;
        loop->body(loop->context, begin, end, thread);
    }
}

static void run_chunks(struct thread_pool *pool, int thread)
{
    const struct loop loop = pool->loop;
    for (int i = 0; i < pool->count; i++)
        run_share(&loop, &pool->workers[(thread + i) % pool->count], thread);
}

/* Returns when the generation differs from `seen`. */
static uint32_t wait_for_loop(struct thread_pool *pool, uint32_t seen)
{
    if (spin_while(&pool->generation, seen))
        return atomic_load_explicit(&pool->generation, memory_order_acquire);
    for (;;) {
        atomic_fetch_add(&pool->sleepers, 1);
        uint32_t now = atomic_load(&pool->generation);
        if (now == seen)
            futex_wait(&pool->generation, seen);
        atomic_fetch_sub(&pool->sleepers, 1);
        now = atomic_load(&pool->generation);
        if (now != seen)
            return now;
    }
}

static bool join_loop(struct thread_pool *pool)
{
    uint32_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);
    while (state & LOOP_OPEN)
        if (atomic_compare_exchange_weak_explicit(&pool->state, &state, state + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static void leave_loop(struct thread_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->state, 1, memory_order_release) == 1)
        futex_wake(&pool->state, 1);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct thread_pool *pool = worker->pool;
    float_environment_set();
    ASSERT(float_environment_is_set());
    for (uint32_t seen = 0;;) {
        seen = wait_for_loop(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (!join_loop(pool))
            continue;
        run_chunks(pool, worker->index);
        leave_loop(pool);
    }
}

int processors_allowed(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > THREAD_COUNT_MAX ? THREAD_COUNT_MAX : count;
}

/* The processor of rank `index` among those in the set. */
static size_t nth_processor(const cpu_set_t *set, int index)
{
    size_t processor = 0;
    while (!CPU_ISSET(processor, set) || index-- > 0)
        processor++;
    return processor;
}

void processors_take_share(int index, int count)
{
    ASSERT(index >= 0 && index < count);
    cpu_set_t all, own;
    if (count == 1 || sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 1)
        return;
    int processors = CPU_COUNT(&all);
    int begin = index * processors / count, end = (index + 1) * processors / count;
    if (begin == end)
        end = begin + 1;
    CPU_ZERO(&own);
    for (int i = begin; i < end; i++)
        CPU_SET(nth_processor(&all, i), &own);
    (void)!sched_setaffinity(0, sizeof own, &own);
}

void thread_pool_pin(struct thread_pool *pool)
{
    ASSERT(pool);
    cpu_set_t all, own;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < pool->count)
        return;
    for (int i = 0; i < pool->count; i++) {
        CPU_ZERO(&own);
        CPU_SET(nth_processor(&all, i), &own);
        pthread_t thread = i ? pool->workers[i].thread : pthread_self();
        (void)!pthread_setaffinity_np(thread, sizeof own, &own);
    }
}

status thread_pool_create(struct thread_pool **out, int count, struct error *error)
{
    ASSERT(out && error);
    if (count == 0)
        count = processors_allowed();
    if (count < 1 || count > THREAD_COUNT_MAX)
        return fail(error, ERR_USAGE, "the number of threads is %d, allowed are 1 to %d", count,
                    THREAD_COUNT_MAX);
    void *block = memory_take(sizeof(struct thread_pool) + CACHE_LINE +
                              (size_t)count * sizeof(struct worker));
    if (!block)
        return fail(error, ERR_MEMORY, "no memory for %d threads", count);
    uintptr_t start = ((uintptr_t)block + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct thread_pool *pool = (struct thread_pool *)start;
    *pool = (struct thread_pool){.count = 1, .block = block, .workers = (void *)(pool + 1)};
    float_environment_set();
    for (; pool->count < count; pool->count++) {
        struct worker *worker = &pool->workers[pool->count];
        *worker = (struct worker){.pool = pool, .index = pool->count};
        errno = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (errno) {
            status result = fail_errno(error, "thread %d of %d", pool->count + 1, count);
            thread_pool_destroy(pool);
            return result;
        }
    }
    *out = pool;
    return OK;
}

static void start_loop(struct thread_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers))
        futex_wake(&pool->generation, pool->count);
}

void thread_pool_destroy(struct thread_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->generation, 1);
    futex_wake(&pool->generation, pool->count);
    for (int i = 1; i < pool->count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    memory_give(pool->block);
}

int thread_pool_count(const struct thread_pool *pool)
{
    return pool->count;
}

static void close_loop(struct thread_pool *pool)
{
    atomic_fetch_and_explicit(&pool->state, ~LOOP_OPEN, memory_order_relaxed);
    uint32_t state;
    while ((state = atomic_load_explicit(&pool->state, memory_order_acquire)) != 0)
        if (!spin_while(&pool->state, state))
            break;
    while ((state = atomic_load_explicit(&pool->state, memory_order_acquire)) != 0)
        futex_wait(&pool->state, state);
}

size_t parallel_share(const struct thread_pool *pool, size_t items, size_t chunk, int thread)
{
    size_t chunks = (items + chunk - 1) / chunk;
    size_t begin = chunks * (size_t)thread / (size_t)pool->count * chunk;
    return begin < items ? begin : items;
}

void parallel_for(struct thread_pool *pool, size_t items, size_t chunk, thread_body *body,
                  void *context)
{
    ASSERT(pool && body && chunk > 0);
    ASSERT(items < SIZE_MAX / 2 && chunk < SIZE_MAX / 4 / THREAD_COUNT_MAX);
    if (items == 0)
        return;
    if (pool->count == 1 || items <= chunk) {
        for (size_t begin = 0; begin < items; begin += chunk)
            body(context, begin, items - begin < chunk ? items : begin + chunk, 0);
        return;
    }
    pool->loop = (struct loop){body, context, items, chunk};
    for (int i = 0; i < pool->count; i++) {
        size_t begin = parallel_share(pool, items, chunk, i);
        atomic_store_explicit(&pool->workers[i].next, begin, memory_order_relaxed);
        pool->workers[i].end = parallel_share(pool, items, chunk, i + 1);
    }
    atomic_store_explicit(&pool->state, LOOP_OPEN, memory_order_release);
    start_loop(pool);
    run_chunks(pool, 0);
    close_loop(pool);
}

/* ---- floating point ---- */

/* Where the processor does not flush denormals after rounding, as x86 does, tensor/ does it. */
void float_environment_set(void)
{
#if defined(__x86_64__)
    _mm_setcsr((_mm_getcsr() & ~0x6000u) | 0x8040u); /* nearest; FTZ and DAZ */
#else
    fesetenv(FE_DFL_ENV);
#endif
}

bool float_environment_is_set(void)
{
#if defined(__x86_64__)
    return (_mm_getcsr() & 0xE040u) == 0x8040u;
#else
    return fegetround() == FE_TONEAREST;
#endif
}

/* ---- the request to stop ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    if (number == SIGINT)
        signal(SIGINT, SIG_DFL); /* the next one ends the process */
    interrupted = 1;
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_requested(void)
{
    return interrupted != 0;
}

void interrupt_clear(void)
{
    interrupted = 0;
}

double time_monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
