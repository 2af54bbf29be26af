#include "cli/bench_stage.h"

#include <string.h>

#include "base/random.h"
#include "plan/plan.h"
#include "tensor/comm.h"

enum { TOKENS_MAX = 1 << 20, READY_COUNT = 1 << 20 /* gradients handed on at once */ };

static const struct {
    const char *name;
    struct model_config config;
} shapes[] = {
    {"gpt2-small",
     {.layers = 12,
      .width = 768,
      .heads = 12,
      .kv_heads = 12,
      .head_size = 64,
      .ffn_width = 2048,
      .vocabulary = 50304,
      .rope_theta = 10000,
      .norm_epsilon = 1e-5,
      .tied = true}},
    {"14m",
     {.layers = 6,
      .width = 384,
      .heads = 6,
      .kv_heads = 6,
      .head_size = 64,
      .ffn_width = 1024,
      .vocabulary = 8192,
      .rope_theta = 10000,
      .norm_epsilon = 1e-5,
      .tied = true}},
    {"350m",
     {.layers = 24,
      .width = 1024,
      .heads = 16,
      .kv_heads = 16,
      .head_size = 64,
      .ffn_width = 2816,
      .vocabulary = 32768,
      .rope_theta = 10000,
      .norm_epsilon = 1e-5,
      .tied = true}},
};

static status make_recipe(struct recipe *out, const struct bench_train *bench, struct error *error)
{
    memset(out, 0, sizeof *out);
    config_defaults(out, recipe_table);
    bool muon = strcmp(bench->optimizer, "muon") == 0;
    if (!muon && strcmp(bench->optimizer, "adamw") != 0)
        return fail(error, ERR_USAGE, "--optimizer is '%s', allowed are adamw and muon",
                    bench->optimizer);
    if (bench->batch < 1 || bench->sequence < 2 || bench->batch > TOKENS_MAX / bench->sequence)
        return fail(error, ERR_USAGE, "--batch %lld of --sequence %lld: allowed are 1 to %d tokens",
                    (long long)bench->batch, (long long)bench->sequence, TOKENS_MAX);
    out->batch = bench->batch;
    out->sequence = bench->sequence;
    out->recompute = bench->recompute;
    out->precision = DTYPE_BF16;
    out->steps = 1;
    if (bench->sequence % 2)
        return fail(error, ERR_USAGE, "--sequence is %lld, it must be even",
                    (long long)bench->sequence);
    out->matrix_optimizer = muon ? MATRIX_MUON : MATRIX_ADAMW;
    out->learning_rate = out->embedding_rate = out->head_rate = out->vector_rate = 1e-4;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, bench->shape) == 0) {
            out->model = shapes[i].config;
            out->model.context = bench->sequence;
            return OK;
        }
    return fail(error, ERR_USAGE, "--shape is '%s', allowed are gpt2-small, 14m and 350m",
                bench->shape);
}

/* How the batch is cut: a shard a process, a micro-batch of all its rows unless the bench says. */
static status cut_batch(struct recipe *recipe, const struct bench_train *bench, struct error *error)
{
    int64_t processes = comm_count(bench->comm);
    if (bench->batch % processes || (processes & (processes - 1)))
        return fail(error, ERR_USAGE,
                    "%lld processes can't share --batch %lld: it must be a multiple of their "
                    "number, and that a power of two",
                    (long long)processes, (long long)bench->batch);
    int64_t own = bench->batch / processes;
    recipe->shards = processes;
    recipe->micro_batch = bench->micro_batch ? bench->micro_batch : own;
    if (own % recipe->micro_batch)
        return fail(error, ERR_USAGE,
                    "--micro-batch is %lld, allowed are divisors of a process's %lld rows",
                    (long long)bench->micro_batch, (long long)own);
    return OK;
}

