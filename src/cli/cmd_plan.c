/* rodnik plan: what a run needs before it is begun. */
#include "plan/plan.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/cli_run.h"

struct plan_options {
    const char *recipe_path;
    struct option_list sets;
    double tokens;
    int64_t nodes, processes, cores, gpus, threads;
    double core_gflops, core_gbytes; /* 0: measured here */
    double gpu_tflops, gpu_gbytes;
    double memory_gb, bandwidth_gbit, latency_us, price;
    bool json;
};

/* Attention on a device whose products run at a named rate: half of it, as a fused kernel beside a
 * product (docs/scale.md). */
static const double NAMED_ATTENTION_SHARE = 0.5;
static const double MEASURE_S = 2;
static const double GIGA = 1e9, TERA = 1e12, BITS = 8, DAY_S = 86400;

static struct plan_rates named_rates(double flops, double bytes)
{
    return (struct plan_rates){.block_flops = flops,
                               .head_flops = flops,
                               .attention_flops = flops * NAMED_ATTENTION_SHARE,
                               .row_bytes = bytes,
                               .stream_bytes = bytes};
}

/* Rates of one core of this machine. */
static status measure_core(struct plan_rates *out, const struct recipe *recipe, int threads,
                           struct error *error)
{
    struct compute *compute = NULL;
    TRY(compute_create(&compute, threads, error));
    log_info("measuring this machine for a few seconds; --core-gflops and --core-gbytes name rates "
             "instead");
    int count = compute_threads(compute);
    status result = plan_measure(out, recipe, MEASURE_S, compute, error);
    compute_destroy(compute);
    if (result == OK)
        *out = plan_rates_scaled(out, 1.0 / count);
    return result;
}

static status core_rates(struct plan_rates *out, const struct plan_options *options,
                         const struct recipe *recipe, struct error *error)
{
    if ((options->core_gflops > 0) != (options->core_gbytes > 0))
        return fail(error, ERR_USAGE,
                    "--core-gflops and --core-gbytes are given together or not at all");
    if (options->core_gflops > 0) {
        *out = named_rates(options->core_gflops * GIGA, options->core_gbytes * GIGA);
        return OK;
    }
    return measure_core(out, recipe, (int)options->threads, error);
}

static status check_gpus(const struct plan_options *options, struct error *error)
{
    if (options->processes)
        return fail(error, ERR_USAGE, "--gpus has a process for each, --processes can't be said");
    if (options->gpu_tflops > 0 && options->gpu_gbytes > 0)
        return OK;
    return fail(error, ERR_USAGE,
                "--gpus needs --gpu-tflops (products in bf16 as they really run) and --gpu-gbytes "
                "(memory traffic in 10^9 bytes a second)");
}

