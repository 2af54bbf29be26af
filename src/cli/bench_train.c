#include "cli/bench_train.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/bench.h"
#include "cli/bench_stage.h"
#include "tensor/comm.h"

enum { WARM_UP_STEPS = 2, TIMED_STEPS = 7, LARGE_PARAMETERS = 200000000, LARGE_STEPS = 3 };

struct timing { /* medians */
    double step_s, limit;
    double limit_share, optimizer_share; /* of a step: seconds at the limit, in the optimizer */
};

static struct timing measure(struct bench_stage *stage, double operations)
{
    double seconds[TIMED_STEPS], limits[TIMED_STEPS], shares[TIMED_STEPS], optimizer[TIMED_STEPS];
    bool large = stage->model->table.total > LARGE_PARAMETERS;
    size_t steps = large ? LARGE_STEPS : TIMED_STEPS;
    for (int i = 0; i < (large ? 1 : WARM_UP_STEPS); i++)
        bench_stage_step(stage);
    for (size_t i = 0; i < steps; i++) {
        struct bench_step step = bench_stage_step(stage);
        seconds[i] = step.whole_s;
        optimizer[i] = step.optimizer_s / step.whole_s;
        limits[i] = compute_multiply_add_gflops(stage->compute, DTYPE_BF16);
        shares[i] = operations * 1e-9 / seconds[i] / limits[i];
    }
    return (struct timing){.step_s = bench_median(seconds, steps),
                           .limit = bench_median(limits, steps),
                           .limit_share = bench_median(shares, steps),
                           .optimizer_share = bench_median(optimizer, steps)};
}

static double peak_rss_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static void row_name(char *out, size_t size, const struct bench_train *bench)
{
    int len = snprintf(out, size, "%s %lldx%lld bf16 %s%s", bench->shape, (long long)bench->batch,
                       (long long)bench->sequence, bench->optimizer,
                       bench->recompute ? " recompute" : "");
    if (bench->micro_batch)
        snprintf(out + len, size - (size_t)len, " by %lld", (long long)bench->micro_batch);
}

static void print_timing(const struct bench_stage *stage, const struct bench_train *bench,
                         double operations, double expected_bytes, const struct timing *timing)
{
    double rss_bytes = peak_rss_bytes(), processes = comm_count(stage->comm);
    double tokens_per_second = (double)stage->tokens / timing->step_s;
    char name[96], more[320];
    row_name(name, sizeof name, bench);
    const char *share = strcmp(bench->optimizer, "muon") == 0 ? "muon_share" : "adamw_share";
    if (bench->json)
        snprintf(more, sizeof more,
                 ", \"tokens_per_second\": %.1f, \"%s\": %.3f, \"rss_bytes\": %.0f, "
                 "\"expected_bytes\": %.0f, \"parameters\": %zu, \"threads\": %d, "
                 "\"processes\": %.0f",
                 tokens_per_second, share, timing->optimizer_share, rss_bytes, expected_bytes,
                 model_parameters(&stage->recipe.model), compute_threads(stage->compute),
                 processes);
    else
        snprintf(more, sizeof more,
                 ", %.1f tokens/s, %s %.1f %%, %.0f MB peak memory (%.0f by formulas)",
                 tokens_per_second, share, 100 * timing->optimizer_share, rss_bytes * 1e-6,
                 expected_bytes * 1e-6);
    /* processes measure the limit at the same time, each on its threads */
    struct bench_row row = {.bench = "train",
                            .name = name,
                            .unit = "GFLOP/s",
                            .value = operations / timing->step_s * 1e-9,
                            .limit = timing->limit * processes,
                            .fraction = timing->limit_share / processes,
                            .more = more};
    bench_print(&row, bench->json);
}

static status measure_and_print(struct bench_stage *stage, const struct bench_train *bench,
                                struct error *error)
{
    double expected_bytes;
    double operations =
        model_flops_per_token(&stage->recipe.model, stage->batch.length) * (double)stage->tokens;
    TRY(bench_stage_bytes(&expected_bytes, stage, error));
    struct timing timing = measure(stage, operations);
    if (comm_rank(stage->comm) == 0)
        print_timing(stage, bench, operations, expected_bytes, &timing);
    return OK;
}

status bench_train(const struct bench_train *bench, struct error *error)
{
    ASSERT(bench && bench->comm && error);
    struct bench_stage stage;
    struct compute *compute = NULL;
    struct arena *arena = NULL;
    TRY(compute_create(&compute, bench->threads, error));
    if (comm_count(bench->comm) > 1)
        thread_pool_pin(compute_pool(compute));
    status result = arena_create(&arena, 0, error);
    if (result == OK)
        result = bench_stage_create(&stage, bench, compute, arena, error);
    if (result == OK)
        result = measure_and_print(&stage, bench, error);
    arena_destroy(arena);
    compute_destroy(compute);
    return result;
}
