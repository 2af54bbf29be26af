/* Weights and moments of models after some steps of training. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "exact.h"
#include "train/train_internal.h"

enum { SHARDS = 2, SHARD_ROWS_MAX = 2, LENGTH_MAX = 66 };

struct plan { /* a model and how it is trained */
    const char *name;
    struct model_config model;
    enum dtype type;
    enum matrix_optimizer optimizer;
    size_t shard_rows, length, steps;
    size_t skipped;    /* the step whose gradients overflow; 0: none */
    uint32_t document; /* the position at which a document begins in each row; 0: no mask */
};

struct trial {
    const struct plan *plan;
    const struct exact *exact;
    struct recipe recipe;
    struct model *model;
    struct training *training;
    struct optimizer *optimizer;
    struct watch watch;
    float *gradients[SHARDS], *loss;
    uint32_t tokens[SHARDS * SHARD_ROWS_MAX][LENGTH_MAX + 1];
    uint32_t first_key[SHARD_ROWS_MAX * LENGTH_MAX];
};

/* Tokens of which two of three follow from the one before. */
static void make_tokens(struct trial *trial, size_t step)
{
    const struct plan *plan = trial->plan;
    const struct random_key key = {13, RANDOM_TEST, step};
    uint64_t vocabulary = (uint64_t)plan->model.vocabulary;
    for (size_t row = 0; row < SHARDS * plan->shard_rows; row++)
        for (size_t i = 0; i <= plan->length; i++) {
            uint64_t draw = random_below(key, row * (plan->length + 1) + i, vocabulary);
            uint64_t next = i ? (trial->tokens[row][i - 1] * 7 + 1) % vocabulary : 0;
            trial->tokens[row][i] = (uint32_t)(i % 3 ? next : draw);
        }
}

/* One shard: micro-batches in order. */
static float shard(struct trial *trial, size_t index, float grad_scale, float *gradients)
{
    const struct plan *plan = trial->plan;
    size_t length = plan->length, micro = trial->exact->ways.micro_rows;
    uint32_t tokens[SHARD_ROWS_MAX * LENGTH_MAX], targets[SHARD_ROWS_MAX * LENGTH_MAX];
    micro = micro < plan->shard_rows ? micro : plan->shard_rows;
    for (size_t first = 0; first < plan->shard_rows; first += micro) {
        for (size_t row = 0; row < micro; row++) {
            const uint32_t *from = trial->tokens[index * plan->shard_rows + first + row];
            memcpy(tokens + row * length, from, length * sizeof *tokens);
            memcpy(targets + row * length, from + 1, length * sizeof *targets);
        }
        const struct batch batch = {.sequences = micro,
                                    .length = length,
                                    .tokens = tokens,
                                    .targets = targets,
                                    .first_key = plan->document ? trial->first_key : NULL,
                                    .accumulate = first > 0,
                                    .more = first + micro < plan->shard_rows};
        model_gradients(trial->training, &batch, grad_scale, gradients,
                        trial->loss + first * length, NULL);
    }
    return sum_of_values(trial->model->compute, trial->loss, plan->shard_rows * length);
}

void wake(struct model *model)
{
    for (size_t i = 0; i < model->table.count; i++) {
        const struct weight *weight = &model->table.weights[i];
        float *values = model->weights + weight->offset;
        size_t count = weight->rows * weight->columns;
        if (!weight->vector && weight->deviation > 0)
            continue;
        random_normal(model->compute, values, count, weight->vector ? 0.3f : 0.1f, 11, i);
        for (size_t j = 0; weight->vector && j < count; j++)
            values[j] = 1 + values[j];
    }
    model_refresh(model);
}

static void create(struct trial *trial)
{
    const struct plan *plan = trial->plan;
    const struct ways *ways = &trial->exact->ways;
    const struct comm *comm;
    struct arena *arena = trial->exact->arena;
    struct error error = {0};
    size_t micro = ways->micro_rows < plan->shard_rows ? ways->micro_rows : plan->shard_rows;
    const struct training_shape shape = {micro, plan->length, ways->recompute,
                                         plan->shard_rows / micro};
    trial->recipe = (struct recipe){.model = plan->model,
                                    .matrix_optimizer = (int)plan->optimizer,
                                    .steps = (int64_t)plan->steps,
                                    .learning_rate = 0.02,
                                    .embedding_rate = 0.01,
                                    .head_rate = 0.005,
                                    .vector_rate = 0.005,
                                    .warmup = 0.5,
                                    .decay = 0.5,
                                    .final_rate = 0.1,
                                    .beta1 = 0.9,
                                    .beta2 = 0.95,
                                    .epsilon = 1e-10,
                                    .weight_decay = 0.05,
                                    .momentum = 0.95,
                                    .clip = 1};
    must(
        model_create(&trial->model, &plan->model, plan->type, trial->exact->compute, arena, &error),
        &error);
    model_init(trial->model, 7);
    wake(trial->model);
    must(training_create(&trial->training, trial->model, &shape, arena, &error), &error);
    must(comm_start(&comm, "", &error), &error);
    must(optimizer_create(&trial->optimizer, trial->model, &trial->recipe, comm, arena, &error),
         &error);
    trial->loss = take(arena, plan->shard_rows * plan->length, sizeof *trial->loss);
    for (size_t i = 0; i < SHARDS; i++)
        trial->gradients[i] = take(arena, trial->model->table.total, sizeof(float));
    for (size_t i = 0; i < plan->shard_rows * plan->length; i++)
        trial->first_key[i] = i % plan->length >= plan->document ? plan->document : 0;
}

