#include "infer/infer.h"

#include "infer/infer_internal.h"

/* Rows fed at once: long prompts go in pieces, so that scratch memory stays small. */
enum { FEED_ROWS = 256 };

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

/* One piece of at most FEED_ROWS tokens through all blocks; the last block's output. */
static const float *feed_piece(struct session *session, const uint32_t *tokens, size_t rows)
{
    const struct model *model = session->engine->model;
    const struct model_config *config = &model->config;
    size_t cache = session->context * (size_t)(config->kv_heads * config->head_size);
    embedding_forward(model->compute, session->x[0], model->weights, tokens, rows,
                      (size_t)config->width);
    for (size_t i = 0; i < rows; i++)
        session->positions[i] = (uint32_t)(session->position + i);
    struct block *block = &session->block;
    block->rows = rows;
    block->attention = attention_of(session, rows);
    for (size_t layer = 0; layer < (size_t)config->layers; layer++) {
        block->x = session->x[layer % 2];
        block->out = session->x[(layer + 1) % 2];
        block->key_cache = session->keys + layer * cache;
        block->value_cache = session->values + layer * cache;
        model_block_forward(model, layer, block);
    }
    session->position += rows;
    return session->x[config->layers % 2];
}

status session_feed(struct session *session, const uint32_t *tokens, size_t count, float *logits,
                    struct error *error)
{
    ASSERT(session && tokens && count && error);
    const struct model *model = session->engine->model;
    if (count > session->context - session->position)
        return fail(error, ERR_LIMIT, "%zu tokens more than the context of %zu has room for (%zu)",
                    count, session->context, session->context - session->position);
    for (size_t i = 0; i < count; i++)
        ASSERT(tokens[i] < (uint32_t)model->config.vocabulary);
    const float *x = NULL;
    size_t rows = 0;
    for (size_t at = 0; at < count; at += rows) {
        rows = count - at < FEED_ROWS ? count - at : FEED_ROWS;
        x = feed_piece(session, tokens + at, rows);
    }
    if (logits)
        model_logits(model, logits, x + (rows - 1) * (size_t)model->config.width, 1,
                     session->operands);
    return OK;
}
