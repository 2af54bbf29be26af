/* One transformer block, forward and backward side by side. */
#include "model/model_internal.h"

#include <string.h>

static struct const_array operand(const struct model *model, const void *data)
{
    return (struct const_array){data, model->type};
}

static struct array operand_out(const struct model *model, void *data)
{
    return (struct array){data, model->type};
}

static struct rmsnorm norm_of(const struct model *model, size_t rows)
{
    size_t width = (size_t)model->config.width;
    return (struct rmsnorm){.rows = rows,
                            .width = width,
                            .x_stride = width,
                            .out_stride = width,
                            .epsilon = (float)model->config.norm_epsilon};
}

static const float *weight_values(const struct model *model, size_t index)
{
    return model->weights + model->table.weights[index].offset;
}

/* ---- norms of queries and keys: the heads side by side in a row, each normed by itself ---- */

struct head_norm { /* of the query heads, or of the key heads */
    struct rmsnorm shape;
    size_t at;     /* of the first head in a row */
    size_t scales; /* of the first scale in block->scale_qk */
    size_t weight;
};

static struct head_norm head_norm_of(const struct model *model, const struct layer_index *index,
                                     size_t rows, bool keys)
{
    const struct model_config *config = &model->config;
    size_t heads = (size_t)config->heads, size = (size_t)config->head_size;
    return (struct head_norm){.shape = {.rows = rows,
                                        .width = size,
                                        .x_stride = qkv_width(config),
                                        .out_stride = qkv_width(config),
                                        .epsilon = (float)config->norm_epsilon,
                                        .parts = keys ? (size_t)config->kv_heads : heads},
                              .at = keys ? heads * size : 0,
                              .scales = keys ? heads * rows : 0,
                              .weight = keys ? index->k_norm : index->q_norm};
}

static void head_norms_forward(const struct model *model, const struct layer_index *index,
                               const struct block *block)
{
    for (int keys = 0; keys < 2; keys++) {
        struct head_norm norm = head_norm_of(model, index, block->rows, keys);
        rmsnorm_forward(model->compute, &norm.shape, (struct array){block->qk + norm.at, DTYPE_F32},
                        block->scale_qk ? block->scale_qk + norm.scales : NULL,
                        block->qkv + norm.at, weight_values(model, norm.weight));
    }
}

static void head_norms_backward(const struct model *model, const struct layer_index *index,
                                const struct block *block, float *grad_qkv, float *gradients)
{
    for (int keys = 0; keys < 2; keys++) {
        struct head_norm norm = head_norm_of(model, index, block->rows, keys);
        struct rmsnorm_gradients out = {.grad_x = grad_qkv + norm.at,
                                        .grad_weight =
                                            gradients + model->table.weights[norm.weight].offset};
        rmsnorm_backward(model->compute, &norm.shape, &out, grad_qkv + norm.at,
                         block->qkv + norm.at, weight_values(model, norm.weight),
                         block->scale_qk + norm.scales);
    }
}

/* ---- attention ---- */

static struct rotary rotary_of(const struct model *model, const struct block *block, bool inverse)
{
    const struct model_config *config = &model->config;
    return (struct rotary){.rows = block->rows,
                           .heads = (size_t)(config->heads + config->kv_heads),
                           .head_size = (size_t)config->head_size,
                           .row_stride = qkv_width(config),
                           .table = model->rotary,
                           .positions = block->positions,
                           .inverse = inverse};
}

/* Where attention reads in training: rotated queries and keys stand in qk (with norms) or in qkv;
 * values in qkv. */
static struct attention_inputs attention_inputs_of(const struct model *model,
                                                   const struct block *block)
{
    const float *rotated = block->qk ? block->qk : block->qkv;
    size_t heads = attended_width(&model->config);
    return (struct attention_inputs){.query = rotated,
                                     .key = rotated + heads,
                                     .value = block->qkv + heads + kv_width(&model->config)};
}

static void cache_rows(const struct model *model, const struct cached_rows *rows,
                       const struct attention_inputs *in)
{
    size_t stride = qkv_width(&model->config), width = kv_width(&model->config);
    for (size_t row = 0; row < rows->attention.queries; row++) {
        size_t at = (rows->attention.query_first + row) * width;
        memcpy(rows->keys + at, in->key + row * stride, width * sizeof *rows->keys);
        memcpy(rows->values + at, in->value + row * stride, width * sizeof *rows->values);
    }
}

/* Each sequence attends to its own cache, so that neighbours change nothing. */
static void attend_cached(const struct model *model, const struct block *block)
{
    struct attention_inputs in = attention_inputs_of(model, block);
    size_t stride = qkv_width(&model->config);
    char *out = block->attended;
    for (size_t i = 0; i < block->cached_count; i++) {
        const struct cached_rows *rows = &block->cached[i];
        size_t count = rows->attention.queries;
        cache_rows(model, rows, &in);
        const struct attention_inputs own = {in.query, rows->keys, rows->values};
        attention_forward(model->compute, &rows->attention, operand_out(model, out), NULL, &own);
        in.query += count * stride;
        in.key += count * stride;
        in.value += count * stride;
        out += count * attended_width(&model->config) * dtype_bytes(model->type);
    }
}

static void attend_forward(const struct model *model, size_t layer, const struct block *block)
{
    struct layer_index index = layer_index_of(&model->config, layer);
    linear_forward(model, linear_of(model, layer, PRODUCT_QKV), block->qkv, block->norm1,
                   block->rows);
    if (block->qk)
        head_norms_forward(model, &index, block);
    struct rotary rotary = rotary_of(model, block, false);
    rotary_apply(model->compute, block->qk ? block->qk : block->qkv, &rotary);
    if (block->cached) {
        attend_cached(model, block);
        return;
    }
    struct attention_inputs in = attention_inputs_of(model, block);
    attention_forward(model->compute, &block->attention, operand_out(model, block->attended),
                      block->log_sum, &in);
}

