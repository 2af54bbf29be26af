/* Logits of eight sessions at several positions, fed in different ways. */
#include <string.h>

#include "base/random.h"
#include "exact.h"
#include "infer/infer_internal.h"

enum { SESSIONS = 8, VOCABULARY = 61, CONTEXT = 300, STEPS = 3 };

struct house {
    struct engine engine;
    struct session *session[SESSIONS];
    size_t prompt[SESSIONS]; /* lengths */
    uint32_t tokens[SESSIONS][CONTEXT];
    float logits[STEPS + 1][SESSIONS][VOCABULARY]; /* after the prompt and each step */
};

static void feed(struct house *house, size_t index, size_t from, size_t to, float *logits)
{
    struct error error = {0};
    must(
        session_feed(house->session[index], house->tokens[index] + from, to - from, logits, &error),
        &error);
}

static void feed_all(const struct session_input *inputs, size_t count, float *logits)
{
    struct error error = {0};
    must(sessions_feed(inputs, count, logits, &error), &error);
}

/* Every prefix at once, from an empty session. */
static void feed_whole(struct house *house, size_t index)
{
    for (size_t step = 0; step <= STEPS; step++) {
        session_clear(house->session[index]);
        feed(house, index, 0, house->prompt[index] + step, house->logits[step][index]);
    }
}

/* The prompt in pieces of `piece` tokens, then token by token. */
static void feed_pieces(struct house *house, size_t index, size_t piece)
{
    size_t prompt = house->prompt[index];
    for (size_t at = 0; at < prompt; at += piece)
        feed(house, index, at, at + piece < prompt ? at + piece : prompt, house->logits[0][index]);
    for (size_t step = 1; step <= STEPS; step++)
        feed(house, index, prompt + step - 1, prompt + step, house->logits[step][index]);
}

/* All prompts in one call, then a token for each session a call. */
static void feed_together(struct house *house)
{
    struct session_input inputs[SESSIONS];
    for (size_t step = 0; step <= STEPS; step++) {
        for (size_t i = 0; i < SESSIONS; i++) {
            size_t at = step ? house->prompt[i] + step - 1 : 0;
            inputs[i] = (struct session_input){house->session[i], house->tokens[i] + at,
                                               step ? 1 : house->prompt[i]};
        }
        feed_all(inputs, SESSIONS, house->logits[step][0]);
    }
}

/* A session makes its steps beside the prompt of the next one, from the last to the first. */
static void feed_neighbours(struct house *house)
{
    static float two[2][VOCABULARY];
    size_t last = SESSIONS - 1;
    feed(house, last, 0, house->prompt[last], house->logits[0][last]);
    for (size_t i = last; i < SESSIONS; i--)
        for (size_t step = 1; step <= STEPS; step++) {
            const uint32_t *token = house->tokens[i] + house->prompt[i] + step - 1;
            struct session_input inputs[2] = {{house->session[i], token, 1}};
            bool other = i > 0 && step == 2;
            if (other)
                inputs[1] = (struct session_input){house->session[i - 1], house->tokens[i - 1],
                                                   house->prompt[i - 1]};
            feed_all(inputs, other ? 2 : 1, two[0]);
            memcpy(house->logits[step][i], two[0], sizeof two[0]);
            if (other)
                memcpy(house->logits[0][i - 1], two[1], sizeof two[1]);
        }
}

static void furnish(struct house *house, const struct exact *exact, enum dtype type, bool qk_norm)
{
    static const size_t prompts[SESSIONS] = {1, 2, 63, 64, 65, 17, 130, 33};
    struct error error = {0};
    house->engine.info.config = (struct model_config){.layers = 2,
                                                      .width = 64,
                                                      .heads = 2,
                                                      .kv_heads = 1,
                                                      .head_size = 64,
                                                      .ffn_width = 64,
                                                      .vocabulary = VOCABULARY,
                                                      .context = CONTEXT,
                                                      .rope_theta = 10000,
                                                      .norm_epsilon = 1e-5,
                                                      .tied = qk_norm,
                                                      .qk_norm = qk_norm};
    must(model_create(&house->engine.model, &house->engine.info.config, type, exact->compute,
                      exact->arena, &error),
         &error);
    model_init(house->engine.model, 7);
    wake(house->engine.model);
    if (exact->ways.feeding != FEED_WHOLE)
        must(model_pack(house->engine.model, exact->arena, &error), &error);
    for (size_t i = 0; i < SESSIONS; i++) {
        house->prompt[i] = prompts[i];
        must(session_create(&house->session[i], &house->engine, 0, &error), &error);
        for (size_t j = 0; j < CONTEXT; j++)
            house->tokens[i][j] =
                (uint32_t)random_below((struct random_key){14, RANDOM_TEST, i}, j, VOCABULARY);
    }
}

void emit_inference(const struct exact *exact)
{
    static const char *const names[] = {"f32", "bf16", "f32, qk_norm", "bf16, qk_norm"};
    for (int variant = 0; variant < 4; variant++) {
        struct house *house = take(exact->arena, 1, sizeof *house);
        furnish(house, exact, variant & 1 ? DTYPE_BF16 : DTYPE_F32, variant & 2);
        enum feeding feeding = exact->ways.feeding;
        for (size_t i = 0; i < SESSIONS; i++)
            if (feeding == FEED_WHOLE)
                feed_whole(house, i);
            else if (feeding == FEED_SINGLE || feeding == FEED_PIECES)
                feed_pieces(house, i, feeding == FEED_SINGLE ? 1 : 7 + i);
        if (feeding == FEED_TOGETHER)
            feed_together(house);
        else if (feeding == FEED_NEIGHBOURS)
            feed_neighbours(house);
        section(names[variant]);
        emit(house->logits[0][0], (STEPS + 1) * SESSIONS * VOCABULARY);
        for (size_t i = 0; i < SESSIONS; i++)
            session_destroy(house->session[i]);
    }
}
