#include "tokenizer/samples.h"

/* Tables of ranks, and words that are taken whole. */

/* ---- a table as js-tiktoken packs it ------------------------------------------ */

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void append_base64(struct buffer *out, struct view bytes)
{
    for (size_t at = 0; at < bytes.len; at += 3) {
        uint32_t bits = 0;
        char four[4];
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (at + i < bytes.len ? (unsigned char)bytes.data[at + i] : 0);
        for (size_t i = 0; i < 4; i++)
            four[i] = at + i <= bytes.len ? digits64[bits >> (18 - 6 * i) & 63] : '=';
        must_append(out, four, 4);
    }
}

enum { TABLE_TOKENS = 700, TOKEN_MAX = 12 };

struct table {
    char bytes[TABLE_TOKENS][TOKEN_MAX];
    size_t lens[TABLE_TOKENS], count;
};

static uint32_t table_rank(const struct table *table, const char *bytes, size_t len)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (table->lens[i] == len && memcmp(table->bytes[i], bytes, len) == 0)
            return i;
    return TOKEN_NONE;
}

/* All bytes, then joins of two tokens at random: many tokens can be made in several ways. */
static void table_create(struct table *table, uint64_t seed)
{
    struct random_key key = {seed, RANDOM_TEST, 3};
    static const char letters[] = "abc '^";
    memset(table, 0, sizeof *table);
    for (; table->count < 256; table->count++) {
        table->bytes[table->count][0] = (char)table->count;
        table->lens[table->count] = 1;
    }
    for (uint64_t draw = 0; table->count < TABLE_TOKENS; draw++) {
        char joined[TOKEN_MAX];
        size_t len = 2 + random_below(key, 20 * draw, draw < 60 ? 1 : 5);
        for (size_t i = 0; i < len; i++)
            joined[i] = letters[random_below(key, 20 * draw + 1 + i, draw % 4 ? 3 : 6)];
        if (table_rank(table, joined, len) != TOKEN_NONE)
            continue;
        memcpy(table->bytes[table->count], joined, len);
        table->lens[table->count++] = len;
    }
}

static void table_write(struct buffer *out, const struct table *table, const char *pattern)
{
    struct error error = {0};
    assert_ok(buffer_string(out, "{\"pat_str\":\"", &error), error);
    for (const char *c = pattern; *c; c++)
        assert_ok(buffer_string(out, *c == '\\' ? "\\\\" : (char[]){*c, 0}, &error), error);
    assert_ok(buffer_string(out, "\",\"special_tokens\":{},\"bpe_ranks\":\"! 0", &error), error);
    for (size_t i = 0; i < table->count; i++) {
        if (i == 400)
            assert_ok(buffer_string(out, "\\n! 400", &error), error);
        must_append(out, " ", 1);
        append_base64(out, (struct view){table->bytes[i], table->lens[i]});
    }
    assert_ok(buffer_string(out, "\"}", &error), error);
}

/* As tiktoken's first version does it: the word itself, or again and again the pair of neighbours
 * whose joint bytes have the smallest rank, the leftmost first. */
static size_t naive_word(uint32_t *ids, const struct table *table, struct view word)
{
    size_t starts[512], count = word.len;
    ids[0] = table_rank(table, word.data, word.len);
    if (ids[0] != TOKEN_NONE)
        return 1;
    for (size_t i = 0; i <= count; i++)
        starts[i] = i;
    for (;;) {
        uint32_t best = TOKEN_NONE;
        size_t at = 0;
        for (size_t i = 0; i + 2 <= count; i++) {
            uint32_t rank = table_rank(table, word.data + starts[i], starts[i + 2] - starts[i]);
            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (best == TOKEN_NONE)
            break;
        memmove(starts + at + 1, starts + at + 2, (count - at - 1) * sizeof *starts);
        count--;
    }
    for (size_t i = 0; i < count; i++)
        ids[i] = table_rank(table, word.data + starts[i], starts[i + 1] - starts[i]);
    return count;
}

/* ---- tests ---------------------------------------------------------------------- */

static void words_are_encoded_as_tiktoken_defines(void **state)
{
    (void)state;
    static struct table table;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct error error = {0};
        struct arena *arena;
        struct tokenizer *tokenizer;
        struct tokenizer_encoder *encoder;
        struct buffer json;
        struct tokens got;
        table_create(&table, seed);
        buffer_create(&json, 1 << 20);
        table_write(&json, &table, split_pattern_find(tokenizer_pattern)->regex);
        assert_ok(arena_create(&arena, 0, &error), error);
        assert_ok(
            tokenizer_parse(&tokenizer, (struct view){json.data, json.len}, "table", arena, &error),
            error);
        assert_int_equal(tokenizer_vocabulary(tokenizer), TABLE_TOKENS);
        assert_ok(tokenizer_encoder_create(&encoder, tokenizer, arena, &error), error);
        tokens_create(&got, 1 << 20);
        for (uint64_t round = 0; round < 3000; round++) {
            struct random_key key = {seed, RANDOM_TEST, 100 + round};
            char text[300];
            uint32_t expected[300];
            size_t len = 1 + random_below(key, 999, round % 10 ? 40 : sizeof text);
            for (size_t i = 0; i < len; i++) /* one word of letters */
                text[i] = "abc"[random_below(key, i, 3)];
            tokens_clear(&got);
            assert_ok(tokenizer_encode(&got, encoder, (struct view){text, len}, false, &error),
                      error);
            size_t count = naive_word(expected, &table, (struct view){text, len});
            assert_int_equal(got.count, count);
            assert_memory_equal(got.ids, expected, count * sizeof *expected);
        }
        tokens_destroy(&got);
        tokenizer_encoder_destroy(encoder);
        buffer_destroy(&json);
        arena_destroy(arena);
    }
}

