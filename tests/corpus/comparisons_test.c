/* What finders find that read together, beside what each finds that reads for itself. */
#include "corpus/comparisons.h"

#include "base/random.h"
#include "base/thread.h"
#include "support.h"

enum { DOCUMENTS = 1500, TEXT_BYTES = 2048 }; /* more than a batch */

static struct numbered_text documents[DOCUMENTS];
static char texts[DOCUMENTS][TEXT_BYTES];

/* Lines of few kinds with a number now and then; every fifth document is another once more. */
static void make_documents(void)
{
    for (uint64_t d = 0; d < DOCUMENTS; d++) {
        struct random_key key = {d % 5 ? d : d / 10, RANDOM_TEST, 11};
        size_t len = 0, lines = random_below(key, 0, 12);
        for (size_t i = 0; i < lines; i++)
            len += (size_t)sprintf(texts[d] + len, "Строка «%c» под номером %d, о Ёлке и об и%c\n",
                                   (char)('a' + random_below(key, 3 * i + 1, 26)),
                                   (int)random_below(key, 3 * i + 2, 40),
                                   (char)('a' + random_below(key, 3 * i + 3, 9)));
        documents[d] = (struct numbered_text){d, {texts[d], len}};
    }
}

struct finders {
    struct comparisons of;
    struct overlap overlaps[DOCUMENTS];
};

static void open_finders(struct finders *out, const struct evaluation_items *items,
                         struct thread_pool *pool)
{
    struct error error = {0};
    struct duplicates_settings duplicates = {true, 1 << 20, "/tmp", pool};
    struct repeated_lines_settings lines = {3, 4, 1 << 20, "/tmp", pool};
    struct contamination_settings contamination = {items, 1 << 20, "/tmp", pool};
    assert_ok(duplicates_create(&out->of.duplicates, &duplicates, &error), error);
    assert_ok(repeated_lines_create(&out->of.lines, &lines, &error), error);
    assert_ok(contamination_create(&out->of.contamination, &contamination, &error), error);
}

static void finish(struct finders *finders)
{
    struct error error = {0};
    assert_ok(duplicates_finish(finders->of.duplicates, &error), error);
    assert_ok(repeated_lines_finish(finders->of.lines, &error), error);
    assert_ok(contamination_finish(finders->of.contamination, &error), error);
}

static void expect_same(struct finders *a, struct finders *b)
{
    struct error error = {0};
    bool found = true, other;
    size_t count[3] = {0};
    assert_memory_equal(a->overlaps, b->overlaps, sizeof a->overlaps);
    for (;; count[0]++) {
        struct duplicate x, y;
        assert_ok(duplicates_next(&found, &x, a->of.duplicates, &error), error);
        assert_ok(duplicates_next(&other, &y, b->of.duplicates, &error), error);
        assert_int_equal(found, other);
        if (!found)
            break;
        assert_true(x.document == y.document && x.cluster == y.cluster && x.size == y.size &&
                    x.kind == y.kind);
    }
    for (;; count[1]++) {
        struct line_losses x, y;
        assert_ok(repeated_lines_next(&found, &x, a->of.lines, &error), error);
        assert_ok(repeated_lines_next(&other, &y, b->of.lines, &error), error);
        assert_int_equal(found, other);
        if (!found)
            break;
        assert_true(x.document == y.document && x.count == y.count);
        assert_memory_equal(x.keys, y.keys, x.count * sizeof *x.keys);
    }
    for (;; count[2]++) {
        struct evidence x, y;
        assert_ok(contamination_next(&found, &x, a->of.contamination, &error), error);
        assert_ok(contamination_next(&other, &y, b->of.contamination, &error), error);
        assert_int_equal(found, other);
        if (!found)
            break;
        assert_true(x.document == y.document && x.item == y.item && x.from == y.from &&
                    x.to == y.to && x.grams == y.grams);
    }
    assert_true(count[0] > 100 && count[1] > 100 && count[2] > 10);
}

static void close_finders(struct finders *finders)
{
    duplicates_destroy(finders->of.duplicates);
    repeated_lines_destroy(finders->of.lines);
    contamination_destroy(finders->of.contamination);
}

static void read_together_as_alone(void **state)
{
    (void)state;
    static struct finders together, alone;
    struct error error = {0};
    struct evaluation_items *items;
    struct thread_pool *pool;
    const char *line = "{\"text\":\"о елке и об иa строка a под номером 7\"}\n"
                       "{\"text\":\"Номером 3 о елке и об\"}\n";
    make_documents();
    assert_ok(thread_pool_create(&pool, 2, &error), error);
    assert_ok(evaluation_items_parse(&items, view_of(line), "items", &error), error);
    open_finders(&together, items, pool);
    open_finders(&alone, items, pool);
    assert_ok(comparisons_add(together.overlaps, &together.of, documents, DOCUMENTS, &error),
              error);
    assert_ok(duplicates_add(alone.of.duplicates, documents, DOCUMENTS, &error), error);
    assert_ok(repeated_lines_add(alone.of.lines, documents, DOCUMENTS, &error), error);
    assert_ok(
        contamination_add(alone.overlaps, alone.of.contamination, documents, DOCUMENTS, &error),
        error);
    finish(&together);
    finish(&alone);
    expect_same(&together, &alone);
    close_finders(&together);
    close_finders(&alone);
    evaluation_items_destroy(items);
    thread_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_together_as_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
