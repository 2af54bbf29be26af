#include "cli/bench_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/random.h"
#include "cli/bench.h"
#include "tensor/comm.h"
#include "train/train.h"

enum { WARM_UP_STEPS = 2, TIMED_STEPS = 7, TOKENS_MAX = 1 << 20 };

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
};

struct stage { /* everything one step works on */
    struct recipe recipe;
    const struct comm *comm; /* processes, each with its share of the batch */
    struct compute *compute;
    struct model *model;
    struct training *training;
    struct optimizer *optimizer;
    struct batch batch;
    float *gradients, *loss;
    size_t tokens;  /* of all processes */
    size_t pending; /* gradients from here on are on their way to their owners */
};

/* Elements handed on at once. */
enum { READY_COUNT = 1 << 20 };

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
    out->matrix_optimizer = muon ? MATRIX_MUON : MATRIX_ADAMW;
    out->learning_rate = out->embedding_rate = out->head_rate = out->vector_rate = 1e-4;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, bench->shape) == 0) {
            out->model = shapes[i].config;
            out->model.context = bench->sequence;
            return OK;
        }
    return fail(error, ERR_USAGE, "--shape is '%s', allowed are gpt2-small and 14m", bench->shape);
}

static status make_batch(struct stage *stage, const struct bench_train *bench, struct arena *arena,
                         struct error *error)
{
    const struct random_key key = {1, RANDOM_TEST, (uint64_t)comm_rank(stage->comm)};
    int64_t processes = comm_count(stage->comm);
    uint32_t *tokens, *targets;
    if (bench->batch % processes || (processes & (processes - 1)))
        return fail(error, ERR_USAGE,
                    "%lld processes can't share --batch %lld: it must be a multiple of their "
                    "number, and that a power of two",
                    (long long)processes, (long long)bench->batch);
    size_t own = (size_t)(bench->batch / processes * bench->sequence);
    stage->tokens = own * (size_t)processes;
    TRY_ALLOC(tokens, arena, own, error);
    TRY_ALLOC(targets, arena, own, error);
    for (size_t i = 0; i < own; i++) {
        tokens[i] = (uint32_t)random_below(key, i, (uint64_t)stage->recipe.model.vocabulary);
        targets[i] = i ? tokens[i - 1] : 0;
    }
    stage->batch = (struct batch){.sequences = (size_t)(bench->batch / processes),
                                  .length = (size_t)bench->sequence,
                                  .tokens = tokens,
                                  .targets = targets};
    return OK;
}

static status set_stage(struct stage *stage, const struct bench_train *bench, struct arena *arena,
                        struct error *error)
{
    TRY(make_batch(stage, bench, arena, error));
    TRY(model_create(&stage->model, &stage->recipe.model, DTYPE_BF16, stage->compute, arena,
                     error));
    model_init(stage->model, 1);
    const struct training_shape shape = {stage->batch.sequences, stage->batch.length,
                                         bench->recompute, 1};
    TRY(training_create(&stage->training, stage->model, &shape, arena, error));
    TRY(optimizer_create(&stage->optimizer, stage->model, &stage->recipe, stage->comm, arena,
                         error));
    TRY_ALLOC(stage->gradients, arena, stage->model->table.total, error);
    TRY_ALLOC(stage->loss, arena, stage->tokens, error);
    return OK;
}

static void on_final(void *context, size_t from)
{
    struct stage *stage = context;
    if (from && stage->pending - from < READY_COUNT)
        return;
    optimizer_sum(stage->optimizer, stage->gradients, from, stage->pending);
    stage->pending = from;
}

static double timed_step(struct stage *stage, int64_t count)
{
    const struct gradients_watcher watcher = {on_final, stage};
    double started = time_monotonic_s();
    stage->pending = stage->model->table.total;
    model_gradients(stage->training, &stage->batch, 1.0f / (float)stage->tokens, stage->gradients,
                    stage->loss, &watcher);
    double norm = optimizer_norm(stage->optimizer, stage->gradients);
    const struct optimizer_update update = {
        .rate_share = 1, .grad_scale = norm > 1 ? (float)(1 / norm) : 1, .count = count};
    optimizer_step(stage->optimizer, stage->gradients, &update);
    return time_monotonic_s() - started;
}

struct timing {                        /* medians */
    double step_s, limit, limit_share; /* the last: seconds at the limit over seconds of a step */
};

static struct timing measure(struct stage *stage, double operations)
{
    double seconds[TIMED_STEPS], limits[TIMED_STEPS], shares[TIMED_STEPS];
    for (int i = 0; i < WARM_UP_STEPS; i++)
        timed_step(stage, i + 1);
    for (int i = 0; i < TIMED_STEPS; i++) {
        seconds[i] = timed_step(stage, WARM_UP_STEPS + i + 1);
        limits[i] = compute_multiply_add_gflops(stage->compute, DTYPE_BF16);
        shares[i] = operations * 1e-9 / seconds[i] / limits[i];
    }
    return (struct timing){bench_median(seconds, TIMED_STEPS), bench_median(limits, TIMED_STEPS),
                           bench_median(shares, TIMED_STEPS)};
}

static void measure_and_print(struct stage *stage, const struct bench_train *bench)
{
    double operations =
        model_flops_per_token(&stage->recipe.model, stage->batch.length) * (double)stage->tokens;
    struct timing timing = measure(stage, operations);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double rss_bytes = (double)usage.ru_maxrss * 1024;
    double tokens_per_second = (double)stage->tokens / timing.step_s;
    char name[96], more[192];
    int processes = comm_count(stage->comm);
    snprintf(name, sizeof name, "%s %lldx%lld bf16 %s%s", bench->shape, (long long)bench->batch,
             (long long)bench->sequence, bench->optimizer, bench->recompute ? " recompute" : "");
    timing.limit *= processes; /* they measure it at the same time, each on its threads */
    timing.limit_share /= processes;
    if (comm_rank(stage->comm) > 0)
        return;
    if (bench->json)
        snprintf(more, sizeof more,
                 ", \"tokens_per_second\": %.1f, \"rss_bytes\": %.0f, \"parameters\": %zu, "
                 "\"threads\": %d, \"processes\": %d",
                 tokens_per_second, rss_bytes, model_parameters(&stage->recipe.model),
                 compute_threads(stage->compute), processes);
    else
        snprintf(more, sizeof more, ", %.1f tokens/s, %.0f MB peak memory", tokens_per_second,
                 rss_bytes * 1e-6);
    struct bench_row row = {.bench = "train",
                            .name = name,
                            .unit = "GFLOP/s",
                            .value = operations / timing.step_s * 1e-9,
                            .limit = timing.limit,
                            .fraction = timing.limit_share,
                            .more = more};
    bench_print(&row, bench->json);
}

status bench_train(const struct bench_train *bench, struct error *error)
{
    ASSERT(bench && bench->comm && bench->shape && bench->optimizer && error);
    struct stage stage = {.comm = bench->comm};
    struct arena *arena = NULL;
    TRY(make_recipe(&stage.recipe, bench, error));
    TRY(compute_create(&stage.compute, bench->threads, error));
    if (comm_count(stage.comm) > 1)
        thread_pool_pin(compute_pool(stage.compute));
    status result = arena_create(&arena, 0, error);
    if (result == OK)
        result = set_stage(&stage, bench, arena, error);
    if (result == OK)
        measure_and_print(&stage, bench);
    arena_destroy(arena);
    compute_destroy(stage.compute);
    return result;
}
