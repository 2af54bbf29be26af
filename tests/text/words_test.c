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

/* Hashes of the words of a normal form, one by one. */
static size_t plain_hashes(struct buffer *out, struct view normal)
{
    struct error error = {0};
    for (size_t at = 0; at < normal.len;) {
        const char *end = memchr(normal.data + at, ' ', normal.len - at);
        assert_non_null(end);
        struct view word = {normal.data + at, (size_t)(end - normal.data) - at};
        assert_true(word.len > 0);
        uint64_t hash = word_hash(word);
        assert_ok(buffer_append(out, &hash, sizeof hash, &error), error);
        at += word.len + 1;
    }
    return out->len / sizeof(uint64_t);
}

/* For each line of a text how many words come before its end; the last one has none. */
static void plain_line_ends(struct buffer *out, struct view text)
{
    struct error error = {0};
    struct buffer normal;
    buffer_create(&normal, 1 << 28);
    for (size_t at = 0; at < text.len; at++) {
        if (text.data[at] != '\n')
            continue;
        buffer_clear(&normal);
        plain_normal(&normal, (struct view){text.data, at}, false);
        size_t words = 0, *last = out->len ? (size_t *)(void *)(out->data + out->len) - 1 : NULL;
        for (size_t i = 0; i < normal.len; i++)
            words += normal.data[i] == ' ';
        if (!last || *last != words)
            assert_ok(buffer_append(out, &words, sizeof words, &error), error);
    }
    buffer_destroy(&normal);
}

static void expect_bytes(const struct buffer *found, const struct buffer *wanted)
{
    assert_int_equal(found->len, wanted->len);
    if (found->len)
        assert_memory_equal(found->data, wanted->data, wanted->len);
}

struct whole_text {
    struct buffer normal, hashes, folded, line_ends;
};

static void open_whole(struct whole_text *out)
{
    buffer_create(&out->normal, 1 << 28);
    buffer_create(&out->hashes, 1 << 28);
    buffer_create(&out->folded, 1 << 28);
    buffer_create(&out->line_ends, 1 << 28);
}

static void close_whole(struct whole_text *text)
{
    buffer_destroy(&text->normal);
    buffer_destroy(&text->hashes);
    buffer_destroy(&text->folded);
    buffer_destroy(&text->line_ends);
}

/* The hashes before a piece are those that came last, and zeros before the first. */
static void expect_before(const uint64_t *hash, const struct buffer *all)
{
    const uint64_t *before = (const uint64_t *)(const void *)all->data;
    size_t count = all->len / sizeof *hash;
    for (size_t i = 1; i <= WORDS_BEFORE; i++)
        assert_true(*(hash - i) == (i <= count ? before[count - i] : 0));
}

/* All pieces of a text.  A line may end after the last word of a piece or before the next one. */
static void read_all(struct whole_text *out, struct words *words, struct view text)
{
    struct error error = {0};
    struct words_piece piece;
    for (words_begin(words, text);;) {
        assert_ok(words_read(&piece, words, &error), error);
        assert_int_equal(piece.before, out->hashes.len / sizeof(uint64_t));
        if (!piece.count)
            break;
        expect_before(piece.hash, &out->hashes);
        expect_before(piece.folded, &out->folded);
        size_t bytes = piece.count * sizeof(uint64_t), last = SIZE_MAX;
        assert_ok(buffer_append(&out->normal, piece.normal.data, piece.normal.len, &error), error);
        assert_ok(buffer_append(&out->hashes, piece.hash, bytes, &error), error);
        assert_ok(buffer_append(&out->folded, piece.folded, bytes, &error), error);
        for (size_t i = 0; i < piece.line_count; i++) {
            size_t place = piece.before + piece.line_ends[i];
            assert_true(piece.line_ends[i] <= piece.count && place != last);
            last = place;
            if (out->line_ends.len == 0 ||
                ((size_t *)(void *)(out->line_ends.data + out->line_ends.len))[-1] != place)
                assert_ok(buffer_append(&out->line_ends, &place, sizeof place, &error), error);
        }
    }
    assert_int_equal(piece.normal.len, 0);
}

