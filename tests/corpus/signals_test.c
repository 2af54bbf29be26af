/* Signals beside a slow and plain count, their file, worst cases. */
#include "support.h"

#include "base/random.h"
#include "corpus/corpus.h"
#include "corpus/signals.h"
#include "text/unicode.h"

struct place {
    struct arena *arena;
    struct signals_work *work;
    struct error error;
};

static void place_create(struct place *out)
{
    *out = (struct place){0};
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
    assert_ok(signals_work_create(&out->work, NULL, out->arena, &out->error), out->error);
}

static void place_destroy(struct place *place)
{
    signals_work_destroy(place->work);
    arena_destroy(place->arena);
}

static struct signals measured(struct place *place, const char *text, size_t len)
{
    struct signals signals;
    assert_ok(signals_measure(&signals, place->work, (struct view){text, len}, &place->error),
              place->error);
    return signals;
}

/* ---- the definitions of docs/signals.md, one after the other, on arrays of code points ---- */

enum { NAIVE_MAX = 20000 };
struct span {
    size_t begin, end; /* code points */
    bool word;
};
struct naive {
    uint32_t c[NAIVE_MAX];
    size_t count;
    struct span token[NAIVE_MAX];
    size_t tokens;
};

static bool is_word(uint32_t c)
{
    enum unicode_kind kind = unicode_kind(c);
    return kind == UNICODE_LETTER || kind == UNICODE_MARK || kind == UNICODE_NUMBER;
}

static bool is_joiner(uint32_t c)
{
    return c == '\'' || c == '-' || c == 0x2019 || c == 0x2010 || c == 0x2011;
}

static void naive_tokens(struct naive *n)
{
    n->tokens = 0;
    for (size_t i = 0; i < n->count;) {
        size_t begin = i;
        if (unicode_kind(n->c[i]) == UNICODE_SPACE) {
            i++;
            continue;
        }
        bool word = is_word(n->c[i]);
        if (!word)
            while (i < n->count && n->c[i] == n->c[begin])
                i++;
        else
            while (i < n->count && (is_word(n->c[i]) || (is_joiner(n->c[i]) && i + 1 < n->count &&
                                                         is_word(n->c[i + 1]))))
                i++;
        n->token[n->tokens++] = (struct span){begin, i, word};
    }
}

static bool same(const struct naive *n, struct span a, struct span b)
{
    return a.end - a.begin == b.end - b.begin &&
           memcmp(n->c + a.begin, n->c + b.begin, (a.end - a.begin) * sizeof *n->c) == 0;
}

static bool same_gram(const struct naive *n, size_t a, size_t b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!same(n, n->token[a + i], n->token[b + i]))
            return false;
    return true;
}

static uint64_t gram_characters(const struct naive *n, size_t at, size_t len)
{
    uint64_t characters = len - 1;
    for (size_t i = 0; i < len; i++)
        characters += n->token[at + i].end - n->token[at + i].begin;
    return characters;
}

static uint64_t naive_top(const struct naive *n, size_t len)
{
    uint64_t best = 0, characters = 0;
    for (size_t i = 0; i + len <= n->tokens; i++) {
        uint64_t count = 0;
        for (size_t j = 0; j + len <= n->tokens; j++)
            count += same_gram(n, i, j, len);
        if (count > best) {
            best = count;
            characters = count * gram_characters(n, i, len);
        }
    }
    return characters;
}

static uint64_t naive_again(const struct naive *n, size_t len)
{
    static size_t seen[NAIVE_MAX];
    size_t seen_count = 0, i = 0;
    uint64_t characters = 0;
    while (i + len <= n->tokens) {
        bool found = false;
        for (size_t k = 0; k < seen_count && !found; k++)
            found = same_gram(n, seen[k], i, len);
        if (found) {
            characters += gram_characters(n, i, len);
            i += len;
        } else
            seen[seen_count++] = i++;
    }
    return characters;
}

static struct span trimmed(const struct naive *n, struct span line)
{
    while (line.begin < line.end &&
           (n->c[line.begin] == ' ' || n->c[line.begin] == '\t' || n->c[line.begin] == 0xA0))
        line.begin++;
    while (line.begin < line.end &&
           (n->c[line.end - 1] == ' ' || n->c[line.end - 1] == '\t' || n->c[line.end - 1] == 0xA0))
        line.end--;
    return line;
}

