/* Main text of pages: jusText's rules one by one, and F1 on pages with hand-marked main text beside
 * a stripper of tags that shares no code with the reader. */
#include "support.h"

#include <dirent.h>
#include <zlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"
#include "corpus/corpus.h"
#include "corpus/reader.h"

static const char samples[] = "../shared/data/raw_samples", truths[] = "tests/corpus/truth";

/* ---- reading in this process ---- */

struct result {
    struct buffer text;
    char refused[300], title[300];
};

static bool begin(void *context, const char **reason)
{
    (void)context, (void)reason;
    return true;
}

static status end(void *context, struct error *error)
{
    (void)context, (void)error;
    return OK;
}

static status document(void *context, const struct found *found, struct error *error)
{
    struct result *result = context;
    snprintf(result->title, sizeof result->title, "%.*s", (int)found->title.len, found->title.data);
    return buffer_append(&result->text, found->text.data, found->text.len, error);
}

static status refuse(void *context, struct view what, const char *reason, struct error *error)
{
    (void)what, (void)error;
    struct result *result = context;
    snprintf(result->refused, sizeof result->refused, "%s", reason);
    return OK;
}

static void read_page(struct result *out, struct view page, bool whole)
{
    struct error error = {0};
    struct reading_options options = {.text_field = "text", .whole_pages = whole};
    struct reading_sink sink = {out, begin, end, document, refuse, document};
    *out = (struct result){.refused = ""};
    buffer_create(&out->text, 64 << 20);
    assert_ok(reading_run(&options, &sink, view_of("page.html"), page, &error), error);
}

/* ---- the rules ---- */

/* clang-format off */
#define RUSSIAN                                                                                \
    "Когда они вышли из дома, на улице было уже совсем темно, и только в окнах напротив ещё "  \
    "горел свет, потому что там никто не спал и все ждали, что он вот-вот вернётся, как "      \
    "обещал, и расскажет им о том, что с ним было в эти дни и почему он так долго не писал."
#define ENGLISH                                                                                \
    "When they had left the house it was already dark in the street, and there was a light "   \
    "only in the windows on the other side, because nobody was asleep there and all of them "  \
    "were waiting for him to come back, as he had said he would, and tell them what had been."
/* clang-format on */

static void expect_text(const char *page, bool whole, const char *text)
{
    struct result result;
    read_page(&result, view_of(page), whole);
    assert_string_equal(result.text.data ? result.text.data : result.refused, text);
    buffer_destroy(&result.text);
}

static void running_text_stays_and_navigation_goes(void **state)
{
    (void)state;
    expect_text("<html><title>T</title><body><ul><li><a href=/>Home</a><li><a href=/a>About "
                "us</a></ul><h1>Заголовок</h1><p>" RUSSIAN "</p><p>" ENGLISH
                "</p><script>var a='<p>" RUSSIAN "';</script><footer><p>" RUSSIAN
                "</p></footer><div class='site-footer'>" ENGLISH "</div></body></html>",
                false, "Заголовок\n" RUSSIAN "\n" ENGLISH "\n");
}

static void a_page_of_links_is_refused(void **state)
{
    (void)state;
    expect_text("<html><body><a href=/>" RUSSIAN "</a><br><br><a href=/2>" ENGLISH "</a></html>",
                false, "is a page without main text (2 other paragraphs)");
}

static void breaks_spaces_and_references_become_text(void **state)
{
    (void)state;
    expect_text("<p>one  <b>two</b>\n three<br>four<br><br>five &laquo;six&raquo; &#1078;&#x436; "
                "&amp;lt; &nope; AT&T 1 < 2</p><pre>a\n  b</pre><!-- no --><style>no</style>"
                "<p hidden>no</p>",
                true, "one two three\nfour\nfive «six» жж &lt; &nope; AT&T 1 < 2\na\n  b\n");
}

static void broken_markup_costs_little(void **state)
{
    (void)state;
    expect_text("<p>one<p>two</i></div></p><a href=\"x>three", true, "one\ntwo\n");
    expect_text("<p>one <b <i>two</p><3", true, "one two\n<3\n");
    expect_text("<p>one</p><!-- open", true, "one\n");
    expect_text("<script>if (a < b) x('</p>')</script ><p>text", true, "text\n");
}

static void the_said_encoding_is_checked(void **state)
{
    (void)state;
    static const char right[] =
        "<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea "
        "\xe4\xe5\xeb\xe0",
                      wrong[] = "<meta charset=koi8-r><p>\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea "
                                "\xe4\xe5\xeb\xe0",
                      utf8[] = "<meta charset=windows-1251><p>Привет, как дела";
    expect_text(right, true, "Привет, как дела\n");
    expect_text(wrong, true, "Привет, как дела\n");
    expect_text(utf8, true, "Привет, как дела\n");
}

