#include "base/thread.h"
#include "tokenizer/samples.h"

/* ---- the reference: the definition of BPE, with a table of ranks ---------- */

struct naive {
    const struct tokenizer *tokenizer;
    uint32_t *ranks; /* [vocabulary, vocabulary] */
};

static struct naive naive_create(const struct tokenizer *tokenizer, struct arena *arena)
{
    struct error error = {0};
    size_t vocabulary = tokenizer_vocabulary(tokenizer);
    struct naive naive = {tokenizer, arena_alloc(arena, vocabulary * vocabulary, 4, &error)};
    assert_non_null(naive.ranks);
    memset(naive.ranks, 0xFF, vocabulary * vocabulary * 4);
    for (uint32_t rank = 0; rank < tokenizer_merge_count(tokenizer); rank++) {
        uint32_t left, right;
        tokenizer_merge(&left, &right, tokenizer, rank);
        naive.ranks[left * vocabulary + right] = rank;
    }
    return naive;
}

/* Looks at all neighbours for the lowest rank, merges the leftmost, begins again. */
static size_t naive_word(uint32_t *ids, const struct naive *naive, struct view word)
{
    size_t vocabulary = tokenizer_vocabulary(naive->tokenizer), count = word.len;
    for (size_t i = 0; i < count; i++)
        ids[i] = tokenizer_find(naive->tokenizer, (struct view){word.data + i, 1});
    for (;;) {
        size_t best = count;
        uint32_t best_rank = TOKEN_NONE;
        for (size_t i = 0; i + 1 < count; i++) {
            uint32_t rank = naive->ranks[ids[i] * vocabulary + ids[i + 1]];
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        if (best == count)
            return count;
        struct view left = tokenizer_bytes(naive->tokenizer, ids[best]);
        struct view right = tokenizer_bytes(naive->tokenizer, ids[best + 1]);
        char joined[2 * TOKENIZER_TOKEN_BYTES_MAX];
        memcpy(joined, left.data, left.len);
        memcpy(joined + left.len, right.data, right.len);
        ids[best] = tokenizer_find(naive->tokenizer, (struct view){joined, left.len + right.len});
        memmove(ids + best + 1, ids + best + 2, (count - best - 2) * sizeof *ids);
        count--;
    }
}

/* ---- what the tests share --------------------------------------------------- */

struct fixture {
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    struct naive naive;
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, 1 << 24);
    append_prose(&text, 1, 30000);
    for (uint64_t i = 0; i < 200; i++) /* runs, so that long pre-tokens have something to merge */
        append_awkward(&text, (struct random_key){5, RANDOM_TEST, i}, 60);
    static const char runs[] = "aaaaaaaa ^^^^^^^^ --------\n          \n";
    for (int i = 0; i < 100; i++)
        must_append(&text, runs, sizeof runs - 1);
    assert_ok(arena_create(&fixture.arena, 0, &error), error);
    fixture.tokenizer = sample_tokenizer(fixture.arena, (struct view){text.data, text.len}, 1400);
    assert_ok(tokenizer_encoder_create(&fixture.encoder, fixture.tokenizer, fixture.arena, &error),
              error);
    fixture.naive = naive_create(fixture.tokenizer, fixture.arena);
    buffer_destroy(&text);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    tokenizer_encoder_destroy(fixture->encoder);
    arena_destroy(fixture->arena);
    return 0;
}

static void assert_encodes_as_naive(struct fixture *fixture, struct view text)
{
    struct error error = {0};
    struct tokens got;
    tokens_create(&got, 1 << 24);
    assert_ok(tokenizer_encode(&got, fixture->encoder, text, false, &error), error);
    uint32_t *expected = malloc((text.len + 1) * sizeof *expected);
    assert_non_null(expected);
    size_t count = 0;
    for (struct view rest = text; rest.len > 0;) {
        size_t len = split_next(rest);
        count += naive_word(expected + count, &fixture->naive, (struct view){rest.data, len});
        rest = (struct view){rest.data + len, rest.len - len};
    }
    assert_int_equal(got.count, count);
    if (count > 0)
        assert_memory_equal(got.ids, expected, count * sizeof *expected);
    struct buffer back;
    buffer_create(&back, 1 << 26);
    assert_ok(tokenizer_decode(&back, fixture->tokenizer, got.ids, got.count, &error), error);
    assert_int_equal(back.len, text.len);
    if (text.len > 0)
        assert_memory_equal(back.data, text.data, text.len);
    buffer_destroy(&back);
    tokens_destroy(&got);
    free(expected);
}

