#include "text/utf8.h"

#include "base/random.h"
#include "support.h"

static struct view bytes(const char *data, size_t len)
{
    return (struct view){data, len};
}

/* The definition in RFC 3629, section 4, as plainly as it can be written: decode by bit lengths,
 * then refuse what the shortest form or the surrogates forbid. */
static size_t naive_decode(const unsigned char *at, size_t len)
{
    size_t n = at[0] < 0x80       ? 1
               : at[0] >> 5 == 6  ? 2
               : at[0] >> 4 == 14 ? 3
               : at[0] >> 3 == 30 ? 4
                                  : 0;
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0 || n > len)
        return 0;
    uint32_t code_point = n == 1 ? at[0] : at[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        code_point = code_point << 6 | (at[i] & 63u);
    }
    if (code_point < smallest[n] || code_point > 0x10FFFF || code_point >> 11 == 0xD800 >> 11)
        return 0;
    return n;
}

static bool naive_valid(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = naive_decode((const unsigned char *)text + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

static void every_code_point_encodes_and_decodes_to_itself(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= UNICODE_MAX; code_point++) {
        if (code_point >= 0xD800 && code_point <= 0xDFFF)
            continue;
        char text[UTF8_BYTES_MAX];
        uint32_t back = 0;
        size_t len = utf8_encode(text, code_point);
        assert_int_equal(utf8_decode(&back, text, len), len);
        assert_int_equal(back, code_point);
        assert_int_equal(naive_decode((const unsigned char *)text, len), len);
    }
}

static void every_sequence_of_up_to_three_bytes_is_judged_as_the_standard_says(void **state)
{
    (void)state;
    unsigned char text[4] = {0};
    for (uint32_t word = 0; word < 1u << 24; word++) {
        text[0] = (unsigned char)(word >> 16);
        text[1] = (unsigned char)(word >> 8);
        text[2] = (unsigned char)word;
        if (text[0] < 0x80)
            continue;
        uint32_t code_point;
        size_t taken = utf8_decode(&code_point, (const char *)text, 3);
        size_t expected = naive_decode(text, 3);
        if ((code_point != UTF8_BAD) != (expected != 0) || (expected && taken != expected))
            fail_msg("%02x %02x %02x", text[0], text[1], text[2]);
    }
}

static void four_byte_sequences_are_judged_as_the_standard_says(void **state)
{
    (void)state;
    static const unsigned char edge[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90,
                                         0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
    for (unsigned first = 0xE0; first < 0x100; first++)
        for (size_t i = 0; i < sizeof edge * sizeof edge * sizeof edge; i++) {
            unsigned char text[4] = {(unsigned char)first, edge[i % sizeof edge],
                                     edge[i / sizeof edge % sizeof edge],
                                     edge[i / sizeof edge / sizeof edge]};
            uint32_t code_point;
            size_t taken = utf8_decode(&code_point, (const char *)text, 4);
            size_t expected = naive_decode(text, 4);
            assert_int_equal(code_point != UTF8_BAD, expected != 0);
            if (expected)
                assert_int_equal(taken, expected);
        }
}

static void validity_of_random_text_agrees_with_the_plain_definition(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a", "ascii ASCII 123 ", "привет, мир", "ё",    "\xC0\x80", "\xED\xA0\x80", "€",
        "😀", "\xF4\x90\x80\x80", "\xD0",        "\x80", "\xE2\x82", "日本"};
    struct random_key key = {1, RANDOM_TEST, 0};
    size_t valid = 0;
    for (uint64_t round = 0; round < 20000; round++) {
        char text[256];
        size_t len = 0, count = random_below(key, 20 * round, 12);
        for (size_t i = 0; i < count; i++) {
            const char *piece =
                pieces[random_below(key, 20 * round + 1 + i, sizeof pieces / sizeof *pieces)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        assert_int_equal(utf8_valid(bytes(text, len)), naive_valid(text, len));
        valid += naive_valid(text, len);
    }
    assert_in_range(valid, 1000, 19000); /* both verdicts were met often */
}

static void lossy_copy_replaces_maximal_subparts(void **state)
{
    (void)state;
    /* The example of Unicode 15, table 3-8, and its neighbours. */
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\xF1\x80\x80\xE1\x80\xC2"
         "b\x80"
         "c\x80\xBF"
         "d",
         "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd"},
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
         "A",
         "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
         "A",
         "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA"},
        {"\xF4\x91\x92\x93\xFF"
         "A\x80\xBF"
         "B",
         "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
         "A",
         "\uFFFD\uFFFD\uFFFD\uFFFDA"},
        {"привет", "привет"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct buffer out;
        buffer_create(&out, 1000);
        assert_ok(utf8_lossy(&out, view_of(cases[i].in), &error), error);
        assert_string_equal(out.data ? out.data : "", cases[i].out);
        buffer_destroy(&out);
    }
}

static void lossy_copy_respects_the_maximum_of_its_buffer(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer out;
    buffer_create(&out, 5);
    assert_int_equal(utf8_lossy(&out, view_of("\xFF\xFF"), &error), ERR_LIMIT);
    buffer_destroy(&out);
}

static void count_and_floor_see_characters(void **state)
{
    (void)state;
    struct view text = view_of("aё€😀\x80\x80");
    assert_int_equal(utf8_count(view_of("aё€😀")), 4);
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 12, 12};
    for (size_t at = 0; at < sizeof expected / sizeof *expected; at++)
        assert_int_equal(utf8_floor(text, at), expected[at]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_encodes_and_decodes_to_itself),
        cmocka_unit_test(every_sequence_of_up_to_three_bytes_is_judged_as_the_standard_says),
        cmocka_unit_test(four_byte_sequences_are_judged_as_the_standard_says),
        cmocka_unit_test(validity_of_random_text_agrees_with_the_plain_definition),
        cmocka_unit_test(lossy_copy_replaces_maximal_subparts),
        cmocka_unit_test(lossy_copy_respects_the_maximum_of_its_buffer),
        cmocka_unit_test(count_and_floor_see_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
