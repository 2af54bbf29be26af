#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/thread.h"
#include "text/unicode.h"
#include "tokenizer/samples.h"

/* ---- the oracle: a regular-expression engine ---------------------------- */

struct oracle {
    pcre2_code *code;
    pcre2_match_data *match;
    const struct split_pattern *pattern; /* what it judges; NULL: split_next */
};

static struct oracle oracle_create(const char *pattern)
{
    int code;
    size_t offset;
    struct oracle oracle = {0};
    oracle.code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &offset, NULL);
    assert_non_null(oracle.code);
    (void)pcre2_jit_compile(oracle.code, PCRE2_JIT_COMPLETE);
    oracle.match = pcre2_match_data_create_from_pattern(oracle.code, NULL);
    return oracle;
}

static struct oracle oracle_of(size_t index)
{
    struct oracle oracle = oracle_create(split_pattern_at(index)->regex);
    oracle.pattern = split_pattern_at(index);
    return oracle;
}

static void oracle_destroy(struct oracle *oracle)
{
    pcre2_match_data_free(oracle->match);
    pcre2_code_free(oracle->code);
}

/* The end of the match that starts at `at`, or 0. */
static size_t oracle_next(struct oracle *oracle, struct view text, size_t at)
{
    int result = pcre2_match(oracle->code, (PCRE2_SPTR)text.data, text.len, at,
                             PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, oracle->match, NULL);
    return result > 0 ? pcre2_get_ovector_pointer(oracle->match)[1] : 0;
}

static void assert_split_as_oracle(struct oracle *oracle, struct view text)
{
    for (size_t at = 0; at < text.len;) {
        size_t expected = oracle_next(oracle, text, at);
        split_function *next = oracle->pattern ? oracle->pattern->next : split_next;
        size_t got = at + next((struct view){text.data + at, text.len - at});
        if (got != expected)
            fail_msg("%s at %zu of \"%.*s\": %zu bytes, the pattern matches %zu",
                     oracle->pattern ? oracle->pattern->name : "rodnik", at,
                     (int)(text.len < 200 ? text.len : 200), text.data, got - at, expected - at);
        at = got;
    }
}

/* ---- tests --------------------------------------------------------------- */

static void known_texts_are_cut_as_the_pattern_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pieces;
    } cases[] = {
        {"Hello world", "Hello| world"},
        {"it's I'LL they'Re o'clock", "it|'s| I|'LL| they|'Re| o|'clock"},
        {"д'Артаньян", "д|'Артаньян"},
        {"it'\u017Fx", "it|'\u017Fx"},
        {"a  b", "a| | b"},
        {"a   1", "a|  | |1"},
        {"1234", "1|2|3|4"},
        {"№ 15-ФЗ", "№| |1|5|-ФЗ"},
        {"a \n\n  b", "a| \n\n| | b"},
        {"a\n \n", "a|\n \n"},
        {"end.  ", "end|.|  "},
        {"«Да!»\n", "«Да|!»\n"},
        {"x\u00A0y", "x|\u00A0y"},
        {"x\u00A0.", "x|\u00A0|."},
        {"за\u0301мок", "за|\u0301мок"},
        {"-- a", "--| a"},
        {" \t!", " |\t|!"},
        {"today\n \n", "today|\n \n"},
        {"\r\n\r\nx", "\r\n\r\n|x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char joined[256];
        size_t len = 0;
        for (struct view rest = view_of(cases[i].text); rest.len > 0;) {
            size_t piece = split_next(rest);
            if (len > 0)
                joined[len++] = '|';
            memcpy(joined + len, rest.data, piece);
            len += piece;
            rest = (struct view){rest.data + piece, rest.len - piece};
        }
        joined[len] = 0;
        assert_string_equal(joined, cases[i].pieces);
    }
}

