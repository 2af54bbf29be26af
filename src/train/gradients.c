/* The gradient of a global batch: logical shards, each from zero, summed by one fixed balanced
 * tree. */
#include "train/train_internal.h"

/* Elements that are added up, and handed on, at once. */
enum { READY_COUNT = 1 << 20 };

/* ---- the tree ---- */

static float sum_shards(const struct shard_tree *tree, size_t first, size_t shards, size_t depth)
{
    float *out = tree->level[depth];
    if (shards == 1)
        return tree->shard(tree->context, first, out, NULL);
    size_t half = shards / 2;
    float left = sum_shards(tree, first, half, depth);
    float right = sum_shards(tree, first + half, half, depth + 1);
    add_arrays(tree->compute, out, out, tree->level[depth + 1], tree->count);
    return left + right;
}

/* All but the last shard first: level d then holds the left neighbour of all right of it. */
float shard_tree_sum(struct shard_tree *tree, size_t first, size_t shards)
{
    ASSERT(tree && shards && (shards & (shards - 1)) == 0);
    float left[SHARD_LEVELS_MAX];
    size_t depth = 0;
    for (; shards > 1; depth++) {
        ASSERT(depth + 1 < SHARD_LEVELS_MAX);
        shards /= 2;
        left[depth] = sum_shards(tree, first, shards, depth);
        first += shards;
    }
    tree->open = depth;
    tree->pending = tree->count;
    float sum = tree->shard(tree->context, first, tree->level[depth], tree);
    ASSERT(tree->pending == 0);
    while (depth-- > 0)
        sum = left[depth] + sum;
    return sum;
}

void shard_tree_final(struct shard_tree *tree, size_t from)
{
    ASSERT(tree && from <= tree->pending);
    size_t count = tree->pending - from;
    if (count == 0 || (from && count < READY_COUNT))
        return;
    for (size_t depth = tree->open; depth-- > 0;)
        add_arrays(tree->compute, tree->level[depth] + from, tree->level[depth] + from,
                   tree->level[depth + 1] + from, count);
    tree->ready(tree->context, from, tree->pending);
    tree->pending = from;
}

/* ---- a shard ---- */

static void on_final(void *context, size_t from)
{
    shard_tree_final(context, from);
}

/* Micro-batches in order, whose chains go on in `out`. */
static float compute_shard(void *context, size_t shard, float *out, struct shard_tree *last)
{
    struct gradients *gradients = context;
    size_t micro_rows = gradients->rows.count, length = gradients->rows.length;
    size_t batch_rows = gradients->shards * gradients->shard_rows;
    float scale = 1.0f / (float)(batch_rows * length);
    const struct gradients_watcher watcher = {on_final, last};
    for (size_t row = 0; row < gradients->shard_rows; row += micro_rows) {
        uint64_t first = gradients->first_row + shard * gradients->shard_rows + row;
        bool more = row + micro_rows < gradients->shard_rows;
        loader_rows(gradients->loader, first, &gradients->rows);
        const struct batch batch = {.sequences = micro_rows,
                                    .length = length,
                                    .tokens = gradients->rows.tokens,
                                    .targets = gradients->rows.targets,
                                    .first_key =
                                        gradients->document_mask ? gradients->rows.first_key : NULL,
                                    .accumulate = row > 0,
                                    .more = more};
        model_gradients(gradients->training, &batch, scale, out, gradients->loss + row * length,
                        last && !more ? &watcher : NULL);
    }
    return sum_of_values(gradients->model->compute, gradients->loss,
                         gradients->shard_rows * length);
}

static void on_ready(void *context, size_t begin, size_t end)
{
    struct gradients *gradients = context;
    optimizer_sum(gradients->optimizer, gradients->tree.level[0], begin, end);
}

/* ---- all of it ---- */

status processes_check(const struct recipe *recipe, const struct comm *comm, struct error *error)
{
    ASSERT(recipe && comm && error);
    int processes = comm_count(comm);
    if ((processes & (processes - 1)) == 0 && recipe->shards % processes == 0)
        return OK;
    return fail(error, ERR_USAGE,
                "%d processes can't share train.shards = %lld; allowed are powers of two up to it",
                processes, (long long)recipe->shards);
}

status gradients_create(struct gradients *out, struct optimizer *optimizer, struct loader *loader,
                        const struct recipe *recipe, struct arena *arena, struct error *error)
{
    ASSERT(out && optimizer && loader && recipe && arena && error);
    struct model *model = optimizer->model;
    size_t micro = (size_t)recipe->micro_batch, length = (size_t)recipe->sequence;
    struct gradients gradients = {.model = model,
                                  .optimizer = optimizer,
                                  .recipe = recipe,
                                  .loader = loader,
                                  .shards = (size_t)recipe->shards,
                                  .shard_rows = (size_t)(recipe->batch / recipe->shards),
                                  .document_mask = recipe->document_mask,
                                  .comm = optimizer->comm,
                                  .ranks = &optimizer->partition.ranks};
    const struct training_shape shape = {micro, length, recipe->recompute,
                                         gradients.shard_rows / micro};
    size_t processes = (size_t)comm_count(gradients.comm);
    TRY(processes_check(recipe, gradients.comm, error));
    TRY(training_create(&gradients.training, model, &shape, arena, error));
    TRY(rows_create(&gradients.rows, micro, length, arena, error));
    TRY_ALLOC(gradients.loss, arena, gradients.shard_rows * length, error);
    TRY_ALLOC(gradients.losses, arena, processes, error);
    gradients.tree = (struct shard_tree){.compute = model->compute,
                                         .count = model->table.total,
                                         .shard = compute_shard,
                                         .ready = on_ready};
    size_t mine = gradients.shards / processes;
    for (size_t level = 0; (size_t)1 << level <= mine; level++)
        TRY_ALLOC(gradients.tree.level[level], arena, model->table.total, error);
    *out = gradients;
    return OK;
}

/* The upper part of the tree, over processes. */
static float sum_losses(struct gradients *gradients, float own)
{
    size_t processes = gradients->ranks->parts;
    float *losses = gradients->losses;
    losses[comm_rank(gradients->comm)] = own;
    comm_share_begin(gradients->comm, gradients->ranks, losses, sizeof *losses, 0, processes);
    comm_wait(gradients->comm);
    for (size_t left = processes; left > 1; left /= 2)
        for (size_t i = 0; i < left / 2; i++)
            losses[i] = losses[2 * i] + losses[2 * i + 1];
    return losses[0];
}

float gradients_compute(struct gradients *gradients, int64_t step)
{
    ASSERT(gradients && step >= 1);
    size_t mine = gradients->shards / gradients->ranks->parts;
    size_t batch_rows = (size_t)schedule_batch(gradients->recipe, step);
    gradients->shard_rows = batch_rows / gradients->shards;
    gradients->first_row = (uint64_t)schedule_rows(gradients->recipe, step - 1);
    gradients->tree.context = gradients;
    float own = shard_tree_sum(&gradients->tree, (size_t)comm_rank(gradients->comm) * mine, mine);
    return sum_losses(gradients, own) / (float)(batch_rows * gradients->rows.length);
}
