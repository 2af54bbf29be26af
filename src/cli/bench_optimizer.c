#include "cli/bench.h"

#include <stdio.h>

#include "tensor/ops.h"

/* Weights, moments, gradient and copy: 1.9 GB, which no cache holds. */
enum { ELEMENTS = 100 << 20, STEPS = 9 };

struct optimizer_bench {
    struct compute *compute;
    struct adamw_state state;
    float *gradient;
};

static status fill(struct optimizer_bench *bench, struct arena *arena, struct error *error)
{
    struct adamw_state *state = &bench->state;
    TRY_ALLOC(state->weight, arena, ELEMENTS, error);
    TRY_ALLOC(state->first, arena, ELEMENTS, error);
    TRY_ALLOC(state->second, arena, ELEMENTS, error);
    TRY_ALLOC(state->copy, arena, ELEMENTS, error);
    TRY_ALLOC(bench->gradient, arena, ELEMENTS, error);
    random_normal(bench->compute, state->weight, ELEMENTS, 0.02f, 1, 0);
    random_normal(bench->compute, bench->gradient, ELEMENTS, 0.001f, 1, 1);
    return OK;
}

static double step_gbytes(struct optimizer_bench *bench, int64_t step)
{
    const struct adamw settings = {.learning_rate = 1e-3f,
                                   .beta1 = 0.9f,
                                   .beta2 = 0.95f,
                                   .epsilon = 1e-8f,
                                   .weight_decay = 0.1f,
                                   .grad_scale = 1,
                                   .step = step};
    double started = time_monotonic_s();
    adamw_step(bench->compute, &settings, &bench->state, bench->gradient, ELEMENTS);
    return (double)ELEMENTS * ADAMW_BYTES / (time_monotonic_s() - started) * 1e-9;
}

static void measure(struct optimizer_bench *bench, bool json)
{
    double rates[STEPS], limits[STEPS], shares[STEPS];
    step_gbytes(bench, 1); /* touches all memory */
    for (int i = 0; i < STEPS; i++) {
        rates[i] = step_gbytes(bench, i + 2);
        limits[i] = adamw_limit_gbytes(bench->compute, &bench->state, bench->gradient, ELEMENTS);
        shares[i] = rates[i] / limits[i];
    }
    char name[64];
    snprintf(name, sizeof name, "adamw %d parameters", (int)ELEMENTS);
    struct bench_row row = {.bench = "optimizer",
                            .name = name,
                            .unit = "GB/s",
                            .value = bench_median(rates, STEPS),
                            .limit = bench_median(limits, STEPS),
                            .fraction = bench_median(shares, STEPS)};
    bench_print(&row, json);
}

status bench_optimizer(bool json, int threads, struct error *error)
{
    ASSERT(error);
    struct optimizer_bench bench = {0};
    struct arena *arena = NULL;
    TRY(compute_create(&bench.compute, threads, error));
    status result = arena_create(&arena, 0, error);
    if (result == OK)
        result = fill(&bench, arena, error);
    if (result == OK)
        measure(&bench, json);
    arena_destroy(arena);
    compute_destroy(bench.compute);
    return result;
}
