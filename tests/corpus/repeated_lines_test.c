/* Lines that stand in many documents, beside a plain count of them. */
#include "corpus/repeated_lines.h"

#include <errno.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "support.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_lines_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

/* ---- documents of lines from a small store; line k is the same words in several spellings ---- */

enum { DOCUMENTS = 120, LINES = 40, KINDS = 60, TEXT_BYTES = 8192 };

struct page {
    char bytes[TEXT_BYTES];
    int kinds[LINES]; /* which line of the store stands there */
    size_t lines;
};

static size_t put_line(char *out, int kind, uint64_t spelling)
{
    static const char *const starts[] = {"Читать ещё", "ЧИТАТЬ ЕЩЕ", "читать,  ещё —"};
    if (kind % 10 == 0) /* too short to count */
        return (size_t)sprintf(out, "Строка %d\n", kind);
    if (kind % 10 == 1)
        return (size_t)sprintf(out, "\n");
    return (size_t)sprintf(out, "%s о строке номер %d%s\n", starts[spelling % 3], kind,
                           spelling % 2 ? "!" : "");
}

static bool counts(int kind)
{
    return kind % 10 > 1;
}

static struct page *make_pages(struct numbered_text list[DOCUMENTS])
{
    struct page *pages = calloc(DOCUMENTS, sizeof *pages);
    assert_non_null(pages);
    for (uint64_t d = 0; d < DOCUMENTS; d++) {
        struct random_key key = {d, RANDOM_TEST, 4};
        size_t len = 0;
        pages[d].lines = random_below(key, 0, LINES);
        for (size_t i = 0; i < pages[d].lines; i++) {
            /* small kinds are common, large ones rare */
            uint64_t kind = random_below(key, 2 * i + 1, random_below(key, 2 * i + 100, KINDS) + 1);
            pages[d].kinds[i] = (int)kind;
            len += put_line(pages[d].bytes + len, (int)kind, random_u64(key, 2 * i + 2));
        }
        list[d] = (struct numbered_text){7 * d, {pages[d].bytes, len}};
    }
    return pages;
}

static bool holds(const struct page *page, int kind)
{
    for (size_t i = 0; i < page->lines; i++)
        if (page->kinds[i] == kind)
            return true;
    return false;
}

/* Whether document d must lose its lines of this kind. */
static bool must_lose(const struct page *pages, size_t d, int kind, size_t documents_max)
{
    size_t first = DOCUMENTS, count = 0;
    for (size_t i = DOCUMENTS; i-- > 0;)
        if (holds(&pages[i], kind)) {
            first = i;
            count++;
        }
    return counts(kind) && count > documents_max && d != first;
}

static void expect_document(const struct page *pages, size_t d, size_t documents_max,
                            const struct numbered_text *document, const struct buffer *found)
{
    static char wanted[TEXT_BYTES];
    struct view rest = document->text, line;
    size_t len = 0, index = 0;
    for (const char *begin = rest.data; view_line(&line, &rest); begin = rest.data)
        if (!must_lose(pages, d, pages[d].kinds[index++], documents_max)) {
            memcpy(wanted + len, begin, (size_t)(rest.data - begin));
            len += (size_t)(rest.data - begin);
        }
    assert_int_equal(found->len, len);
    assert_true(len == 0 || memcmp(found->data, wanted, len) == 0);
}

struct order {
    int threads;
    size_t step, memory_bytes, at_once;
};

static status find(struct repeated_lines *lines, const struct numbered_text *list,
                   const struct order *order, struct error *error)
{
    struct numbered_text moved[DOCUMENTS];
    for (size_t i = 0; i < DOCUMENTS; i++)
        moved[i] = list[i * order->step % DOCUMENTS];
    for (size_t i = 0; i < DOCUMENTS; i += order->at_once)
        TRY(repeated_lines_add(lines, moved + i, order->at_once, error));
    return repeated_lines_finish(lines, error);
}