static status make_batch(struct bench_stage *stage, struct arena *arena, struct error *error)
{
    const struct recipe *recipe = &stage->recipe;
    const struct random_key key = {1, RANDOM_TEST, (uint64_t)comm_rank(stage->comm)};
    uint32_t *tokens, *targets;
    stage->tokens = (size_t)(recipe->batch * recipe->sequence);
    stage->own_tokens = stage->tokens / (size_t)recipe->shards;
    TRY_ALLOC(tokens, arena, stage->own_tokens, error);
    TRY_ALLOC(targets, arena, stage->own_tokens, error);
    for (size_t i = 0; i < stage->own_tokens; i++) {
        tokens[i] = (uint32_t)random_below(key, i, (uint64_t)recipe->model.vocabulary);
        targets[i] = i ? tokens[i - 1] : 0;
    }
    stage->batch = (struct batch){.sequences = (size_t)recipe->micro_batch,
                                  .length = (size_t)recipe->sequence,
                                  .tokens = tokens,
                                  .targets = targets};
    return OK;
}

status bench_stage_create(struct bench_stage *stage, const struct bench_train *bench,
                          struct compute *compute, struct arena *arena, struct error *error)
{
    ASSERT(stage && bench && bench->shape && bench->optimizer && compute && arena && error);
    memset(stage, 0, sizeof *stage);
    stage->compute = compute;
    stage->comm = bench->comm;
    TRY(make_recipe(&stage->recipe, bench, error));
    TRY(cut_batch(&stage->recipe, bench, error));
    TRY(make_batch(stage, arena, error));
    TRY(model_create(&stage->model, &stage->recipe.model, DTYPE_BF16, stage->compute, arena,
                     error));
    model_init(stage->model, 1);
    const struct training_shape shape = {
        stage->batch.sequences, stage->batch.length, bench->recompute,
        stage->own_tokens / (stage->batch.sequences * stage->batch.length)};
    TRY(training_create(&stage->training, stage->model, &shape, arena, error));
    TRY(optimizer_create(&stage->optimizer, stage->model, &stage->recipe, stage->comm, arena,
                         error));
    TRY_ALLOC(stage->gradients, arena, stage->model->table.total, error);
    TRY_ALLOC(stage->loss, arena, stage->batch.sequences * stage->batch.length, error);
    return OK;
}

static void on_final(void *context, size_t from)
{
    struct bench_stage *stage = context;
    if (from && stage->pending - from < READY_COUNT)
        return;
    optimizer_sum(stage->optimizer, stage->gradients, from, stage->pending);
    stage->pending = from;
}

struct bench_step bench_stage_step(struct bench_stage *stage)
{
    ASSERT(stage);
    const struct gradients_watcher watcher = {on_final, stage};
    double started = time_monotonic_s();
    size_t tokens = stage->batch.sequences * stage->batch.length;
    stage->pending = stage->model->table.total;
    for (size_t at = 0; at < stage->own_tokens; at += tokens) {
        struct batch batch = stage->batch;
        batch.tokens += at;
        batch.targets += at;
        batch.accumulate = at > 0;
        batch.more = at + tokens < stage->own_tokens;
        model_gradients(stage->training, &batch, 1.0f / (float)stage->tokens, stage->gradients,
                        stage->loss, batch.more ? NULL : &watcher);
    }
    double norm = optimizer_norm(stage->optimizer, stage->gradients);
    const struct optimizer_update update = {
        .rate_share = 1, .grad_scale = norm > 1 ? (float)(1 / norm) : 1, .count = ++stage->steps};
    double middle = time_monotonic_s();
    optimizer_step(stage->optimizer, stage->gradients, &update);
    double ended = time_monotonic_s();
    return (struct bench_step){ended - started, ended - middle};
}

status bench_stage_bytes(double *out, const struct bench_stage *stage, struct error *error)
{
    ASSERT(out && stage && error);
    struct plan plan;
    const struct plan_cluster cluster = {
        .nodes = 1, .processes = stage->recipe.shards, .rates = {1, 1, 1, 1, 1}};
    TRY(plan_make(&plan, &stage->recipe, 0, &cluster, error));
    *out = plan.memory.total;
    return OK;
}
