#include "base/thread.h"
#include "tokenizer/samples.h"

/* ---- the reference: counts all pairs of all words anew in every step ------- */

enum { NAIVE_TOKENS_MAX = 700, NAIVE_WORDS_MAX = 4000, NAIVE_WORD_MAX = 256 };

struct naive_word {
    uint32_t ids[NAIVE_WORD_MAX];
    size_t len;
};

struct naive {
    struct naive_word words[NAIVE_WORDS_MAX]; /* every pre-token of the text, in order */
    size_t words_count;
    char tokens[NAIVE_TOKENS_MAX][NAIVE_WORD_MAX];
    size_t token_lens[NAIVE_TOKENS_MAX];
    uint32_t tokens_count, merges[2 * NAIVE_TOKENS_MAX][2], merges_count;
    uint32_t counts[NAIVE_TOKENS_MAX][NAIVE_TOKENS_MAX];
};

static void naive_words(struct naive *naive, struct view text)
{
    while (text.len > 0) {
        size_t len = split_next(text);
        if (len <= NAIVE_WORD_MAX) {
            struct naive_word *word = &naive->words[naive->words_count++];
            assert_true(naive->words_count < NAIVE_WORDS_MAX);
            for (word->len = 0; word->len < len; word->len++)
                word->ids[word->len] = (unsigned char)text.data[word->len];
        }
        text = (struct view){text.data + len, text.len - len};
    }
}

static bool same_word(const struct naive_word *a, const struct naive_word *b)
{
    return a->len == b->len && memcmp(a->ids, b->ids, a->len * sizeof *a->ids) == 0;
}

/* Of every `every` times that a word stands in the text, it is there once more in upper case. */
static void naive_upper(struct naive *naive, uint32_t every)
{
    size_t count = naive->words_count;
    for (size_t i = 0; i < count; i++) {
        uint32_t before = 0;
        for (size_t k = 0; k <= i; k++)
            before += same_word(&naive->words[k], &naive->words[i]);
        char bytes[NAIVE_WORD_MAX], upper[2 * NAIVE_WORD_MAX];
        struct view word = {bytes, naive->words[i].len};
        for (size_t at = 0; at < word.len; at++)
            bytes[at] = (char)naive->words[i].ids[at];
        size_t len = upper_case(upper, word);
        if ((before + every / 2) % every == 0 && !view_equal((struct view){upper, len}, word))
            naive_words(naive, (struct view){upper, len});
    }
}

static void naive_begin(struct naive *naive, struct view text, uint32_t every)
{
    memset(naive, 0, sizeof *naive);
    naive_words(naive, text);
    if (every != TOKENIZER_NEVER)
        naive_upper(naive, every);
    for (; naive->tokens_count < 256; naive->tokens_count++) {
        naive->tokens[naive->tokens_count][0] = (char)naive->tokens_count;
        naive->token_lens[naive->tokens_count] = 1;
    }
}

static uint32_t naive_token(struct naive *naive, uint32_t left, uint32_t right)
{
    char joined[2 * NAIVE_WORD_MAX];
    size_t left_len = naive->token_lens[left], len = left_len + naive->token_lens[right];
    memcpy(joined, naive->tokens[left], left_len);
    memcpy(joined + left_len, naive->tokens[right], len - left_len);
    for (uint32_t id = 0; id < naive->tokens_count; id++)
        if (naive->token_lens[id] == len && memcmp(naive->tokens[id], joined, len) == 0)
            return id;
    memcpy(naive->tokens[naive->tokens_count], joined, len);
    naive->token_lens[naive->tokens_count] = len;
    return naive->tokens_count++;
}

static bool naive_step(struct naive *naive)
{
    memset(naive->counts, 0, sizeof naive->counts);
    for (size_t w = 0; w < naive->words_count; w++)
        for (size_t i = 0; i + 1 < naive->words[w].len; i++)
            naive->counts[naive->words[w].ids[i]][naive->words[w].ids[i + 1]]++;
    uint32_t best = 1, left = 0, right = 0;
    for (uint32_t a = 0; a < naive->tokens_count; a++)
        for (uint32_t b = 0; b < naive->tokens_count; b++)
            if (naive->counts[a][b] > best) {
                best = naive->counts[a][b];
                left = a;
                right = b;
            }
    if (best < 2)
        return false;
    uint32_t made = naive_token(naive, left, right);
    naive->merges[naive->merges_count][0] = left;
    naive->merges[naive->merges_count++][1] = right;
    for (size_t w = 0; w < naive->words_count; w++) {
        struct naive_word *word = &naive->words[w];
        size_t kept = 0;
        for (size_t i = 0; i < word->len; i++) {
            bool here = i + 1 < word->len && word->ids[i] == left && word->ids[i + 1] == right;
            word->ids[kept++] = here ? made : word->ids[i];
            i += here;
        }
        word->len = kept;
    }
    return true;
}

