/* Words for comparison, beside a plain reading of the definition. */
#include "text/words.h"

#include "base/random.h"
#include "support.h"
#include "text/unicode.h"

/* ---- a plain reading of the definition ---- */

static bool is_nothing(uint32_t c)
{
    return unicode_kind(c) == UNICODE_MARK || c == 0xAD || c == 0x200B || c == 0x200C ||
           c == 0x200D || c == 0x2060 || c == 0xFEFF;
}

/* Appends the words, each followed by a space. */
static void plain_normal(struct buffer *out, struct view text, bool folded)
{
    struct error error = {0};
    bool inside = false, number_before = false;
    for (size_t at = 0; at < text.len;) {
        uint32_t c;
        char bytes[UTF8_BYTES_MAX];
        at += utf8_decode(&c, text.data + at, text.len - at);
        if (c != UTF8_BAD && is_nothing(c))
            continue;
        bool number = c != UTF8_BAD && unicode_kind(c) == UNICODE_NUMBER;
        if (c == UTF8_BAD || (!number && unicode_kind(c) != UNICODE_LETTER)) {
            if (inside)
                assert_ok(buffer_append(out, " ", 1, &error), error);
            inside = number_before = false;
            continue;
        }
        inside = true;
        bool zero_before = out->len && out->data[out->len - 1] == '0';
        if (number && folded) {
            if (!(number_before && zero_before))
                assert_ok(buffer_append(out, "0", 1, &error), error);
        } else {
            c = number ? c : unicode_to_lower(c);
            c = c == 0x451 ? 0x435 : c;
            assert_ok(buffer_append(out, bytes, utf8_encode(bytes, c), &error), error);
        }
        number_before = number;
    }
    if (inside)
        assert_ok(buffer_append(out, " ", 1, &error), error);
}

/* All pieces of a text, and the hashes of their words checked one by one. */
static void read_all(struct buffer *out, struct words *words, struct view text)
{
    struct error error = {0};
    struct words_piece piece;
    words_begin(words, text);
    for (;;) {
        assert_ok(words_read(&piece, words, &error), error);
        if (!piece.normal.len)
            break;
        size_t at = 0;
        for (size_t i = 0; i < piece.count; i++) {
            const char *end = memchr(piece.normal.data + at, ' ', piece.normal.len - at);
            assert_non_null(end);
            struct view word = {piece.normal.data + at, (size_t)(end - piece.normal.data) - at};
            assert_true(word.len > 0);
            assert_true(piece.hash[i] == word_hash(word));
            at += word.len + 1;
        }
        assert_int_equal(at, piece.normal.len);
        assert_ok(buffer_append(out, piece.normal.data, piece.normal.len, &error), error);
    }
    assert_int_equal(piece.count, 0);
}

static void expect_as_defined(struct view text)
{
    for (int folded = 0; folded < 2; folded++) {
        struct words words;
        struct buffer wanted, found;
        buffer_create(&wanted, 1 << 28);
        buffer_create(&found, 1 << 28);
        words_open(&words, folded ? WORDS_NUMBERS_FOLDED : WORDS_EXACT);
        plain_normal(&wanted, text, folded);
        read_all(&found, &words, text);
        assert_int_equal(found.len, wanted.len);
        if (found.len)
            assert_memory_equal(found.data, wanted.data, wanted.len);
        words_close(&words);
        buffer_destroy(&wanted);
        buffer_destroy(&found);
    }
}

/* ---- tests ---- */

static void expect_normal(const char *text, enum words_form form, const char *wanted)
{
    struct words words;
    struct buffer found;
    buffer_create(&found, 1 << 20);
    words_open(&words, form);
    read_all(&found, &words, view_of(text));
    assert_string_equal(found.data ? found.data : "", wanted);
    words_close(&words);
    buffer_destroy(&found);
}

static void the_normal_form_is_what_the_header_says(void **state)
{
    (void)state;
    expect_normal("Ёлка — ЕЛЬ, «Йод»!", WORDS_EXACT, "елка ель йод ");
    expect_normal("Don't  panic\n\n42", WORDS_EXACT, "don t panic 42 ");
    expect_normal("3,14 и 2026-11-25 abc123def45", WORDS_NUMBERS_FOLDED, "0 0 и 0 0 0 abc0def0 ");
    expect_normal("3,14 и 2026 №5", WORDS_EXACT, "3 14 и 2026 5 ");
    expect_normal("мо\xCC\x81жет пере\xC2\xADнос", WORDS_EXACT, "может перенос ");
    expect_normal("00 0", WORDS_EXACT, "00 0 ");
    expect_normal("\xD9\xA1\xD9\xA2x\xC2\xB2", WORDS_NUMBERS_FOLDED, "0x0 "); /* other digits */
    expect_normal("", WORDS_EXACT, "");
    expect_normal(" .,! \xFF\xD0", WORDS_EXACT, "");
    expect_normal("a\xFF"
                  "b\xD0",
                  WORDS_EXACT, "a b ");
}