static void broken_tables_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"bpe_ranks\":7}", "must be strings"},
        {"{\"bpe_ranks\":\"! 0 IQ==\"}", "must be strings"},
        {"{\"pat_str\":\"x+\",\"bpe_ranks\":\"! 0 IQ==\"}", "pat_str is \"x+\""},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"\"}", "lacks byte 0x00"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 IQ==\"}", "lacks byte 0x00"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 1 IQ==\"}", "begin with \"! 0\""},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"0 IQ==\"}", "begin with"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 IQ=\"}", "no base64"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 I===\"}", "no base64"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 ==IQ\"}", "no base64"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 IQ== IQ==\"}", "the same text"},
        {"{\"pat_str\":\"%\",\"bpe_ranks\":\"! 0 IQ==\\n! 2 Ig==\"}", "begin with \"! 1\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct arena *arena;
        struct buffer json;
        struct tokenizer *tokenizer = NULL;
        assert_ok(arena_create(&arena, 0, &error), error);
        buffer_create(&json, 1 << 20);
        for (const char *c = cases[i].json; *c; c++) {
            if (*c != '%') {
                must_append(&json, c, 1);
                continue;
            }
            for (const char *p = tokenizer_pattern; *p; p++)
                assert_ok(buffer_string(&json, *p == '\\' ? "\\\\" : (char[]){*p, 0}, &error),
                          error);
        }
        struct view view = {json.data, json.len};
        assert_int_equal(tokenizer_parse(&tokenizer, view, "table", arena, &error), ERR_FORMAT);
        if (!strstr(error.text, cases[i].says))
            fail_msg("%s: %s", cases[i].json, error.text);
        assert_null(tokenizer);
        buffer_destroy(&json);
        arena_destroy(arena);
    }
}

/* A table is no list of merges, so nothing else can be written of it. */
static void a_table_is_not_written_as_merges(void **state)
{
    (void)state;
    static struct table table;
    struct error error = {0};
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct buffer json, out;
    table_create(&table, 1);
    buffer_create(&json, 1 << 20);
    buffer_create(&out, 1 << 20);
    table_write(&json, &table, tokenizer_pattern);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(
        tokenizer_parse(&tokenizer, (struct view){json.data, json.len}, "table", arena, &error),
        error);
    assert_int_equal(tokenizer_write(&out, tokenizer, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, "no list of merges"));
    buffer_destroy(&out);
    buffer_destroy(&json);
    arena_destroy(arena);
}

static size_t tokens_of(struct view json, struct view text, struct arena *arena)
{
    struct error error = {0};
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    assert_ok(tokenizer_parse(&tokenizer, json, "memory", arena, &error), error);
    assert_ok(tokenizer_encoder_create(&encoder, tokenizer, arena, &error), error);
    tokens_create(&tokens, 1000);
    assert_ok(tokenizer_encode(&tokens, encoder, text, false, &error), error);
    size_t count = tokens.count;
    tokens_destroy(&tokens);
    tokenizer_encoder_destroy(encoder);
    return count;
}

/* A file without merges: its tokens come from whole words or not at all. */
static void whole_words_go_first_where_the_file_says_so(void **state)
{
    (void)state;
    static const char ignore[] = "\"ignore_merges\":", merges[] = "\"merges\":[";
    struct error error = {0};
    struct arena *arena;
    struct buffer json;
    buffer_create(&json, 1 << 20);
    assert_ok(arena_create(&arena, 0, &error), error);
    struct tokenizer *learnt = sample_tokenizer(arena, view_of("abcde abcde abcde abcde"), 300);
    assert_int_not_equal(tokenizer_find(learnt, view_of(" abcde")), TOKEN_NONE);
    assert_ok(tokenizer_write(&json, learnt, &error), error);
    char *middle = strstr(json.data, ignore) + strlen(ignore);
    char *end = strstr(middle, merges) + strlen(merges);
    for (int whole = 0; whole < 2; whole++) {
        struct buffer text, again;
        struct tokenizer *back;
        buffer_create(&text, 1 << 20);
        buffer_create(&again, 1 << 20);
        must_append(&text, json.data, (size_t)(middle - json.data));
        assert_ok(buffer_string(&text, whole ? "true" : "false", &error), error);
        must_append(&text, middle + strlen("false"), (size_t)(end - middle) - strlen("false"));
        assert_ok(buffer_string(&text, "]}}\n", &error), error);
        struct view view = {text.data, text.len};
        assert_int_equal(tokens_of(view, view_of(" abcde abcde"), arena), whole ? 2 : 12);
        assert_int_equal(tokens_of(view, view_of(" abcdef"), arena), 7);
        assert_ok(tokenizer_parse(&back, view, "memory", arena, &error), error);
        assert_ok(tokenizer_write(&again, back, &error), error);
        assert_true(view_equal(view, (struct view){again.data, again.len}));
        buffer_destroy(&again);
        buffer_destroy(&text);
    }
    buffer_destroy(&json);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_encoded_as_tiktoken_defines),
        cmocka_unit_test(broken_tables_are_refused_with_a_sentence),
        cmocka_unit_test(a_table_is_not_written_as_merges),
        cmocka_unit_test(whole_words_go_first_where_the_file_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
