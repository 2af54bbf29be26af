/* Weights in safetensors files, and their hash. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/model_internal.h"

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

struct hash_job {
    const struct weights_piece *pieces;
};

static void hash_pieces(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct hash_job *job = context;
    for (size_t i = begin; i < end; i++)
        *job->pieces[i].hash =
            sha256_of(job->pieces[i].values, job->pieces[i].count * sizeof *job->pieces[i].values);
}

void weights_hash_pieces(const struct weights_piece *pieces, size_t count, struct compute *compute)
{
    ASSERT(pieces && compute);
    struct hash_job job = {pieces};
    parallel_for(compute_pool(compute), count, 1, hash_pieces, &job);
}

static size_t pieces_of(const struct weight *weight)
{
    return (weight->rows * weight->columns + WEIGHTS_HASH_PIECE - 1) / WEIGHTS_HASH_PIECE;
}

status weights_hash_join(struct sha256 *out, const struct weight_table *table,
                         const struct sha256 *hashes, struct error *error)
{
    ASSERT(out && table && hashes && error);
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
    size_t count = 0, at = 0;
    for (size_t i = 0; i < table->count; i++)
        count += pieces_of(&table->weights[i]);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct weights_piece *pieces = arena_alloc(arena, count, sizeof *pieces, error);
    struct sha256 *hashes = arena_alloc(arena, count, sizeof *hashes, error);
    status result = pieces && hashes ? OK : error->code;
    for (size_t i = 0; result == OK && i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        const float *values = flat + weight->offset;
        size_t left = weight->rows * weight->columns, len;
        for (; left; left -= len, values += len, at++) {
            len = left < WEIGHTS_HASH_PIECE ? left : WEIGHTS_HASH_PIECE;
            pieces[at] = (struct weights_piece){values, len, &hashes[at]};
        }
    }
    if (result == OK) {
        weights_hash_pieces(pieces, count, compute);
        result = weights_hash_join(out, table, hashes, error);
    }
    arena_destroy(arena);
    return result;
}
