/* Sampling against a plain reading of its rules, text from tokens, loops. */
#include "support.h"

#include <math.h>

#include "infer/infer.h"

enum { VOCABULARY = 50 };

static uint32_t pick(const float *logits, const struct sampling *sampling, uint64_t draw)
{
    struct arena *arena;
    struct sampler *sampler;
    struct error error = {0};
    float copy[VOCABULARY];
    uint32_t history[] = {3, 4, 3};
    memcpy(copy, logits, sizeof copy);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(sampler_create(&sampler, VOCABULARY, arena, &error), error);
    uint32_t token = sampler_pick(sampler, copy, history, 3, sampling, draw);
    assert_int_equal(token, (memcpy(copy, logits, sizeof copy),
                             sampler_pick(sampler, copy, history, 3, sampling, draw)));
    arena_destroy(arena);
    return token;
}

static void sampling_keeps_its_rules(void **state)
{
    (void)state;
    float logits[VOCABULARY];
    for (size_t i = 0; i < VOCABULARY; i++)
        logits[i] = -(float)i * 0.1f;
    struct sampling sampling = sampling_default();
    sampling.temperature = 0;
    assert_int_equal(pick(logits, &sampling, 0), 0);
    sampling = sampling_default();
    sampling.min_p = 0;
    sampling.top_p = 1;
    sampling.top_k = 3;
    size_t seen[VOCABULARY] = {0};
    for (uint64_t draw = 0; draw < 400; draw++)
        seen[pick(logits, &sampling, draw)]++;
    assert_true(seen[0] > seen[1] && seen[1] > 0 && seen[2] > 0);
    assert_int_equal(seen[0] + seen[1] + seen[2], 400);
    sampling.top_k = 0;
    sampling.top_p = 1e-6;
    assert_int_equal(pick(logits, &sampling, 5), 0);
    sampling.top_p = 1;
    sampling.min_p = 0.999;
    assert_int_equal(pick(logits, &sampling, 5), 0);
    logits[3] = 10; /* it stood before: the penalty takes it down */
    logits[7] = 9.9f;
    sampling.temperature = 0;
    sampling.repetition_penalty = 2;
    assert_int_equal(pick(logits, &sampling, 0), 7);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    struct sampling sampling = sampling_default();
    struct error error = {0};
    sampling.temperature = NAN;
    assert_int_equal(sampling_check(&sampling, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "temperature"));
}

static void stream(char *out, const char *const *pieces, const char *const *stops,
                   size_t stop_count)
{
    struct piece_stream stream = {.stop = stops, .stop_count = stop_count};
    struct buffer text;
    struct error error = {0};
    buffer_create(&text, 1000);
    for (; *pieces; pieces++)
        assert_ok(piece_stream_add(&stream, &text, view_of(*pieces), false, &error), error);
    assert_ok(piece_stream_add(&stream, &text, (struct view){"", 0}, true, &error), error);
    strcpy(out, text.len ? text.data : "");
    buffer_destroy(&text);
}

static void a_nul_is_shown_as_what_cant_be_shown(void **state)
{
    (void)state;
    struct piece_stream stream = {0};
    struct buffer text;
    struct error error = {0};
    buffer_create(&text, 1000);
    assert_ok(piece_stream_add(&stream, &text, (struct view){"a\0b", 3}, true, &error), error);
    assert_string_equal(text.data, "a\xef\xbf\xbd"
                                   "b");
    buffer_destroy(&text);
}

static void text_is_valid_and_stops_where_it_must(void **state)
{
    (void)state;
    char out[1000];
    static const char *const stops[] = {"END", "\n\n"};
    static const char *const halves[] = {"\xd0", "\x9f", "\xd1\x80", NULL};
    stream(out, halves, NULL, 0);
    assert_string_equal(out, "Пр");
    static const char *const bad[] = {"a\xff", "\xd0", "b", NULL};
    stream(out, bad, NULL, 0);
    assert_string_equal(out, "a\xEF\xBF\xBD\xEF\xBF\xBD"
                             "b");
    static const char *const stopped[] = {"one E", "N", "D two", NULL};
    stream(out, stopped, stops, 2);
    assert_string_equal(out, "one ");
    static const char *const almost[] = {"one E", "N", "G\n", "x", NULL};
    stream(out, almost, stops, 2);
    assert_string_equal(out, "one ENG\nx");
}

static void loops_are_found_and_prose_is_not(void **state)
{
    (void)state;
    uint32_t tokens[200];
    for (uint32_t i = 0; i < 200; i++)
        tokens[i] = i * 7919 % 1009;
    assert_false(tokens_loop(tokens, 200));
    for (size_t i = 100; i < 200; i++)
        tokens[i] = (uint32_t)(i % 5);
    assert_true(tokens_loop(tokens, 200));
    assert_false(tokens_loop(tokens, 110));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampling_keeps_its_rules),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(a_nul_is_shown_as_what_cant_be_shown),
        cmocka_unit_test(text_is_valid_and_stops_where_it_must),
        cmocka_unit_test(loops_are_found_and_prose_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