static void lines_go_from_all_documents_but_the_first(void **state)
{
    (void)state;
    static struct numbered_text list[DOCUMENTS];
    static const struct order orders[] = {{1, 1, 1 << 20, 120},
                                          {3, 7, LINES_MEMORY_BYTES_MIN, 40},
                                          {2, 119, LINES_MEMORY_BYTES_MIN, 1}};
    struct page *pages = make_pages(list);
    size_t lost_in_all = 0;
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++)
        for (size_t documents_max = 1; documents_max < 60; documents_max += 6) {
            struct error error = {0};
            struct thread_pool *pool;
            struct repeated_lines *lines;
            struct line_losses losses;
            struct words words;
            struct buffer text;
            bool found;
            assert_ok(thread_pool_create(&pool, orders[o].threads, &error), error);
            struct repeated_lines_settings settings = {documents_max, 4, orders[o].memory_bytes,
                                                       folder, pool};
            assert_ok(repeated_lines_create(&lines, &settings, &error), error);
            assert_ok(find(lines, list, &orders[o], &error), error);
            assert_ok(repeated_lines_next(&found, &losses, lines, &error), error);
            words_open(&words);
            buffer_create(&text, TEXT_BYTES);
            for (size_t d = 0; d < DOCUMENTS; d++) {
                struct line_losses none = {list[d].number, NULL, 0};
                bool loses = found && losses.document == list[d].number;
                size_t lost;
                buffer_clear(&text);
                assert_ok(repeated_lines_drop(&text, &lost, &words, list[d].text,
                                              loses ? &losses : &none, &error),
                          error);
                expect_document(pages, d, documents_max, &list[d], &text);
                assert_true(loses == (lost > 0));
                lost_in_all += lost;
                if (loses)
                    assert_ok(repeated_lines_next(&found, &losses, lines, &error), error);
            }
            assert_false(found);
            words_close(&words);
            buffer_destroy(&text);
            repeated_lines_destroy(lines);
            thread_pool_destroy(pool);
        }
    assert_true(lost_in_all > 10000);
    free(pages);
}

static status find_once(const struct numbered_text *list, struct thread_pool *pool,
                        struct error *error)
{
    struct order order = {1, 1, LINES_MEMORY_BYTES_MIN, 120};
    struct repeated_lines_settings settings = {3, 4, order.memory_bytes, folder, pool};
    struct repeated_lines *lines = NULL;
    struct line_losses losses;
    bool found = true;
    TRY(repeated_lines_create(&lines, &settings, error));
    status result = find(lines, list, &order, error);
    while (result == OK && found)
        result = repeated_lines_next(&found, &losses, lines, error);
    repeated_lines_destroy(lines);
    return result;
}

static void faults_are_errors(void **state)
{
    (void)state;
    static struct numbered_text list[DOCUMENTS];
    struct error error = {0};
    struct thread_pool *pool;
    struct page *pages = make_pages(list);
    size_t full_disks = 0, no_memory = 0;
    assert_ok(thread_pool_create(&pool, 1, &error), error);
    for (size_t nth = 1;; nth++) {
        error = (struct error){0};
        file_fail_after(nth, ENOSPC);
        status result = find_once(list, pool, &error);
        file_fail_after(0, 0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_IO);
        full_disks++;
    }
    for (size_t nth = 1;; nth++) {
        error = (struct error){0};
        memory_fail_after(nth);
        status result = find_once(list, pool, &error);
        memory_fail_after(0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        no_memory++;
    }
    print_message("  %zu full disks, %zu times no memory\n", full_disks, no_memory);
    assert_true(full_disks > 3 && no_memory > 8);
    thread_pool_destroy(pool);
    free(pages);
}

static void settings_out_of_range_are_refused(void **state)
{
    (void)state;
    struct error error = {0};
    struct thread_pool *pool;
    struct repeated_lines *lines;
    assert_ok(thread_pool_create(&pool, 1, &error), error);
    struct repeated_lines_settings settings = {0, 4, 1 << 20, folder, pool};
    assert_int_equal(repeated_lines_create(&lines, &settings, &error), ERR_USAGE);
    settings.documents_max = LINE_DOCUMENTS_MAX + 1;
    assert_int_equal(repeated_lines_create(&lines, &settings, &error), ERR_USAGE);
    settings.documents_max = 10;
    settings.memory_bytes = LINES_MEMORY_BYTES_MIN - 1;
    assert_int_equal(repeated_lines_create(&lines, &settings, &error), ERR_USAGE);
    thread_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_from_all_documents_but_the_first),
        cmocka_unit_test(faults_are_errors),
        cmocka_unit_test(settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
