#include <errno.h>

#include "tokenizer/samples.h"

/* ---- a small tokenizer, and its file as text --------------------------------- */

struct fixture {
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct buffer json;
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, 1 << 20);
    append_prose(&text, 1, 2000);
    assert_ok(arena_create(&fixture.arena, 0, &error), error);
    fixture.tokenizer = sample_tokenizer(fixture.arena, (struct view){text.data, text.len}, 400);
    buffer_create(&fixture.json, 1 << 20);
    assert_ok(tokenizer_write(&fixture.json, fixture.tokenizer, &error), error);
    buffer_destroy(&text);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    buffer_destroy(&fixture->json);
    arena_destroy(fixture->arena);
    return 0;
}

/* The file with the first `from` replaced by `to`. */
static void changed(struct buffer *out, const struct fixture *fixture, const char *from,
                    const char *to)
{
    struct error error = {0};
    const char *at = strstr(fixture->json.data, from);
    if (!at)
        fail_msg("the file has no %s", from);
    buffer_create(out, 1 << 20);
    must_append(out, fixture->json.data, (size_t)(at - fixture->json.data));
    assert_ok(buffer_string(out, to, &error), error);
    assert_ok(buffer_string(out, at + strlen(from), &error), error);
}

/* ---- tests --------------------------------------------------------------------- */

static void reading_what_was_written_gives_the_same_tokenizer(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct tokenizer *back;
    struct view json = {fixture->json.data, fixture->json.len};
    assert_ok(tokenizer_parse(&back, json, "memory", fixture->arena, &error), error);
    assert_int_equal(tokenizer_vocabulary(back), tokenizer_vocabulary(fixture->tokenizer));
    for (uint32_t id = 0; id < tokenizer_vocabulary(back); id++) {
        assert_true(view_equal(tokenizer_bytes(back, id), tokenizer_bytes(fixture->tokenizer, id)));
        assert_int_equal(tokenizer_is_special(back, id),
                         tokenizer_is_special(fixture->tokenizer, id));
    }
    struct buffer again;
    buffer_create(&again, 1 << 20);
    assert_ok(tokenizer_write(&again, back, &error), error);
    assert_int_equal(again.len, json.len);
    assert_memory_equal(again.data, json.data, json.len);
    buffer_destroy(&again);
}

static void merges_may_be_lists_of_two_strings(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct buffer json;
    struct tokenizer *back;
    char *first = strstr(fixture->json.data, "\"merges\":[\n") + strlen("\"merges\":[\n");
    char from[64], to[80];
    int len = (int)(strchr(first, '\n') - first) - 1; /* "left right" with its quotation marks */
    int left = (int)(strchr(first, ' ') - first);
    snprintf(from, sizeof from, "%.*s", len, first);
    snprintf(to, sizeof to, "[%.*s\",\"%.*s]", left, first, len - left - 1, first + left + 1);
    changed(&json, fixture, from, to);
    struct view view = {json.data, json.len};
    assert_ok(tokenizer_parse(&back, view, "memory", fixture->arena, &error), error);
    assert_int_equal(tokenizer_merge_count(back), tokenizer_merge_count(fixture->tokenizer));
    buffer_destroy(&json);
}