/* ---- tests ------------------------------------------------------------------ */

static void prose_is_encoded_as_the_definition_says(void **state)
{
    struct buffer text;
    buffer_create(&text, 1 << 24);
    append_prose(&text, 99, 100000); /* other words than those of the training, cache hits too */
    assert_encodes_as_naive(*state, (struct view){text.data, text.len});
    buffer_destroy(&text);
}

static void awkward_texts_are_encoded_as_the_definition_says(void **state)
{
    struct buffer text;
    buffer_create(&text, 1 << 16);
    for (uint64_t round = 0; round < 20000; round++) {
        buffer_clear(&text);
        append_awkward(&text, (struct random_key){6, RANDOM_TEST, round}, round % 20);
        assert_encodes_as_naive(*state, (struct view){text.data ? text.data : "", text.len});
    }
    buffer_destroy(&text);
}

static void random_bytes_of_any_length_come_back_and_agree(void **state)
{
    for (uint64_t round = 0; round < 300; round++) {
        struct random_key key = {7, RANDOM_TEST, round};
        char text[400];
        size_t len = round % sizeof text;
        for (size_t i = 0; i < len; i++)
            text[i] = (char)random_below(key, i, 256);
        assert_encodes_as_naive(*state, (struct view){text, len});
    }
}

/* One pre-token each, on both sides of every length at which the method changes. */
static void long_words_are_encoded_as_the_definition_says(void **state)
{
    static const char *const alphabets[] = {"a", "ab", "kaponi", "^", "-^"};
    for (size_t a = 0; a < 5; a++)
        for (size_t len = 1; len < 2500; len += len < 140 ? 1 : 97) {
            struct random_key key = {8, RANDOM_TEST, len};
            char text[2500];
            for (size_t i = 0; i < len; i++)
                text[i] = alphabets[a][random_below(key, i, strlen(alphabets[a]))];
            assert_encodes_as_naive(*state, (struct view){text, len});
        }
}

static void words_that_end_in_zero_bytes_do_not_meet_in_the_cache(void **state)
{
    char zeros[40] = {0};
    for (int twice = 0; twice < 2; twice++)
        for (size_t len = 1; len < sizeof zeros; len++)
            assert_encodes_as_naive(*state, (struct view){zeros, len});
}

static void monotonous_megabytes_take_seconds(void **state)
{
    struct fixture *fixture = *state;
    size_t len = test_is_long() ? 10000000 : 1000000;
    char *text = malloc(len);
    assert_non_null(text);
    static const char letters[] = "a^ -";
    for (size_t i = 0; i < 4; i++) {
        struct error error = {0};
        struct tokens tokens;
        tokens_create(&tokens, len);
        memset(text, letters[i], len);
        double start = time_monotonic_s();
        assert_ok(
            tokenizer_encode(&tokens, fixture->encoder, (struct view){text, len}, false, &error),
            error);
        assert_true(time_monotonic_s() - start < 60);
        struct buffer back;
        buffer_create(&back, len);
        assert_ok(tokenizer_decode(&back, fixture->tokenizer, tokens.ids, tokens.count, &error),
                  error);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.data, text, len);
        assert_true(tokens.count < len / 2);
        buffer_destroy(&back);
        tokens_destroy(&tokens);
    }
    free(text);
}

static void special_tokens_come_only_when_allowed(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct tokens tokens;
    tokens_create(&tokens, 1000);
    struct view text = view_of("<|im_start|>a<|im_end|><|im_end<|endoftext|>");
    assert_ok(tokenizer_encode(&tokens, fixture->encoder, text, false, &error), error);
    for (size_t i = 0; i < tokens.count; i++)
        assert_false(tokenizer_is_special(fixture->tokenizer, tokens.ids[i]));
    tokens_clear(&tokens);
    assert_ok(tokenizer_encode(&tokens, fixture->encoder, text, true, &error), error);
    uint32_t vocabulary = tokenizer_vocabulary(fixture->tokenizer);
    assert_int_equal(tokens.ids[0], vocabulary - 3);
    assert_int_equal(tokens.ids[1], 'a');
    assert_int_equal(tokens.ids[2], vocabulary - 2);
    assert_int_equal(tokens.ids[tokens.count - 1], vocabulary - 4);
    for (size_t i = 3; i + 1 < tokens.count; i++)
        assert_false(tokenizer_is_special(fixture->tokenizer, tokens.ids[i]));
    for (int special = 0; special < TOKEN_SPECIAL_COUNT; special++)
        assert_int_equal(tokenizer_special(fixture->tokenizer, (enum token_special)special),
                         vocabulary - TOKEN_SPECIAL_COUNT + (uint32_t)special);
    struct buffer back;
    buffer_create(&back, 1000);
    assert_ok(tokenizer_decode(&back, fixture->tokenizer, tokens.ids, tokens.count, &error), error);
    assert_string_equal(back.data, text.data);
    buffer_destroy(&back);
    tokens_destroy(&tokens);
}

