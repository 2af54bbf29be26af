#include "infer/infer.h"

#include <string.h>

#include "infer/infer_internal.h"

struct taker {
    struct arena *arena;
    struct error *error;
    bool failed;
};

static void *take(struct taker *taker, size_t count, size_t size)
{
    void *block = taker->failed ? NULL : arena_alloc(taker->arena, count, size, taker->error);
    taker->failed = !block;
    return block;
}

static void take_scratch(struct session *session, struct taker *taker)
{
    const struct model *model = session->engine->model;
    const struct model_config *config = &model->config;
    size_t rows = FEED_ROWS, width = (size_t)config->width, ffn = (size_t)config->ffn_width;
    size_t heads = (size_t)(config->heads * config->head_size);
    size_t kv = (size_t)(config->kv_heads * config->head_size);
    size_t operand = dtype_bytes(model->type);
    struct block *block = &session->block;
    block->middle = take(taker, rows * width, sizeof(float));
    block->norm1 = take(taker, rows * width, operand);
    block->attended = take(taker, rows * heads, operand);
    block->norm2 = take(taker, rows * width, operand);
    block->activated = take(taker, rows * ffn, operand);
    block->qkv = take(taker, rows * (heads + 2 * kv), sizeof(float));
    block->qk = config->qk_norm ? take(taker, rows * (heads + 2 * kv), sizeof(float)) : NULL;
    block->gate_up = take(taker, rows * 2 * ffn, sizeof(float));
    session->x[0] = take(taker, rows * width, sizeof(float));
    session->x[1] = take(taker, rows * width, sizeof(float));
    session->operands = take(taker, rows * width, operand);
    session->cached = take(taker, rows, sizeof *session->cached);
    session->tokens = take(taker, rows, sizeof(uint32_t));
    session->positions = take(taker, rows, sizeof(uint32_t));
    session->logits = take(taker, (size_t)config->vocabulary, sizeof(float));
    session->keys = take(taker, (size_t)config->layers * session->context * kv, sizeof(float));
    session->values = take(taker, (size_t)config->layers * session->context * kv, sizeof(float));
    block->positions = session->positions;
}

status session_create(struct session **out, const struct engine *engine, size_t context,
                      struct error *error)
{
    ASSERT(out && engine && error);
    size_t most = (size_t)engine->info.config.context;
    if (context > most)
        return fail(error, ERR_USAGE, "the context is %zu tokens, this model has at most %zu",
                    context, most);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct taker taker = {arena, error, false};
    struct session *session = take(&taker, 1, sizeof *session);
    status result = OK;
    if (session) {
        session->arena = arena;
        session->engine = engine;
        session->context = context ? context : most;
        take_scratch(session, &taker);
        result = taker.failed
                     ? ERR_MEMORY
                     : sampler_create(&session->sampler, (size_t)engine->info.config.vocabulary,
                                      arena, error);
    }
    if (taker.failed || result != OK) {
        arena_destroy(arena);
        return error->code ? error->code : ERR_MEMORY;
    }
    *out = session;
    return OK;
}

void session_destroy(struct session *session)
{
    if (session)
        arena_destroy(session->arena);
}

void session_clear(struct session *session)
{
    session->position = 0;
}

size_t session_position(const struct session *session)
{
    return session->position;
}

size_t session_context(const struct session *session)
{
    return session->context;
}

/* ---- feeding ---- */

static struct attention attention_of(const struct session *session, size_t rows)
{
    const struct model_config *config = &session->engine->model->config;
    size_t head_size = (size_t)config->head_size, kv = (size_t)config->kv_heads * head_size;
    return (struct attention){.sequences = 1,
                              .queries = rows,
                              .keys = session->position + rows,
                              .query_first = session->position,
                              .heads = (size_t)config->heads,
                              .kv_heads = (size_t)config->kv_heads,
                              .head_size = head_size,
                              .query_stride = (size_t)config->heads * head_size + 2 * kv,
                              .kv_stride = kv,
                              .kv_sequence_stride = session->context * kv};
}

/* At most FEED_ROWS tokens of neighbouring inputs: from token `begin` of input `first` to before
 * token `end` of input `last`, whole inputs between them. */
struct piece {
    const struct session_input *inputs;
    size_t first, begin, last, end;
};

static size_t piece_begin(const struct piece *piece, size_t index)
{
    return index == piece->first ? piece->begin : 0;
}

static size_t piece_end(const struct piece *piece, size_t index)
{
    return index == piece->last ? piece->end : piece->inputs[index].count;
}