static void a_long_page_takes_linear_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<",       "<a ",  "<a href='", "<p>",      "&",
                                         "&#1",     "<!--", "</",        "<script>", "<![CDATA[",
                                         "<b x=\"", "<br>", "<td><nav>"};
    struct error error = {0};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct buffer page;
        struct result result;
        buffer_create(&page, 64 << 20);
        assert_ok(buffer_string(&page, "<html>", &error), error);
        while (page.len < 4 << 20)
            assert_ok(buffer_string(&page, pieces[i], &error), error);
        double start = time_monotonic_s();
        read_page(&result, (struct view){page.data, page.len}, i % 2);
        if (time_monotonic_s() - start > 10)
            fail_msg("four megabytes of %s take %g s", pieces[i], time_monotonic_s() - start);
        buffer_destroy(&result.text);
        buffer_destroy(&page);
    }
}

/* ---- F1 ---- */

enum { WORDS_MAX = 1 << 20, PAGES_MAX = 100, RANGES_MAX = 8 };

struct words {
    uint64_t *hash;
    size_t count;
};

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool is_word_byte(const char *at)
{
    unsigned char c = (unsigned char)*at;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= 0x80 && c != 0xC2 && c != 0xE2 && (unsigned char)at[-1] != 0xC2 &&
            (unsigned char)at[-1] != 0xE2 && !((unsigned char)at[-2] == 0xE2));
}

/* The text stands behind two bytes that are no part of it. */
static struct words words_of(const char *text, size_t len)
{
    struct words words = {malloc(WORDS_MAX * sizeof *words.hash), 0};
    for (size_t at = 0; at < len;) {
        size_t begin = at;
        while (at < len && is_word_byte(text + at))
            at++;
        if (at > begin && words.count < WORDS_MAX)
            words.hash[words.count++] = hash64(text + begin, at - begin, 0);
        at += at == begin;
    }
    qsort(words.hash, words.count, sizeof *words.hash, by_value);
    return words;
}

struct score {
    double precision, recall, f1;
};

static struct score score_of(struct words found, struct words truth)
{
    size_t same = 0;
    for (size_t i = 0, j = 0; i < found.count && j < truth.count;) {
        same += found.hash[i] == truth.hash[j];
        if (found.hash[i] == truth.hash[j])
            i++, j++;
        else if (found.hash[i] < truth.hash[j])
            i++;
        else
            j++;
    }
    struct score score = {0};
    if (found.count)
        score.precision = (double)same / (double)found.count;
    if (truth.count)
        score.recall = (double)same / (double)truth.count;
    if (same)
        score.f1 = 2 * score.precision * score.recall / (score.precision + score.recall);
    return score;
}

/* Tags, scripts, styles, comments and the commonest references out; two bytes before. */
static struct buffer strip(struct view page)
{
    struct buffer out;
    struct error error = {0};
    const char *at = page.data, *stop = page.data + page.len;
    buffer_create(&out, 64 << 20);
    assert_ok(buffer_append(&out, "  ", 2, &error), error);
    while (at < stop) {
        const char *close = NULL;
        if (stop - at > 6 && memcmp(at, "<!--", 4) == 0)
            close = memmem(at, (size_t)(stop - at), "-->", 3);
        else if (stop - at > 7 && strncasecmp(at, "<script", 7) == 0)
            close = memmem(at, (size_t)(stop - at), "</script", 8);
        else if (stop - at > 6 && strncasecmp(at, "<style", 6) == 0)
            close = memmem(at, (size_t)(stop - at), "</style", 7);
        if (close)
            at = close;
        else if (*at == '<' || *at == '&') {
            const char *over = memchr(at, *at == '<' ? '>' : ';', (size_t)(stop - at));
            at = over ? over + 1 : stop;
            assert_ok(buffer_append(&out, " ", 1, &error), error);
        } else
            assert_ok(buffer_append(&out, at++, 1, &error), error);
    }
    return out;
}

struct truth {
    char hash[17];
    size_t begin[RANGES_MAX], end[RANGES_MAX], ranges;
};

static bool find_truth(struct truth *out, struct view page)
{
    char path[300], hex[SHA256_HEX_BYTES], name[200];
    struct sha256 hash = sha256_of(page.data, page.len);
    sha256_hex(hex, &hash);
    *out = (struct truth){.ranges = 0};
    snprintf(path, sizeof path, "%s/%.16s.txt", truths, hex);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    while (out->ranges < RANGES_MAX && fscanf(file, "%199s %zu %zu", name, &out->begin[out->ranges],
                                              &out->end[out->ranges]) == 3)
        out->ranges++;
    fclose(file);
    return out->ranges > 0;
}

struct table {
    size_t pages;
    struct score main, stripped;
};

static void add_score(struct score *sum, struct score each)
{
    sum->precision += each.precision;
    sum->recall += each.recall;
    sum->f1 += each.f1;
}