static void assert_trains_as_naive(struct view text, uint32_t vocabulary, uint32_t every)
{
    static struct naive naive;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    naive_begin(&naive, text, every);
    while (naive.tokens_count < vocabulary - TOKEN_SPECIAL_COUNT && naive_step(&naive))
        continue;
    struct tokenizer *tokenizer = NULL;
    struct sample_documents documents = {text, text.len, 0};
    struct tokenizer_training training = {.vocabulary = vocabulary,
                                          .upper_case_every = every,
                                          .next = sample_next,
                                          .context = &documents};
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    assert_int_equal(tokenizer_merge_count(tokenizer), naive.merges_count);
    assert_int_equal(tokenizer_vocabulary(tokenizer), naive.tokens_count + TOKEN_SPECIAL_COUNT);
    for (uint32_t i = 0; i < naive.merges_count; i++) {
        uint32_t left, right;
        tokenizer_merge(&left, &right, tokenizer, i);
        assert_int_equal(left, naive.merges[i][0]);
        assert_int_equal(right, naive.merges[i][1]);
    }
    for (uint32_t id = 0; id < naive.tokens_count; id++) {
        struct view bytes = tokenizer_bytes(tokenizer, id);
        assert_int_equal(bytes.len, naive.token_lens[id]);
        assert_memory_equal(bytes.data, naive.tokens[id], bytes.len);
    }
    arena_destroy(arena);
}

/* ---- tests ------------------------------------------------------------------ */

static void prose_teaches_the_merges_of_the_definition(void **state)
{
    (void)state;
    struct buffer text;
    buffer_create(&text, 1 << 20);
    append_prose(&text, 1, 1500);
    assert_trains_as_naive((struct view){text.data, text.len}, 600, TOKENIZER_NEVER);
    assert_trains_as_naive((struct view){text.data, text.len}, 600, 2);
    assert_trains_as_naive((struct view){text.data, text.len}, 600, 7);
    buffer_destroy(&text);
}

/* Few letters make overlaps and ties.  The trainer asserts that no two pairs make the same bytes.
 * */
static void texts_of_few_letters_teach_the_merges_of_the_definition(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        struct random_key key = {4, RANDOM_TEST, round};
        char text[1200];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = "aaabb c"[random_below(key, i, round % 3 == 0 ? 3 : 7)];
        for (size_t i = 120; round % 3 == 0 && i < sizeof text; i += 121)
            text[i] = ' ';
        assert_trains_as_naive((struct view){text, sizeof text}, 330, TOKENIZER_NEVER);
    }
}

static void equal_counts_go_to_the_smaller_ids(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    struct tokenizer *tokenizer = sample_tokenizer(arena, view_of("zz bb xa zz bb xa "), 261);
    uint32_t left, right;
    assert_int_equal(tokenizer_merge_count(tokenizer), 1);
    tokenizer_merge(&left, &right, tokenizer, 0);
    assert_int_equal(left, ' '); /* " b" and " x" stand twice, as do "bb", "xa" and "zz" */
    assert_int_equal(right, 'b');
    arena_destroy(arena);
}

static void training_stops_when_no_pair_stands_twice(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    struct tokenizer *tokenizer = sample_tokenizer(arena, view_of("abcabc"), 5000);
    assert_true(tokenizer_vocabulary(tokenizer) < 256 + 8 + TOKEN_SPECIAL_COUNT);
    tokenizer = sample_tokenizer(arena, view_of(""), 5000);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 256 + TOKEN_SPECIAL_COUNT);
    arena_destroy(arena);
}

static void written(struct buffer *out, struct view text, size_t document_bytes, int threads)
{
    struct error error = {0};
    struct arena *arena;
    struct thread_pool *pool;
    struct tokenizer *tokenizer = NULL;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(thread_pool_create(&pool, threads, &error), error);
    struct sample_documents documents = {text, document_bytes, 0};
    struct tokenizer_training training = {
        .vocabulary = 800, .pool = pool, .next = sample_next, .context = &documents};
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    buffer_create(out, 1 << 24);
    assert_ok(tokenizer_write(out, tokenizer, &error), error);
    thread_pool_destroy(pool);
    arena_destroy(arena);
}

static void any_number_of_threads_learns_the_same_bytes(void **state)
{
    (void)state;
    struct buffer text, one;
    buffer_create(&text, 1 << 24);
    append_prose(&text, 8, 200000);
    written(&one, (struct view){text.data, text.len}, text.len, 1);
    for (int threads = 2; threads <= 5; threads++) {
        struct buffer other;
        written(&other, (struct view){text.data, text.len}, text.len, threads);
        assert_int_equal(other.len, one.len);
        assert_memory_equal(other.data, one.data, one.len);
        buffer_destroy(&other);
    }
    buffer_destroy(&one);
    buffer_destroy(&text);
}