/* The piece that starts at a token, as long as it may be. */
static struct piece piece_from(const struct session_input *inputs, size_t count, size_t first,
                               size_t begin)
{
    struct piece piece = {inputs, first, begin, first, begin};
    size_t rows = 0;
    for (size_t i = first; i < count && rows < FEED_ROWS; i++) {
        size_t from = i == first ? begin : 0, left = inputs[i].count - from;
        size_t taken = left < FEED_ROWS - rows ? left : FEED_ROWS - rows;
        piece.last = i;
        piece.end = from + taken;
        rows += taken;
    }
    return piece;
}

/* Gathers the piece's rows in `scratch`; their number. */
static size_t gather(struct session *scratch, const struct piece *piece)
{
    size_t rows = 0;
    for (size_t i = piece->first; i <= piece->last; i++) {
        const struct session_input *input = &piece->inputs[i];
        size_t begin = piece_begin(piece, i), count = piece_end(piece, i) - begin;
        for (size_t j = 0; j < count; j++, rows++) {
            scratch->tokens[rows] = input->tokens[begin + j];
            scratch->positions[rows] = (uint32_t)(input->session->position + j);
        }
        scratch->cached[i - piece->first].attention = attention_of(input->session, count);
    }
    return rows;
}

static void point_to_caches(struct session *scratch, const struct piece *piece, size_t layer)
{
    const struct model_config *config = &scratch->engine->model->config;
    size_t kv = (size_t)(config->kv_heads * config->head_size);
    for (size_t i = piece->first; i <= piece->last; i++) {
        const struct session *session = piece->inputs[i].session;
        struct cached_rows *rows = &scratch->cached[i - piece->first];
        rows->keys = session->keys + layer * session->context * kv;
        rows->values = session->values + layer * session->context * kv;
    }
}

/* Moves the sessions on, and writes the logits of those whose last token was in the piece: their
 * rows go side by side, for one product. */
static void finish(struct session *scratch, const struct piece *piece, float *logits)
{
    const struct model *model = scratch->engine->model;
    size_t width = (size_t)model->config.width, layers = (size_t)model->config.layers;
    const float *x = scratch->x[layers % 2];
    float *last = scratch->x[(layers + 1) % 2];
    size_t done = 0;
    for (size_t i = piece->first; i <= piece->last; i++) {
        size_t count = piece_end(piece, i) - piece_begin(piece, i);
        x += count * width;
        piece->inputs[i].session->position += count;
        if (piece_end(piece, i) == piece->inputs[i].count)
            memcpy(last + done++ * width, x - width, width * sizeof *last);
    }
    if (logits && done)
        model_logits(model, logits + piece->first * (size_t)model->config.vocabulary, last, done,
                     scratch->operands);
}

static void feed_piece(struct session *scratch, const struct piece *piece, float *logits)
{
    const struct model *model = scratch->engine->model;
    size_t rows = gather(scratch, piece), layers = (size_t)model->config.layers;
    struct block *block = &scratch->block;
    embedding_forward(model->compute, scratch->x[0], model->weights, scratch->tokens, rows,
                      (size_t)model->config.width);
    block->rows = rows;
    block->cached = scratch->cached;
    block->cached_count = piece->last - piece->first + 1;
    for (size_t layer = 0; layer < layers; layer++) {
        block->x = scratch->x[layer % 2];
        block->out = scratch->x[(layer + 1) % 2];
        point_to_caches(scratch, piece, layer);
        model_block_forward(model, layer, block);
    }
    finish(scratch, piece, logits);
}

static status check_input(const struct session_input *input, struct error *error)
{
    const struct session *session = input->session;
    ASSERT(session && input->tokens && input->count);
    for (size_t i = 0; i < input->count; i++)
        ASSERT(input->tokens[i] < (uint32_t)session->engine->model->config.vocabulary);
    if (input->count <= session->context - session->position)
        return OK;
    return fail(error, ERR_LIMIT, "%zu tokens more than the context of %zu has room for (%zu)",
                input->count, session->context, session->context - session->position);
}

status sessions_feed(const struct session_input *inputs, size_t count, float *logits,
                     struct error *error)
{
    ASSERT(inputs && count && error);
    for (size_t i = 0; i < count; i++) {
        TRY(check_input(&inputs[i], error));
        ASSERT(inputs[i].session->engine == inputs[0].session->engine);
        for (size_t j = 0; j < i; j++)
            ASSERT(inputs[i].session != inputs[j].session);
    }
    for (struct piece piece = piece_from(inputs, count, 0, 0);;) {
        feed_piece(inputs[0].session, &piece, logits);
        bool whole = piece.end == inputs[piece.last].count;
        size_t next = whole ? piece.last + 1 : piece.last;
        if (next == count)
            return OK;
        piece = piece_from(inputs, count, next, whole ? 0 : piece.end);
    }
}

status session_feed(struct session *session, const uint32_t *tokens, size_t count, float *logits,
                    struct error *error)
{
    const struct session_input input = {session, tokens, count};
    return sessions_feed(&input, 1, logits, error);
}
