/* Which texts are taken for double-encoded ones, against counting pairs of characters plainly. */
#include "support.h"

#include "base/random.h"
#include "corpus/corpus.h"
#include "corpus/encoding_tables.h"
#include "text/utf8.h"

enum { CHARACTERS_MAX = 100000, SAMPLE_BYTES = 64 << 10, READINGS = 4 };
static const enum single_byte readings[READINGS] = {SINGLE_CP1251, SINGLE_CP1252, SINGLE_KOI8_R,
                                                    SINGLE_CP866};

struct text {
    uint32_t characters[CHARACTERS_MAX];
    size_t count;
    char bytes[UTF8_BYTES_MAX * CHARACTERS_MAX];
    size_t len;
};

static void add(struct text *text, uint32_t c)
{
    assert_true(text->count < CHARACTERS_MAX);
    text->characters[text->count++] = c;
    text->len += utf8_encode(text->bytes + text->len, c);
}

static void clear(struct text *text)
{
    text->count = text->len = 0;
}

/* ---- the plain way ---- */

/* The byte beyond ASCII that a character was read from; 0: from none. */
static int byte_of(uint32_t c, enum single_byte reading)
{
    for (int byte = 255; byte >= 128; byte--)
        if (single_byte_characters[reading][byte - 128] == c && c < 0x2600)
            return byte;
    return c >= 0x80 && c < 0xA0 ? (int)c : 0;
}

static size_t bytes_of(uint32_t c)
{
    char room[UTF8_BYTES_MAX];
    return utf8_encode(room, c);
}

static bool finds_pairs(const struct text *text, enum single_byte reading)
{
    size_t pairs = 0, others = 0, at = 0;
    int before = 0;
    for (size_t i = 0; i < text->count && at < SAMPLE_BYTES; i++) {
        uint32_t c = text->characters[i];
        at += bytes_of(c);
        int byte = c < 0x80 || at > SAMPLE_BYTES ? 0 : byte_of(c, reading);
        if (c < 0x80) {
            before = 0;
        } else if (before >= 0xC3 && before <= 0xDF && byte >= 0x80 && byte < 0xC0) {
            pairs++;
            others--;
            before = 0;
        } else {
            others++;
            before = byte;
        }
    }
    return pairs >= 8 && pairs >= 2 * others;
}

static bool is_suspect(const struct text *text)
{
    for (int i = 0; i < READINGS; i++)
        if (finds_pairs(text, readings[i]))
            return true;
    return false;
}

/* ---- what the module says ---- */

static enum double_encoding found_in(const struct text *text)
{
    struct buffer out;
    struct error error = {0};
    enum double_encoding found;
    buffer_create(&out, 1 << 20);
    assert_ok(encoding_undouble(&out, &found, (struct view){text->bytes, text->len}, &error),
              error);
    assert_true(found == DOUBLE_REPAIRED || out.len == 0);
    buffer_destroy(&out);
    return found;
}

static void expect_plain_answer(const struct text *text)
{
    bool found = found_in(text) != DOUBLE_NONE;
    if (found != is_suspect(text))
        fail_msg("%s: %.*s", found ? "suspect" : "not suspect",
                 (int)(text->len < 1000 ? text->len : 1000), text->bytes);
}

/* As few pairs as suffice, 8 or 64, with one second or all of them, and half as many others. */
static void add_border_case(struct text *text, enum single_byte reading, int first, uint32_t other,
                            size_t pairs)
{
    clear(text);
    for (size_t i = 0; i < pairs; i++) {
        add(text, single_byte_characters[reading][first - 128]);
        add(text, single_byte_characters[reading][((size_t)first * 7 + i * (pairs / 8)) % 64]);
        add(text, i % 3 ? ' ' : 'x');
        if (i % 2 == 0) {
            add(text, other);
            add(text, ' ');
        }
    }
}

static void every_pair_that_counts_is_counted(void **state)
{
    (void)state;
    static struct text text;
    static const uint32_t others[] = {0x430, 0x416, 0x44F, 0xE9, 0x2014, 0x456, 0x4E00, 0x1F600};
    for (int reading = 0; reading < READINGS; reading++)
        for (int first = 0xC3; first <= 0xDF; first++)
            for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                for (size_t pairs = 8; pairs <= 64; pairs += 56) {
                    add_border_case(&text, readings[reading], first, others[i], pairs);
                    assert_true(finds_pairs(&text, readings[reading]));
                    assert_int_not_equal(found_in(&text), DOUBLE_NONE);
                    add(&text, others[i]); /* one more than may be */
                    expect_plain_answer(&text);
                }
}

