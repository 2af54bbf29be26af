#include "infer/infer.h"

#include <string.h>

#include "infer/infer_internal.h"
#include "text/utf8.h"

const char *finish_name(enum finish finish)
{
    static const char *const names[] = {"stop", "length", "loop", "cancelled"};
    ASSERT(finish < sizeof names / sizeof *names);
    return names[finish];
}

/* ---- prompts ---- */

static status encode(struct tokens *out, const struct engine *engine, struct view text,
                     struct error *error)
{
    struct arena *arena = NULL;
    struct tokenizer_encoder *encoder = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = tokenizer_encoder_create(&encoder, engine->tokenizer, arena, error);
    if (result == OK)
        result = tokenizer_encode(out, encoder, text, false, error);
    tokenizer_encoder_destroy(encoder);
    arena_destroy(arena);
    return result;
}

static status add_special(struct tokens *out, const struct engine *engine,
                          enum token_special special, struct error *error)
{
    uint32_t id = tokenizer_special(engine->tokenizer, special);
    if (id == TOKEN_NONE)
        return fail(error, ERR_CONFLICT, "the tokenizer lacks a special token that prompts need");
    return tokens_append(out, &id, 1, error);
}

status prompt_text(struct tokens *out, const struct engine *engine, struct view text,
                   struct error *error)
{
    ASSERT(out && engine && error);
    TRY(add_special(out, engine, TOKEN_DOCUMENT, error));
    return encode(out, engine, text, error);
}

static status add_turn(struct tokens *out, const struct engine *engine, const char *role,
                       const struct view *content, struct error *error)
{
    TRY(add_special(out, engine, TOKEN_TURN_START, error));
    TRY(encode(out, engine, view_of(role), error));
    TRY(encode(out, engine, view_of("\n"), error));
    if (!content)
        return OK;
    TRY(encode(out, engine, *content, error));
    TRY(add_special(out, engine, TOKEN_TURN_END, error));
    return encode(out, engine, view_of("\n"), error);
}

status prompt_chat(struct tokens *out, const struct engine *engine, const struct message *messages,
                   size_t count, struct error *error)
{
    ASSERT(out && engine && messages && count && error);
    if (!engine->info.chat)
        return prompt_text(out, engine, messages[count - 1].content, error);
    TRY(add_special(out, engine, TOKEN_DOCUMENT, error));
    for (size_t i = 0; i < count; i++)
        TRY(add_turn(out, engine, messages[i].role, &messages[i].content, error));
    return add_turn(out, engine, "assistant", NULL, error);
}

/* ---- text from tokens ---- */

/* Longest end of `text` that a stop text may begin with. */
static size_t held_for_stop(const struct piece_stream *stream)
{
    size_t held = 0;
    for (size_t s = 0; s < stream->stop_count; s++) {
        size_t len = strlen(stream->stop[s]);
        size_t most = len - 1 < stream->pending_len ? len - 1 : stream->pending_len;
        for (size_t n = most; n > held; n--)
            if (memcmp(stream->pending + stream->pending_len - n, stream->stop[s], n) == 0)
                held = n;
    }
    return held;
}

/* Bytes at the end that begin a character which is not complete yet. */
static size_t unfinished(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)text[len - back];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t needed = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return needed > back ? back : 0;
    }
    return 0;
}

static bool find_stop(struct piece_stream *stream)
{
    size_t first = stream->pending_len;
    for (size_t s = 0; s < stream->stop_count; s++) {
        char *at =
            memmem(stream->pending, stream->pending_len, stream->stop[s], strlen(stream->stop[s]));
        if (at && (size_t)(at - stream->pending) < first) {
            first = (size_t)(at - stream->pending);
            stream->stopped = true;
        }
    }
    stream->pending_len = first;
    return stream->stopped;
}

status piece_stream_add(struct piece_stream *stream, struct buffer *out, struct view bytes,
                        bool finish, struct error *error)
{
    ASSERT(stream && out && bytes.len <= PIECE_PENDING_BYTES / 2 && error);
    ASSERT(stream->pending_len + bytes.len <= PIECE_PENDING_BYTES);
    if (stream->stopped)
        return OK;
    for (size_t i = 0; i < bytes.len; i++) /* a NUL would end the text for many readers */
        stream->pending[stream->pending_len++] = bytes.data[i] ? bytes.data[i] : '\xff';
    size_t ready = stream->pending_len;
    if (find_stop(stream))
        ready = stream->pending_len;
    else if (!finish) {
        size_t stop = held_for_stop(stream);
        ready = stream->pending_len - stop;
        ready -= unfinished(stream->pending, ready);
    }
    TRY(utf8_lossy(out, (struct view){stream->pending, ready}, error));
    stream->pending_len -= ready;
    memmove(stream->pending, stream->pending + ready, stream->pending_len);
    return OK;
}

/* ---- loops ---- */

enum { LOOP_PERIOD_MAX = 32, LOOP_REPEATS = 4, LOOP_TOKENS_MIN = 48 };

