/* Files: replaced whole or not at all, whatever fails. */
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_file_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void check_content(const char *path, const char *want)
{
    struct error error = {0};
    struct arena *arena;
    struct view text;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(file_read(&text, path, 1 << 20, arena, &error), error);
    assert_string_equal(text.data, want);
    arena_destroy(arena);
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

static void a_file_is_written_and_read_back(void **state)
{
    (void)state;
    struct error error = {0};
    struct file_bytes bytes;
    uint64_t size;
    assert_ok(file_write_atomic(path_of("a"), "first", 5, &error), error);
    assert_ok(file_write_atomic(path_of("a"), "second", 6, &error), error);
    check_content(path_of("a"), "second");
    assert_ok(file_append(path_of("a"), "+", 1, &error), error);
    assert_ok(file_size(&size, path_of("a"), &error), error);
    assert_int_equal(size, 7);
    assert_ok(file_truncate(path_of("a"), 3, &error), error);
    check_content(path_of("a"), "sec");
    assert_ok(file_map(&bytes, path_of("a"), &error), error);
    assert_memory_equal(bytes.data, "sec", 3);
    file_unmap(&bytes);
    assert_ok(file_write_atomic(path_of("a"), "", 0, &error), error);
    assert_ok(file_map(&bytes, path_of("a"), &error), error);
    assert_true(bytes.len == 0 && bytes.data == NULL);
    file_unmap(&bytes);
}

/* Every write of an atomic replacement fails once; the old file stays and no part is left. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    struct error first = {0};
    assert_ok(file_write_atomic(path_of("a"), "old", 3, &first), first);
    static const int reasons[] = {ENOSPC, EIO};
    for (size_t r = 0; r < 2; r++) {
        struct error error = {0};
        file_fail_after(1, reasons[r]);
        status result = file_write_atomic(path_of("a"), "new", 3, &error);
        file_fail_after(0, 0);
        assert_int_equal(result, ERR_IO);
        assert_non_null(strstr(error.text, folder));
        assert_non_null(strstr(error.text, strerror(reasons[r])));
        check_content(path_of("a"), "old");
        assert_int_equal(names_in_folder(), 1);
    }
}

/* The system itself cuts the write short: a limit on file sizes stands in for a full disk. */
static void an_append_that_does_not_fit_takes_its_part_back(void **state)
{
    (void)state;
    struct error error = {0}, full = {0};
    struct rlimit old, tight = {0};
    assert_ok(file_append(path_of("log"), "first\n", 6, &error), error);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = (struct rlimit){10, old.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    status result = file_append(path_of("log"), "the second\n", 11, &full);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(result, ERR_IO);
    assert_non_null(strstr(full.text, path_of("log")));
    check_content(path_of("log"), "first\n");
    assert_ok(file_append(path_of("log"), "third\n", 6, &error), error);
    check_content(path_of("log"), "first\nthird\n");
}

static void an_abandoned_writer_leaves_nothing(void **state)
{
    (void)state;
    struct error error = {0};
    struct file_writer writer = {0};
    assert_ok(file_writer_open(&writer, path_of("b"), &error), error);
    for (int i = 0; i < 1000; i++)
        assert_ok(file_writer_add(&writer, "0123456789", 10, &error), error);
    file_writer_abort(&writer);
    assert_int_equal(names_in_folder(), 0);
    assert_ok(file_writer_open(&writer, path_of("b"), &error), error);
    assert_ok(file_writer_add(&writer, "whole", 5, &error), error);
    assert_false(file_exists(path_of("b")));
    assert_ok(file_writer_commit(&writer, &error), error);
    check_content(path_of("b"), "whole");
}

static void absent_and_wrong_paths_are_named(void **state)
{
    (void)state;
    struct error map = {0}, read = {0}, list = {0}, large = {0}, error = {0};
    struct arena *arena;
    struct file_bytes bytes;
    struct view text;
    char **names;
    size_t count;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_int_equal(file_map(&bytes, path_of("none"), &map), ERR_IO);
    assert_non_null(strstr(map.text, path_of("none")));
    assert_int_equal(file_read(&text, folder, 100, arena, &read), ERR_IO);
    assert_int_equal(folder_list(&names, &count, path_of("none"), arena, &list), ERR_IO);
    assert_ok(file_write_atomic(path_of("c"), "0123456789", 10, &error), error);
    assert_int_equal(file_read(&text, path_of("c"), 9, arena, &large), ERR_LIMIT);
    arena_destroy(arena);
}

static void folders_are_made_listed_and_removed_without_following_links(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    char **names;
    size_t count;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(folder_make(path_of("x/y/z"), &error), error);
    assert_ok(folder_make(path_of("x/y/z"), &error), error);
    assert_ok(file_write_atomic(path_of("x/b"), "1", 1, &error), error);
    assert_ok(file_write_atomic(path_of("keep"), "1", 1, &error), error);
    char link[PATH_BYTES];
    snprintf(link, sizeof link, "%s/x/link", folder);
    assert_int_equal(symlink(folder, link), 0);
    assert_ok(folder_list(&names, &count, path_of("x"), arena, &error), error);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "b");
    assert_string_equal(names[2], "y");
    assert_ok(path_remove_tree(path_of("x"), &error), error);
    assert_false(folder_exists(path_of("x")));
    assert_true(file_exists(path_of("keep")));
    assert_ok(path_remove_tree(path_of("x"), &error), error);
    arena_destroy(arena);
}

static void one_process_at_a_time_works_in_a_folder(void **state)
{
    (void)state;
    int lock = -1, child_status;
    struct error error = {0};
    assert_ok(folder_lock(&lock, folder, &error), error);
    pid_t child = fork();
    if (child == 0) {
        int other = -1;
        struct error conflict = {0};
        _exit(folder_lock(&other, folder, &conflict) == ERR_CONFLICT ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &child_status, 0), child);
    assert_int_equal(child_status, 0);
    folder_unlock(lock);
    assert_ok(folder_lock(&lock, folder, &error), error);
    folder_unlock(lock);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_file_is_written_and_read_back),
        IN_A_FOLDER(a_failed_write_leaves_the_old_file),
        IN_A_FOLDER(an_append_that_does_not_fit_takes_its_part_back),
        IN_A_FOLDER(an_abandoned_writer_leaves_nothing),
        IN_A_FOLDER(absent_and_wrong_paths_are_named),
        IN_A_FOLDER(folders_are_made_listed_and_removed_without_following_links),
        IN_A_FOLDER(one_process_at_a_time_works_in_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
