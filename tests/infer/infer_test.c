/* Sessions fed together against each alone, sampling against a plain reading of its rules, text
 * from tokens, loops. */
#include "support.h"

#include <math.h>

#include "base/random.h"
#include "infer/infer.h"
#include "infer/infer_internal.h"

enum { VOCABULARY = 50 };

/* ---- sessions fed together ---- */

enum { SESSIONS = 8, CONTEXT = 400 };

struct house { /* an engine around a small random model */
    struct arena *arena;
    struct compute *compute;
    struct engine engine;
    struct error error;
};

static void house_create(struct house *out, enum dtype type, bool qk_norm, bool packed)
{
    static const struct model_config config = {.layers = 2,
                                               .width = 64,
                                               .heads = 4,
                                               .kv_heads = 2,
                                               .head_size = 64,
                                               .ffn_width = 128,
                                               .vocabulary = VOCABULARY,
                                               .context = CONTEXT,
                                               .rope_theta = 10000,
                                               .norm_epsilon = 1e-5};
    *out = (struct house){.engine.info.config = config};
    out->engine.info.config.qk_norm = qk_norm;
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
    assert_ok(compute_create(&out->compute, 2, &out->error), out->error);
    assert_ok(model_create(&out->engine.model, &out->engine.info.config, type, out->compute,
                           out->arena, &out->error),
              out->error);
    model_init(out->engine.model, 3);
    if (packed)
        assert_ok(model_pack(out->engine.model, out->arena, &out->error), out->error);
}

static void house_destroy(struct house *house)
{
    compute_destroy(house->compute);
    arena_destroy(house->arena);
}

static struct session *new_session(struct house *house)
{
    struct session *session = NULL;
    assert_ok(session_create(&session, &house->engine, 0, &house->error), house->error);
    return session;
}

static void draw_tokens(uint32_t *out, size_t count, uint64_t stream)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)random_below((struct random_key){4, RANDOM_TEST, stream}, i, VOCABULARY);
}

/* Session i has `before[i]` tokens behind it and gets `counts[i]` more, together with the others;
 * alone it would have got the same. */
static void check_together(struct house *house, size_t sessions, const size_t *before,
                           const size_t *counts)
{
    static uint32_t tokens[SESSIONS][CONTEXT];
    static float together[SESSIONS][VOCABULARY], alone[VOCABULARY];
    struct session_input inputs[SESSIONS];
    for (size_t i = 0; i < sessions; i++) {
        draw_tokens(tokens[i], CONTEXT, i);
        inputs[i] = (struct session_input){new_session(house), tokens[i] + before[i], counts[i]};
        if (before[i])
            assert_ok(session_feed(inputs[i].session, tokens[i], before[i], NULL, &house->error),
                      house->error);
    }
    assert_ok(sessions_feed(inputs, sessions, together[0], &house->error), house->error);
    for (size_t i = 0; i < sessions; i++) {
        struct session *single = new_session(house);
        assert_int_equal(session_position(inputs[i].session), before[i] + counts[i]);
        assert_ok(session_feed(single, tokens[i], before[i] + counts[i], alone, &house->error),
                  house->error);
        assert_memory_equal(alone, together[i], sizeof alone);
        /* and what went into the cache */
        uint32_t next = 7;
        float after[VOCABULARY];
        assert_ok(session_feed(single, &next, 1, alone, &house->error), house->error);
        assert_ok(session_feed(inputs[i].session, &next, 1, after, &house->error), house->error);
        assert_memory_equal(alone, after, sizeof alone);
        session_destroy(single);
        session_destroy(inputs[i].session);
    }
}

static void sessions_fed_together_get_the_bits_of_each_alone(void **state)
{
    (void)state;
    static const size_t before[SESSIONS] = {0, 1, 63, 64, 200, 129, 2, 300};
    static const size_t one[SESSIONS] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const size_t pieces[SESSIONS] = {300, 1, 70, 1, 90, 1, 255, 99};
    for (int variant = 0; variant < 4; variant++) {
        struct house house;
        house_create(&house, variant & 1 ? DTYPE_BF16 : DTYPE_F32, variant & 2, variant < 2);
        check_together(&house, 1, before + 4, one);
        check_together(&house, 2, before + 2, one);
        check_together(&house, 3, before + 5, one);
        check_together(&house, SESSIONS, before, one);
        check_together(&house, SESSIONS, before, pieces);
        house_destroy(&house);
    }
}

static void sessions_without_room_stop_all_before_the_first(void **state)
{
    (void)state;
    struct house house;
    uint32_t tokens[CONTEXT];
    house_create(&house, DTYPE_F32, false, false);
    draw_tokens(tokens, CONTEXT, 0);
    struct session *sessions[] = {new_session(&house), new_session(&house)};
    assert_ok(session_feed(sessions[1], tokens, CONTEXT, NULL, &house.error), house.error);
    const struct session_input inputs[] = {{sessions[0], tokens, 1}, {sessions[1], tokens, 1}};
    assert_int_equal(sessions_feed(inputs, 2, NULL, &house.error), ERR_LIMIT);
    assert_int_equal(session_position(sessions[0]), 0);
    session_destroy(sessions[0]);
    session_destroy(sessions[1]);
    house_destroy(&house);
}

/* ---- sampling ---- */

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
        cmocka_unit_test(sessions_fed_together_get_the_bits_of_each_alone),
        cmocka_unit_test(sessions_without_room_stop_all_before_the_first),
        cmocka_unit_test(sampling_keeps_its_rules),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(a_nul_is_shown_as_what_cant_be_shown),
        cmocka_unit_test(text_is_valid_and_stops_where_it_must),
        cmocka_unit_test(loops_are_found_and_prose_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