/* Documents of some hundred kilobytes, of which the sample takes a part. */
enum { ORDERED = 40, ORDERED_WORDS = 20000 };

struct ordered {
    struct buffer texts[ORDERED];
    size_t at, step; /* the order: every step-th, which must not divide ORDERED */
};

static status ordered_next(void *context, struct view *text, struct error *error)
{
    struct ordered *ordered = context;
    (void)error;
    *text = (struct view){0};
    if (ordered->at < ORDERED) {
        const struct buffer *buffer = &ordered->texts[ordered->at * ordered->step % ORDERED];
        *text = (struct view){buffer->data, buffer->len};
    }
    ordered->at = ordered->at < ORDERED ? ordered->at + 1 : 0;
    return OK;
}

static void sampled(struct buffer *out, struct ordered *ordered, size_t bytes, int threads)
{
    struct error error = {0};
    struct arena *arena;
    struct thread_pool *pool;
    struct tokenizer *tokenizer = NULL;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(thread_pool_create(&pool, threads, &error), error);
    struct tokenizer_training training = {.vocabulary = 1200,
                                          .sample_max_bytes = bytes,
                                          .pool = pool,
                                          .next = ordered_next,
                                          .context = ordered};
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    buffer_create(out, 1 << 24);
    assert_ok(tokenizer_write(out, tokenizer, &error), error);
    thread_pool_destroy(pool);
    arena_destroy(arena);
}

static void any_order_of_documents_and_threads_gives_the_same_sample(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8};
    static const size_t steps[] = {1, 3, 7, 39};
    struct ordered ordered = {.step = 1};
    struct buffer first, whole;
    for (size_t i = 0; i < ORDERED; i++) {
        buffer_create(&ordered.texts[i], 1 << 24);
        append_prose(&ordered.texts[i], 100 + i, ORDERED_WORDS);
    }
    sampled(&first, &ordered, 1234567, 1);
    for (size_t i = 0; i < 4; i++) {
        struct buffer other;
        ordered.step = steps[i];
        sampled(&other, &ordered, 1234567, threads[i]);
        assert_int_equal(other.len, first.len);
        assert_memory_equal(other.data, first.data, first.len);
        buffer_destroy(&other);
    }
    sampled(&whole, &ordered, 0, 2); /* the sample was a part only */
    assert_true(whole.len != first.len || memcmp(whole.data, first.data, first.len) != 0);
    for (size_t i = 0; i < ORDERED; i++)
        buffer_destroy(&ordered.texts[i]);
    buffer_destroy(&whole);
    buffer_destroy(&first);
}

/* Learning from counts raised to upper case is learning from the text in upper case; only U+017F,
 * whose capital is the S of ASCII, may come to stand in a contraction. */
static void upper_case_moves_no_border(void **state)
{
    (void)state;
    struct buffer text;
    char upper[8192];
    buffer_create(&text, 1 << 16);
    for (uint64_t round = 0; round < 20000; round++) {
        buffer_clear(&text);
        append_awkward(&text, (struct random_key){5, RANDOM_TEST, round}, 30);
        if (strstr(text.data, "'\u017F"))
            continue;
        struct view rest = {text.data, text.len};
        size_t len = upper_case(upper, rest), at = 0;
        while (rest.len > 0) {
            char piece[1024];
            size_t taken = split_next(rest);
            size_t raised = split_next((struct view){upper + at, len - at});
            assert_int_equal(upper_case(piece, (struct view){rest.data, taken}), raised);
            assert_memory_equal(piece, upper + at, raised);
            rest = (struct view){rest.data + taken, rest.len - taken};
            at += raised;
        }
        assert_int_equal(at, len);
    }
    buffer_destroy(&text);
}

static size_t tokens_of(const struct tokenizer *tokenizer, struct view text, struct arena *arena)
{
    struct error error = {0};
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    tokens_create(&tokens, 1 << 24);
    assert_ok(tokenizer_encoder_create(&encoder, tokenizer, arena, &error), error);
    assert_ok(tokenizer_encode(&tokens, encoder, text, false, &error), error);
    size_t count = tokens.count;
    tokenizer_encoder_destroy(encoder);
    tokens_destroy(&tokens);
    return count;
}