/* ---- any text ---- */

static uint32_t random_character(struct random_key key, uint64_t index, enum single_byte reading)
{
    uint64_t kind = random_below(key, 3 * index, 8), value = random_below(key, 3 * index + 1, 64);
    switch (kind) {
    case 0:
        return 'a' + (uint32_t)value % 26;
    case 1:
        return 0x410 + (uint32_t)value;
    case 2:
        return 0x80 + 2 * (uint32_t)value;
    case 3:
        return value < 32 ? 0x2500 + 4 * (uint32_t)value : 0x2010 + (uint32_t)value;
    case 4:
        return single_byte_characters[reading][64 + value];
    default:
        return single_byte_characters[reading][value];
    }
}

/* A mixture of pairs of one reading and of anything, in a share that goes over the border. */
static void random_texts_are_judged_as_the_plain_way_does(void **state)
{
    (void)state;
    static struct text text;
    size_t suspects = 0;
    enum { TEXTS = 20000 };
    for (uint64_t i = 0; i < TEXTS; i++) {
        struct random_key key = {2, RANDOM_TEST, i};
        enum single_byte reading = readings[i % READINGS];
        uint64_t share = random_below(key, 0, 100), count = 4 + random_below(key, 1, 60);
        clear(&text);
        for (uint64_t k = 0; k < count; k++) {
            if (random_below(key, 100 + k, 100) < share) {
                uint64_t first = 3 + random_below(key, 300 + k, 29);
                add(&text, single_byte_characters[reading][64 + first]);
                add(&text, single_byte_characters[reading][random_below(key, 500 + k, 64)]);
            } else
                add(&text, random_character(key, 1000 + k, reading));
        }
        suspects += is_suspect(&text);
        expect_plain_answer(&text);
    }
    assert_true(suspects > TEXTS / 20 && suspects < TEXTS - TEXTS / 20);
}

/* Only the first 64 KB decide, and they may end inside a character. */
static void long_texts_are_judged_by_their_beginning(void **state)
{
    (void)state;
    static struct text text;
    for (size_t shift = 0; shift < 8; shift++)
        for (size_t good = 20000; good <= 23000; good += 250) {
            clear(&text);
            for (size_t i = 0; i < shift; i++)
                add(&text, 'x');
            while (text.count < good)
                add(&text, 0x2014);
            while (text.len < SAMPLE_BYTES + 4) {
                add(&text, 0x421);
                add(&text, 0x201A);
            }
            expect_plain_answer(&text);
        }
    clear(&text);
    while (text.len < SAMPLE_BYTES + 4)
        add(&text, text.count % 2 ? 0x201A : 0x421);
    assert_int_not_equal(found_in(&text), DOUBLE_NONE);
    clear(&text);
    while (text.len < SAMPLE_BYTES)
        add(&text, 0x430);
    for (int i = 0; i < 4000; i++)
        add(&text, text.count % 2 ? 0x201A : 0x421);
    assert_int_equal(found_in(&text), DOUBLE_NONE);
}

/* "Привет" read as each of the four, and back. */
static void texts_come_back_from_each_reading(void **state)
{
    (void)state;
    static struct text text;
    static const char original[] = "Привет, как дела? Съешь ещё этих мягких булок.";
    for (int reading = 0; reading < READINGS; reading++) {
        struct buffer out;
        struct error error = {0};
        enum double_encoding found;
        clear(&text);
        for (const char *at = original; *at; at++) {
            unsigned char byte = (unsigned char)*at;
            add(&text, byte < 128 ? byte : single_byte_characters[readings[reading]][byte - 128]);
        }
        buffer_create(&out, 1 << 20);
        assert_ok(encoding_undouble(&out, &found, (struct view){text.bytes, text.len}, &error),
                  error);
        assert_int_equal(found, DOUBLE_REPAIRED);
        assert_string_equal(out.data, original);
        buffer_destroy(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_that_counts_is_counted),
        cmocka_unit_test(random_texts_are_judged_as_the_plain_way_does),
        cmocka_unit_test(long_texts_are_judged_by_their_beginning),
        cmocka_unit_test(texts_come_back_from_each_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
