/* The opt-out list: what its entries match and what they don't. */
#include "corpus/opt_out.h"

#include "base/file.h"
#include "support.h"

static const char list_text[] =
    "# texts, pages and domains that must not be here\n"
    "\n"
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  # the empty text\r\n"
    "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD\n"
    "https://news.example.org/2024/story?id=7#top\n"
    "http://пример.рф/каталог/Стр%20аница\n"
    "example.com\n"
    "Президент.РФ.\n"
    "xn--d1acufc.xn--p1ai\n"
    "https://user:secret@host.example:8080\n"
    "example.com # again\n"
    "a.co.uk\n";

struct listed {
    struct arena *arena;
    struct opt_out *list;
};

static void listed_create(struct listed *out)
{
    struct error error = {0};
    assert_ok(arena_create(&out->arena, 0, &error), error);
    assert_ok(opt_out_parse(&out->list, view_of(list_text), "list", out->arena, &error), error);
}

static void expect(const struct listed *listed, const char *url, enum opt_out_reason reason,
                   uint64_t line)
{
    struct opt_out_match match = opt_out_match(listed->list, NULL, view_of(url));
    if (match.reason != reason || match.line != line)
        fail_msg("%s: %s by line %d, wanted %s by line %d", url, opt_out_reason_name(match.reason),
                 (int)match.line, opt_out_reason_name(reason), (int)line);
}

static void texts_are_matched_by_hash(void **state)
{
    (void)state;
    struct listed listed;
    listed_create(&listed);
    assert_int_equal(opt_out_count(listed.list), 10);
    struct sha256 empty = sha256_of("", 0), abc = sha256_of("abc", 3), other = sha256_of("abd", 3);
    struct opt_out_match match = opt_out_match(listed.list, &empty, (struct view){NULL, 0});
    assert_int_equal(match.reason, OPT_OUT_TEXT);
    assert_int_equal(match.line, 3);
    match = opt_out_match(listed.list, &abc, view_of("https://example.com/"));
    assert_int_equal(match.reason, OPT_OUT_TEXT);
    assert_int_equal(match.line, 4);
    match = opt_out_match(listed.list, &other, view_of("https://example.com/"));
    assert_int_equal(match.reason, OPT_OUT_DOMAIN);
    match = opt_out_match(listed.list, &other, (struct view){NULL, 0});
    assert_int_equal(match.reason, OPT_OUT_NO);
    assert_int_equal(match.line, 0);
    arena_destroy(listed.arena);
}

static void pages_are_matched_by_url(void **state)
{
    (void)state;
    struct listed listed;
    listed_create(&listed);
    expect(&listed, "https://news.example.org/2024/story?id=7", OPT_OUT_URL, 5);
    expect(&listed, "HTTP://NEWS.Example.ORG:80/2024/story?id=7#else", OPT_OUT_URL, 5);
    expect(&listed, "https://news.example.org./%32024/%73tory?id=7", OPT_OUT_URL, 5);
    expect(&listed, "https://news.example.org/2024/story?id=8", OPT_OUT_NO, 0);
    expect(&listed, "https://news.example.org/2024/Story?id=7", OPT_OUT_NO, 0);
    expect(&listed, "https://news.example.org/2024/story", OPT_OUT_NO, 0);
    expect(&listed, "https://news.example.org:8443/2024/story?id=7", OPT_OUT_NO, 0);
    expect(&listed, "https://xn--e1afmkfd.xn--p1ai/%D0%BA%d0%b0талог/Стр%20аница", OPT_OUT_URL, 6);
    expect(&listed, "https://ПРИМЕР.рф/каталог/Стр%20аница", OPT_OUT_URL, 6);
    expect(&listed, "https://пример.рф/каталог/Стр аница", OPT_OUT_NO, 0);
    expect(&listed, "http://host.example:8080/", OPT_OUT_URL, 10);
    expect(&listed, "http://host.example:8080?x", OPT_OUT_NO, 0);
    arena_destroy(listed.arena);
}

