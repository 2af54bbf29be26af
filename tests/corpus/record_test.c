/* Lines of JSON: what is read in one go is what cJSON reads, for good lines and for hostile
 * ones. */
#include "support.h"

#include "base/arena.h"
#include "base/random.h"
#include "corpus/corpus.h"

struct place {
    struct arena *arena;
    struct buffer room;
};

static void place_create(struct place *place)
{
    struct error error = {0};
    assert_ok(arena_create(&place->arena, 64 << 20, &error), error);
    buffer_create(&place->room, 1 << 20);
}

static void place_destroy(struct place *place)
{
    buffer_destroy(&place->room);
    arena_destroy(place->arena);
}

static bool same_string(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_record(const struct record *a, const struct record *b)
{
    return view_equal(a->text, b->text) && same_string(a->id, b->id) &&
           same_string(a->source, b->source) && same_string(a->license, b->license) &&
           same_string(a->url, b->url) && same_string(a->title, b->title);
}

/* True when the line is a record. */
static bool expect_same(struct place *place, struct view line, const char *field)
{
    struct record fast = {.id = NULL}, slow = {.id = NULL};
    const char *fast_reason = "none", *slow_reason = "none";
    arena_reset(place->arena);
    /* of exactly its length, so that a sanitizer sees a step beyond it */
    char *copy = malloc(line.len ? line.len : 1);
    if (line.len)
        memcpy(copy, line.data, line.len);
    struct view own = {copy, line.len};
    bool good = record_parse(&fast, &fast_reason, own, field, &place->room, place->arena);
    bool wanted = record_parse_slowly(&slow, &slow_reason, own, field, place->arena);
    free(copy);
    if (good != wanted || (good ? !same_record(&fast, &slow) : strcmp(fast_reason, slow_reason)))
        fail_msg("%.*s\nis read as %s, by cJSON as %s", (int)line.len, line.data,
                 good ? fast.text.data : fast_reason, wanted ? slow.text.data : slow_reason);
    return good;
}

static void members_are_found_wherever_they_stand(void **state)
{
    (void)state;
    struct place place;
    struct record record;
    const char *reason;
    place_create(&place);
    struct view line = view_of(
        "{ \"n\" : -1.5e+3, \"meta\": {\"text\":\"inner\", \"a\":[1,[],{}, null]}, \"id\":\"7\",\n"
        "\"text\":\"\\u043f\\u0440\\t\\ud83d\\ude00 \\\"q\\\" \\\\ \\/\", "
        "\"te\\u0078t\":\"second\","
        "\"source\":\"\", \"license\":null, \"url\":\"http:\\/\\/a\", \"title\":\"T\" } rest");
    assert_true(record_parse(&record, &reason, line, "text", &place.room, place.arena));
    assert_string_equal(record.text.data, "пр\t😀 \"q\" \\ /");
    assert_int_equal(record.text.len, strlen(record.text.data));
    assert_string_equal(record.id, "7");
    assert_null(record.source);
    assert_null(record.license);
    assert_string_equal(record.url, "http://a");
    assert_string_equal(record.title, "T");
    assert_true(expect_same(&place, line, "text"));
    assert_true(expect_same(&place, line, "title")); /* one string for two members */
    assert_false(expect_same(&place, line, "n"));
    assert_false(expect_same(&place, line, "none"));
    place_destroy(&place);
}

static void odd_lines_are_read_as_cjson_reads_them(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        " ",
        "{",
        "{}",
        "[]",
        "null",
        "\"text\"",
        "{\"text\"}",
        "{\"text\":}",
        "{\"text\":\"",
        "{\"text\":\"a",
        "{\"text\":\"a\"",
        "{\"text\":\"a\",}",
        "{\"text\":\"a\" \"id\":\"b\"}",
        "{\"text\":\"a\"}}",
        "{\"text\":\"a\"} x",
        "{\"text\":\"a\\\"}",
        "{\"text\":\"\\q\"}",
        "{\"text\":\"\\u12\"}",
        "{\"text\":\"\\u12g4\"}",
        "{\"text\":\"a\\u0000b\"}",
        "{\"text\":\"\\ud800\"}",
        "{\"text\":\"\\ud800\\u0041\"}",
        "{\"text\":\"\\udc00\"}",
        "{\"text\":\"\\ud83d\\ude0\"}",
        "{\"text\":\"\\uD83D\\uDE00\"}",
        "{\"text\":\"\\u00\"}",
        "{\"text\":\"\"}",
        "{\"text\":3,\"text\":\"b\"}",
        "{\"text\":\"a\",\"text\":3}",
        "{\"id\":3,\"id\":\"b\",\"text\":\"a\"}",
        "{\"text\\u0000x\":\"a\"}",
        "{\"a\":01,\"text\":\"b\"}",
        "{\"a\":1.,\"text\":\"b\"}",
        "{\"a\":-,\"text\":\"b\"}",
        "{\"a\":.5,\"text\":\"b\"}",
        "{\"a\":1e,\"text\":\"b\"}",
        "{\"a\":1-2,\"text\":\"b\"}",
        "{\"a\":+1,\"text\":\"b\"}",
        "{\"a\":0x1,\"text\":\"b\"}",
        "{\"a\":1e5E,\"text\":\"b\"}",
        "{\"a\":nul,\"text\":\"b\"}",
        "{\"a\":nullx,\"text\":\"b\"}",
        "{\"a\":tru",
        "{\"a\":[1,],\"text\":\"b\"}",
        "{\"a\":[,1],\"text\":\"b\"}",
        "{\"a\":[1 2],\"text\":\"b\"}",
        "{\"a\":{\"b\":},\"text\":\"b\"}",
        "{\"a\":[}],\"text\":\"b\"}",
        "{,\"text\":\"b\"}",
        "{\"text\":\"raw\ttab\"}",
        "{\"text\":\"\x80\xff\"}",
        "\xEF\xBB\xBF{\"text\":\"a\"}",
        "\f{\"text\":\"a\"}",
        "{\"text\"\v:\"a\"}",
        "{\"Text\":\"a\"}",
        "{\"\":\"a\",\"text\":\"\"}",
        ("{\"a\":1234567890123456789012345678901234567890123456789012345678901234567890,"
         "\"text\":\"b\"}"),
        "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]],\"text\":\"b\"}",
    };
    struct place place;
    size_t good = 0;
    place_create(&place);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        good += expect_same(&place, view_of(lines[i]), "text");
    assert_true(good > 15); /* neither all nor none of them are records */
    static const char zero[] = "{\"text\":\"a\0b\",\"id\":\"c\"}";
    expect_same(&place, (struct view){zero, sizeof zero - 1}, "text");
    place_destroy(&place);
}