static void upper_case_russian_costs_less_than_twice_the_tokens(void **state)
{
    (void)state;
    char path[256];
    struct error error = {0};
    struct arena *arena;
    struct buffer text;
    snprintf(path, sizeof path, "%s/ru_news.jsonl.zst", samples_folder);
    if (!file_exists(path)) {
        print_message("skipped: there is no real text in %s\n", samples_folder);
        skip();
    }
    buffer_create(&text, 1 << 24);
    append_real(&text, path, 3 << 20);
    struct view all = {text.data, text.len};
    size_t half = split_cut(all, all.len / 2);
    struct view held_out = {all.data + half, all.len - half};
    assert_ok(arena_create(&arena, 0, &error), error);
    char *upper = arena_alloc(arena, 2, held_out.len, &error);
    assert_non_null(upper);
    struct view raised = {upper, upper_case(upper, held_out)};
    struct tokenizer *tokenizer = sample_tokenizer(arena, (struct view){all.data, half}, 8192);
    size_t ordinary = tokens_of(tokenizer, held_out, arena);
    assert_in_range(tokens_of(tokenizer, raised, arena), ordinary, 2 * ordinary);
    struct sample_documents documents = {{all.data, half}, 10000, 0};
    struct tokenizer_training training = {.vocabulary = 8192,
                                          .upper_case_every = TOKENIZER_NEVER,
                                          .next = sample_next,
                                          .context = &documents};
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    size_t without = tokens_of(tokenizer, held_out, arena);
    assert_true(tokens_of(tokenizer, raised, arena) > 2 * without);
    assert_in_range(ordinary, without, without + without / 50); /* what ordinary text pays */
    arena_destroy(arena);
    buffer_destroy(&text);
}

static void the_sample_ends_at_its_maximum(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    struct sample_documents documents = {view_of("abababab жжжжжжжжж"), 1000, 0};
    struct tokenizer_training training = {.vocabulary = 1000,
                                          .sample_max_bytes = 12, /* within the second ж */
                                          .next = sample_next,
                                          .context = &documents};
    struct tokenizer *tokenizer = NULL;
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    assert_int_not_equal(tokenizer_find(tokenizer, view_of("ab")), TOKEN_NONE);
    assert_int_equal(tokenizer_find(tokenizer, view_of("ж")), TOKEN_NONE);
    arena_destroy(arena);
}

static status next_fails(void *context, struct view *text, struct error *error)
{
    (void)text;
    int *calls = context;
    if (++*calls < 3) {
        *text = view_of("some words");
        return OK;
    }
    return (fail)(error, ERR_IO, "the third document cannot be read");
}

static void failures_of_documents_and_wrong_settings_are_passed_on(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    int calls = 0;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_training training = {.vocabulary = 300, .next = next_fails, .context = &calls};
    assert_int_equal(tokenizer_train(&tokenizer, &training, arena, &error), ERR_IO);
    assert_string_equal(error.text, "the third document cannot be read");
    static const uint32_t wrong[] = {0, 260, TOKENIZER_VOCABULARY_MAX + 1};
    for (size_t i = 0; i < 3; i++) {
        error = (struct error){0};
        training.vocabulary = wrong[i];
        assert_int_equal(tokenizer_train(&tokenizer, &training, arena, &error), ERR_USAGE);
        assert_non_null(strstr(error.text, "261"));
    }
    assert_null(tokenizer);
    arena_destroy(arena);
}

static void every_allocation_that_fails_is_an_error_without_a_leak(void **state)
{
    (void)state;
    struct buffer text;
    buffer_create(&text, 1 << 20);
    append_prose(&text, 2, 300);
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        struct arena *arena;
        assert_ok(arena_create(&arena, 0, &error), error);
        struct tokenizer *tokenizer = NULL;
        struct sample_documents documents = {{text.data, text.len}, 1000, 0};
        struct tokenizer_training training = {
            .vocabulary = 400, .next = sample_next, .context = &documents};
        memory_fail_after(nth);
        status result = tokenizer_train(&tokenizer, &training, arena, &error);
        memory_fail_after(0);
        arena_destroy(arena);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        assert_null(tokenizer);
        failures++;
    }
    assert_true(failures > 20);
    buffer_destroy(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prose_teaches_the_merges_of_the_definition),
        cmocka_unit_test(texts_of_few_letters_teach_the_merges_of_the_definition),
        cmocka_unit_test(equal_counts_go_to_the_smaller_ids),
        cmocka_unit_test(training_stops_when_no_pair_stands_twice),
        cmocka_unit_test(any_number_of_threads_learns_the_same_bytes),
        cmocka_unit_test(any_order_of_documents_and_threads_gives_the_same_sample),
        cmocka_unit_test(upper_case_moves_no_border),
        cmocka_unit_test(upper_case_russian_costs_less_than_twice_the_tokens),
        cmocka_unit_test(the_sample_ends_at_its_maximum),
        cmocka_unit_test(failures_of_documents_and_wrong_settings_are_passed_on),
        cmocka_unit_test(every_allocation_that_fails_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
