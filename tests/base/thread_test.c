/* Parallel loops: every item once, whatever the threads do; and the float environment. */
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support.h"

enum { ITEMS = 10007 };

struct work {
    struct thread_pool *pool;
    atomic_int times[ITEMS];
    atomic_int bad;
    size_t chunk;
    int slow_thread; /* sleeps in every chunk; -1: none */
    atomic_size_t slow_items;
};

static void visit(void *context, size_t begin, size_t end, int thread)
{
    struct work *work = context;
    if (thread < 0 || thread >= thread_pool_count(work->pool) || begin >= end ||
        end - begin > work->chunk || !float_environment_is_set())
        atomic_fetch_add(&work->bad, 1);
    if (thread == work->slow_thread) {
        usleep(2000);
        atomic_fetch_add(&work->slow_items, end - begin);
    }
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&work->times[i], 1);
}

static void every_item_is_visited_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 7, 64, 1000, ITEMS}, chunks[] = {1, 3, 64, 20000};
    static struct work work;
    for (int threads = 1; threads <= 9; threads += 2) {
        struct error error = {0};
        assert_ok(thread_pool_create(&work.pool, threads, &error), error);
        assert_int_equal(thread_pool_count(work.pool), threads);
        work.slow_thread = -1;
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
                work.chunk = chunks[k];
                memset(work.times, 0, sizeof work.times);
                parallel_for(work.pool, counts[c], work.chunk, visit, &work);
                for (size_t i = 0; i < ITEMS; i++)
                    assert_int_equal(work.times[i], i < counts[c]);
            }
        thread_pool_destroy(work.pool);
    }
    assert_int_equal(work.bad, 0);
}

static void shares_cover_all_items_in_order(void **state)
{
    (void)state;
    struct thread_pool *pool;
    struct error error = {0};
    assert_ok(thread_pool_create(&pool, 5, &error), error);
    for (size_t items = 0; items < 40; items++)
        for (size_t chunk = 1; chunk < 9; chunk++) {
            assert_int_equal(parallel_share(pool, items, chunk, 0), 0);
            assert_int_equal(parallel_share(pool, items, chunk, 5), items);
            for (int i = 0; i < 5; i++) {
                size_t begin = parallel_share(pool, items, chunk, i);
                assert_true(begin <= parallel_share(pool, items, chunk, i + 1));
                assert_true(begin == items || begin % chunk == 0);
            }
        }
    thread_pool_destroy(pool);
}

/* A thread that gets no processor time must not keep the others waiting for its share. */
static void a_slow_thread_loses_its_share_to_the_others(void **state)
{
    (void)state;
    static struct work work;
    struct error error = {0};
    assert_ok(thread_pool_create(&work.pool, 4, &error), error);
    work.slow_thread = 2;
    work.chunk = 1;
    memset(work.times, 0, sizeof work.times);
    double started = time_monotonic_s();
    parallel_for(work.pool, 4000, 1, visit, &work);
    double took = time_monotonic_s() - started;
    for (size_t i = 0; i < 4000; i++)
        assert_int_equal(work.times[i], 1);
    assert_true(work.slow_items < 500);
    if (took > 1)
        fail_msg("4,000 items took %.2f s: the others waited for the slow thread", took);
    thread_pool_destroy(work.pool);
}

/* Loops in quick succession, with pauses in which workers fall asleep. */
static void no_loop_is_lost_between_sleeping_and_waking(void **state)
{
    (void)state;
    static struct work work;
    struct error error = {0};
    assert_ok(thread_pool_create(&work.pool, 3, &error), error);
    work.slow_thread = -1;
    work.chunk = 1;
    memset(work.times, 0, sizeof work.times);
    for (int round = 0; round < 3000; round++) {
        parallel_for(work.pool, 8, 1, visit, &work);
        if (round % 100 == 0)
            usleep(300);
    }
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(work.times[i], 3000);
    thread_pool_destroy(work.pool);
}

static void a_pool_of_no_or_too_many_threads_is_refused(void **state)
{
    (void)state;
    struct thread_pool *pool = NULL;
    struct error negative = {0}, many = {0};
    assert_int_equal(thread_pool_create(&pool, -1, &negative), ERR_USAGE);
    assert_int_equal(thread_pool_create(&pool, THREAD_COUNT_MAX + 1, &many), ERR_USAGE);
    assert_non_null(strstr(many.text, "1024"));
}

static void denormals_are_zero_on_the_calling_thread_too(void **state)
{
    (void)state;
    struct thread_pool *pool;
    struct error error = {0};
    assert_ok(thread_pool_create(&pool, 1, &error), error);
    volatile float smallest = 0x1p-126f, half = 0.5f, denormal = 0x1p-130f, large = 0x1p20f;
    assert_true(smallest * half == 0);
    assert_true(denormal * large == 0);
    thread_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_visited_once),
        cmocka_unit_test(shares_cover_all_items_in_order),
        cmocka_unit_test(a_slow_thread_loses_its_share_to_the_others),
        cmocka_unit_test(no_loop_is_lost_between_sleeping_and_waking),
        cmocka_unit_test(a_pool_of_no_or_too_many_threads_is_refused),
        cmocka_unit_test(denormals_are_zero_on_the_calling_thread_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
