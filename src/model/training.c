/* One micro-batch through the whole model: activations kept by layer, then walked back. */
#include "model/model.h"

#include <string.h>

#include "model/model_internal.h"

struct training {
    const struct model *model;
    struct training_shape shape;
    size_t rows;
    float *embedded;      /* [rows, width], input of the first block */
    struct block *blocks; /* one per layer, with their activations */
    void *final;          /* [rows, width] operands of the head */
    float *final_scale;   /* [rows] */
    float *grad;          /* [waiting * rows, width] */
    uint32_t *tokens;     /* [waiting * rows] */
    size_t waiting; /* most micro-batches whose embedding's gradient waits for the chain's last */
    size_t done;    /* so many wait */
    uint32_t *positions; /* [rows] */
    struct block_scratch scratch;
    void *loss_scratch;
};

/* All activations are parts of one block, so that huge pages are full; one function hands them out
 * and counts them, so that training_bytes states what training_create takes. */
struct taker {
    char *block; /* NULL: only count */
    size_t bytes;
};

static void *take(struct taker *taker, size_t count, size_t size)
{
    char *part = taker->block ? taker->block + taker->bytes : NULL;
    taker->bytes += (count * size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    return part;
}

/* All that a block keeps for the way back but its output. */
static void take_inside(struct taker *taker, struct block *block, const struct model *model,
                        size_t rows)
{
    const struct model_config *config = &model->config;
    size_t width = (size_t)config->width, ffn = (size_t)config->ffn_width;
    size_t operand = dtype_bytes(model->type);
    block->rows = rows;
    block->middle = take(taker, rows * width, sizeof(float));
    block->norm1 = take(taker, rows * width, operand);
    block->attended = take(taker, rows * attended_width(config), operand);
    block->norm2 = take(taker, rows * width, operand);
    block->activated = take(taker, rows * ffn, operand);
    block->qkv = take(taker, rows * qkv_width(config), sizeof(float));
    block->gate_up = take(taker, rows * 2 * ffn, sizeof(float));
    block->scale1 = take(taker, rows, sizeof(float));
    block->scale2 = take(taker, rows, sizeof(float));
    block->log_sum = take(taker, rows * (size_t)config->heads, sizeof(float));
    if (config->qk_norm) {
        size_t heads = (size_t)(config->heads + config->kv_heads);
        block->qk = take(taker, rows * qkv_width(config), sizeof(float));
        block->scale_qk = take(taker, rows * heads, sizeof(float));
    }
}

/* Recomputing, all blocks work in the first one's memory and keep their output alone. */
static void take_blocks(struct taker *taker, struct block *blocks, const struct model *model,
                        const struct training_shape *shape)
{
    size_t rows = shape->sequences * shape->length, width = (size_t)model->config.width;
    for (size_t layer = 0; layer < (size_t)model->config.layers; layer++) {
        struct block counted = {0}, *block = blocks ? &blocks[layer] : &counted;
        if (layer == 0 || !shape->recompute)
            take_inside(taker, block, model, rows);
        else if (blocks)
            *block = blocks[0];
        block->out = take(taker, rows * width, sizeof(float));
    }
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_all(struct taker *taker, struct training *training, const struct model *model)
{
    const struct model_config *config = &model->config;
    size_t rows = training->rows, width = (size_t)config->width;
    size_t ffn = (size_t)config->ffn_width, operand = dtype_bytes(model->type);
    size_t narrow = larger(width, attended_width(config));
    training->embedded = take(taker, rows * width, sizeof(float));
    training->final = take(taker, rows * width, operand);
    training->final_scale = take(taker, rows, sizeof(float));
    training->grad = take(taker, training->waiting * rows * width, sizeof(float));
    training->tokens = take(taker, training->waiting * rows, sizeof(uint32_t));
    training->positions = take(taker, rows, sizeof(uint32_t));
    training->scratch.narrow = take(taker, rows * narrow, sizeof(float));
    training->scratch.wide = take(taker, rows * larger(ffn, qkv_width(config)), sizeof(float));
    training->scratch.narrow_operand = take(taker, rows * width, operand);
    training->scratch.wide_operand =
        take(taker, rows * larger(2 * ffn, qkv_width(config)), operand);
    training->loss_scratch =
        take(taker, cross_entropy_scratch_bytes(rows, (size_t)config->vocabulary), 1);
}

static struct attention attention_of(const struct training *training)
{
    const struct model_config *config = &training->model->config;
    size_t stride = qkv_width(config);
    return (struct attention){.sequences = training->shape.sequences,
                              .queries = training->shape.length,
                              .keys = training->shape.length,
                              .heads = (size_t)config->heads,
                              .kv_heads = (size_t)config->kv_heads,
                              .head_size = (size_t)config->head_size,
                              .query_stride = stride,
                              .kv_stride = stride,
                              .kv_sequence_stride = stride * training->shape.length};
}

/* With a head of its own the embedding's gradient has no other part to wait for. */
static size_t waiting_batches(const struct model *model, const struct training_shape *shape)
{
    return model->config.tied ? shape->batches : 1;
}

size_t training_bytes(const struct model *model, const struct training_shape *shape)
{
    ASSERT(model && shape && shape->sequences && shape->length && shape->batches);
    struct training training = {.rows = shape->sequences * shape->length,
                                .waiting = waiting_batches(model, shape)};
    struct taker taker = {0};
    take_blocks(&taker, NULL, model, shape);
    take_all(&taker, &training, model);
    return taker.bytes;
}

status training_create(struct training **out, const struct model *model,
                       const struct training_shape *shape, struct arena *arena, struct error *error)
{
    ASSERT(out && model && shape && shape->sequences && shape->length && arena && error);
    ASSERT(shape->length <= (size_t)model->config.context && shape->batches);
    struct training *training;
    TRY_ALLOC(training, arena, 1, error);
    training->model = model;
    training->shape = *shape;
    training->rows = shape->sequences * shape->length;
    training->waiting = waiting_batches(model, shape);
    size_t layers = (size_t)model->config.layers;
    TRY_ALLOC(training->blocks, arena, layers, error);
    struct taker taker = {0};
    TRY_ALLOC(taker.block, arena, training_bytes(model, shape), error);
    take_blocks(&taker, training->blocks, model, shape);
    take_all(&taker, training, model);
    for (size_t row = 0; row < training->rows; row++)
        training->positions[row] = (uint32_t)(row % shape->length);
    for (size_t layer = 0; layer < layers; layer++) {
        struct block *block = &training->blocks[layer];
        block->x = layer ? training->blocks[layer - 1].out : training->embedded;
        block->positions = training->positions;
        block->attention = attention_of(training);
    }
    *out = training;
    return OK;
}

static const float *final_weight(const struct model *model)
{
    return model->weights + model->table.weights[final_norm_index(&model->config)].offset;
}

static struct rmsnorm final_norm(const struct training *training)
{
    size_t width = (size_t)training->model->config.width;
    return (struct rmsnorm){.rows = training->rows,
                            .width = width,
                            .x_stride = width,
                            .out_stride = width,
                            .epsilon = (float)training->model->config.norm_epsilon};
}

static const float *last_output(const struct training *training)
{
    return training->blocks[training->model->config.layers - 1].out;
}

static void forward(struct training *training, const struct batch *batch)
{
    const struct model *model = training->model;
    ASSERT(batch->sequences == training->shape.sequences &&
           batch->length == training->shape.length);
    embedding_forward(model->compute, training->embedded, model->weights, batch->tokens,
                      training->rows, (size_t)model->config.width);
    for (size_t layer = 0; layer < (size_t)model->config.layers; layer++) {
        training->blocks[layer].attention.first_key = batch->first_key;
        model_block_forward(model, layer, &training->blocks[layer]);
    }
    struct rmsnorm norm = final_norm(training);
    rmsnorm_forward(model->compute, &norm, (struct array){training->final, model->type},
                    training->final_scale, last_output(training), final_weight(model));
}

static struct cross_entropy loss_of(const struct training *training, const struct batch *batch,
                                    float grad_scale)
{
    const struct model *model = training->model;
    size_t offset = linear_head(model).offset;
    const void *head = model->type == DTYPE_BF16 ? (const void *)(model->copy + offset)
                                                 : (const void *)(model->weights + offset);
    return (struct cross_entropy){.rows = training->rows,
                                  .width = (size_t)model->config.width,
                                  .vocabulary = (size_t)model->config.vocabulary,
                                  .x = {training->final, model->type},
                                  .head = {head, model->type},
                                  .target = batch->targets,
                                  .grad_scale = grad_scale,
                                  .accumulate = batch->accumulate,
                                  .scratch = training->loss_scratch};
}

void model_loss(struct training *training, const struct batch *batch, float *loss)
{
    ASSERT(training && batch && loss);
    forward(training, batch);
    struct cross_entropy in = loss_of(training, batch, 0);
    cross_entropy(training->model->compute, &in, loss, NULL, NULL);
}

/* What no product overwrites: vectors, and an embedding that is not the head. */
static void zero_sums(const struct model *model, float *gradients)
{
    for (size_t i = 0; i < model->table.count; i++) {
        const struct weight *weight = &model->table.weights[i];
        if (weight->vector || (weight->group == WEIGHT_EMBEDDING && !model->config.tied))
            zero_array(model->compute, gradients + weight->offset, weight->rows * weight->columns);
    }
}

/* Of all micro-batches that waited, positions ascending. */
static void embedding_gradients(struct training *training, float *gradients)
{
    const struct model *model = training->model;
    embedding_backward(model->compute, gradients, training->grad, training->tokens,
                       training->done * training->rows, (size_t)model->config.width);
    training->done = 0;
}

static void tell_final(const struct gradients_watcher *watcher, const struct model *model,
                       size_t first_weight)
{
    if (watcher && first_weight < model->table.count)
        watcher->final(watcher->context, model->table.weights[first_weight].offset);
}

/* A tied head's gradient waits for the embedding's. */
void model_gradients(struct training *training, const struct batch *batch, float grad_scale,
                     float *gradients, float *loss, const struct gradients_watcher *watcher)
{
    ASSERT(training && batch && gradients && loss && !(batch->more && watcher));
    const struct model *model = training->model;
    if (!batch->accumulate)
        training->done = 0;
    ASSERT(training->done < training->waiting);
    size_t begin = training->done * training->rows;
    float *grad = training->grad + begin * (size_t)model->config.width;
    memcpy(training->tokens + begin, batch->tokens, training->rows * sizeof *batch->tokens);
    training->scratch.accumulate = batch->accumulate;
    if (!batch->accumulate)
        zero_sums(model, gradients);
    forward(training, batch);
    struct cross_entropy in = loss_of(training, batch, grad_scale);
    cross_entropy(model->compute, &in, loss, training->scratch.narrow,
                  gradients + linear_head(model).offset);
    tell_final(watcher, model, final_norm_index(&model->config) + 1);
    struct rmsnorm norm = final_norm(training);
    struct rmsnorm_gradients out = {
        .grad_x = grad,
        .grad_weight = gradients + model->table.weights[final_norm_index(&model->config)].offset};
    rmsnorm_backward(model->compute, &norm, &out, training->scratch.narrow, last_output(training),
                     final_weight(model), training->final_scale);
    size_t last = (size_t)model->config.layers - 1;
    for (size_t layer = last + 1; layer-- > 0;) {
        if (training->shape.recompute && layer != last)
            model_block_forward(model, layer, &training->blocks[layer]);
        model_block_backward(model, layer, &training->blocks[layer], grad, gradients,
                             &training->scratch);
        tell_final(watcher, model, layer_index_of(&model->config, layer).norm1);
    }
    training->done++;
    if (!model->config.tied || !batch->more)
        embedding_gradients(training, gradients);
    tell_final(watcher, model, 0);
}