static void domains_are_matched_with_those_below_them(void **state)
{
    (void)state;
    struct listed listed;
    listed_create(&listed);
    expect(&listed, "https://example.com", OPT_OUT_DOMAIN, 7);
    expect(&listed, "http://www.Example.COM./x", OPT_OUT_DOMAIN, 7);
    expect(&listed, "https://a.b.c.example.com:8443/x", OPT_OUT_DOMAIN, 7);
    expect(&listed, "https://user@example.com/", OPT_OUT_DOMAIN, 7);
    expect(&listed, "https://badexample.com/", OPT_OUT_NO, 0);
    expect(&listed, "https://example.com.evil.org/", OPT_OUT_NO, 0);
    expect(&listed, "https://evil.org/example.com", OPT_OUT_NO, 0);
    expect(&listed, "https://example.com@evil.org/", OPT_OUT_NO, 0);
    expect(&listed, "http://президент.рф/", OPT_OUT_DOMAIN, 8);
    expect(&listed, "http://xn--d1abbgf6aiiy.xn--p1ai/", OPT_OUT_DOMAIN, 8);
    expect(&listed, "http://letters.ПРЕЗИДЕНТ.РФ/", OPT_OUT_DOMAIN, 8);
    expect(&listed, "http://яндекс.рф/", OPT_OUT_NO, 0);
    expect(&listed, "http://пример.рф/", OPT_OUT_NO, 0);
    expect(&listed, "http://xn--d1acufc.xn--p1ai/", OPT_OUT_DOMAIN, 9);
    expect(&listed, "http://домен.рф/", OPT_OUT_DOMAIN, 9);
    expect(&listed, "http://b.a.co.uk/", OPT_OUT_DOMAIN, 12);
    expect(&listed, "http://co.uk/", OPT_OUT_NO, 0);
    expect(&listed, "ftp://example.com/", OPT_OUT_NO, 0);
    expect(&listed, "example.com", OPT_OUT_NO, 0); /* a name, not a URL */
    expect(&listed, "http://", OPT_OUT_NO, 0);
    expect(&listed, "http://\xFF\xFE/", OPT_OUT_NO, 0);
    arena_destroy(listed.arena);
}

static void a_long_url_still_has_a_domain(void **state)
{
    (void)state;
    static char url[20000] = "https://www.example.com/";
    struct listed listed;
    listed_create(&listed);
    memset(url + strlen(url), 'x', sizeof url - 1 - strlen(url));
    expect(&listed, url, OPT_OUT_DOMAIN, 7);
    memset(url + 8, 'x', sizeof url - 9);
    expect(&listed, url, OPT_OUT_NO, 0);
    arena_destroy(listed.arena);
}

static void entries_that_are_nothing_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"example",
                                      "sha256:12",
                                      "ftp://example.com/",
                                      "exa mple.com",
                                      "https:///path",
                                      "example.com/path",
                                      "\xD0.com\xFF",
                                      "http://",
                                      "...",
                                      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b78"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        struct error error = {0};
        struct arena *arena;
        struct opt_out *list;
        snprintf(text, sizeof text, "example.com\n%s\n", bad[i]);
        assert_ok(arena_create(&arena, 0, &error), error);
        if (opt_out_parse(&list, view_of(text), "the-list", arena, &error) != ERR_FORMAT)
            fail_msg("%s: was taken", bad[i]);
        assert_non_null(strstr(error.text, "the-list: line 2 is '"));
        arena_destroy(arena);
    }
}

static void a_list_is_read_from_a_file(void **state)
{
    (void)state;
    char path[64];
    struct error error = {0};
    struct arena *arena;
    struct opt_out *list;
    snprintf(path, sizeof path, "/tmp/rodnik_opt_out_%d", (int)getpid());
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_int_equal(opt_out_read(&list, path, arena, &error), ERR_IO);
    error = (struct error){0};
    assert_ok(file_write_atomic(path, "\xEF\xBB\xBFпример.рф", 3 + 17, &error), error);
    assert_ok(opt_out_read(&list, path, arena, &error), error);
    assert_int_equal(opt_out_count(list), 1);
    assert_int_equal(opt_out_match(list, NULL, view_of("http://пример.рф/")).line, 1);
    assert_ok(file_write_atomic(path, "", 0, &error), error);
    assert_ok(opt_out_read(&list, path, arena, &error), error);
    assert_int_equal(opt_out_count(list), 0);
    assert_int_equal(opt_out_match(list, NULL, view_of("http://пример.рф/")).line, 0);
    assert_int_equal(unlink(path), 0);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_matched_by_hash),
        cmocka_unit_test(pages_are_matched_by_url),
        cmocka_unit_test(domains_are_matched_with_those_below_them),
        cmocka_unit_test(a_long_url_still_has_a_domain),
        cmocka_unit_test(entries_that_are_nothing_are_refused),
        cmocka_unit_test(a_list_is_read_from_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
