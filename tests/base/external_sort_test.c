/* Sorting on disk beside qsort, with little memory, on several threads, and when the disk fails. */
#include "base/external_sort.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "support.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_sort_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

static size_t names_in_folder(void)
{
    struct error error = {0};
    struct arena *arena;
    char **names;
    size_t count;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(folder_list(&names, &count, folder, arena, &error), error);
    arena_destroy(arena);
    return count;
}

/* ---- records of several kinds, and the reference ---- */

enum kind { RANDOM, FEW_VALUES, ALL_EQUAL, RISING, FALLING, LOW_BYTES, KINDS };

static uint64_t number_of(enum kind kind, size_t index, size_t count)
{
    uint64_t random = random_u64((struct random_key){1, RANDOM_TEST, (uint64_t)kind}, index);
    switch (kind) {
    case RANDOM:
        return random;
    case FEW_VALUES:
        return random % 5 << 60;
    case ALL_EQUAL:
        return 77;
    case RISING:
        return index;
    case FALLING:
        return count - index;
    default:
        return random & 0xffff;
    }
}

static uint64_t *make_records(enum kind kind, size_t count, size_t words)
{
    uint64_t *records = calloc(count * words + 1, sizeof *records);
    assert_non_null(records);
    for (size_t i = 0; i < count * words; i++)
        records[i] = number_of(kind, i, count * words);
    return records;
}

static int compare(const void *a, const void *b, void *context)
{
    const uint64_t *left = a, *right = b;
    for (size_t i = 0; i < *(const size_t *)context; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

static void expect_sorted(struct external_sort *sort, const uint64_t *wanted, size_t count,
                          size_t words)
{
    struct error error = {0};
    const uint64_t *record;
    for (size_t i = 0; i < count; i++) {
        assert_ok(external_sort_next(&record, sort, &error), error);
        assert_non_null(record);
        assert_memory_equal(record, wanted + i * words, words * sizeof *record);
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(external_sort_next(&record, sort, &error), error);
        assert_null(record);
    }
}

static void sort_beside_qsort(enum kind kind, size_t count, struct external_sort_settings settings)
{
    struct error error = {0};
    struct external_sort *sort;
    size_t words = settings.words;
    uint64_t *records = make_records(kind, count, words);
    assert_ok(external_sort_create(&sort, &settings, &error), error);
    for (size_t i = 0, some; i < count; i += some) { /* in pieces of changing size */
        some = 1 + i % 301;
        some = some > count - i ? count - i : some;
        assert_ok(external_sort_add(sort, records + i * words, some, &error), error);
    }
    assert_int_equal(external_sort_count(sort), count);
    assert_ok(external_sort_finish(sort, &error), error);
    qsort_r(records, count, words * sizeof *records, compare, &words);
    expect_sorted(sort, records, count, words);
    assert_ok(external_sort_rewind(sort, &error), error);
    expect_sorted(sort, records, count, words);
    external_sort_destroy(sort);
    free(records);
}

static void records_come_out_as_qsort_has_them(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 24, 25, 1000, 20000};
    struct error error = {0};
    struct thread_pool *pool;
    assert_ok(thread_pool_create(&pool, 3, &error), error);
    for (size_t words = 1; words <= SORT_WORDS_MAX; words += words == 3 ? 2 : 1)
        for (enum kind kind = 0; kind < KINDS; kind++)
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                struct external_sort_settings settings = {words, SORT_MEMORY_BYTES_MIN, folder,
                                                          NULL};
                sort_beside_qsort(kind, counts[i], settings); /* merges of two, in many passes */
                settings.memory_bytes = 400 << 10; /* merges of five; in memory where it fits */
                settings.pool = pool;
                sort_beside_qsort(kind, counts[i], settings);
            }
    thread_pool_destroy(pool);
    assert_int_equal(names_in_folder(), 0);
}

static void sorting_in_memory_uses_all_threads_and_stays_the_same(void **state)
{
    (void)state;
    struct error error = {0};
    struct thread_pool *pool;
    size_t count = 100000, words = 2;
    assert_ok(thread_pool_create(&pool, 4, &error), error);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t *one = make_records(kind, count, words), *many = make_records(kind, count, words);
        records_sort(one, count, words, NULL);
        records_sort(many, count, words, pool);
        assert_memory_equal(one, many, count * words * sizeof *one);
        qsort_r(many, count, words * sizeof *many, compare, &words);
        assert_memory_equal(one, many, count * words * sizeof *one);
        free(one);
        free(many);
    }
    thread_pool_destroy(pool);
}