static void random_texts_of_awkward_characters_are_cut_as_the_pattern_matches(void **state)
{
    (void)state;
    struct buffer text;
    buffer_create(&text, 1 << 16);
    uint64_t rounds = test_is_long() ? 5000000 : 100000;
    size_t patterns = 0;
    for (; split_pattern_at(patterns); patterns++) {
        struct oracle oracle = oracle_of(patterns);
        for (uint64_t round = 0; round < rounds; round++) {
            buffer_clear(&text);
            append_awkward(&text, (struct random_key){1, RANDOM_TEST, round}, 1 + round % 12);
            assert_split_as_oracle(&oracle, (struct view){text.data, text.len});
        }
        oracle_destroy(&oracle);
    }
    assert_int_equal(patterns, 7);
    buffer_destroy(&text);
}

/* Capitals, small letters, letters that are neither, marks: what o200k's words are made of. */
static void random_words_of_all_kinds_of_letters_are_cut_as_the_pattern_matches(void **state)
{
    (void)state;
    static const char *const letters[] = {"A", "Ж",      "ǅ", "b", "ж",  "ß", "ʰ", "漢",
                                          "ª", "\u0301", "ـ", "'", "s",  "T", "l", "L",
                                          "1", "²",      "/", ".", "\n", " ", "\t"};
    uint64_t rounds = test_is_long() ? 10000000 : 300000;
    for (size_t index = 0; split_pattern_at(index); index++) {
        struct oracle oracle = oracle_of(index);
        for (uint64_t round = 0; round < rounds; round++) {
            char text[64];
            size_t len = 0;
            struct random_key key = {9, RANDOM_TEST, round};
            for (uint64_t i = 0; i < 1 + round % 9; i++) {
                const char *letter =
                    letters[random_below(key, i, sizeof letters / sizeof *letters)];
                memcpy(text + len, letter, strlen(letter));
                len += strlen(letter);
            }
            assert_split_as_oracle(&oracle, (struct view){text, len});
        }
        oracle_destroy(&oracle);
    }
}

/* Code points that the engine's older Unicode tables do not have are passed over, and U+180E, which
 * it calls white space and Unicode since 6.3 does not. */
static void assert_code_points_as_oracle(size_t index)
{
    struct oracle oracle = oracle_of(index);
    struct oracle unassigned = oracle_create("\\p{Cn}");
    size_t checked = 0;
    for (uint32_t code_point = 1; code_point <= UNICODE_MAX; code_point++) {
        if ((code_point >= 0xD800 && code_point <= 0xDFFF) || code_point == 0x180E)
            continue;
        char bytes[UTF8_BYTES_MAX], text[64];
        int len = (int)utf8_encode(bytes, code_point);
        if (oracle_next(&unassigned, (struct view){bytes, (size_t)len}, 0))
            continue;
        int text_len = snprintf(text, sizeof text, "a%.*sb %.*s%.*s'%.*s\n%.*s .", len, bytes, len,
                                bytes, len, bytes, len, bytes, len, bytes);
        assert_split_as_oracle(&oracle, (struct view){text, (size_t)text_len});
        checked++;
    }
    assert_true(checked > 280000); /* private use included */
    oracle_destroy(&unassigned);
    oracle_destroy(&oracle);
}

static void every_code_point_in_context_is_cut_as_the_pattern_matches(void **state)
{
    (void)state;
    for (size_t index = 0; split_pattern_at(index); index++)
        assert_code_points_as_oracle(index);
}

static void real_texts_are_cut_as_the_pattern_matches(void **state)
{
    (void)state;
    if (!folder_exists(samples_folder))
        skip_because("no %s", samples_folder);
    struct oracle oracles[7];
    for (size_t k = 0; k < 7; k++)
        oracles[k] = oracle_of(k);
    struct error error = {0};
    struct arena *arena;
    char **names, path[PATH_BYTES];
    size_t count;
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(folder_list(&names, &count, samples_folder, arena, &error), error);
    for (size_t i = 0; i < count; i++) {
        struct buffer text;
        buffer_create(&text, 1u << 30);
        assert_ok(path_join(path, sizeof path, samples_folder, names[i], &error), error);
        if (view_ends(view_of(path), ".jsonl.zst"))
            append_real(&text, path, test_is_long() ? 400u << 20 : 1 << 20);
        struct view whole = {text.data, text.len};
        assert_true(utf8_valid(whole));
        for (size_t k = 0; k < 7; k++)
            assert_split_as_oracle(&oracles[k], whole);
        buffer_destroy(&text);
    }
    arena_destroy(arena);
    for (size_t k = 0; k < 7; k++)
        oracle_destroy(&oracles[k]);
}

