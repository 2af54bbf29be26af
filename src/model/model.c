#include "model/model.h"

#include "model/model_internal.h"

status model_create(struct model **out, const struct model_config *config, enum dtype type,
                    struct compute *compute, struct arena *arena, struct error *error)
{
    ASSERT(out && config && compute && arena && error);
    struct model *model;
    TRY_ALLOC(model, arena, 1, error);
    model->config = *config;
    model->compute = compute;
    model->type = type;
    TRY(weight_table_create(&model->table, config, arena, error));
    TRY_ALLOC(model->weights, arena, model->table.total, error);
    if (type == DTYPE_BF16)
        TRY_ALLOC(model->copy, arena, model->table.total, error);
    float *rotary = NULL;
    TRY(rotary_table(&rotary, (size_t)config->context, (size_t)config->head_size,
                     config->rope_theta, arena, error));
    model->rotary = rotary;
    *out = model;
    return OK;
}

void model_refresh(struct model *model)
{
    ASSERT(model);
    if (model->copy)
        convert_array(model->compute, (struct array){model->copy, DTYPE_BF16},
                      (struct const_array){model->weights, DTYPE_F32}, model->table.total);
}

void *operand_alloc(const struct model *model, struct arena *arena, size_t count,
                    struct error *error)
{
    return arena_alloc(arena, count, dtype_bytes(model->type), error);
}

/* ---- linear maps ---- */

struct linear linear_of(const struct model *model, size_t layer, enum block_product product)
{
    const struct model_config *config = &model->config;
    struct layer_index index = layer_index_of(config, layer);
    size_t width = (size_t)config->width, ffn = (size_t)config->ffn_width;
    const struct linear linears[PRODUCTS_PER_LAYER] = {
        [PRODUCT_QKV] = {0, index.q, qkv_width(config), width},
        [PRODUCT_OUT] = {0, index.o, width, attended_width(config)},
        [PRODUCT_GATE_UP] = {0, index.gate, 2 * ffn, width},
        [PRODUCT_DOWN] = {0, index.down, width, ffn},
    };
    struct linear linear = linears[product];
    linear.index = layer * PRODUCTS_PER_LAYER + (size_t)product;
    linear.offset = model->table.weights[linear.offset].offset;
    return linear;
}

struct linear linear_head(const struct model *model)
{
    const struct model_config *config = &model->config;
    return (struct linear){.index = (size_t)config->layers * PRODUCTS_PER_LAYER,
                           .offset = model->table.weights[head_index(config)].offset,
                           .outputs = (size_t)config->vocabulary,
                           .inputs = (size_t)config->width};
}

static struct operand weight_operand(const struct model *model, struct linear linear,
                                     bool transposed)
{
    const void *data = model->type == DTYPE_BF16 ? (const void *)(model->copy + linear.offset)
                                                 : (const void *)(model->weights + linear.offset);
    return (struct operand){data, model->type, linear.inputs, transposed};
}

/* With more rows than this, packing the weights anew costs less than reading them row by row. */
enum { PACKED_ROWS_MAX = 8 };

void linear_forward(const struct model *model, struct linear linear, float *out, const void *x,
                    size_t rows)
{
    ASSERT(model && out && x);
    if (model->packed && rows <= PACKED_ROWS_MAX) {
        matrix_product_packed(model->compute, out, linear.outputs, x, rows,
                              &model->packed[linear.index]);
        return;
    }
    struct product product = {.rows = rows,
                              .columns = linear.outputs,
                              .depth = linear.inputs,
                              .a = {x, model->type, linear.inputs, false},
                              .b = weight_operand(model, linear, true),
                              .out = out,
                              .out_stride = linear.outputs};
    matrix_product(model->compute, &product);
}

void linear_backward(const struct model *model, struct linear linear,
                     const struct linear_gradients *out, const void *grad_out, const void *x,
                     size_t rows)
{
    ASSERT(model && out && grad_out && x);
    struct product input = {.rows = rows,
                            .columns = linear.inputs,
                            .depth = linear.outputs,
                            .a = {grad_out, model->type, linear.outputs, false},
                            .b = weight_operand(model, linear, false),
                            .out = out->grad_x,
                            .out_stride = linear.inputs};
    matrix_product(model->compute, &input);
    struct product weights = {.rows = linear.outputs,
                              .columns = linear.inputs,
                              .depth = rows,
                              .a = {grad_out, model->type, linear.outputs, true},
                              .b = {x, model->type, linear.inputs, false},
                              .out = out->grad_weights + linear.offset,
                              .out_stride = linear.inputs,
                              .accumulate = out->accumulate};
    matrix_product(model->compute, &weights);
}

static status pack_linear(struct model *model, struct linear linear, struct arena *arena,
                          struct error *error)
{
    return matrix_pack(&model->packed[linear.index], model->compute,
                       weight_operand(model, linear, true), linear.inputs, linear.outputs, arena,
                       error);
}

status model_pack(struct model *model, struct arena *arena, struct error *error)
{
    ASSERT(model && arena && error);
    size_t layers = (size_t)model->config.layers;
    TRY_ALLOC(model->packed, arena, layers * PRODUCTS_PER_LAYER + 1, error);
    for (size_t layer = 0; layer < layers; layer++)
        for (int product = 0; product < PRODUCTS_PER_LAYER; product++)
            TRY(pack_linear(model, linear_of(model, layer, (enum block_product)product), arena,
                            error));
    return pack_linear(model, linear_head(model), arena, error);
}
