/* Where documents went, beside every row of a run read again. */
#include "train_support.h"

#include "corpus/forget.h"
#include "train/lineage.h"

static void open_corpus(struct corpus **out, const struct place *place, struct arena *arena)
{
    struct error error = {0};
    char path[200];
    snprintf(path, sizeof path, "%s/corpus", place->run);
    assert_ok(corpus_open(out, path, arena, &error), error);
}

/* The run's tokens with the place of each in the file as its value. */
static struct token_file numbered(const struct token_file *file, struct arena *arena)
{
    struct error error = {0};
    struct token_file copy = *file;
    uint32_t *tokens = arena_alloc(arena, file->count, sizeof *tokens, &error);
    assert_non_null(tokens);
    for (size_t i = 0; i < file->count; i++)
        tokens[i] = (uint32_t)i;
    copy.tokens = tokens;
    copy.token_bytes = 4;
    return copy;
}

/* Steps whose rows hold any token of [begin, end). */
static size_t naive_steps(bool *reads, const struct recipe *recipe, struct loader *loader,
                          const struct rows *one, const struct lineage_found *found)
{
    size_t rows = 0;
    for (int64_t step = 1; step <= recipe->steps; step++)
        for (int64_t row = schedule_rows(recipe, step - 1); row < schedule_rows(recipe, step);
             row++) {
            bool holds = false;
            loader_rows(loader, (uint64_t)row, one);
            for (size_t i = 0; i < one->length; i++)
                holds = holds ||
                        (one->tokens[i] >= found->token_begin && one->tokens[i] < found->token_end);
            reads[step] = reads[step] || holds;
            rows += holds;
        }
    return rows;
}

static void check_document(const struct recipe *recipe, struct loader *loader,
                           const struct rows *one, const struct document *document,
                           const struct lineage_found *found)
{
    bool reads[64] = {0};
    assert_string_equal(found->shard,
                        document->held_out ? "shards/heldout.bin" : "shards/train.bin");
    assert_int_equal(found->steps_done, recipe->steps);
    if (document->held_out) {
        assert_int_equal(found->rows + found->read_count + found->checkpoint_count, 0);
        return;
    }
    assert_int_equal(found->rows, naive_steps(reads, recipe, loader, one, found));
    size_t count = 0;
    for (int64_t step = 1; step <= recipe->steps; step++)
        if (reads[step])
            assert_int_equal(found->read_steps[count++], step);
    assert_int_equal(count, found->read_count);
    for (size_t i = 0; i < found->checkpoint_count; i++)
        assert_true(found->checkpoints[i] >= found->read_steps[0]);
    if (count) /* the last checkpoint comes after everything */
        assert_int_equal(found->checkpoints[found->checkpoint_count - 1], recipe->steps);
}

static void every_document_is_found_in_a_run(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct arena *arena;
    struct corpus *corpus;
    struct lineage *lineage;
    struct token_file file;
    struct loader *loader;
    struct rows one;
    char path[200];
    place_create(&place);
    make_texts(&place, 40);
    struct recipe recipe = tiny_recipe(&place);
    recipe.batch_start = 4;
    recipe.ramp = 0.5;
    recipe.steps = 24;
    recipe.validate_every = 0;
    (void)trained_state(place.run, &recipe, 1);
    assert_ok(arena_create(&arena, 0, &error), error);
    open_corpus(&corpus, &place, arena);
    assert_ok(lineage_open(&lineage, place.run, arena, &error), error);
    snprintf(path, sizeof path, "%s/shards/train.bin", place.run);
    assert_ok(token_file_open(&file, path, &error), error);
    struct token_file known = numbered(&file, arena);
    const struct loader_settings settings = {(uint64_t)recipe.seed, (size_t)recipe.sequence};
    assert_ok(loader_create(&loader, &known, &settings, arena, &error), error);
    assert_ok(rows_create(&one, 1, settings.sequence, arena, &error), error);
    size_t tokens = 0, held_out = 0, read = 0;
    for (size_t i = 0; i < corpus_count(corpus); i++) {
        struct lineage_found found;
        const struct document *document = corpus_document(corpus, i);
        assert_ok(lineage_find(&found, lineage, corpus, i, arena, &error), error);
        check_document(&recipe, loader, &one, document, &found);
        tokens += found.token_end - found.token_begin;
        held_out += document->held_out;
        read += found.read_count;
    }
    assert_int_equal(tokens, lineage_tokens(lineage)); /* every token is somebody's */
    assert_true(held_out >= 1 && read > 20);
    token_file_close(&file);
    lineage_close(lineage);
    corpus_close(corpus);
    arena_destroy(arena);
    place_destroy(&place);
}