/* grad_attended f32 [rows, attended]; leaves d/d norm1 in scratch->narrow. */
static void attend_backward(const struct model *model, size_t layer, const struct block *block,
                            float *gradients, const struct block_scratch *scratch)
{
    struct layer_index index = layer_index_of(&model->config, layer);
    size_t heads = attended_width(&model->config), kv = kv_width(&model->config);
    struct attention_inputs in = attention_inputs_of(model, block);
    struct attention_gradients grad = {.grad_query = scratch->wide,
                                       .grad_key = scratch->wide + heads,
                                       .grad_value = scratch->wide + heads + kv};
    attention_backward(model->compute, &block->attention, &grad, scratch->narrow,
                       operand(model, block->attended), block->log_sum, &in);
    struct rotary rotary = rotary_of(model, block, true);
    rotary_apply(model->compute, scratch->wide, &rotary);
    if (block->qk)
        head_norms_backward(model, &index, block, scratch->wide, gradients);
    convert_array(model->compute, operand_out(model, scratch->wide_operand),
                  (struct const_array){scratch->wide, DTYPE_F32},
                  block->rows * qkv_width(&model->config));
    struct linear_gradients out = {scratch->narrow, gradients, scratch->accumulate};
    linear_backward(model, linear_of(model, layer, PRODUCT_QKV), &out, scratch->wide_operand,
                    block->norm1, block->rows);
}

/* ---- the block ---- */

void model_block_forward(const struct model *model, size_t layer, const struct block *block)
{
    ASSERT(model && block && layer < (size_t)model->config.layers);
    ASSERT(block->cached || block->rows == block->attention.sequences * block->attention.queries);
    struct layer_index index = layer_index_of(&model->config, layer);
    struct rmsnorm norm = norm_of(model, block->rows);
    size_t count = block->rows * norm.width;

    rmsnorm_forward(model->compute, &norm, operand_out(model, block->norm1), block->scale1,
                    block->x, weight_values(model, index.norm1));
    attend_forward(model, layer, block);
    linear_forward(model, linear_of(model, layer, PRODUCT_OUT), block->middle, block->attended,
                   block->rows);
    residual_add(model->compute, block->middle, block->x, count);

    rmsnorm_forward(model->compute, &norm, operand_out(model, block->norm2), block->scale2,
                    block->middle, weight_values(model, index.norm2));
    linear_forward(model, linear_of(model, layer, PRODUCT_GATE_UP), block->gate_up, block->norm2,
                   block->rows);
    swiglu_forward(model->compute, operand_out(model, block->activated), block->gate_up,
                   block->rows, (size_t)model->config.ffn_width);
    linear_forward(model, linear_of(model, layer, PRODUCT_DOWN), block->out, block->activated,
                   block->rows);
    residual_add(model->compute, block->out, block->middle, count);
}

void model_block_backward(const struct model *model, size_t layer, const struct block *block,
                          float *grad, float *gradients, const struct block_scratch *scratch)
{
    ASSERT(model && block && grad && gradients && scratch);
    struct layer_index index = layer_index_of(&model->config, layer);
    struct rmsnorm norm = norm_of(model, block->rows);
    size_t count = block->rows * norm.width;
    struct const_array grad_out = {grad, DTYPE_F32};
    struct array narrow_operand = operand_out(model, scratch->narrow_operand);

    convert_array(model->compute, narrow_operand, grad_out, count);
    linear_backward(model, linear_of(model, layer, PRODUCT_DOWN),
                    &(struct linear_gradients){scratch->wide, gradients, scratch->accumulate},
                    scratch->narrow_operand, block->activated, block->rows);
    swiglu_backward(model->compute, operand_out(model, scratch->wide_operand), scratch->wide,
                    block->gate_up, block->rows, (size_t)model->config.ffn_width);
    linear_backward(model, linear_of(model, layer, PRODUCT_GATE_UP),
                    &(struct linear_gradients){scratch->narrow, gradients, scratch->accumulate},
                    scratch->wide_operand, block->norm2, block->rows);
    struct rmsnorm_gradients norm2 = {grad, gradients + model->table.weights[index.norm2].offset,
                                      true};
    rmsnorm_backward(model->compute, &norm, &norm2, scratch->narrow, block->middle,
                     weight_values(model, index.norm2), block->scale2);

    convert_array(model->compute, narrow_operand, grad_out, count);
    linear_backward(model, linear_of(model, layer, PRODUCT_OUT),
                    &(struct linear_gradients){scratch->narrow, gradients, scratch->accumulate},
                    scratch->narrow_operand, block->attended, block->rows);
    attend_backward(model, layer, block, gradients, scratch);
    struct rmsnorm_gradients norm1 = {grad, gradients + model->table.weights[index.norm1].offset,
                                      true};
    rmsnorm_backward(model->compute, &norm, &norm1, scratch->narrow, block->x,
                     weight_values(model, index.norm1), block->scale1);
}

void model_logits(const struct model *model, float *out, const float *x, size_t rows, void *scratch)
{
    ASSERT(model && out && x && scratch);
    struct rmsnorm norm = norm_of(model, rows);
    rmsnorm_forward(model->compute, &norm, operand_out(model, scratch), NULL, x,
                    weight_values(model, final_norm_index(&model->config)));
    linear_forward(model, linear_head(model), out, scratch, rows);
}