/* A bad byte must act as any symbol does, so that replacing each by one moves no border.  (No two
 * of the bad pieces make a character together.) */
static void bad_bytes_act_as_symbols_one_byte_long(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xF5\x80",     "\xFF",     "\xC0",
                                      "\xED\xA0\x80", "\xE2\x82", "\xF5"};
    for (uint64_t round = 0; round < 50000; round++) {
        struct random_key key = {2, RANDOM_TEST, round};
        char raw[256], clean[512];
        size_t raw_len = 0, clean_len = 0, same_at[512];
        for (uint64_t i = 0; i < 10; i++) {
            bool is_bad = random_below(key, 2 * i, 3) == 0;
            const char *piece = is_bad ? bad[random_below(key, 2 * i + 1, 6)]
                                       : awkward[random_below(key, 2 * i + 1, AWKWARD_COUNT)];
            for (size_t b = 0; piece[b]; b++) {
                same_at[raw_len] = clean_len;
                raw[raw_len++] = piece[b];
                clean[clean_len++] = is_bad ? '#' : piece[b];
            }
        }
        same_at[raw_len] = clean_len;
        for (size_t at = 0; at < raw_len;) {
            size_t next = at + split_next((struct view){raw + at, raw_len - at});
            size_t clean_at = same_at[at];
            assert_int_equal(split_next((struct view){clean + clean_at, clean_len - clean_at}),
                             same_at[next] - clean_at);
            at = next;
        }
    }
}

static void cutting_a_text_where_split_cut_allows_moves_no_border(void **state)
{
    (void)state;
    struct buffer text;
    buffer_create(&text, 1 << 16);
    size_t cuts = 0;
    for (uint64_t round = 0; round < 20000; round++) {
        buffer_clear(&text);
        append_awkward(&text, (struct random_key){3, RANDOM_TEST, round}, 40);
        size_t cut = split_cut((struct view){text.data, text.len}, text.len / 3);
        assert_in_range(cut, text.len / 3, text.len);
        size_t at = 0;
        while (at < cut)
            at += split_next((struct view){text.data + at, text.len - at});
        assert_int_equal(at, cut); /* the cut is a border of the whole text */
        cuts += cut < text.len;
        for (at = 0; at < cut;) {
            size_t whole = split_next((struct view){text.data + at, text.len - at});
            assert_int_equal(split_next((struct view){text.data + at, cut - at}), whole);
            at += whole;
        }
    }
    assert_true(cuts > 5000);
    buffer_destroy(&text);
}

static void monotonous_megabytes_take_linear_time(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    static const char *const units[] = {"a", " ",  "\n",   "\n ",    "^", "1",
                                        "'", " .", "\xFF", "\u3000", "ж "};
    char *text = malloc(BYTES);
    assert_non_null(text);
    double start = time_monotonic_s();
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t unit = strlen(units[i]), len = BYTES / unit * unit;
        for (size_t at = 0; at < len; at += unit)
            memcpy(text + at, units[i], unit);
        for (size_t index = 0; split_pattern_at(index); index++)
            for (size_t at = 0; at < len;)
                at += split_pattern_at(index)->next((struct view){text + at, len - at});
    }
    /* Milliseconds if linear, hours if quadratic. */
    assert_true(time_monotonic_s() - start < 60);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_are_cut_as_the_pattern_says),
        cmocka_unit_test(random_texts_of_awkward_characters_are_cut_as_the_pattern_matches),
        cmocka_unit_test(random_words_of_all_kinds_of_letters_are_cut_as_the_pattern_matches),
        cmocka_unit_test(every_code_point_in_context_is_cut_as_the_pattern_matches),
        cmocka_unit_test(real_texts_are_cut_as_the_pattern_matches),
        cmocka_unit_test(bad_bytes_act_as_symbols_one_byte_long),
        cmocka_unit_test(cutting_a_text_where_split_cut_allows_moves_no_border),
        cmocka_unit_test(monotonous_megabytes_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
