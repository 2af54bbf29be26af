/* Inference: an engine (shared, immutable: weights, tokenizer) and sessions (one timeline each:
 * cache, position).
 * Sampling, stopping, chat form, loop detector.  Not here: HTTP (serve/), scores (eval/).
 * The engine's compute runs one call at a time: whoever shares an engine between threads holds a
 * lock around session calls. */
#ifndef RODNIK_INFER_INFER_H
#define RODNIK_INFER_INFER_H

#include "base/buffer.h"
#include "base/string.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

struct engine;

struct engine_info {
    struct model_config config;
    size_t parameters;
    int64_t step;
    char name[128];
    struct sha256 weights_file;
    int64_t created_unix;
};

/* Opens a run folder (its newest checkpoint) or a folder with model.safetensors, config.json,
 * tokenizer.json. */
MUST_USE status engine_open(struct engine **out, const char *path, struct compute *compute,
                            struct arena *arena, struct error *error);
/* Around a model that is at hand (periodic evaluation, tests). */
MUST_USE status engine_wrap(struct engine **out, struct model *model,
                            const struct tokenizer *tokenizer, struct arena *arena,
                            struct error *error);
const struct engine_info *engine_info(const struct engine *engine);
const struct tokenizer *engine_tokenizer(const struct engine *engine);
const struct model *engine_model(const struct engine *engine);

/* ---- sessions ---- */

struct session;
MUST_USE status session_create(struct session **out, const struct engine *engine, size_t context,
                               struct error *error);
void session_destroy(struct session *session);
void session_clear(struct session *session);
size_t session_position(const struct session *session);
size_t session_room(const struct session *session);
/* Feeds tokens; logits f32 [vocabulary] after the last one (NULL: not wanted), or all_logits f32
 * [count, vocabulary].
 * ERR_LIMIT when they don't fit the context.  The same bits however the tokens are cut into calls.
 * */
MUST_USE status session_feed(struct session *session, const uint32_t *tokens, size_t count,
                             float *logits, struct error *error);

/* ---- sampling and generation ---- */

struct sampling {
    double temperature;        /* 0: the likeliest token */
    int64_t top_k;             /* 0: off */
    double top_p, min_p;       /* 1 and 0: off */
    double repetition_penalty; /* 1: off; over the last repetition_window tokens */
    int64_t repetition_window;
    uint64_t seed;
    int64_t max_tokens;
    const char **stop;
    size_t stop_count; /* texts that end the answer and are not part of it */
};
struct sampling sampling_default(void);
MUST_USE status sampling_check(const struct sampling *sampling,
                               struct error *error); /* ERR_USAGE names the field */

/* Picks a token: a pure function of logits, history, settings and draw index. */
MUST_USE status sample_token(
    uint32_t *out, float *logits, size_t vocabulary, const uint32_t *history, size_t history_count,
    const struct sampling *sampling); /* may grow an index argument in a struct */

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_LOOP, FINISH_CANCELLED };
const char *finish_name(enum finish finish);

struct generation {
    size_t prompt_tokens, completion_tokens;
    enum finish finish;
    double prefill_s, decode_s;
};

/* Feeds the prompt, then samples; text arrives in pieces of valid UTF-8 (bad bytes become U+FFFD),
 * stop texts held back.
 * on_text returns false to cancel. */
typedef bool generate_text(void *context, struct view piece);
MUST_USE status generate(struct generation *out, struct session *session, const uint32_t *prompt,
                         size_t prompt_count, const struct sampling *sampling,
                         generate_text *on_text, void *context, struct error *error);

/* ---- chat form: ChatML ---- */

struct message {
    const char *role;
    struct view content;
};
/* Tokens of a conversation ending where the assistant speaks; special tokens only from the form,
 * never from contents. */
MUST_USE status chat_tokens(struct tokens *out, const struct engine *engine,
                            const struct message *messages, size_t count, struct error *error);

#endif
