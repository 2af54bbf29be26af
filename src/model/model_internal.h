/* What the files of model/ share: where a layer's weights stand and how its products run. */
#ifndef RODNIK_MODEL_MODEL_INTERNAL_H
#define RODNIK_MODEL_MODEL_INTERNAL_H

#include "model/model.h"

/* Indices into the weight table. */
struct layer_index {
    size_t norm1, q, k, v, q_norm, k_norm, o, norm2, gate, up, down;
};
struct layer_index layer_index_of(const struct model_config *config, size_t layer);
size_t final_norm_index(const struct model_config *config);
size_t head_index(const struct model_config *config); /* the embedding when tied */

/* The products of a block; the head's comes after all layers'. */
enum block_product { PRODUCT_QKV, PRODUCT_OUT, PRODUCT_GATE_UP, PRODUCT_DOWN, PRODUCTS_PER_LAYER };

/* One linear map y = x W^T: the weights [outputs, inputs] start at `offset` of the flat buffers. */
struct linear {
    size_t index; /* in model->packed */
    size_t offset, outputs, inputs;
};
struct linear linear_of(const struct model *model, size_t layer, enum block_product product);
struct linear linear_head(const struct model *model);

/* out f32 [rows, outputs] = x [rows, inputs] W^T */
void linear_forward(const struct model *model, struct linear linear, float *out, const void *x,
                    size_t rows);
/* grad_x f32 [rows, inputs] = grad_out W (overwritten); grad_weights = grad_out^T x (+ grad_weights
 * if accumulate).  grad_out, x: operands. */
struct linear_gradients {
    float *grad_x;       /* [rows, inputs] */
    float *grad_weights; /* flat buffer */
    bool accumulate;
};
void linear_backward(const struct model *model, struct linear linear,
                     const struct linear_gradients *out, const void *grad_out, const void *x,
                     size_t rows);

/* Widths in elements of the rows that a block keeps. */
static inline size_t attended_width(const struct model_config *config)
{
    return (size_t)(config->heads * config->head_size);
}
static inline size_t kv_width(const struct model_config *config)
{
    return (size_t)(config->kv_heads * config->head_size);
}
static inline size_t qkv_width(const struct model_config *config)
{
    return attended_width(config) + 2 * kv_width(config);
}

/* A zeroed buffer of `count` operands of the model's type. */
MUST_USE void *operand_alloc(const struct model *model, struct arena *arena, size_t count,
                             struct error *error);

/* Backward of one block: grad [rows, width] holds d/d out on entry and d/d x on exit; gradients
 * (flat) are added to, those of products if accumulate, else overwritten. */
struct block_scratch {
    float *narrow, *wide; /* [rows, width or attended], [rows, max(ffn_width, qkv)] */
    void *narrow_operand, *wide_operand; /* [rows, width], [rows, max(2 ffn_width, qkv)] */
    bool accumulate;
};
void model_block_backward(const struct model *model, size_t layer, const struct block *block,
                          float *grad, float *gradients, const struct block_scratch *scratch);

#endif