static void a_full_list_and_a_strange_id_are_errors_with_figures(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct tokens tokens;
    tokens_create(&tokens, 3);
    assert_int_equal(tokenizer_encode(&tokens, fixture->encoder, view_of("1234"), false, &error),
                     ERR_LIMIT);
    assert_non_null(strstr(error.text, "3"));
    tokens_destroy(&tokens);
    struct buffer back;
    buffer_create(&back, 100);
    error = (struct error){0};
    uint32_t ids[] = {65, 1400};
    assert_int_equal(tokenizer_decode(&back, fixture->tokenizer, ids, 2, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, "1400"));
    buffer_destroy(&back);
}

static void when_memory_runs_out_encoding_fails_and_works_again(void **state)
{
    struct fixture *fixture = *state;
    char text[300];
    memset(text, 'a', sizeof text);
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        struct tokens tokens;
        struct tokenizer_encoder *encoder;
        struct arena *arena;
        assert_ok(arena_create(&arena, 0, &error), error);
        tokens_create(&tokens, 1000);
        memory_fail_after(nth);
        status result = tokenizer_encoder_create(&encoder, fixture->tokenizer, arena, &error);
        if (result == OK) {
            result =
                tokenizer_encode(&tokens, encoder, (struct view){text, sizeof text}, false, &error);
            tokenizer_encoder_destroy(encoder);
        }
        memory_fail_after(0);
        tokens_destroy(&tokens);
        arena_destroy(arena);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        assert_true(error.text[0] != 0);
        failures++;
    }
    assert_true(failures >= 3);
}

struct parallel {
    struct fixture *fixture;
    struct view text;
    struct tokens results[4];
};

static void encode_body(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    struct parallel *parallel = context;
    for (size_t i = begin; i < end; i++) {
        struct error error = {0};
        struct arena *arena;
        struct tokenizer_encoder *encoder;
        if (arena_create(&arena, 0, &error) != OK)
            continue;
        if (tokenizer_encoder_create(&encoder, parallel->fixture->tokenizer, arena, &error) == OK) {
            (void)!tokenizer_encode(&parallel->results[i], encoder, parallel->text, false, &error);
            tokenizer_encoder_destroy(encoder);
        }
        arena_destroy(arena);
    }
}

static void threads_share_one_tokenizer(void **state)
{
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, 1 << 20);
    append_prose(&text, 3, 3000);
    struct parallel parallel = {*state, {text.data, text.len}, {{0}}};
    for (int i = 0; i < 4; i++)
        tokens_create(&parallel.results[i], 1 << 20);
    struct thread_pool *pool;
    assert_ok(thread_pool_create(&pool, 4, &error), error);
    parallel_for(pool, 4, 1, encode_body, &parallel);
    thread_pool_destroy(pool);
    assert_true(parallel.results[0].count > 3000);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(parallel.results[i].count, parallel.results[0].count);
        assert_memory_equal(parallel.results[i].ids, parallel.results[0].ids,
                            parallel.results[0].count * sizeof(uint32_t));
    }
    for (int i = 0; i < 4; i++)
        tokens_destroy(&parallel.results[i]);
    buffer_destroy(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prose_is_encoded_as_the_definition_says),
        cmocka_unit_test(awkward_texts_are_encoded_as_the_definition_says),
        cmocka_unit_test(random_bytes_of_any_length_come_back_and_agree),
        cmocka_unit_test(long_words_are_encoded_as_the_definition_says),
        cmocka_unit_test(words_that_end_in_zero_bytes_do_not_meet_in_the_cache),
        cmocka_unit_test(monotonous_megabytes_take_seconds),
        cmocka_unit_test(special_tokens_come_only_when_allowed),
        cmocka_unit_test(a_full_list_and_a_strange_id_are_errors_with_figures),
        cmocka_unit_test(when_memory_runs_out_encoding_fails_and_works_again),
        cmocka_unit_test(threads_share_one_tokenizer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