static size_t random_character(char out[UTF8_BYTES_MAX], struct random_key key, uint64_t index)
{
    uint64_t draw = random_u64(key, index);
    uint32_t c = (uint32_t)(draw >> 8);
    switch (draw % 16) {
    case 0:
        out[0] = (char)c;
        return 1; /* often bad */
    case 1:
        c %= UNICODE_MAX + 1;
        return utf8_encode(out, c >= 0xD800 && c <= 0xDFFF ? 'x' : c);
    case 2:
        return utf8_encode(out, 0x300 + c % 0x70);
    case 3:
        return utf8_encode(out, 0x2000 + c % 0x70);
    case 4:
    case 5:
        return utf8_encode(out, '0' + c % 10);
    case 6:
    case 7:
        return utf8_encode(out, ' ');
    case 8:
    case 9:
    case 10:
        return utf8_encode(out, 0x400 + c % 0x100);
    case 11:
        return utf8_encode(out, 0x80 + c % 0x200);
    default:
        return utf8_encode(out, c % 128);
    }
}

static void random_texts_read_as_defined(void **state)
{
    (void)state;
    static char text[40000 * UTF8_BYTES_MAX];
    for (uint64_t round = 0; round < 300; round++) {
        struct random_key key = {round, RANDOM_TEST, 7};
        size_t characters = round < 290 ? random_below(key, 0, 300) : 40000, len = 0;
        for (uint64_t i = 1; i <= characters; i++)
            len += random_character(text + len, key, i);
        expect_as_defined((struct view){text, len});
    }
}

static void words_longer_than_a_piece_stay_whole(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    static char text[LEN];
    for (size_t space = 8000; space < 8400; space += 7) { /* around where a piece ends */
        memset(text, 'a', LEN);
        text[5] = ' ';
        text[space] = ' ';
        expect_as_defined((struct view){text, LEN});
    }
    for (size_t i = 0; i + 1 < LEN; i += 2) /* no white space at all */
        memcpy(text + i, i % 50 == 48 ? "\xC2\xAB" : "\xD0\x96", 2);
    expect_as_defined((struct view){text, LEN});
}

static void every_code_point_becomes_what_fits(void **state)
{
    (void)state;
    char text[3 * UTF8_BYTES_MAX];
    for (uint32_t c = 0; c <= UNICODE_MAX; c++) {
        char lower[UTF8_BYTES_MAX];
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t len = utf8_encode(text, c);
        assert_true(2 * utf8_encode(lower, unicode_to_lower(c)) <= 3 * len);
    }
    for (uint32_t c = 0; c <= 0x2FFF; c++) { /* the second time it may collapse */
        size_t len = utf8_encode(text, c);
        len += utf8_encode(text + len, c);
        len += utf8_encode(text + len, 'Q');
        expect_as_defined((struct view){text, len});
    }
}

static void places_are_those_of_the_words(void **state)
{
    (void)state;
    static char text[2000 * UTF8_BYTES_MAX];
    for (uint64_t round = 0; round < 100; round++) {
        struct random_key key = {round, RANDOM_TEST, 8};
        struct error error = {0};
        struct words words, one;
        struct words_piece piece, word;
        struct view place;
        size_t len = 0, at = 0, index = 0;
        for (uint64_t i = 0; i < 2000; i++)
            len += random_character(text + len, key, i);
        words_open(&words, WORDS_EXACT);
        words_open(&one, WORDS_EXACT);
        words_begin(&words, (struct view){text, len});
        assert_ok(words_read(&piece, &words, &error), error);
        while (words_next_place(&place, (struct view){text, len}, &at)) {
            if (index == piece.count) {
                assert_ok(words_read(&piece, &words, &error), error);
                index = 0;
            }
            words_begin(&one, place);
            assert_ok(words_read(&word, &one, &error), error);
            assert_int_equal(word.count, 1);
            assert_true(index < piece.count && word.hash[0] == piece.hash[index]);
            index++;
        }
        assert_int_equal(index, piece.count);
        words_close(&words);
        words_close(&one);
    }
}

static void grams_are_the_sums_that_the_header_says(void **state)
{
    (void)state;
    enum { WORDS = 100 };
    uint64_t hash[WORDS];
    for (uint64_t i = 0; i < WORDS; i++)
        hash[i] = random_u64((struct random_key){3, RANDOM_TEST, 0}, i);
    for (size_t n = 1; n <= GRAM_WORDS_MAX; n++) {
        struct gram gram;
        gram_begin(&gram, n);
        for (size_t i = 0; i < WORDS; i++) {
            uint64_t found = gram_add(&gram, hash[i]), sum = 0;
            for (size_t k = i + 1 < n ? 0 : i + 1 - n; k <= i; k++)
                sum = sum * GRAM_FACTOR + hash[k];
            assert_true(i + 1 < n || found == gram_mix(sum));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_normal_form_is_what_the_header_says),
        cmocka_unit_test(random_texts_read_as_defined),
        cmocka_unit_test(words_longer_than_a_piece_stay_whole),
        cmocka_unit_test(every_code_point_becomes_what_fits),
        cmocka_unit_test(places_are_those_of_the_words),
        cmocka_unit_test(grams_are_the_sums_that_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