static void whatever_would_change_the_ids_is_refused_by_name(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"version\":\"1.0\"", "\"version\":\"2.0\"", "version is \"2.0\""},
        {"\"version\":\"1.0\"", "\"version\":1", "version must be a string"},
        {"\"truncation\":null", "\"truncation\":{}", "truncation"},
        {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer"},
        {"\"dropout\":null", "\"dropout\":0.1", "dropout"},
        {"\"unk_token\":null", "\"unk_token\":\"<unk>\"", "unk_token"},
        {"\"byte_fallback\":false", "\"byte_fallback\":true", "byte_fallback"},
        {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "\"Unigram\", supported is \"BPE\""},
        {"\"Isolated\"", "\"Removed\"", "behavior"},
        {"\"invert\":false", "\"invert\":true", "invert"},
        {"\\\\p{N}|", "\\\\p{N}{1,3}|", "Regex"},
        {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "add_prefix_space"},
        {"\"use_regex\":false", "\"use_regex\":true", "use_regex"},
        {"\"post_processor\":{\"type\":\"ByteLevel\"", "\"post_processor\":{\"type\":\"Template\"",
         "Template"},
        {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", "WordPiece"},
        {"\"pretokenizers\":[", "\"pretokenizers\":[{},", "pretokenizers"},
        {"\"lstrip\":false", "\"lstrip\":true", "lstrip"},
        {"\"special\":true", "\"special\":false", "special"},
        {"\"content\":\"<|pad|>\"", "\"content\":\"<|im_end|>\"", "the same text"},
        {"\"content\":\"<|pad|>\"", "\"content\":\"\"", "0 bytes"},
        {"\"content\":\"<|pad|>\"", "\"content\":7", "content"},
        {"\"id\":399", "\"id\":398", "two tokens have id 398"},
        {"\"id\":399", "\"id\":400", "whole number below 400"},
        {"\"id\":399", "\"id\":3.5", "whole number"},
        {"\"id\":399", "\"id\":-1", "whole number"},
        {"\"id\":399", "\"id\":1e99", "whole number"},
        {"\"id\":399", "\"id\":\"399\"", "whole number"},
        {"\"id\":399", "\"id\":3", "two tokens have id 3"},
        {"\"!\":33", "\"!\":396", "special tokens"},
        {"\"!\":33", "\"!\":34", "two tokens have id 34"},
        {"\"!\":33", "\"!!!!!\":33", "lacks byte 0x21"},
        {"\"!\":33", "\" \":33", "outside the byte alphabet"},
        {"\"!\":33", "\"\\u0142\\u0142\\ud83d\\ude00\":33", "outside the byte alphabet"},
        {"\"!\":33", "\"\":33", "0 bytes"},
        {"\"vocab\":{", "\"vocab\":[{", "not valid JSON"},
        {"\"merges\":[", "\"merges\":[\"ab\",", "a space between"},
        {"\"merges\":[", "\"merges\":[[\"a\"],", "merges"},
        {"\"merges\":[", "\"merges\":[[\"a\",\"b\",\"c\"],", "merges"},
        {"\"merges\":[", "\"merges\":[7,", "merges"},
        {"\"merges\":[", "\"merges\":[\"! !\",", "merged into none"},
        {"\"merges\":[", "\"merges\":[\"!!!! !\",", "\"!!!!\", which is no token"},
        {"\"merges\":[", "\"merges\":[\" !\",", "no token"},
        {"\"merges\":[", "\"merges\":7,\"other\":[", "merges must be an array"},
        {"\"model\":{", "\"model\":7,\"other\":{", "model must be an object"},
        {"\"added_tokens\":[", "\"added_tokens\":[7,", "added_tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct fixture *fixture = *state;
        struct tokenizer *tokenizer = NULL;
        struct buffer json;
        changed(&json, fixture, cases[i].from, cases[i].to);
        struct view view = {json.data, json.len};
        status result = tokenizer_parse(&tokenizer, view, "some.json", fixture->arena, &error);
        if (result != ERR_FORMAT || !strstr(error.text, cases[i].says) ||
            !strstr(error.text, "some.json"))
            fail_msg("%s: status %d, \"%s\" should say \"%s\"", cases[i].to, result, error.text,
                     cases[i].says);
        assert_null(tokenizer);
        buffer_destroy(&json);
    }
}

static void a_repeated_merge_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct tokenizer *tokenizer;
    struct buffer json;
    char *first = strstr(fixture->json.data, "\"merges\":[\n"), from[80], to[120];
    char *merge = first + strlen("\"merges\":[\n");
    int len = (int)(strchr(merge, '\n') - merge) + 1;
    snprintf(from, sizeof from, "\"merges\":[\n%.*s", len, merge);
    snprintf(to, sizeof to, "\"merges\":[\n%.*s%.*s", len, merge, len, merge);
    changed(&json, fixture, from, to);
    struct view view = {json.data, json.len};
    assert_int_equal(tokenizer_parse(&tokenizer, view, "some.json", fixture->arena, &error),
                     ERR_FORMAT);
    assert_non_null(strstr(error.text, "repeats"));
    buffer_destroy(&json);
}