/* ---- faults ---- */

static status sort_once(struct error *error)
{
    struct external_sort_settings settings = {2, SORT_MEMORY_BYTES_MIN, folder, NULL};
    struct external_sort *sort;
    const uint64_t *record = NULL;
    uint64_t *records = make_records(RANDOM, 5000, 2);
    status result = external_sort_create(&sort, &settings, error);
    if (result == OK) {
        result = external_sort_add(sort, records, 5000, error);
        if (result == OK)
            result = external_sort_finish(sort, error);
        do
            result = result == OK ? external_sort_next(&record, sort, error) : result;
        while (result == OK && record);
        external_sort_destroy(sort);
    }
    free(records);
    return result;
}

static void a_full_disk_is_one_sentence_and_leaves_nothing(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        file_fail_after(nth, ENOSPC);
        status result = sort_once(&error);
        file_fail_after(0, 0);
        assert_int_equal(names_in_folder(), 0);
        if (result == OK)
            break;
        failures++;
        assert_int_equal(result, ERR_IO);
        assert_non_null(strstr(error.text, folder));
        assert_non_null(strstr(error.text, "No space left"));
    }
    assert_true(failures > 100); /* runs and all passes of merging */
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        memory_fail_after(nth);
        status result = sort_once(&error);
        memory_fail_after(0);
        if (result == OK)
            break;
        failures++;
        assert_int_equal(result, ERR_MEMORY);
    }
    assert_true(failures >= 3);
}

static void a_request_to_stop_is_heard(void **state)
{
    (void)state;
    struct error error = {0};
    interrupt_install();
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(sort_once(&error), ERR_INTERRUPTED);
    interrupt_clear();
    error = (struct error){0};
    assert_ok(sort_once(&error), error);
    assert_int_equal(names_in_folder(), 0);
}

static void settings_that_cannot_work_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct external_sort *sort;
    struct external_sort_settings settings = {2, SORT_MEMORY_BYTES_MIN - 1, folder, NULL};
    assert_int_equal(external_sort_create(&sort, &settings, &error), ERR_USAGE);
    settings = (struct external_sort_settings){2, SORT_MEMORY_BYTES_MIN, "/nowhere/at/all", NULL};
    uint64_t *records = make_records(RANDOM, 5000, 2);
    error = (struct error){0};
    assert_ok(external_sort_create(&sort, &settings, &error), error);
    assert_int_equal(external_sort_add(sort, records, 5000, &error), ERR_IO);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
    external_sort_destroy(sort);
    free(records);
}

/* Cuts the only nameless file that this process has open. */
static void cut_scratch_file(void)
{
    int cut = 0;
    for (int descriptor = 3; descriptor < 256; descriptor++) {
        struct stat info;
        if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 0)
            continue;
        assert_true(info.st_size > 30000);
        assert_int_equal(ftruncate(descriptor, 30000), 0);
        cut++;
    }
    assert_int_equal(cut, 1);
}

static void a_temporary_file_that_was_cut_is_noticed(void **state)
{
    (void)state;
    struct error error = {0};
    struct external_sort_settings settings = {2, 16 << 10, folder, NULL};
    struct external_sort *sort;
    const uint64_t *record = NULL;
    uint64_t *records = make_records(RANDOM, 5000, 2);
    assert_ok(external_sort_create(&sort, &settings, &error), error);
    assert_ok(external_sort_add(sort, records, 5000, &error), error);
    assert_ok(external_sort_finish(sort, &error), error);
    cut_scratch_file();
    status result;
    do
        result = external_sort_next(&record, sort, &error);
    while (result == OK && record);
    assert_int_equal(result, ERR_IO);
    external_sort_destroy(sort);
    free(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_as_qsort_has_them),
        cmocka_unit_test(sorting_in_memory_uses_all_threads_and_stays_the_same),
        cmocka_unit_test(a_full_disk_is_one_sentence_and_leaves_nothing),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
        cmocka_unit_test(a_request_to_stop_is_heard),
        cmocka_unit_test(settings_that_cannot_work_are_refused),
        cmocka_unit_test(a_temporary_file_that_was_cut_is_noticed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