static bool one_of(uint32_t c, const char *set)
{
    while (*set) {
        uint32_t member;
        set += utf8_decode(&member, set, strlen(set));
        if (member == c)
            return true;
    }
    return false;
}

static void naive_line(struct signals *out, const struct naive *n, struct span line)
{
    uint32_t first = n->c[line.begin], last = n->c[line.end - 1];
    bool dots = line.end - line.begin >= 3 && n->c[line.end - 2] == '.' && last == '.' &&
                n->c[line.end - 3] == '.';
    out->lines++;
    out->lines_short += line.end - line.begin <= 30;
    out->lines_end_narrow += one_of(last, ".!?。！？");
    out->lines_end += one_of(last, ".!?。！？…:;»\"”“)");
    out->lines_bullet += one_of(first, "•-");
    out->lines_dash += one_of(first, "—–―-");
    out->lines_ellipsis += last == 0x2026 || dots;
}

static void naive_lines(struct signals *out, const struct naive *n)
{
    static struct span before[NAIVE_MAX];
    size_t count = 0;
    for (size_t i = 0; i <= n->count; i++) {
        size_t begin = i;
        while (i < n->count && n->c[i] != '\n')
            i++;
        struct span line = trimmed(n, (struct span){begin, i, false});
        if (line.begin == line.end)
            continue;
        naive_line(out, n, line);
        for (size_t k = 0; k < count; k++)
            if (same(n, before[k], line)) {
                out->lines_again++;
                out->lines_again_characters += line.end - line.begin;
                break;
            }
        before[count++] = line;
    }
}

static void naive_paragraphs(struct signals *out, const struct naive *n)
{
    static struct span before[NAIVE_MAX];
    size_t count = 0, i = 0;
    while (i < n->count) {
        while (i < n->count && n->c[i] == '\n')
            i++;
        struct span paragraph = {i, i, false};
        while (i < n->count && !(n->c[i] == '\n' && (i + 1 == n->count || n->c[i + 1] == '\n')))
            i++;
        paragraph.end = i;
        bool blank = true;
        for (size_t k = paragraph.begin; k < paragraph.end; k++)
            blank = blank && one_of(n->c[k], " \t\n\u00A0");
        if (blank)
            continue;
        out->paragraphs++;
        for (size_t k = 0; k < count; k++)
            if (same(n, before[k], paragraph)) {
                out->paragraphs_again++;
                out->paragraphs_again_characters += paragraph.end - paragraph.begin;
                break;
            }
        before[count++] = paragraph;
    }
}

static void naive_characters(struct signals *out, const struct naive *n)
{
    out->characters = out->measured_characters = n->count;
    for (size_t i = 0; i < n->count; i++) {
        uint32_t c = n->c[i];
        enum unicode_kind kind = unicode_kind(c);
        out->letters += kind == UNICODE_LETTER;
        out->upper += unicode_is_upper(c);
        out->digits += kind == UNICODE_NUMBER;
        out->spaces += kind == UNICODE_SPACE;
        out->damaged += c == 0xFFFD || (c >= 0xE000 && c < 0xF900);
        out->hashes += c == '#';
        out->braces += c == '{' || c == '}';
        out->newlines += c == '\n';
    }
}

static const char *const stop_words[] = {
    "в",  "и",     "на",  "с",  "года", "по",  "году", "из",   "был",  "к",
    "не", "от",    "что", "за", "для",  "его", "как",  "а",    "он",   "также",
    "до", "после", "the", "be", "to",   "of",  "and",  "that", "have", "with"};

static void naive_stop_words(struct signals *out, const struct naive *n)
{
    for (size_t w = 0; w < sizeof stop_words / sizeof *stop_words; w++) {
        uint32_t c[8];
        size_t len = 0, hits = 0;
        for (const char *at = stop_words[w]; *at; len++)
            at += utf8_decode(&c[len], at, strlen(at));
        for (size_t t = 0; t < n->tokens; t++)
            hits += n->token[t].end - n->token[t].begin == len &&
                    memcmp(n->c + n->token[t].begin, c, len * sizeof *c) == 0;
        out->stop_hits += hits;
        *(w < 22 ? &out->stop_ru : &out->stop_en) += hits > 0;
    }
}

