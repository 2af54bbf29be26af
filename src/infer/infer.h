/* Inference: an engine (shared, immutable: weights, tokenizer) and sessions (one timeline each:
 * cache, position). Sampling, stopping, chat form, loop detector.  Not here: HTTP (serve/), scores
 * (eval/). The engine's compute runs one call at a time: whoever shares an engine between threads
 * holds a lock around session calls. */
#ifndef RODNIK_INFER_INFER_H
#define RODNIK_INFER_INFER_H

#include "base/buffer.h"
#include "base/string.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

/* ---- engine ---- */

struct engine;

struct engine_info {
    struct model_config config;
    size_t parameters;
    int64_t step; /* of the run, -1: unknown */
    int64_t created_unix;
    char name[128];
    char state[SHA256_HEX_BYTES]; /* state hash of the checkpoint, empty: unknown */
    bool chat;                    /* trained on conversations */
};

/* Opens a run folder (its newest checkpoint) or a folder with model.safetensors, config.json and
 * tokenizer.json.  Everything lives in the arena. */
MUST_USE status engine_open(struct engine **out, const char *path, struct compute *compute,
                            struct arena *arena, struct error *error);
/* Around a model that is at hand; info.name is `name`. */
MUST_USE status engine_wrap(struct engine **out, struct model *model,
                            const struct tokenizer *tokenizer, const char *name,
                            struct arena *arena, struct error *error);
const struct engine_info *engine_info(const struct engine *engine);
const struct tokenizer *engine_tokenizer(const struct engine *engine);
struct model *engine_model(const struct engine *engine);

/* ---- sessions ---- */

struct session;
/* context 0: the model's; at most the model's. */
MUST_USE status session_create(struct session **out, const struct engine *engine, size_t context,
                               struct error *error);
void session_destroy(struct session *session); /* NULL is allowed */
void session_clear(struct session *session);
size_t session_position(const struct session *session);
size_t session_context(const struct session *session);
/* Feeds tokens; logits f32 [vocabulary] after the last one (NULL: not wanted).
 * ERR_LIMIT when they don't fit the context.
 * The same bits however the tokens are cut into calls. */
MUST_USE status session_feed(struct session *session, const uint32_t *tokens, size_t count,
                             float *logits, struct error *error);

/* What one of several sessions gets: one token, or a piece of its prompt. */
struct session_input {
    struct session *session;
    const uint32_t *tokens;
    size_t count;
};
/* Feeds different sessions of one engine together, each from its own position: matrix products run
 * on the rows of all, attention on each session's cache.  logits f32 [count, vocabulary]: after
 * each input's last token (NULL: not wanted).  Every session gets the bits that it would get alone.
 * When one has no room for its tokens (ERR_LIMIT), none was fed. */
MUST_USE status sessions_feed(const struct session_input *inputs, size_t count, float *logits,
                              struct error *error);

/* ---- sampling ---- */

struct sampling {
    double temperature;        /* 0: the likeliest token */
    int64_t top_k;             /* 0: off */
    double top_p, min_p;       /* 1 and 0: off */
    double repetition_penalty; /* 1: off; over the last repetition_window tokens */
    int64_t repetition_window;
    uint64_t seed;
    int64_t max_tokens;
    const char *const *stop; /* texts that end the answer and are not part of it */
    size_t stop_count;
};
enum { SAMPLING_STOPS_MAX = 16, SAMPLING_STOP_BYTES_MAX = 256, SAMPLING_TOKENS_MAX = 1 << 20 };
struct sampling sampling_default(void);
/* ERR_USAGE names the field, the value found and what is allowed. */
MUST_USE status sampling_check(const struct sampling *sampling, struct error *error);

struct sampler;
MUST_USE status sampler_create(struct sampler **out, size_t vocabulary, struct arena *arena,
                               struct error *error);
/* A token as a pure function of logits, the tokens before it, settings and `draw` (position counted
 * from 0).  Logits are changed. Order: repetition penalty, temperature, top-k, top-p, min-p, draw;
 * equal probabilities stand in the order of ids. */
uint32_t sampler_pick(struct sampler *sampler, float *logits, const uint32_t *history,
                      size_t history_count, const struct sampling *sampling, uint64_t draw);

/* ---- generation ---- */

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_LOOP, FINISH_CANCELLED };
const char *finish_name(enum finish finish);

struct generation {
    size_t prompt_tokens, completion_tokens;
    enum finish finish;
    double prefill_s, decode_s;
};

/* Receives text in pieces of valid UTF-8 (bytes that are none become U+FFFD); false cancels. */
typedef bool generate_text(void *context, struct view piece);

/* Clears the session, feeds the prompt (its end, if it is longer than the context leaves room for),
 * then samples until an end token, a stop text, max_tokens, the context's end or a loop (a piece of
 * 1 to 32 tokens that stands LOOP_REPEATS times in a row and spans at least 48 tokens). */
MUST_USE status generate(struct generation *out, struct session *session,
                         const struct tokens *prompt, const struct sampling *sampling,
                         generate_text *on_text, void *context, struct error *error);

/* ---- prompts ---- */

struct message {
    const char *role;
    struct view content;
};
/* A text to continue: the document token, then its tokens. */
MUST_USE status prompt_text(struct tokens *out, const struct engine *engine, struct view text,
                            struct error *error);
/* A conversation in ChatML, ending where the assistant speaks; special tokens come from the
 * form only, never from contents.
 * An engine that was not trained on conversations continues the last message as a text. */
MUST_USE status prompt_chat(struct tokens *out, const struct engine *engine,
                            const struct message *messages, size_t count, struct error *error);

/* ---- text from tokens, for generate and tests ---- */

enum { PIECE_PENDING_BYTES = 8192 };
/* Bytes arrive, valid UTF-8 leaves; what may be the beginning of a stop text is held back. */
struct piece_stream {
    const char *const *stop;
    size_t stop_count;
    char pending[PIECE_PENDING_BYTES];
    size_t pending_len;
    bool stopped; /* a stop text was met */
};
/* Appends to `out` what may go; finish: everything that is left. */
MUST_USE status piece_stream_add(struct piece_stream *stream, struct buffer *out, struct view bytes,
                                 bool finish, struct error *error);
bool tokens_loop(const uint32_t *tokens, size_t count);

#endif