static struct view decoded(struct buffer *out, struct view bytes, struct view whole)
{
    struct error error = {0};
    enum text_encoding encoding = encoding_detect(whole);
    buffer_create(out, 64 << 20);
    assert_ok(encoding_decode(out, bytes, encoding, &error), error);
    return (struct view){out->data, out->len};
}

static void score_text(struct score *sum, struct view text, struct words truth)
{
    char *padded = malloc(text.len + 2);
    memcpy(padded, "  ", 2);
    if (text.len)
        memcpy(padded + 2, text.data, text.len);
    struct words words = words_of(padded + 2, text.len);
    add_score(sum, score_of(words, truth));
    free(words.hash);
    free(padded);
}

static void score_page(struct table *table, struct view page)
{
    struct truth truth;
    struct result result;
    struct error error = {0};
    struct buffer marked, bytes, plain;
    if (!find_truth(&truth, page))
        return;
    buffer_create(&marked, 64 << 20);
    for (size_t i = 0; i < truth.ranges; i++)
        assert_ok(buffer_append(&marked, page.data + truth.begin[i], truth.end[i] - truth.begin[i],
                                &error),
                  error);
    struct buffer right = strip(decoded(&bytes, (struct view){marked.data, marked.len}, page));
    struct words words = words_of(right.data + 2, right.len - 2);
    struct buffer all = strip(decoded(&plain, page, page));
    read_page(&result, page, false);
    struct score before = table->main;
    score_text(&table->main, (struct view){result.text.data, result.text.len}, words);
    score_text(&table->stripped, (struct view){all.data + 2, all.len - 2}, words);
    table->pages++;
    if (getenv("RODNIK_TEST_VERBOSE"))
        print_message("%s f1 %.3f precision %.3f recall %.3f\n", result.title,
                      table->main.f1 - before.f1, table->main.precision - before.precision,
                      table->main.recall - before.recall);
    free(words.hash);
    struct buffer *const buffers[] = {&marked, &bytes, &plain, &right, &all, &result.text};
    for (size_t i = 0; i < 6; i++)
        buffer_destroy(buffers[i]);
}

static void score_folder(struct table *table, const char *name)
{
    char folder[300], **names;
    size_t count;
    struct arena *arena;
    struct error error = {0};
    snprintf(folder, sizeof folder, "%s/%s", samples, name);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(folder_list(&names, &count, folder, arena, &error), error);
    for (size_t i = 0; i < count; i++) {
        char path[600];
        struct view page;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_ok(file_read(&page, path, 64 << 20, arena, &error), error);
        score_page(table, page);
    }
    arena_destroy(arena);
}

/* Bodies of the answers, by a search that knows this file only. */
static void score_answers(struct table *table)
{
    enum { SIZE = 16 << 20 };
    static char bytes[SIZE];
    char path[300];
    snprintf(path, sizeof path, "%s/warc/ru_pages.warc.gz", samples);
    gzFile file = gzopen(path, "rb");
    size_t len = 0;
    for (int got; (got = gzread(file, bytes + len, SIZE - (unsigned)len)) > 0;)
        len += (size_t)got;
    gzclose(file);
    struct view rest = {bytes, len};
    for (const char *at; (at = memmem(rest.data, rest.len, "\r\nHTTP/1.1 200", 14));) {
        const char *said = strstr(at, "Content-Length: ");
        const char *body = strstr(at + 2, "\r\n\r\n") + 4;
        size_t size = (size_t)atol(said + 16);
        score_page(table, (struct view){body, size});
        rest = (struct view){body + size, (size_t)(bytes + len - body) - size};
    }
}

static void print_score(const char *name, struct score sum, double pages)
{
    print_message("%-20s precision %.3f recall %.3f F1 %.3f\n", name, sum.precision / pages,
                  sum.recall / pages, sum.f1 / pages);
}

static void main_text_is_found_on_marked_pages(void **state)
{
    (void)state;
    struct table table = {0};
    if (!folder_exists(samples))
        skip_because("%s is not here", samples);
    score_folder(&table, "html");
    score_folder(&table, "html_koi8r");
    score_answers(&table);
    print_message("%zu pages, means over pages\n", table.pages);
    print_score("main text", table.main, (double)table.pages);
    print_score("stripper of tags", table.stripped, (double)table.pages);
    assert_true(table.pages >= 30);
    assert_true(table.main.f1 > 0.93 * (double)table.pages);
    assert_true(table.main.f1 > table.stripped.f1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_text_stays_and_navigation_goes),
        cmocka_unit_test(a_page_of_links_is_refused),
        cmocka_unit_test(breaks_spaces_and_references_become_text),
        cmocka_unit_test(broken_markup_costs_little),
        cmocka_unit_test(the_said_encoding_is_checked),
        cmocka_unit_test(a_long_page_takes_linear_time),
        cmocka_unit_test(main_text_is_found_on_marked_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