static void expect_as_defined(struct view text, bool lines)
{
    struct words words;
    struct whole_text wanted, found;
    struct buffer folded;
    open_whole(&wanted);
    open_whole(&found);
    buffer_create(&folded, 1 << 28);
    words_open(&words);
    plain_normal(&wanted.normal, text, false);
    plain_normal(&folded, text, true);
    plain_hashes(&wanted.hashes, (struct view){wanted.normal.data, wanted.normal.len});
    plain_hashes(&wanted.folded, (struct view){folded.data, folded.len});
    read_all(&found, &words, text);
    expect_bytes(&found.normal, &wanted.normal);
    expect_bytes(&found.hashes, &wanted.hashes);
    expect_bytes(&found.folded, &wanted.folded);
    if (lines) {
        plain_line_ends(&wanted.line_ends, text);
        size_t all = found.hashes.len / sizeof(uint64_t);
        size_t *last = (size_t *)(void *)(wanted.line_ends.data + wanted.line_ends.len);
        if (wanted.line_ends.len && last[-1] == all && found.line_ends.len < wanted.line_ends.len)
            wanted.line_ends.len -= sizeof(size_t); /* no word follows */
        expect_bytes(&found.line_ends, &wanted.line_ends);
    }
    words_close(&words);
    buffer_destroy(&folded);
    close_whole(&wanted);
    close_whole(&found);
}

/* ---- tests ---- */

static void expect_normal(const char *text, const char *wanted)
{
    struct words words;
    struct whole_text found;
    open_whole(&found);
    words_open(&words);
    read_all(&found, &words, view_of(text));
    assert_string_equal(found.normal.data ? found.normal.data : "", wanted);
    words_close(&words);
    close_whole(&found);
    expect_as_defined(view_of(text), true);
}

static void expect_folded(const char *text, const char *wanted)
{
    struct buffer folded;
    buffer_create(&folded, 1 << 20);
    plain_normal(&folded, view_of(text), true);
    assert_string_equal(folded.data ? folded.data : "", wanted);
    buffer_destroy(&folded);
    expect_as_defined(view_of(text), true);
}

static void the_normal_form_is_what_the_header_says(void **state)
{
    (void)state;
    expect_normal("Ёлка — ЕЛЬ, «Йод»!", "елка ель йод ");
    expect_normal("Don't  panic\n\n42", "don t panic 42 ");
    expect_folded("3,14 и 2026-11-25 abc123def45", "0 0 и 0 0 0 abc0def0 ");
    expect_normal("3,14 и 2026 №5", "3 14 и 2026 5 ");
    expect_normal("мо\xCC\x81жет пере\xC2\xADнос", "может перенос ");
    expect_normal("00 0", "00 0 ");
    expect_folded("\xD9\xA1\xD9\xA2x\xC2\xB2", "0x0 "); /* other digits */
    expect_normal("", "");
    expect_normal(" .,! \xFF\xD0", "");
    expect_normal("a\xFF"
                  "b\xD0",
                  "a b ");
    expect_normal("\n\nраз\nдва\r\n\n три\n", "раз два три ");
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
        expect_as_defined((struct view){text, len}, round < 290);
    }
}

/* Beginnings and ends of characters in any order: of what blocks know, and of what they don't. */
static void parts_of_characters_read_as_defined(void **state)
{
    (void)state;
    static const unsigned char parts[] = {0xD0, 0xD1, 0xD2, 0xD3, 0xC2, 0xC3, 0xE2, 0xC4,
                                          0xF0, 0xED, 0x80, 0x81, 0x8B, 0x90, 0x91, 0x97,
                                          0xA0, 0xAD, 0xB2, 0xBB, 'a',  ' ',  '\n', '7'};
    char text[200];
    for (uint64_t round = 0; round < 30000; round++) {
        struct random_key key = {round, RANDOM_TEST, 9};
        size_t len = random_below(key, 0, sizeof text);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)parts[random_below(key, 1 + i, sizeof parts)];
        expect_as_defined((struct view){text, len}, round < 1000);
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
        expect_as_defined((struct view){text, LEN}, false);
    }
    for (size_t i = 0; i + 1 < LEN; i += 2) /* no white space at all */
        memcpy(text + i, i % 50 == 48 ? "\xC2\xAB" : "\xD0\x96", 2);
    expect_as_defined((struct view){text, LEN}, false);
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
        expect_as_defined((struct view){text, len}, false);
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
        words_open(&words);
        words_open(&one);
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
        cmocka_unit_test(parts_of_characters_read_as_defined),
        cmocka_unit_test(words_longer_than_a_piece_stay_whole),
        cmocka_unit_test(every_code_point_becomes_what_fits),
        cmocka_unit_test(places_are_those_of_the_words),
        cmocka_unit_test(grams_are_the_sums_that_the_header_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
