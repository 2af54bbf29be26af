#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "model/model_internal.h"

/* ---- where weights stand ---- */

static size_t weights_per_layer(const struct model_config *config)
{
    return config->qk_norm ? 11 : 9;
}

struct layer_index layer_index_of(const struct model_config *config, size_t layer)
{
    ASSERT(layer < (size_t)config->layers);
    size_t at = 1 + layer * weights_per_layer(config);
    struct layer_index index = {.norm1 = at, .q = at + 1, .k = at + 2, .v = at + 3};
    at += 4;
    if (config->qk_norm) {
        index.q_norm = at++;
        index.k_norm = at++;
    }
    index.o = at;
    index.norm2 = at + 1;
    index.gate = at + 2;
    index.up = at + 3;
    index.down = at + 4;
    return index;
}

size_t final_norm_index(const struct model_config *config)
{
    return 1 + (size_t)config->layers * weights_per_layer(config);
}

size_t head_index(const struct model_config *config)
{
    return config->tied ? 0 : final_norm_index(config) + 1;
}

/* ---- the table ---- */

static void add_matrix(struct weight_table *table, const char *name, size_t rows, size_t columns,
                       enum weight_group group, float deviation)
{
    struct weight *weight = &table->weights[table->count++];
    snprintf(weight->name, sizeof weight->name, "%s", name);
    weight->offset = table->total;
    weight->rows = rows;
    weight->columns = columns;
    weight->group = group;
    weight->decay = group == WEIGHT_MATRIX;
    weight->deviation = deviation;
    table->total += rows * columns;
}

static void add_vector(struct weight_table *table, const char *name, size_t columns)
{
    add_matrix(table, name, 1, columns, WEIGHT_VECTOR, 0);
    table->weights[table->count - 1].vector = true;
}

/* Initial values.  Projections back into the residual stream start at zero, so that every block
 * starts as the identity
 * (nanochat, modded-nanogpt); the others at 1/sqrt(inputs) halved.  An embedding that is also the
 * head starts small, so that the
 * first logits are near zero; its own head starts at zero. */
static const float TIED_EMBEDDING_DEVIATION = 0.02f;
static const float EMBEDDING_DEVIATION = 0.5f;

static void add_layer(struct weight_table *table, const struct model_config *config, size_t layer)
{
    char prefix[WEIGHT_NAME_BYTES / 2], name[WEIGHT_NAME_BYTES];
    size_t width = (size_t)config->width, ffn = (size_t)config->ffn_width;
    size_t attended = attended_width(config), kv = kv_width(config);
    float deviation = 0.5f / sqrtf((float)width);
    snprintf(prefix, sizeof prefix, "model.layers.%zu.", layer);
#define NAME(suffix) (snprintf(name, sizeof name, "%s%s", prefix, suffix), name)
    add_vector(table, NAME("input_layernorm.weight"), width);
    add_matrix(table, NAME("self_attn.q_proj.weight"), attended, width, WEIGHT_MATRIX, deviation);
    add_matrix(table, NAME("self_attn.k_proj.weight"), kv, width, WEIGHT_MATRIX, deviation);
    add_matrix(table, NAME("self_attn.v_proj.weight"), kv, width, WEIGHT_MATRIX, deviation);
    if (config->qk_norm) {
        add_vector(table, NAME("self_attn.q_norm.weight"), (size_t)config->head_size);
        add_vector(table, NAME("self_attn.k_norm.weight"), (size_t)config->head_size);
    }
    add_matrix(table, NAME("self_attn.o_proj.weight"), width, attended, WEIGHT_MATRIX, 0);
    add_vector(table, NAME("post_attention_layernorm.weight"), width);
    add_matrix(table, NAME("mlp.gate_proj.weight"), ffn, width, WEIGHT_MATRIX, deviation);
    add_matrix(table, NAME("mlp.up_proj.weight"), ffn, width, WEIGHT_MATRIX, deviation);
    add_matrix(table, NAME("mlp.down_proj.weight"), width, ffn, WEIGHT_MATRIX, 0);
#undef NAME
}

status weight_table_create(struct weight_table *out, const struct model_config *config,
                           struct arena *arena, struct error *error)
{
    ASSERT(out && config && arena && error);
    TRY(model_config_check(config, error));
    size_t count = final_norm_index(config) + 1 + (config->tied ? 0 : 1);
    struct weight_table table = {0};
    TRY_ALLOC(table.weights, arena, count, error);
    size_t vocabulary = (size_t)config->vocabulary, width = (size_t)config->width;
    add_matrix(&table, "model.embed_tokens.weight", vocabulary, width, WEIGHT_EMBEDDING,
               config->tied ? TIED_EMBEDDING_DEVIATION : EMBEDDING_DEVIATION);
    for (size_t layer = 0; layer < (size_t)config->layers; layer++)
        add_layer(&table, config, layer);
    add_vector(&table, "model.norm.weight", width);
    if (!config->tied)
        add_matrix(&table, "lm_head.weight", vocabulary, width, WEIGHT_HEAD, 0);
    ASSERT(table.count == count);
    ASSERT(table.total == model_parameters(config));
    *out = table;
    return OK;
}

void model_init(struct model *model, uint64_t seed)
{
    ASSERT(model);
    for (size_t i = 0; i < model->table.count; i++) {
        const struct weight *weight = &model->table.weights[i];
        float *values = model->weights + weight->offset;
        size_t count = weight->rows * weight->columns;
        if (weight->vector)
            for (size_t j = 0; j < count; j++)
                values[j] = 1;
        else if (weight->deviation > 0)
            random_normal(model->compute, values, count, weight->deviation, seed, i);
        else
            memset(values, 0, count * sizeof *values);
    }
    model_refresh(model);
}
