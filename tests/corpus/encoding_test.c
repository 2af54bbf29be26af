/* Bytes that are taken as they stand, and those that are no text, against looking at each byte. */
#include "support.h"

#include "base/random.h"
#include "corpus/corpus.h"
#include "text/utf8.h"

/* As docs/corpus.md says: no NUL, and at most one control character in a hundred. */
static bool is_binary(struct view bytes)
{
    static const char controls[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x12\x13\x14"
                                   "\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x1f\x7f";
    size_t count = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] == 0)
            return true;
        count += strchr(controls, bytes.data[i]) != NULL;
    }
    return count * 100 > bytes.len;
}

static void expect_judged(struct view bytes)
{
    bool binary = is_binary(bytes), marked = view_starts(bytes, "\xEF\xBB\xBF");
    enum text_encoding found = encoding_detect(bytes);
    bool plain = encoding_is_plain(bytes);
    assert_true(plain == (!binary && !marked && utf8_valid(bytes)));
    assert_true((found == ENCODING_BINARY) == binary);
    if (!plain)
        return;
    struct buffer out;
    struct error error = {0};
    assert_int_equal(encoding_choose(bytes, view_of("koi8-r")), ENCODING_UTF8);
    buffer_create(&out, 1 << 20);
    assert_ok(encoding_decode(&out, bytes, ENCODING_UTF8, &error), error);
    assert_true(view_equal((struct view){out.data, out.len}, bytes));
    buffer_destroy(&out);
}

/* Each control character at each place, and lengths around the blocks in which they are counted. */
static void control_characters_are_counted_everywhere(void **state)
{
    (void)state;
    char text[600];
    for (size_t len = 90; len <= 600; len += 51)
        for (int c = 0; c < 128; c++) {
            memset(text, 'x', sizeof text);
            for (size_t i = 0; i <= len / 100; i++) { /* the last one is too many */
                expect_judged((struct view){text, len});
                text[(i * 97 + (size_t)c) % len] = (char)c;
            }
            expect_judged((struct view){text, len});
        }
}

static void random_bytes_are_judged_as_byte_by_byte(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",    "\n",   "\x01", "\x7f",         "слово ",
                                         "\xd0", "\x1b", "—",    "\xEF\xBB\xBF", "word "};
    char text[4096];
    size_t plain = 0;
    enum { TEXTS = 20000 };
    for (uint64_t i = 0; i < TEXTS; i++) {
        struct random_key key = {3, RANDOM_TEST, i};
        size_t len = 0, count = 1 + random_below(key, 0, 300), odd = random_below(key, 1, 20);
        for (size_t k = 0; k < count; k++) {
            bool any = random_below(key, 1000 + k, 100) < odd;
            const char *piece = any ? pieces[random_below(key, 2 + k, 10)] : "да ";
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        expect_judged((struct view){text, len});
        plain += encoding_is_plain((struct view){text, len});
    }
    assert_true(plain > TEXTS / 10 && plain < TEXTS / 10 * 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_counted_everywhere),
        cmocka_unit_test(random_bytes_are_judged_as_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