static void a_token_or_a_list_past_its_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char token[TOKENIZER_TOKEN_BYTES_MAX + 20];
    int len = snprintf(token, sizeof token, "\"");
    memset(token + len, 'a', TOKENIZER_TOKEN_BYTES_MAX + 1);
    snprintf(token + len + TOKENIZER_TOKEN_BYTES_MAX + 1, 10, "\":33");
    struct error error = {0};
    struct tokenizer *tokenizer;
    struct buffer json;
    changed(&json, fixture, "\"!\":33", token);
    struct view view = {json.data, json.len};
    assert_int_equal(tokenizer_parse(&tokenizer, view, "some.json", fixture->arena, &error),
                     ERR_FORMAT);
    assert_non_null(strstr(error.text, "1025 bytes"));
    buffer_destroy(&json);

    struct buffer many;
    buffer_create(&many, 1 << 20);
    must_append(&many, "\"added_tokens\":[", 16);
    for (int i = 0; i < TOKENIZER_SPECIALS_MAX; i++)
        must_append(&many, "{},", 3);
    changed(&json, fixture, "\"added_tokens\":[", many.data);
    error = (struct error){0};
    view = (struct view){json.data, json.len};
    assert_int_equal(tokenizer_parse(&tokenizer, view, "some.json", fixture->arena, &error),
                     ERR_LIMIT);
    assert_non_null(strstr(error.text, "1028 special tokens"));
    buffer_destroy(&json);
    buffer_destroy(&many);

    error = (struct error){0};
    view.len = (size_t)TOKENIZER_FILE_BYTES_MAX + 1; /* refused before a byte is read */
    assert_int_equal(tokenizer_parse(&tokenizer, view, "some.json", fixture->arena, &error),
                     ERR_LIMIT);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct fixture *fixture = *state;
    size_t whole = fixture->json.len - 1; /* without the last newline */
    for (size_t len = 0; len < whole; len += len < 1000 ? 1 : 37) {
        struct error error = {0};
        struct tokenizer *tokenizer;
        struct view view = {fixture->json.data, len};
        assert_int_equal(tokenizer_parse(&tokenizer, view, "cut.json", fixture->arena, &error),
                         ERR_FORMAT);
        assert_non_null(strstr(error.text, "cut.json"));
    }
}

static void every_allocation_that_fails_while_reading_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    size_t failures = 0;
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        struct arena *arena;
        struct tokenizer *tokenizer = NULL;
        assert_ok(arena_create(&arena, 0, &error), error);
        memory_fail_after(nth);
        struct view view = {fixture->json.data, fixture->json.len};
        status result = tokenizer_parse(&tokenizer, view, "some.json", arena, &error);
        memory_fail_after(0);
        arena_destroy(arena);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        assert_null(tokenizer);
        failures++;
    }
    assert_true(failures > 0);
}

static void saving_replaces_the_file_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char folder[] = "/tmp/rodnik-tokenizer-XXXXXX", path[PATH_BYTES];
    struct tokenizer *back;
    assert_non_null(mkdtemp(folder));
    assert_ok(path_join(path, sizeof path, folder, "tokenizer.json", &error), error);
    assert_ok(tokenizer_save(fixture->tokenizer, path, &error), error);
    assert_ok(tokenizer_load(&back, path, fixture->arena, &error), error);
    file_fail_after(1, ENOSPC);
    assert_int_equal(tokenizer_save(back, path, &error), ERR_IO);
    file_fail_after(0, 0);
    assert_non_null(strstr(error.text, path));
    struct view bytes;
    error = (struct error){0};
    assert_ok(file_read(&bytes, path, 1 << 20, fixture->arena, &error), error);
    assert_int_equal(bytes.len, fixture->json.len);
    assert_memory_equal(bytes.data, fixture->json.data, bytes.len);
    assert_ok(path_remove_tree(folder, &error), error);
    assert_int_equal(tokenizer_load(&back, path, fixture->arena, &error), ERR_IO);
    assert_non_null(strstr(error.text, path));
}

static void bytes_and_the_printable_alphabet_are_one_to_one(void **state)
{
    (void)state;
    assert_int_equal(alphabet_code_point(' '), 0x120);
    assert_int_equal(alphabet_code_point('\n'), 0x10A);
    assert_int_equal(alphabet_code_point(0xAD), 0x143);
    bool seen[0x200] = {0};
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t code_point = alphabet_code_point((uint8_t)byte);
        assert_false(seen[code_point]);
        seen[code_point] = true;
        assert_int_equal(alphabet_byte(code_point), byte);
    }
    for (uint32_t code_point = 0; code_point < 0x200; code_point++)
        assert_int_equal(alphabet_byte(code_point) >= 0, seen[code_point]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_what_was_written_gives_the_same_tokenizer),
        cmocka_unit_test(merges_may_be_lists_of_two_strings),
        cmocka_unit_test(whatever_would_change_the_ids_is_refused_by_name),
        cmocka_unit_test(a_repeated_merge_is_refused),
        cmocka_unit_test(a_token_or_a_list_past_its_limit_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(every_allocation_that_fails_while_reading_is_an_error),
        cmocka_unit_test(saving_replaces_the_file_whole_or_not_at_all),
        cmocka_unit_test(bytes_and_the_printable_alphabet_are_one_to_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
