/* AdamW and Muon over the weight table: each weight group has its own rate. */
#include "train/train.h"

#include <math.h>

#include "train/train_internal.h"

static size_t weight_count(const struct weight *weight)
{
    return weight->rows * weight->columns;
}

static bool uses_muon(const struct recipe *recipe, const struct weight *weight)
{
    return weight->group == WEIGHT_MATRIX && recipe->matrix_optimizer == MATRIX_MUON;
}

double gradient_norm(const struct model *model, const float *gradients)
{
    ASSERT(model && gradients);
    double sum = 0;
    for (size_t i = 0; i < model->table.count; i++) {
        const struct weight *weight = &model->table.weights[i];
        sum += (double)sum_of_squares(model->compute, gradients + weight->offset,
                                      weight_count(weight));
    }
    return sqrt(sum);
}

/* Muon needs one moment: second moments are laid out for the other weights only. */
static status lay_out_seconds(struct optimizer *out, struct arena *arena, struct error *error)
{
    const struct weight_table *table = &out->model->table;
    TRY_ALLOC(out->seconds.weights, arena, table->count, error);
    TRY_ALLOC(out->second_offset, arena, table->count, error);
    for (size_t i = 0; i < table->count; i++) {
        out->second_offset[i] = SIZE_MAX;
        if (uses_muon(out->recipe, &table->weights[i]))
            continue;
        struct weight *second = &out->seconds.weights[out->seconds.count++];
        *second = table->weights[i];
        second->offset = out->second_offset[i] = out->seconds.total;
        out->seconds.total += weight_count(second);
    }
    return OK;
}

static status create_scratch(struct optimizer *out, struct arena *arena, struct error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < out->model->table.count; i++) {
        const struct weight *weight = &out->model->table.weights[i];
        size_t needed =
            uses_muon(out->recipe, weight) ? muon_scratch_bytes(weight->rows, weight->columns) : 0;
        bytes = needed > bytes ? needed : bytes;
    }
    if (!bytes)
        return OK;
    out->muon_scratch = arena_alloc(arena, bytes, 1, error);
    return out->muon_scratch ? OK : error->code;
}

status optimizer_create(struct optimizer **out, struct model *model, const struct recipe *recipe,
                        struct arena *arena, struct error *error)
{
    ASSERT(out && model && recipe && arena && error);
    struct optimizer *optimizer;
    TRY_ALLOC(optimizer, arena, 1, error);
    optimizer->model = model;
    optimizer->recipe = recipe;
    TRY_ALLOC(optimizer->first, arena, model->table.total, error);
    TRY(lay_out_seconds(optimizer, arena, error));
    TRY_ALLOC(optimizer->second, arena, optimizer->seconds.total, error);
    TRY(create_scratch(optimizer, arena, error));
    *out = optimizer;
    return OK;
}

static double peak_rate(const struct recipe *recipe, enum weight_group group)
{
    ASSERT(group <= WEIGHT_VECTOR);
    switch (group) {
    case WEIGHT_EMBEDDING:
        return recipe->embedding_rate;
    case WEIGHT_HEAD:
        return recipe->head_rate;
    case WEIGHT_MATRIX:
        return recipe->learning_rate;
    case WEIGHT_VECTOR:
        return recipe->vector_rate;
    }
    return 0;
}

static void step_muon(const struct optimizer *optimizer, const struct weight *weight,
                      const float *gradient, const struct optimizer_update *update)
{
    const struct recipe *recipe = optimizer->recipe;
    struct model *model = optimizer->model;
    const struct muon settings = {
        .learning_rate = (float)(update->rate_share * peak_rate(recipe, weight->group)),
        .momentum = (float)recipe->momentum,
        .weight_decay = weight->decay ? (float)recipe->weight_decay : 0,
        .grad_scale = update->grad_scale,
        .rows = weight->rows,
        .columns = weight->columns,
        .scratch = optimizer->muon_scratch};
    const struct muon_state state = {.weight = model->weights + weight->offset,
                                     .momentum = optimizer->first + weight->offset,
                                     .copy = model->copy ? model->copy + weight->offset : NULL};
    muon_step(model->compute, &settings, &state, gradient);
}

static void step_adamw(const struct optimizer *optimizer, const struct weight *weight,
                       float *second, const float *gradient, const struct optimizer_update *update)
{
    const struct recipe *recipe = optimizer->recipe;
    struct model *model = optimizer->model;
    const struct adamw settings = {
        .learning_rate = (float)(update->rate_share * peak_rate(recipe, weight->group)),
        .beta1 = (float)recipe->beta1,
        .beta2 = (float)recipe->beta2,
        .epsilon = (float)recipe->epsilon,
        .weight_decay = weight->decay ? (float)recipe->weight_decay : 0,
        .grad_scale = update->grad_scale,
        .step = update->count};
    const struct adamw_state state = {.weight = model->weights + weight->offset,
                                      .first = optimizer->first + weight->offset,
                                      .second = second,
                                      .copy = model->copy ? model->copy + weight->offset : NULL};
    adamw_step(model->compute, &settings, &state, gradient, weight_count(weight));
}

void optimizer_step(struct optimizer *optimizer, const float *gradients,
                    const struct optimizer_update *update)
{
    ASSERT(optimizer && gradients && update && update->count >= 1);
    const struct weight_table *table = &optimizer->model->table;
    for (size_t i = 0; i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        size_t second = optimizer->second_offset[i];
        if (second == SIZE_MAX)
            step_muon(optimizer, weight, gradients + weight->offset, update);
        else
            step_adamw(optimizer, weight, optimizer->second + second, gradients + weight->offset,
                       update);
    }
}
