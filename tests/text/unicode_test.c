#include "text/unicode.h"

#include <utf8proc.h>

#include "base/random.h"
#include "support.h"

static void append(struct buffer *out, uint32_t code_point)
{
    struct error error = {0};
    char text[UTF8_BYTES_MAX];
    assert_ok(buffer_append(out, text, utf8_encode(text, code_point), &error), error);
}

static bool is_scalar(uint32_t code_point)
{
    return code_point < 0xD800 || (code_point > 0xDFFF && code_point <= UNICODE_MAX);
}

static enum unicode_kind kind_of_category(utf8proc_category_t category)
{
    switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return UNICODE_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return UNICODE_MARK;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return UNICODE_NUMBER;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return UNICODE_PUNCTUATION;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
        return UNICODE_SYMBOL;
    default:
        return UNICODE_OTHER;
    }
}

static void tables_agree_with_another_implementation_on_every_code_point(void **state)
{
    (void)state;
    if (strncmp(utf8proc_unicode_version(), "15.0", 4) != 0)
        skip_because("utf8proc has Unicode %s, the tables 15.0", utf8proc_unicode_version());
    for (uint32_t code_point = 0; code_point <= UNICODE_MAX; code_point++) {
        int32_t signed_point = (int32_t)code_point;
        enum unicode_kind kind = unicode_kind(code_point);
        utf8proc_category_t category = utf8proc_category(signed_point);
        if (code_point >= 0x2EBF0 && code_point <= 0x2EE5D) /* ideographs of 15.1 */
            category = UTF8PROC_CATEGORY_LO;
        if (kind != UNICODE_SPACE)
            assert_int_equal(kind, kind_of_category(category));
        assert_int_equal(unicode_is_upper(code_point),
                         category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT);
        assert_int_equal(unicode_to_lower(code_point), utf8proc_tolower(signed_point));
        /* utf8proc maps U+00DF to U+1E9E, which UnicodeData.txt does not. */
        if (code_point != 0xDF)
            assert_int_equal(unicode_to_upper(code_point), utf8proc_toupper(signed_point));
    }
}

static void white_space_is_exactly_the_twenty_five_of_the_standard(void **state)
{
    (void)state;
    size_t count = 0;
    for (uint32_t code_point = 0; code_point <= UNICODE_MAX; code_point++) {
        bool expected = (code_point >= 9 && code_point <= 13) || code_point == 0x20 ||
                        code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
                        (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 ||
                        code_point == 0x2029 || code_point == 0x202F || code_point == 0x205F ||
                        code_point == 0x3000;
        assert_int_equal(unicode_kind(code_point) == UNICODE_SPACE, expected);
        count += expected;
    }
    assert_int_equal(count, 25);
}

static void scripts_of_letters_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(unicode_script('q'), SCRIPT_LATIN);
    assert_int_equal(unicode_script(0x17F), SCRIPT_LATIN);
    assert_int_equal(unicode_script(0x44F), SCRIPT_CYRILLIC);
    assert_int_equal(unicode_script(0x4E9), SCRIPT_CYRILLIC);
    assert_int_equal(unicode_script(0x1C80), SCRIPT_CYRILLIC);
    assert_int_equal(unicode_script(0x3B1), SCRIPT_OTHER);
    assert_int_equal(unicode_script(0x6F22), SCRIPT_OTHER);
    assert_int_equal(unicode_script('1'), SCRIPT_NONE);
    assert_int_equal(unicode_script(0x483), SCRIPT_NONE); /* a mark, though a Cyrillic one */
}

static void assert_nfc_as_oracle(struct view text)
{
    struct error error = {0};
    struct buffer out;
    buffer_create(&out, 1 << 20);
    assert_ok(unicode_nfc(&out, text, &error), error);
    utf8proc_uint8_t *expected = NULL;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.len, &expected,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    assert_true(len >= 0);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.len ? out.data : "", expected, (size_t)len);
    /* The prefix that the quick check calls normal must come out as it went in. */
    size_t prefix = unicode_nfc_prefix(text);
    assert_true(prefix <= out.len);
    assert_memory_equal(out.len ? out.data : "", text.data, prefix);
    free(expected);
    buffer_destroy(&out);
}

