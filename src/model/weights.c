#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
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

/* ---- in and out ---- */

status weights_save(const char *path, const struct weight_table *table, const float *flat,
                    const char *metadata_json, struct error *error)
{
    ASSERT(path && table && flat && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct safetensor *tensors = arena_alloc(arena, table->count, sizeof *tensors, error);
    status result = tensors ? OK : error->code;
    for (size_t i = 0; result == OK && i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        tensors[i] = (struct safetensor){.name = weight->name,
                                         .dtype = "F32",
                                         .shape = {weight->rows, weight->columns},
                                         .dimensions = 2,
                                         .data = flat + weight->offset,
                                         .bytes = weight->rows * weight->columns * sizeof *flat};
        if (weight->vector) {
            tensors[i].shape[0] = weight->columns;
            tensors[i].dimensions = 1;
        }
    }
    if (result == OK)
        result = safetensors_write(path, tensors, table->count, metadata_json, error);
    arena_destroy(arena);
    return result;
}

static status load_tensor(float *out, const struct weight *weight, const struct safetensor *tensor,
                          const char *path, struct error *error)
{
    size_t count = weight->rows * weight->columns;
    bool shape = weight->vector ? tensor->dimensions == 1 && tensor->shape[0] == weight->columns
                                : tensor->dimensions == 2 && tensor->shape[0] == weight->rows &&
                                      tensor->shape[1] == weight->columns;
    if (!shape)
        return fail(error, ERR_FORMAT, "%s: tensor %s does not have the shape [%zu, %zu]", path,
                    weight->name, weight->rows, weight->columns);
    if (strcmp(tensor->dtype, "F32") == 0) {
        memcpy(out, tensor->data, count * sizeof *out);
        return OK;
    }
    if (strcmp(tensor->dtype, "BF16"))
        return fail(error, ERR_FORMAT, "%s: tensor %s has type %s, allowed are F32 and BF16", path,
                    weight->name, tensor->dtype);
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, (const char *)tensor->data + i * sizeof half, sizeof half);
        out[i] = f32_from_bf16(half);
    }
    return OK;
}

status weights_load(float *flat, const struct weight_table *table, const char *path,
                    struct error *error)
{
    ASSERT(flat && table && path && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct safetensors file = {0};
    status result = safetensors_open(&file, path, arena, error);
    if (result == OK && file.count != table->count)
        result = fail(error, ERR_FORMAT, "%s: holds %zu tensors, the model has %zu", path,
                      file.count, table->count);
    for (size_t i = 0; result == OK && i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        const struct safetensor *tensor = safetensors_find(&file, weight->name);
        if (!tensor)
            result = fail(error, ERR_FORMAT, "%s: tensor %s is missing", path, weight->name);
        else
            result = load_tensor(flat + weight->offset, weight, tensor, path, error);
    }
    safetensors_close(&file);
    arena_destroy(arena);
    return result;
}

/* ---- hashes ---- */

enum { HASH_PIECE_BYTES = 4 << 20 };

struct piece {
    const uint8_t *data;
    size_t len;
};
struct hash_job {
    const struct piece *pieces;
    struct sha256 *hashes;
};

static void hash_pieces(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct hash_job *job = context;
    for (size_t i = begin; i < end; i++)
        job->hashes[i] = sha256_of(job->pieces[i].data, job->pieces[i].len);
}

static size_t pieces_of(const struct weight *weight)
{
    size_t bytes = weight->rows * weight->columns * sizeof(float);
    return (bytes + HASH_PIECE_BYTES - 1) / HASH_PIECE_BYTES;
}

static status combine_hashes(struct sha256 *out, const struct weight_table *table,
                             const struct sha256 *hashes, struct error *error)
{
    struct sha256_state whole, tensor;
    TRY(sha256_begin(&whole, error));
    for (size_t i = 0, at = 0; i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        size_t count = pieces_of(weight);
        status result = sha256_begin(&tensor, error);
        if (result != OK) {
            sha256_end(&whole);
            return result;
        }
        sha256_add(&tensor, weight->name, strlen(weight->name) + 1);
        sha256_add(&tensor, &hashes[at], count * sizeof *hashes);
        struct sha256 hash = sha256_end(&tensor);
        sha256_add(&whole, &hash, sizeof hash);
        at += count;
    }
    *out = sha256_end(&whole);
    return OK;
}

status weights_hash(struct sha256 *out, const struct weight_table *table, const float *flat,
                    struct compute *compute, struct error *error)
{
    ASSERT(out && table && flat && compute && error);
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++)
        count += pieces_of(&table->weights[i]);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct piece *pieces = arena_alloc(arena, count, sizeof *pieces, error);
    struct sha256 *hashes = arena_alloc(arena, count, sizeof *hashes, error);
    status result = pieces && hashes ? OK : error->code;
    for (size_t i = 0, at = 0; result == OK && i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        const uint8_t *data = (const uint8_t *)(flat + weight->offset);
        size_t left = weight->rows * weight->columns * sizeof *flat;
        for (; left; at++) {
            size_t len = left < HASH_PIECE_BYTES ? left : HASH_PIECE_BYTES;
            pieces[at] = (struct piece){data, len};
            data += len;
            left -= len;
        }
    }
    if (result == OK) {
        struct hash_job job = {pieces, hashes};
        parallel_for(compute_pool(compute), count, 1, hash_pieces, &job);
        result = combine_hashes(out, table, hashes, error);
    }
    arena_destroy(arena);
    return result;
}
