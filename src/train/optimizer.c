/* AdamW and Muon over the parts of the weight table that this process keeps: each weight group has
 * its own rate. */
#include "train/train.h"

#include <math.h>

#include "train/train_internal.h"

/* Weights stepped are shared in runs of at least this many elements. */
enum { SHARED_COUNT = 1 << 20 };

static size_t weight_count(const struct weight *weight)
{
    return weight->rows * weight->columns;
}

static const struct weight *weight_of(const struct optimizer *optimizer, const struct part *part)
{
    return &optimizer->model->table.weights[part->weight];
}

/* ---- what all processes sum and share ---- */

void optimizer_sum(struct optimizer *optimizer, float *gradients, size_t begin, size_t end)
{
    ASSERT(optimizer && gradients && begin <= end);
    comm_sum_begin(optimizer->comm, &optimizer->partition.elements, optimizer->model->compute,
                   gradients, begin, end);
}

double optimizer_norm(struct optimizer *optimizer, const float *gradients)
{
    ASSERT(optimizer && gradients);
    const struct partition *partition = &optimizer->partition;
    const struct weight_table *table = &optimizer->model->table;
    struct compute *compute = optimizer->model->compute;
    const struct comm_map *blocks = &partition->blocks;
    comm_wait(optimizer->comm);
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        if (part->own)
            squares_of_blocks(compute, optimizer->block_sums + blocks->start[i],
                              gradients + part->begin, part->count);
    }
    comm_share_begin(optimizer->comm, blocks, optimizer->block_sums, sizeof(float), 0,
                     blocks->start[blocks->parts]);
    comm_wait(optimizer->comm);
    double sum = 0;
    for (size_t i = 0, at = 0; i < table->count; i++) {
        size_t count = (weight_count(&table->weights[i]) + SQUARES_BLOCK - 1) / SQUARES_BLOCK;
        sum += (double)sum_of_blocks(compute, optimizer->block_sums + at, count);
        at += count;
    }
    return sqrt(sum);
}

/* ---- memory ---- */

static status list_seconds(struct optimizer *out, struct arena *arena, struct error *error)
{
    const struct partition *partition = &out->partition;
    TRY_ALLOC(out->seconds.weights, arena, out->model->table.count, error);
    for (size_t i = 0; i < partition->count; i++) {
        const struct weight *weight = weight_of(out, &partition->parts[i]);
        if (partition->parts[i].muon || partition->parts[i].begin != weight->offset)
            continue;
        out->seconds.weights[out->seconds.count++] = *weight;
        out->seconds.total += weight_count(weight);
    }
    return OK;
}

static status create_scratch(struct optimizer *out, struct arena *arena, struct error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < out->partition.count; i++) {
        const struct part *part = &out->partition.parts[i];
        const struct weight *weight = weight_of(out, part);
        size_t needed =
            part->own && part->muon ? muon_scratch_bytes(weight->rows, weight->columns) : 0;
        bytes = needed > bytes ? needed : bytes;
    }
    if (!bytes)
        return OK;
    out->muon_scratch = arena_alloc(arena, bytes, 1, error);
    return out->muon_scratch ? OK : error->code;
}

status optimizer_create(struct optimizer **out, struct model *model, const struct recipe *recipe,
                        const struct comm *comm, struct arena *arena, struct error *error)
{
    ASSERT(out && model && recipe && comm && arena && error);
    struct optimizer *optimizer;
    const struct seat seat = {comm_rank(comm), comm_count(comm)};
    TRY_ALLOC(optimizer, arena, 1, error);
    optimizer->model = model;
    optimizer->recipe = recipe;
    optimizer->comm = comm;
    struct partition *partition = &optimizer->partition;
    TRY(partition_create(partition, &model->table, recipe, seat, arena, error));
    TRY_ALLOC(optimizer->first, arena, partition->first_count, error);
    TRY_ALLOC(optimizer->second, arena, partition->second_count, error);
    TRY_ALLOC(optimizer->block_sums, arena, partition->blocks.start[partition->count], error);
    TRY(list_seconds(optimizer, arena, error));
    TRY(create_scratch(optimizer, arena, error));
    *out = optimizer;
    return OK;
}

/* ---- a step ---- */

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

static void step_muon(const struct optimizer *optimizer, const struct part *part,
                      const float *gradient, const struct optimizer_update *update)
{
    const struct recipe *recipe = optimizer->recipe;
    const struct weight *weight = weight_of(optimizer, part);
    struct model *model = optimizer->model;
    const struct muon settings = {
        .learning_rate = (float)(update->rate_share * peak_rate(recipe, weight->group)),
        .momentum = (float)recipe->momentum,
        .weight_decay = weight->decay ? (float)recipe->weight_decay : 0,
        .grad_scale = update->grad_scale,
        .rows = weight->rows,
        .columns = weight->columns,
        .scratch = optimizer->muon_scratch};
    const struct muon_state state = {.weight = model->weights + part->begin,
                                     .momentum = optimizer->first + part->first_at,
                                     .copy = model->copy ? model->copy + part->begin : NULL};
    muon_step(model->compute, &settings, &state, gradient);
}

static void step_adamw(const struct optimizer *optimizer, const struct part *part,
                       const float *gradient, const struct optimizer_update *update)
{
    const struct recipe *recipe = optimizer->recipe;
    const struct weight *weight = weight_of(optimizer, part);
    struct model *model = optimizer->model;
    const struct adamw settings = {
        .learning_rate = (float)(update->rate_share * peak_rate(recipe, weight->group)),
        .beta1 = (float)recipe->beta1,
        .beta2 = (float)recipe->beta2,
        .epsilon = (float)recipe->epsilon,
        .weight_decay = weight->decay ? (float)recipe->weight_decay : 0,
        .grad_scale = update->grad_scale,
        .step = update->count};
    const struct adamw_state state = {.weight = model->weights + part->begin,
                                      .first = optimizer->first + part->first_at,
                                      .second = optimizer->second + part->second_at,
                                      .copy = model->copy ? model->copy + part->begin : NULL};
    adamw_step(model->compute, &settings, &state, gradient, part->count);
}

static void step_part(const struct optimizer *optimizer, const struct part *part,
                      const float *gradients, const struct optimizer_update *update)
{
    if (!part->own)
        return;
    if (part->muon)
        step_muon(optimizer, part, gradients + part->begin, update);
    else
        step_adamw(optimizer, part, gradients + part->begin, update);
}

/* What others stepped has come as master values alone. */
static void refresh_copies(const struct optimizer *optimizer)
{
    struct model *model = optimizer->model;
    for (size_t i = 0; i < optimizer->partition.count && model->copy; i++) {
        const struct part *part = &optimizer->partition.parts[i];
        if (!part->own)
            convert_array(model->compute, (struct array){model->copy + part->begin, DTYPE_BF16},
                          (struct const_array){model->weights + part->begin, DTYPE_F32},
                          part->count);
    }
}

/* While some weights are stepped, those before them are on their way. */
void optimizer_step(struct optimizer *optimizer, const float *gradients,
                    const struct optimizer_update *update)
{
    ASSERT(optimizer && gradients && update && update->count >= 1);
    const struct partition *partition = &optimizer->partition;
    size_t shared = 0;
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        step_part(optimizer, part, gradients, update);
        size_t end = part->begin + part->count;
        if (end - shared < SHARED_COUNT && i + 1 < partition->count)
            continue;
        comm_share_begin(optimizer->comm, &partition->elements, optimizer->model->weights,
                         sizeof(float), shared, end);
        shared = end;
    }
    comm_wait(optimizer->comm);
    refresh_copies(optimizer);
}