static void nfc_of_every_code_point_alone_and_between_letters(void **state)
{
    (void)state;
    struct buffer text;
    buffer_create(&text, 64);
    for (uint32_t code_point = 0; code_point <= UNICODE_MAX; code_point++) {
        if (!is_scalar(code_point) || (code_point > 0x323AF && code_point < 0xE0000) ||
            code_point > 0xE01EF)
            continue;
        buffer_clear(&text);
        append(&text, 'e');
        append(&text, code_point);
        append(&text, 0x301);
        assert_nfc_as_oracle((struct view){text.data, text.len});
        assert_nfc_as_oracle((struct view){text.data + 1, text.len - 1});
    }
    buffer_destroy(&text);
}

static void nfc_of_random_strings_over_awkward_characters(void **state)
{
    (void)state;
    static const uint32_t alphabet[] = {
        'a',    'e',    ' ',    0x418,  0x438,   0x306,   0x415,   0x308,   0x301, 0x323, 0x327,
        0x345,  0x1100, 0x1161, 0x11A8, 0xAC00,  0xAC01,  0x340,   0x344,   0x958, 0x93C, 0x1D15E,
        0x2126, 0x212B, 0x483,  0x334,  0x338,   0x1F82,  0x3B1,   0x313,   0xE9,  0x451, 0xF900,
        0x0B47, 0x0B3E, 0x1B05, 0x1B35, 0x2FA1D, 0x1109A, 0x110BA, 0x20000, 0x5B0, 0x5B4, 0x4E00};
    struct random_key key = {2, RANDOM_TEST, 0};
    struct buffer text;
    buffer_create(&text, 4096);
    for (uint64_t round = 0; round < 40000; round++) {
        buffer_clear(&text);
        uint64_t count = 1 + random_below(key, 64 * round, 12);
        for (uint64_t i = 0; i < count; i++)
            append(&text, alphabet[random_below(key, 64 * round + 1 + i,
                                                sizeof alphabet / sizeof *alphabet)]);
        assert_nfc_as_oracle((struct view){text.data, text.len});
    }
    buffer_destroy(&text);
}

static void russian_text_in_nfd_composes(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer out;
    buffer_create(&out, 100);
    struct view decomposed = view_of("И\u0306од, е\u0308лка, за\u0301мок");
    assert_ok(unicode_nfc(&out, decomposed, &error), error);
    assert_string_equal(out.data, "Йод, ёлка, за\u0301мок");
    assert_int_equal(unicode_nfc_prefix(view_of("съешь ещё булок")), strlen("съешь ещё булок"));
    buffer_destroy(&out);
}

/* utf8proc alone needs a time that grows with the square of the run: minutes here. */
static void a_million_marks_in_wrong_order_take_linear_time(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer text, out;
    buffer_create(&text, 1 << 23);
    buffer_create(&out, 1 << 23);
    append(&text, 'a');
    for (int i = 0; i < 1000000; i++)
        append(&text, i < 500000 ? 0x301 : 0x323);
    assert_ok(unicode_nfc(&out, (struct view){text.data, text.len}, &error), error);
    assert_memory_equal(out.data, "\u1EA1\u0323\u0323", 7);
    assert_memory_equal(out.data + out.len - 4, "\u0301\u0301", 4);
    buffer_destroy(&text);
    buffer_destroy(&out);
}

static void text_that_is_not_utf8_is_refused_with_its_position(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer out;
    buffer_create(&out, 100);
    assert_int_equal(unicode_nfc(&out, view_of("abc \xD0"), &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, "0xd0 at position 4"));
    buffer_destroy(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree_with_another_implementation_on_every_code_point),
        cmocka_unit_test(white_space_is_exactly_the_twenty_five_of_the_standard),
        cmocka_unit_test(scripts_of_letters_are_told_apart),
        cmocka_unit_test(nfc_of_every_code_point_alone_and_between_letters),
        cmocka_unit_test(nfc_of_random_strings_over_awkward_characters),
        cmocka_unit_test(russian_text_in_nfd_composes),
        cmocka_unit_test(a_million_marks_in_wrong_order_take_linear_time),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_its_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