/* Loss, norm and verdict of a step; gradients clipped; skipped where the watch says so. */
static void take_step(struct trial *trial, size_t step, int64_t *updates)
{
    const struct plan *plan = trial->plan;
    struct compute *compute = trial->exact->compute;
    size_t count = trial->model->table.total;
    float positions = (float)(SHARDS * plan->shard_rows * plan->length), loss = 0;
    float grad_scale = step == plan->skipped ? 3e38f : 1 / positions;
    make_tokens(trial, step);
    for (size_t i = 0; i < SHARDS; i++)
        loss += shard(trial, i, grad_scale, trial->gradients[i]);
    add_arrays(compute, trial->gradients[0], trial->gradients[0], trial->gradients[1], count);
    double norm = optimizer_norm(trial->optimizer, trial->gradients[0]);
    float seen[] = {loss / positions, (float)norm, 0};
    enum watch_verdict verdict = watch_judge(&trial->watch, seen[0], seen[1]);
    seen[2] = (float)verdict;
    emit(seen, 3);
    if (verdict != WATCH_FINE)
        return;
    bool clip = norm > trial->recipe.clip;
    const struct optimizer_update update = {
        .rate_share = schedule_share(&trial->recipe, (int64_t)step),
        .grad_scale = clip ? (float)(trial->recipe.clip / norm) : 1,
        .count = ++*updates};
    optimizer_step(trial->optimizer, trial->gradients[0], &update);
}

static void emit_plan(const struct exact *exact, const struct plan *plan)
{
    struct trial *trial = take(exact->arena, 1, sizeof *trial);
    int64_t updates = 0;
    trial->plan = plan;
    trial->exact = exact;
    create(trial);
    section(plan->name);
    for (size_t step = 1; step <= plan->steps; step++)
        take_step(trial, step, &updates);
    emit(trial->model->weights, trial->model->table.total);
    emit(trial->optimizer->first, trial->model->table.total);
    emit(trial->optimizer->second, trial->optimizer->seconds.total);
}

/* The smallest that the family allows. */
static struct model_config config(int64_t layers, int64_t vocabulary, bool tied, bool qk_norm)
{
    return (struct model_config){.layers = layers,
                                 .width = 64,
                                 .heads = 2,
                                 .kv_heads = 1,
                                 .head_size = 64,
                                 .ffn_width = 64,
                                 .vocabulary = vocabulary,
                                 .context = LENGTH_MAX,
                                 .rope_theta = 10000,
                                 .norm_epsilon = 1e-5,
                                 .tied = tied,
                                 .qk_norm = qk_norm};
}

void emit_training(const struct exact *exact)
{
    static const struct {
        const char *name;
        bool qk_norm, tied, documents, long_one;
        enum dtype type;
        enum matrix_optimizer optimizer;
    } variants[] = {
        {"bf16, qk_norm, untied, documents, Muon", true, false, true, true, DTYPE_BF16,
         MATRIX_MUON},
        {"f32, tied, AdamW", false, true, false, true, DTYPE_F32, MATRIX_ADAMW},
        {"bf16, tied, documents, AdamW", false, true, true, false, DTYPE_BF16, MATRIX_ADAMW},
        {"f32, qk_norm, untied, Muon", true, false, false, false, DTYPE_F32, MATRIX_MUON}};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct plan plan = {.name = variants[i].name,
                                  .model = config(2, 90, variants[i].tied, variants[i].qk_norm),
                                  .type = variants[i].type,
                                  .optimizer = variants[i].optimizer,
                                  .shard_rows = variants[i].long_one ? 2 : 1,
                                  .length = LENGTH_MAX,
                                  .steps = variants[i].long_one ? 3 : 2,
                                  .skipped = variants[i].long_one ? 2 : 0,
                                  .document = variants[i].documents ? 33 : 0};
        emit_plan(exact, &plan);
    }
}

void emit_small(const struct exact *exact)
{
    const struct plan plans[] = {{.name = "small, f32, tied, AdamW",
                                  .model = config(1, 30, true, false),
                                  .type = DTYPE_F32,
                                  .optimizer = MATRIX_ADAMW,
                                  .shard_rows = 1,
                                  .length = 8,
                                  .steps = 2},
                                 {.name = "small, bf16, qk_norm, untied, document, Muon",
                                  .model = config(1, 30, false, true),
                                  .type = DTYPE_BF16,
                                  .optimizer = MATRIX_MUON,
                                  .shard_rows = 1,
                                  .length = 8,
                                  .steps = 1,
                                  .document = 3}};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        emit_plan(exact, &plans[i]);
}