bool tokens_loop(const uint32_t *tokens, size_t count)
{
    for (size_t period = 1; period <= LOOP_PERIOD_MAX; period++) {
        size_t span = period * LOOP_REPEATS;
        span = span < LOOP_TOKENS_MIN ? LOOP_TOKENS_MIN : span;
        if (count < span + period)
            continue;
        const uint32_t *end = tokens + count - span;
        if (memcmp(end, end - period, span * sizeof *end) == 0)
            return true;
    }
    return false;
}

/* ---- the loop of generation ---- */

struct run {
    struct session *session;
    const struct sampling *sampling;
    struct tokens history;
    struct piece_stream stream;
    struct buffer text;
    generate_text *on_text;
    void *context;
    struct generation *out;
};

/* The prompt's end, if the context has no room for all of it and an answer. */
static status feed_prompt(struct run *run, const struct tokens *prompt, struct error *error)
{
    size_t context = run->session->context, room = context / 4;
    if ((size_t)run->sampling->max_tokens < room)
        room = (size_t)run->sampling->max_tokens;
    size_t most = context - room, first = prompt->count > most ? prompt->count - most : 0;
    const uint32_t *ids = prompt->ids + first;
    size_t count = prompt->count - first;
    session_clear(run->session);
    TRY(session_feed(run->session, ids, count, run->session->logits, error));
    run->out->prompt_tokens = count;
    return tokens_append(&run->history, ids, count, error);
}

static bool is_end(const struct engine *engine, uint32_t token)
{
    return token == tokenizer_special(engine->tokenizer, TOKEN_DOCUMENT) ||
           token == tokenizer_special(engine->tokenizer, TOKEN_TURN_END);
}

static status emit(struct run *run, struct view bytes, bool finish, bool *go_on,
                   struct error *error)
{
    buffer_clear(&run->text);
    TRY(piece_stream_add(&run->stream, &run->text, bytes, finish, error));
    if (run->text.len)
        *go_on = run->on_text(run->context, (struct view){run->text.data, run->text.len});
    return OK;
}

/* Tokens that the model's vocabulary has and the tokenizer doesn't must not be drawn. */
static void forbid_unknown(struct run *run)
{
    const struct engine *engine = run->session->engine;
    for (size_t i = tokenizer_vocabulary(engine->tokenizer);
         i < (size_t)engine->info.config.vocabulary; i++)
        run->session->logits[i] = -1e30f;
}

static status sample_tokens(struct run *run, struct error *error)
{
    struct session *session = run->session;
    struct generation *out = run->out;
    bool go_on = true;
    out->finish = FINISH_LENGTH;
    while (out->completion_tokens < (size_t)run->sampling->max_tokens) {
        forbid_unknown(run);
        uint32_t token = sampler_pick(session->sampler, session->logits, run->history.ids,
                                      run->history.count, run->sampling, out->completion_tokens);
        out->completion_tokens++;
        if (is_end(session->engine, token)) {
            out->finish = FINISH_STOP;
            break;
        }
        TRY(tokens_append(&run->history, &token, 1, error));
        struct view bytes = tokenizer_bytes(session->engine->tokenizer, token);
        TRY(emit(run, bytes, false, &go_on, error));
        if (!go_on || run->stream.stopped) {
            out->finish = go_on ? FINISH_STOP : FINISH_CANCELLED;
            break;
        }
        if (tokens_loop(run->history.ids + out->prompt_tokens,
                        run->history.count - out->prompt_tokens)) {
            out->finish = FINISH_LOOP;
            break;
        }
        if (session->position == session->context)
            break;
        TRY(session_feed(session, &token, 1, session->logits, error));
    }
    return out->finish == FINISH_CANCELLED ? OK
                                           : emit(run, (struct view){"", 0}, true, &go_on, error);
}

status generate(struct generation *out, struct session *session, const struct tokens *prompt,
                const struct sampling *sampling, generate_text *on_text, void *context,
                struct error *error)
{
    ASSERT(out && session && prompt && prompt->count && sampling && on_text && error);
    TRY(sampling_check(sampling, error));
    struct generation generation = {0};
    struct run run = {.session = session,
                      .sampling = sampling,
                      .stream = {.stop = sampling->stop, .stop_count = sampling->stop_count},
                      .on_text = on_text,
                      .context = context,
                      .out = &generation};
    tokens_create(&run.history, session->context + 1);
    buffer_create(&run.text, 4 * (size_t)PIECE_PENDING_BYTES);
    double start = time_monotonic_s();
    status result = feed_prompt(&run, prompt, error);
    generation.prefill_s = time_monotonic_s() - start;
    if (result == OK)
        result = sample_tokens(&run, error);
    generation.decode_s = time_monotonic_s() - start - generation.prefill_s;
    tokens_destroy(&run.history);
    buffer_destroy(&run.text);
    if (result == OK)
        *out = generation;
    return result;
}
