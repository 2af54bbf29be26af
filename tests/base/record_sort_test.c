/* Sorting byte strings on disk beside qsort in memory, with little memory, and when the disk
 * fails. */
#include "base/record_sort.h"

#include <errno.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/random.h"
#include "support.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_records_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

enum { ALPHABET = 3 };

/* Few different bytes and lengths from none to the longest allowed, so that prefixes, equal records
 * and windows that end inside a record all occur. */
static struct view made_record(char *out, uint64_t index, size_t usual)
{
    struct random_key key = {5, RANDOM_TEST, index};
    size_t len = (size_t)random_below(key, 0, usual + 1);
    if (random_below(key, 1, 500) == 0)
        len = RECORD_BYTES_MAX - (size_t)random_below(key, 2, 3);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)("\x00\x7F\xFF"[(random_u64(key, 3 + i / 16) >> (i % 16 * 2)) % ALPHABET]);
    return (struct view){out, len};
}

static int compare_records(const void *a, const void *b)
{
    const struct view *left = a, *right = b;
    size_t common = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->data, right->data, common);
    return order ? order : left->len < right->len ? -1 : left->len > right->len;
}

static void check_reading(struct record_sort *sort, const struct view *expected, size_t count)
{
    struct error error = {0};
    struct view record;
    for (size_t i = 0; i < count; i++) {
        assert_ok(record_sort_next(&record, sort, &error), error);
        assert_non_null(record.data);
        assert_int_equal(record.len, expected[i].len);
        assert_memory_equal(record.data, expected[i].data, record.len);
    }
    for (int i = 0; i < 2; i++) {
        assert_ok(record_sort_next(&record, sort, &error), error);
        assert_null(record.data);
    }
}

static void check(size_t count, size_t usual, size_t memory_bytes)
{
    struct error error = {0};
    struct arena *arena;
    struct record_sort *sort;
    struct view *expected;
    assert_ok(arena_create(&arena, 0, &error), error);
    expected = arena_alloc(arena, count + 1, sizeof *expected, &error);
    assert_ok(record_sort_create(&sort, memory_bytes, folder, &error), error);
    char *bytes = arena_alloc(arena, RECORD_BYTES_MAX, 1, &error);
    for (size_t i = 0; i < count; i++) {
        struct view record = made_record(bytes, i, usual);
        char *copy = arena_alloc(arena, record.len + 1, 1, &error);
        expected[i] = (struct view){memcpy(copy, bytes, record.len), record.len};
        assert_ok(record_sort_add(sort, record, &error), error);
    }
    if (count)
        qsort(expected, count, sizeof *expected, compare_records);
    assert_ok(record_sort_finish(sort, &error), error);
    assert_int_equal(record_sort_count(sort), count);
    for (int i = 0; i < 2; i++) {
        check_reading(sort, expected, count);
        assert_ok(record_sort_rewind(sort, &error), error);
    }
    record_sort_destroy(sort);
    arena_destroy(arena);
}

static void records_come_in_order(void **state)
{
    (void)state;
    check(0, 10, RECORD_SORT_MEMORY_BYTES_MIN);
    check(1, 0, RECORD_SORT_MEMORY_BYTES_MIN);
    check(2000, 4, 64 << 20);                       /* in memory, many equal */
    check(40000, 30, RECORD_SORT_MEMORY_BYTES_MIN); /* several passes of merging */
    check(3000, 2000, 1 << 20);
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    static char bytes[RECORD_BYTES_MAX + 1];
    struct error error = {0};
    struct record_sort *sort;
    assert_ok(record_sort_create(&sort, RECORD_SORT_MEMORY_BYTES_MIN, folder, &error), error);
    assert_int_equal(record_sort_add(sort, (struct view){bytes, sizeof bytes}, &error), ERR_LIMIT);
    record_sort_destroy(sort);
}

static void a_full_disk_is_said(void **state)
{
    (void)state;
    struct error error = {0};
    struct record_sort *sort;
    char bytes[1000] = {0};
    status result = OK;
    assert_ok(record_sort_create(&sort, RECORD_SORT_MEMORY_BYTES_MIN, folder, &error), error);
    file_fail_after(1, ENOSPC);
    for (int i = 0; i < 2000 && result == OK; i++)
        result = record_sort_add(sort, (struct view){bytes, sizeof bytes}, &error);
    file_fail_after(0, 0);
    assert_int_equal(result, ERR_IO);
    record_sort_destroy(sort);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_order),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_full_disk_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
