/* The gradient of a global batch: logical shards, each from zero, summed by one fixed balanced
 * tree. */
#include "train/train_internal.h"

float shard_tree_sum(const struct shard_tree *tree, size_t first, size_t shards, size_t depth)
{
    ASSERT(tree && shards && (shards & (shards - 1)) == 0 && depth < SHARD_LEVELS_MAX);
    float *out = tree->level[depth];
    if (shards == 1)
        return tree->shard(tree->context, first, out);
    size_t half = shards / 2;
    float left = shard_tree_sum(tree, first, half, depth);
    float right = shard_tree_sum(tree, first + half, half, depth + 1);
    add_arrays(tree->compute, out, out, tree->level[depth + 1], tree->count);
    return left + right;
}

/* One shard: micro-batches in order, whose chains go on in `out`. */
static float compute_shard(void *context, size_t shard, float *out)
{
    struct gradients *gradients = context;
    size_t micro_rows = gradients->rows.count, length = gradients->rows.length;
    size_t batch_rows = gradients->shards * gradients->shard_rows;
    float scale = 1.0f / (float)(batch_rows * length);
    for (size_t row = 0; row < gradients->shard_rows; row += micro_rows) {
        uint64_t first = gradients->first_row + shard * gradients->shard_rows + row;
        loader_rows(gradients->loader, first, &gradients->rows);
        const struct batch batch = {.sequences = micro_rows,
                                    .length = length,
                                    .tokens = gradients->rows.tokens,
                                    .targets = gradients->rows.targets,
                                    .first_key =
                                        gradients->document_mask ? gradients->rows.first_key : NULL,
                                    .accumulate = row > 0};
        model_gradients(gradients->training, &batch, scale, out, gradients->loss + row * length);
    }
    return sum_of_values(gradients->model->compute, gradients->loss,
                         gradients->shard_rows * length);
}

static status check_processes(const struct recipe *recipe, int processes, struct error *error)
{
    if ((processes & (processes - 1)) == 0 && recipe->shards % processes == 0)
        return OK;
    return fail(error, ERR_USAGE,
                "%d processes can't share train.shards = %lld; allowed are powers of two up to it",
                processes, (long long)recipe->shards);
}

status gradients_create(struct gradients *out, struct model *model, struct loader *loader,
                        const struct recipe *recipe, const struct comm *comm, struct arena *arena,
                        struct error *error)
{
    ASSERT(out && model && loader && recipe && comm && arena && error);
    TRY(check_processes(recipe, comm_count(comm), error));
    size_t micro = (size_t)recipe->micro_batch, length = (size_t)recipe->sequence;
    struct gradients gradients = {.model = model,
                                  .loader = loader,
                                  .shards = (size_t)recipe->shards,
                                  .shard_rows = (size_t)(recipe->batch / recipe->shards),
                                  .document_mask = recipe->document_mask,
                                  .comm = comm};
    const struct training_shape shape = {micro, length, recipe->recompute,
                                         gradients.shard_rows / micro};
    TRY(training_create(&gradients.training, model, &shape, arena, error));
    TRY(rows_create(&gradients.rows, micro, length, arena, error));
    TRY_ALLOC(gradients.loss, arena, gradients.shard_rows * length, error);
    gradients.tree = (struct shard_tree){
        .compute = model->compute, .count = model->table.total, .shard = compute_shard};
    size_t mine = gradients.shards / (size_t)comm_count(comm);
    for (size_t level = 0; (size_t)1 << level <= mine; level++)
        TRY_ALLOC(gradients.tree.level[level], arena, model->table.total, error);
    if (comm_count(comm) > 1)
        TRY_ALLOC(gradients.received, arena, model->table.total, error);
    *out = gradients;
    return OK;
}

float gradients_compute(struct gradients *gradients, int64_t step)
{
    ASSERT(gradients && step >= 1);
    size_t batch_rows = gradients->shards * gradients->shard_rows;
    gradients->first_row = (uint64_t)(step - 1) * batch_rows;
    gradients->tree.context = gradients;
    size_t mine = gradients->shards / (size_t)comm_count(gradients->comm);
    float sum =
        shard_tree_sum(&gradients->tree, (size_t)comm_rank(gradients->comm) * mine, mine, 0);
    if (gradients->received)
        sum = comm_tree_sum(gradients->comm, gradients->model->compute, gradients->tree.level[0],
                            gradients->tree.count, gradients->received, sum);
    return sum / (float)(batch_rows * gradients->rows.length);
}