static void naive_words(struct signals *out, const struct naive *n)
{
    out->tokens = n->tokens;
    for (size_t t = 0; t < n->tokens; t++) {
        struct span token = n->token[t];
        uint64_t characters = token.end - token.begin;
        if (!token.word) {
            out->ellipses += n->c[token.begin] == 0x2026 ? characters : 0;
            out->ellipses += n->c[token.begin] == '.' && characters >= 3;
            continue;
        }
        bool letter = false;
        for (size_t i = token.begin; i < token.end; i++)
            letter = letter || unicode_kind(n->c[i]) == UNICODE_LETTER;
        out->words++;
        out->word_characters += characters;
        out->word_longest = characters > out->word_longest ? characters : out->word_longest;
        out->words_alphabetic += letter;
    }
    naive_stop_words(out, n);
}

static struct signals naive_measured(const char *text, size_t len)
{
    static struct naive n;
    struct signals out = {.bytes = len};
    n.count = 0;
    for (size_t at = 0; at < len;)
        at += utf8_decode(&n.c[n.count++], text + at, len - at);
    naive_tokens(&n);
    naive_characters(&out, &n);
    naive_words(&out, &n);
    naive_lines(&out, &n);
    naive_paragraphs(&out, &n);
    uint64_t *tops[] = {&out.top_2, &out.top_3, &out.top_4};
    uint64_t *agains[] = {&out.again_5, &out.again_6, &out.again_7,
                          &out.again_8, &out.again_9, &out.again_10};
    for (size_t i = 0; i < 3; i++)
        *tops[i] = naive_top(&n, i + 2);
    for (size_t i = 0; i < 6; i++)
        *agains[i] = naive_again(&n, i + 5);
    return out;
}

static void expect_equal(const struct signals *fast, const struct signals *slow, const char *text)
{
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (signals_value(fast, i) != signals_value(slow, i))
            fail_msg("%s is %llu, by the plain count %llu, in:\n%s", signals_name(i),
                     (unsigned long long)signals_value(fast, i),
                     (unsigned long long)signals_value(slow, i), text);
}

/* ---- tests ---- */

static void counts_are_those_of_the_plain_definitions(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "мама",
        "мыла",
        "раму",
        "и",
        "в",
        "не",
        "The",
        "the",
        "with",
        "кто-то",
        "д'Артаньян",
        "Ё",
        "ЖУК",
        "12",
        "3.14",
        "...",
        "…",
        "—",
        "- ",
        "• ",
        "«",
        "»",
        "\"",
        "(",
        ")",
        ".",
        "!",
        "?",
        ":",
        ";",
        ",",
        "#",
        "##",
        "{",
        "}",
        " ",
        " ",
        " ",
        " ",
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\n \n",
        "\t",
        "\u00A0",
        "\uFFFD",
        "\uE000",
        "e\u0301",
        "漢字",
        "。",
        "^",
        "--",
        "'",
        "-",
        "Привет, мир.\n",
        "\n\nАбзац второй раз\nи ещё строка.\n\n",
        "один два три четыре пять шесть семь восемь девять десять "};
    enum { PIECES = sizeof pieces / sizeof *pieces };
    struct place place;
    char text[NAIVE_MAX];
    place_create(&place);
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct random_key key = {seed, RANDOM_TEST, 1};
        size_t len = 0, count = (size_t)random_below(key, 0, 160);
        uint64_t kinds = 2 + random_below(key, 1, PIECES - 2); /* few kinds repeat a lot */
        for (size_t i = 0; i < count; i++) {
            uint64_t pick = (random_below(key, 2 + i, kinds) * 7 + seed) % PIECES;
            memcpy(text + len, pieces[pick], strlen(pieces[pick]));
            len += strlen(pieces[pick]);
        }
        text[len] = 0;
        struct signals fast = measured(&place, text, len), slow = naive_measured(text, len);
        expect_equal(&fast, &slow, text);
    }
    place_destroy(&place);
}

static void a_known_text_has_the_counts_one_finds_by_hand(void **state)
{
    (void)state;
    static const char text[] = "— Кто там? — спросил он.\n— Я…\n\nКто там? Кто там?\n— Я…";
    struct place place;
    place_create(&place);
    struct signals s = measured(&place, text, sizeof text - 1);
    assert_int_equal(s.words, 10);
    assert_int_equal(s.words_alphabetic, 10);
    assert_int_equal(s.tokens, 20);
    assert_int_equal(s.lines, 4);
    assert_int_equal(s.lines_dash, 3);
    assert_int_equal(s.lines_end, 4);
    assert_int_equal(s.lines_end_narrow, 2);
    assert_int_equal(s.lines_again, 1);
    assert_int_equal(s.lines_again_characters, 4);
    assert_int_equal(s.newlines, 4);
    assert_int_equal(s.stop_ru, 1);
    assert_int_equal(s.ellipses, 2);
    assert_int_equal(s.top_3, 3 * 9); /* "Кто там ?" three times */
    place_destroy(&place);
}