static void another_corpus_is_refused(void **state)
{
    (void)state;
    struct place place, other;
    struct error error = {0};
    struct arena *arena;
    struct corpus *corpus;
    struct lineage *lineage;
    struct lineage_found found;
    place_create(&place);
    place_create(&other);
    make_texts(&place, 20);
    make_texts(&other, 21);
    struct recipe recipe = tiny_recipe(&place), second = tiny_recipe(&other);
    recipe.steps = second.steps = 2;
    (void)trained_state(place.run, &recipe, 1);
    (void)trained_state(other.run, &second, 1);
    assert_ok(arena_create(&arena, 0, &error), error);
    open_corpus(&corpus, &other, arena);
    assert_ok(lineage_open(&lineage, place.run, arena, &error), error);
    assert_int_equal(lineage_find(&found, lineage, corpus, 0, arena, &error), ERR_CONFLICT);
    error = (struct error){0};
    lineage_close(lineage);
    corpus_close(corpus);
    assert_int_equal(lineage_open(&lineage, place.texts, arena, &error), ERR_USAGE);
    arena_destroy(arena);
    place_destroy(&place);
    place_destroy(&other);
}

/* Two of three documents are forgotten, one by one and together: the others are found where they
 * were. */
static void forgetting_does_not_lose_the_others(void **state)
{
    (void)state;
    enum { COUNT = 30 };
    struct place place;
    struct error error = {0};
    struct arena *arena;
    struct corpus *corpus;
    struct lineage *lineage;
    struct lineage_found before[COUNT], after;
    struct sha256 reads[COUNT];
    char folder[200];
    place_create(&place);
    make_texts(&place, COUNT);
    struct recipe recipe = tiny_recipe(&place);
    recipe.steps = 4;
    (void)trained_state(place.run, &recipe, 1);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(lineage_open(&lineage, place.run, arena, &error), error);
    open_corpus(&corpus, &place, arena);
    assert_int_equal(corpus_count(corpus), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_ok(lineage_find(&before[i], lineage, corpus, i, arena, &error), error);
        reads[i] = corpus_document(corpus, i)->read;
    }
    corpus_close(corpus);
    snprintf(folder, sizeof folder, "%s/corpus", place.run);
    for (size_t i = 0; i + 5 < COUNT; i += 6) {
        struct forget_result result;
        const struct sha256 some[] = {reads[i], reads[i + 3], reads[COUNT - 1 - i]};
        const struct forget_job job = {folder, some, 3, "a test", false};
        assert_ok(corpus_forget(&result, &job, &error), error);
        open_corpus(&corpus, &place, arena);
        for (size_t d = 0; d < corpus_count(corpus); d++) {
            size_t was = 0;
            while (!sha256_equal(&reads[was], &corpus_document(corpus, d)->read))
                was++;
            assert_ok(lineage_find(&after, lineage, corpus, d, arena, &error), error);
            assert_int_equal(after.document, before[was].document);
            assert_int_equal(after.token_begin, before[was].token_begin);
            assert_int_equal(after.token_end, before[was].token_end);
        }
        corpus_close(corpus);
    }
    lineage_close(lineage);
    arena_destroy(arena);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_document_is_found_in_a_run),
        cmocka_unit_test(another_corpus_is_refused),
        cmocka_unit_test(forgetting_does_not_lose_the_others),
    };
    quiet_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