/* ---- random lines ---- */

struct line {
    char text[4096];
    size_t len;
    struct random_key key;
    uint64_t draws;
};

static uint64_t draw(struct line *line, uint64_t limit)
{
    return random_below(line->key, line->draws++, limit);
}

static void put(struct line *line, const char *piece)
{
    memcpy(line->text + line->len, piece, strlen(piece));
    line->len += strlen(piece);
}

/* One piece in forty is not what JSON wants there. */
static void put_one(struct line *line, const char *const *pieces, size_t count)
{
    static const char *const faults[] = {"{",       "}",       "[",  "]", ",",    ":",
                                         "\"",      "\\",      "\f", "+", "\x01", "\xff",
                                         "\\u0000", "\\udc00", "",   "0", "a",    "\"text\":"};
    bool fault = draw(line, 40) == 0;
    put(line,
        fault ? faults[draw(line, sizeof faults / sizeof *faults)] : pieces[draw(line, count)]);
}

static void put_string(struct line *line)
{
    static const char *const pieces[] = {"a",       "слово", " ",    "\\n",
                                         "\\\"",    "\\\\",  "\\/",  "\\u0416",
                                         "\\u00e9", "\t",    "\xd0", "\\ud83d\\ude00"};
    put_one(line, (const char *const[]){"\""}, 1);
    for (uint64_t i = draw(line, 6); i > 0; i--)
        put_one(line, pieces, sizeof pieces / sizeof *pieces);
    put_one(line, (const char *const[]){"\""}, 1);
}

static void put_value(struct line *line)
{
    static const char *const pieces[] = {
        "null",          "true", "false", "0",      "-12.5e3",
        "1e999",         "{}",   "[]",    "[1, 2]", "{\"text\":\"t\"}",
        "{\"a\" : [ ] }"};
    if (draw(line, 3))
        put_string(line);
    else
        put_one(line, pieces, sizeof pieces / sizeof *pieces);
}

static void put_line(struct line *line)
{
    static const char *const names[] = {"\"text\"", "\"id\"",   "\"url\"", "\"title\"",
                                        "\"x\"",    "\"text\"", "\"\"",    "\"te\\u0078t\""};
    static const char *const spaces[] = {"", "", "", " ", "\n"};
    put_one(line, (const char *const[]){"{"}, 1);
    for (uint64_t left = draw(line, 6) + 1; left > 0; left--) {
        put_one(line, spaces, 5);
        put_one(line, names, sizeof names / sizeof *names);
        put_one(line, spaces, 5);
        put_one(line, (const char *const[]){":"}, 1);
        put_one(line, spaces, 5);
        put_value(line);
        put_one(line, spaces, 5);
        put_one(line, (const char *const[]){left > 1 ? "," : "}"}, 1);
    }
}

static void random_lines_are_read_as_cjson_reads_them(void **state)
{
    (void)state;
    enum { LINES = 100000 };
    struct place place;
    static struct line line;
    size_t good = 0;
    place_create(&place);
    for (uint64_t i = 0; i < LINES; i++) {
        line = (struct line){.key = {1, RANDOM_TEST, i}};
        put_line(&line);
        good += expect_same(&place, (struct view){line.text, line.len}, "text");
    }
    assert_true(good > LINES / 10 && good < LINES / 10 * 9);
    place_destroy(&place);
}

/* A good line with a byte changed, left out, or cut: every place of it is met. */
static void spoilt_lines_are_read_as_cjson_reads_them(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"id\":\"a\\u0031\",\"n\":-1.25e-2,\"o\":{\"k\":[true,null,\"\\ud83d\\ude00\"]},"
        "\"text\":\"\\u0422\\u0435кст \\\"x\\\" \\\\\\n\",\"title\":\"\\t\",\"url\":\"u\"}";
    struct place place;
    char line[sizeof whole];
    size_t len = sizeof whole - 1, good = 0;
    place_create(&place);
    for (size_t at = 0; at < len; at++) {
        good += expect_same(&place, (struct view){whole, at}, "text");
        memcpy(line, whole, at);
        memcpy(line + at, whole + at + 1, len - at - 1);
        good += expect_same(&place, (struct view){line, len - 1}, "text");
        for (int byte = 0; byte < 256; byte++) {
            memcpy(line, whole, len);
            line[at] = (char)byte;
            good += expect_same(&place, (struct view){line, len}, "text");
        }
    }
    assert_true(good > 1000);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_wherever_they_stand),
        cmocka_unit_test(odd_lines_are_read_as_cjson_reads_them),
        cmocka_unit_test(random_lines_are_read_as_cjson_reads_them),
        cmocka_unit_test(spoilt_lines_are_read_as_cjson_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