static void endless_texts_take_a_moment(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    static const char *const units[] = {"^",    "а",  "a ",  "^ ",   "\n",  "a\n",
                                        "\n\n", "-a", "...", "\xFF", "\xD0"};
    struct place place;
    place_create(&place);
    char *text = arena_alloc(place.arena, BYTES, 1, &place.error);
    assert_non_null(text);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t unit = strlen(units[u]), len = 0;
        for (; len + unit <= BYTES; len += unit)
            memcpy(text + len, units[u], unit);
        struct signals s = measured(&place, text, len);
        assert_int_equal(s.bytes, len);
        assert_true(s.measured_characters <= s.characters);
        assert_true(s.tokens <= s.characters);
    }
    place_destroy(&place);
}

static void any_bytes_are_measured(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct random_key key = {seed, RANDOM_TEST, 2};
        size_t len = (size_t)random_below(key, 0, 300);
        char *text = test_malloc(len + 1);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)random_below(key, i + 1, 256);
        struct signals s = measured(&place, text, len);
        assert_int_equal(s.bytes, len);
        assert_true(s.letters + s.digits + s.spaces <= s.characters && s.characters <= len);
        test_free(text);
    }
    place_destroy(&place);
}

/* ---- the file ---- */

static struct view write_file(struct place *place, char path[64], size_t records)
{
    struct signals_writer writer;
    struct view file;
    struct language_model *model;
    strcpy(path, "/tmp/rodnik-signals-XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    assert_ok(language_open_own(&model, place->arena, &place->error), place->error);
    assert_ok(signals_writer_open(&writer, path, model, &place->error), place->error);
    for (size_t i = 0; i < records; i++) {
        struct signals s = {.bytes = i, .again_10 = UINT64_MAX - i, .language = i % 3};
        struct sha256 hash = sha256_of(&i, sizeof i);
        assert_ok(signals_writer_add(&writer, &hash, &s, &place->error), place->error);
    }
    assert_ok(signals_writer_commit(&writer, &place->error), place->error);
    assert_ok(file_read(&file, path, 1 << 20, place->arena, &place->error), place->error);
    return file;
}

static void records_come_back_as_they_were_written(void **state)
{
    (void)state;
    struct place place;
    struct signals_reader reader;
    char path[64];
    place_create(&place);
    struct view file = write_file(&place, path, 100);
    assert_ok(signals_reader_open(&reader, file, path, &place.error), place.error);
    assert_int_equal(reader.records, 100);
    for (size_t i = 0; i < 101; i++) {
        bool more;
        struct sha256 hash, want = sha256_of(&i, sizeof i);
        struct signals s;
        assert_ok(signals_reader_next(&more, &hash, &s, &reader, &place.error), place.error);
        assert_int_equal(more, i < 100);
        if (!more)
            break;
        struct signals back = {.bytes = i, .again_10 = UINT64_MAX - i, .language = i % 3};
        assert_memory_equal(&s, &back, sizeof s);
        assert_true(sha256_equal(&hash, &want));
        assert_string_equal(signals_language(&reader, &s), i % 3 == 0   ? "none"
                                                           : i % 3 == 1 ? reader.label[0]
                                                                        : reader.label[1]);
    }
    unlink(path);
    place_destroy(&place);
}

static void every_cut_and_every_changed_byte_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct signals_reader reader;
    char path[64];
    place_create(&place);
    struct view file = write_file(&place, path, 5);
    char *bytes = (char *)(uintptr_t)file.data;
    for (size_t i = 0; i < file.len; i++) {
        struct error error = {0};
        assert_int_equal(signals_reader_open(&reader, (struct view){bytes, i}, path, &error),
                         ERR_FORMAT);
        error = (struct error){0};
        bytes[i] ^= 0x20;
        assert_int_equal(signals_reader_open(&reader, file, path, &error), ERR_FORMAT);
        bytes[i] ^= 0x20;
    }
    unlink(path);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_of_the_plain_definitions),
        cmocka_unit_test(a_known_text_has_the_counts_one_finds_by_hand),
        cmocka_unit_test(endless_texts_take_a_moment),
        cmocka_unit_test(any_bytes_are_measured),
        cmocka_unit_test(records_come_back_as_they_were_written),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