/* This machine's memory, when nothing else is named and nodes are like it. */
static double machine_bytes(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

static status cluster_of(struct plan_cluster *out, const struct plan_options *options,
                         const struct recipe *recipe, struct error *error)
{
    struct plan_rates core;
    struct plan_cluster cluster = {.nodes = options->nodes,
                                   .link_bytes = options->bandwidth_gbit * GIGA / BITS,
                                   .link_latency_s = options->latency_us * 1e-6,
                                   .node_hour_price = options->price,
                                   .process_bytes = options->memory_gb * GIGA};
    if (options->gpus) {
        TRY(check_gpus(options, error));
        cluster.processes = options->gpus;
        cluster.rates = named_rates(options->gpu_tflops * TERA, options->gpu_gbytes * GIGA);
        *out = cluster;
        return OK;
    }
    int64_t cores = options->cores ? options->cores : processors_allowed();
    cluster.processes = options->processes ? options->processes : 1;
    TRY(core_rates(&core, options, recipe, error));
    cluster.rates = plan_rates_scaled(&core, (double)cores / (double)cluster.processes);
    double node_bytes = options->memory_gb > 0 ? cluster.process_bytes : machine_bytes();
    cluster.process_bytes = node_bytes / (double)cluster.processes;
    *out = cluster;
    return OK;
}

/* ---- printing ---- */

static void print_rates(const struct plan_rates *rates, bool json)
{
    const char *form =
        json ? "\"block_gflops\": %.1f, \"head_gflops\": %.1f, \"attention_gflops\": %.1f, "
               "\"row_gbytes_per_second\": %.1f, \"stream_gbytes_per_second\": %.1f, "
             : "rates of a process  products %.1f, head %.1f, attention %.1f GFLOP/s; rows %.1f, "
               "parameters %.1f GB/s\n";
    printf(form, rates->block_flops / GIGA, rates->head_flops / GIGA, rates->attention_flops / GIGA,
           rates->row_bytes / GIGA, rates->stream_bytes / GIGA);
}

static void print_json(const struct plan *plan, const struct plan_cluster *cluster)
{
    const struct plan_memory *memory = &plan->memory;
    const struct plan_time *time = &plan->time;
    printf("{\"parameters\": %zu, \"processes\": %lld, \"steps\": %lld, \"tokens\": %.0f, ",
           plan->parameters, (long long)plan->processes, (long long)plan->steps, plan->tokens);
    print_rates(&cluster->rates, true);
    printf("\"weights_bytes\": %.0f, \"copy_bytes\": %.0f, \"gradients_bytes\": %.0f, "
           "\"exchange_bytes\": %.0f, \"moments_bytes\": %.0f, \"scratch_bytes\": %.0f, "
           "\"activations_bytes\": %.0f, \"logits_bytes\": %.0f, \"tables_bytes\": %.0f, "
           "\"program_bytes\": %.0f, \"process_bytes\": %.0f, ",
           memory->weights, memory->copy, memory->gradients, memory->exchange, memory->moments,
           memory->scratch, memory->activations, memory->logits, memory->tables, memory->program,
           memory->total);
    printf("\"step_s\": %.6g, \"arithmetic_s\": %.6g, \"memory_s\": %.6g, \"network_s\": %.6g, "
           "\"network_hidden_s\": %.6g, \"tokens_per_second\": %.6g, \"days\": %.6g, ",
           time->step, time->arithmetic, time->memory, time->network, time->hidden,
           plan->tokens_per_second, plan->run_s / DAY_S);
    if (cluster->node_hour_price > 0)
        printf("\"cost\": %.6g, ", plan->cost);
    printf("\"checkpoint_bytes\": %.0f, \"limit\": \"%s\", \"runs\": %s}\n", plan->checkpoint_bytes,
           plan_limit_name(plan->limit), plan->runs ? "true" : "false");
}

static void print_memory(const struct plan_memory *memory)
{
    printf("memory of a process %.3f GB\n", memory->total / GIGA);
    printf("  weights           %.3f (f32 %.3f, bf16 copy %.3f)\n",
           (memory->weights + memory->copy) / GIGA, memory->weights / GIGA, memory->copy / GIGA);
    printf("  gradients         %.3f (and %.3f from other processes)\n", memory->gradients / GIGA,
           memory->exchange / GIGA);
    printf("  optimizer         %.3f (moments %.3f, scratch %.3f)\n",
           (memory->moments + memory->scratch) / GIGA, memory->moments / GIGA,
           memory->scratch / GIGA);
    printf("  activations       %.3f\n  logits            %.3f\n  the rest          %.3f\n",
           memory->activations / GIGA, memory->logits / GIGA,
           (memory->tables + memory->program) / GIGA);
}

static void print_time(const struct plan_time *time)
{
    double share = 100 / time->step;
    printf("a step              %.3f s\n", time->step);
    printf("  arithmetic        %.3f s (%.0f %%: blocks %.3f, head %.3f, attention %.3f, Muon "
           "%.3f)\n",
           time->arithmetic, time->arithmetic * share, time->blocks, time->head, time->attention,
           time->muon);
    printf("  memory traffic    %.3f s (%.0f %%: rows %.3f, parameters %.3f)\n", time->memory,
           time->memory * share, time->rows, time->parameters);
    printf("  network           %.3f s (%.0f %%: gradients %.3f, weights %.3f, hidden by the "
           "backward pass %.3f)\n",
           time->network, time->network * share, time->reduce, time->gather, time->hidden);
}

static void print_text(const struct plan *plan, const struct plan_cluster *cluster)
{
    printf("model               %.1f M parameters\n", (double)plan->parameters * 1e-6);
    printf("run                 %lld steps of %.0f tokens, %.4g in all, on %lld process%s\n",
           (long long)plan->steps, plan->step_tokens, plan->tokens, (long long)plan->processes,
           plan->processes == 1 ? "" : "es");
    print_rates(&cluster->rates, false);
    print_memory(&plan->memory);
    print_time(&plan->time);
    printf("speed               %.0f tokens/s\n", plan->tokens_per_second);
    printf("time                %.2f days (%.2f hours)\n", plan->run_s / DAY_S, plan->run_s / 3600);
    if (cluster->node_hour_price > 0)
        printf("cost                %.2f\n", plan->cost);
    printf("a checkpoint        %.3f GB\n", plan->checkpoint_bytes / GIGA);
    printf("limit               %s\n", plan_limit_name(plan->limit));
}

static void warn(const struct plan *plan, const struct recipe *recipe,
                 const struct plan_options *options, const struct plan_cluster *cluster)
{
    if (!plan->runs)
        log_warning("this program shares a batch among a power of two of processes that divides "
                    "train.shards, which is %lld: %lld processes can't run this recipe as it "
                    "stands; the figures are what the formulas give",
                    (long long)recipe->shards, (long long)plan->processes);
    if (options->gpus)
        log_warning("this program trains on processors; figures for GPUs are what the formulas "
                    "give for the rates named");
    if (plan->limit == PLAN_LIMIT_CAPACITY)
        log_warning("a process needs %.1f GB and has %.1f GB: try train.recompute = true, a "
                    "smaller train.micro_batch or fewer shards a process",
                    plan->memory.total / GIGA, cluster->process_bytes / GIGA);
}

static status show(const struct plan_options *options, struct error *error)
{
    struct recipe recipe;
    struct plan_cluster cluster;
    struct plan plan;
    TRY(recipe_read(&recipe, options->recipe_path, error));
    TRY(cli_recipe_set(&recipe, &options->sets, error));
    TRY(recipe_check(&recipe, error));
    TRY(cluster_of(&cluster, options, &recipe, error));
    TRY(plan_make(&plan, &recipe, options->tokens, &cluster, error));
    if (options->json)
        print_json(&plan, &cluster);
    else
        print_text(&plan, &cluster);
    warn(&plan, &recipe, options, &cluster);
    return OK;
}

int command_plan(int argc, char **argv)
{
    struct plan_options plan = {.nodes = 1, .bandwidth_gbit = 10, .latency_us = 50};
    int64_t threads = 0;
    const struct option table[] = {
        {"tokens", OPTION_DOUBLE, &plan.tokens, 1, 1e18, "N",
         "tokens to train on, as 2.5e9 (default: the recipe's steps)"},
        {"nodes", OPTION_INT, &plan.nodes, 1, 1e6, "N", "machines (default 1)"},
        {"processes", OPTION_INT, &plan.processes, 1, 1024, "N",
         "processes of a node (default 1, or one a GPU)"},
        {"cores", OPTION_INT, &plan.cores, 1, 65536, "N",
         "cores of a node (default: as many as here)"},
        {"core-gflops", OPTION_DOUBLE, &plan.core_gflops, 1e-3, 1e6, "X",
         "products of one core in 10^9 operations a second (default: measured here)"},
        {"core-gbytes", OPTION_DOUBLE, &plan.core_gbytes, 1e-3, 1e6, "X",
         "memory traffic of one core in 10^9 bytes a second (default: measured here)"},
        {"gpus", OPTION_INT, &plan.gpus, 1, 1024, "N", "GPUs of a node, instead of cores"},
        {"gpu-tflops", OPTION_DOUBLE, &plan.gpu_tflops, 1e-3, 1e6, "X",
         "products of one GPU in 10^12 operations a second"},
        {"gpu-gbytes", OPTION_DOUBLE, &plan.gpu_gbytes, 1e-3, 1e6, "X",
         "memory traffic of one GPU in 10^9 bytes a second"},
        {"memory", OPTION_DOUBLE, &plan.memory_gb, 1e-3, 1e6, "GB",
         "of a node, or of a GPU, in 10^9 bytes (default: this machine's; of a GPU: not asked)"},
        {"bandwidth", OPTION_DOUBLE, &plan.bandwidth_gbit, 1e-3, 1e6, "GBIT",
         "between nodes, each way, in 10^9 bits a second (default 10)"},
        {"latency", OPTION_DOUBLE, &plan.latency_us, 0.01, 1e6, "US",
         "of a message between nodes in microseconds (default 50)"},
        {"price", OPTION_DOUBLE, &plan.price, 1e-9, 1e9, "X", "of a node for an hour"},
        {"set", OPTION_LIST, &plan.sets, 0, 0, "KEY=VALUE", "section.key=value over the recipe's"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N",
         "threads to measure with (default all)"},
        {"json", OPTION_FLAG, &plan.json, 0, 0, NULL, "print the result as JSON"},
    };
    const struct command_help help = {
        "rodnik plan RECIPE.ini [--tokens N] [--nodes N] [options]",
        "Memory, time of a step by part, days, cost and what limits, before a run is begun.  "
        "Without named\nrates this machine is measured for a few seconds and its cores stand for "
        "all.",
        "  rodnik plan recipes/124m.ini --tokens 2.5e9 --nodes 16\n"
        "  rodnik plan recipes/124m.ini --tokens 2.5e9 --nodes 4 --cores 32 --bandwidth 25 --price "
        "1.20",
        NULL};
    struct options_result given;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&given, &exit_status, &help, table, sizeof table / sizeof *table, argc, argv))
        return exit_status;
    if (given.positional_count != 1) {
        (void)!fail(&error, ERR_USAGE, "exactly one recipe is needed, %zu are named",
                    given.positional_count);
        return cli_fail("plan", &error);
    }
    plan.recipe_path = given.positional[0];
    plan.threads = cli_threads(threads);
    return show(&plan, &error) == OK ? 0 : cli_fail("plan", &error);
}
