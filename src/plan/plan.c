#include "plan/plan.h"

#include <math.h>

#include "tensor/comm_plan.h"

/* Code, libraries, thread stacks and the packed panels of products: peak memory of a run of
 * recipes/tiny.ini on two threads. */
static const double PROGRAM_BYTES = 24e6;
/* The backward pass is two thirds of a micro-batch's time. */
static const double BACKWARD_SHARE = 2.0 / 3;

enum { F32 = sizeof(float), BF16 = sizeof(uint16_t) };

/* What the formulas are written in. */
struct shape {
    struct model_config config;
    bool half; /* bf16 operands */
    double width, attended, kv, ffn, layers, vocabulary, length;
    double processes, process_rows, micro_rows; /* rows of tokens: sequences */
    double local_shards;
};

static struct shape shape_of(const struct recipe *recipe, const struct plan_cluster *cluster)
{
    struct shape shape = {.config = recipe->model, .half = recipe->precision == DTYPE_BF16};
    if (!shape.config.vocabulary)
        shape.config.vocabulary = recipe->vocabulary;
    shape.width = (double)shape.config.width;
    shape.attended = (double)(shape.config.heads * shape.config.head_size);
    shape.kv = (double)(shape.config.kv_heads * shape.config.head_size);
    shape.ffn = (double)shape.config.ffn_width;
    shape.layers = (double)shape.config.layers;
    shape.vocabulary = (double)shape.config.vocabulary;
    shape.length = (double)recipe->sequence;
    shape.processes = cluster ? (double)(cluster->nodes * cluster->processes) : 1;
    shape.process_rows = (double)recipe->batch / shape.processes;
    shape.local_shards = fmax(1, (double)recipe->shards / shape.processes);
    double shard_rows = shape.process_rows / shape.local_shards;
    shape.micro_rows = fmin((double)recipe->micro_batch, ceil(shard_rows));
    return shape;
}

/* ---- arithmetic ---- */

struct plan_work plan_work_of(const struct recipe *recipe)
{
    ASSERT(recipe);
    struct shape in = shape_of(recipe, NULL);
    double layer = in.width * (2 * in.attended + 2 * in.kv + 3 * in.ffn);
    return (struct plan_work){.blocks = 6 * in.layers * layer,
                              .head = 6 * in.vocabulary * in.width,
                              .attention = 6 * in.layers * in.attended * in.length};
}

static bool uses_muon(const struct recipe *recipe, const struct weight *weight)
{
    return weight->group == WEIGHT_MATRIX && recipe->matrix_optimizer == MATRIX_MUON;
}

/* Five rounds: half of x x^T and of its square, which are symmetric, and one product [m, m][m, n].
 */
static double muon_flops(const struct weight *weight)
{
    double m = (double)(weight->rows < weight->columns ? weight->rows : weight->columns);
    double n = (double)(weight->rows < weight->columns ? weight->columns : weight->rows);
    return 5 * (m * m * n + m * m * m + 2 * m * m * n);
}

/* ---- sums over the weight table ---- */

struct totals {
    double weights, muon_weights, adamw_weights; /* elements */
    double muon_flops, muon_flops_most;          /* of all matrices; of the costliest */
    double muon_scratch;                         /* bytes, of the largest */
};

static status sum_table(struct totals *out, const struct recipe *recipe,
                        const struct model_config *config, struct error *error)
{
    struct arena *arena = NULL;
    struct weight_table table;
    struct totals sums = {0};
    TRY(arena_create(&arena, 0, error));
    status result = weight_table_create(&table, config, arena, error);
    for (size_t i = 0; result == OK && i < table.count; i++) {
        const struct weight *weight = &table.weights[i];
        double count = (double)weight->rows * (double)weight->columns;
        sums.weights += count;
        if (!uses_muon(recipe, weight)) {
            sums.adamw_weights += count;
            continue;
        }
        sums.muon_weights += count;
        sums.muon_flops += muon_flops(weight);
        sums.muon_flops_most = fmax(sums.muon_flops_most, muon_flops(weight));
        sums.muon_scratch =
            fmax(sums.muon_scratch, (double)muon_scratch_bytes(weight->rows, weight->columns));
    }
    arena_destroy(arena);
    if (result == OK)
        *out = sums;
    return result;
}

/* ---- memory of a process ---- */

static struct plan_memory memory_of(const struct recipe *recipe, const struct shape *in,
                                    const struct totals *totals)
{
    const struct model model = {.config = in->config, .type = in->half ? DTYPE_BF16 : DTYPE_F32};
    const struct training_shape training = {
        (size_t)in->micro_rows, (size_t)recipe->sequence, recipe->recompute,
        (size_t)(recipe->batch / recipe->shards / recipe->micro_batch)};
    double levels = log2(in->local_shards) + 1, tokens = in->micro_rows * in->length;
    double logits =
        (double)cross_entropy_scratch_bytes((size_t)tokens, (size_t)in->config.vocabulary);
    struct plan_memory out = {
        .weights = F32 * totals->weights,
        .copy = in->half ? BF16 * totals->weights : 0,
        .gradients = F32 * totals->weights * levels,
        .exchange = in->processes > 1 ? (double)EXCHANGES_MAX * BUCKET_BYTES_MAX : 0,
        .moments = F32 * (totals->weights + totals->adamw_weights) / in->processes,
        .scratch = totals->muon_scratch,
        .activations = (double)training_bytes(&model, &training) - logits,
        .logits = logits,
        .tables = F32 * (double)(in->config.context * in->config.head_size) + 4 * 3 * tokens +
                  F32 * in->process_rows / in->local_shards * in->length,
        .program = PROGRAM_BYTES};
    out.total = out.weights + out.copy + out.gradients + out.exchange + out.moments + out.scratch +
                out.activations + out.logits + out.tables + out.program;
    return out;
}

/* ---- time of a step ---- */

/* Bytes that the row-wise operations read and write for one token, forward and backward. */
static double row_bytes(const struct shape *in, bool qk_norm, bool recompute)
{
    double operand = in->half ? BF16 : F32, turned = in->attended + in->kv;
    double forward = 2 * (F32 + operand) * in->width         /* two norms */
                     + 2 * 3 * F32 * in->width               /* two residual sums */
                     + 2 * F32 * turned * (qk_norm ? 2 : 1)  /* rotation, norms of heads */
                     + (2 * F32 + operand) * in->ffn;        /* SwiGLU */
    double backward = 2 * (F32 + operand) * in->width        /* gradients as operands */
                      + 2 * 6 * F32 * in->width              /* two norms: rows, columns */
                      + 2 * F32 * turned * (qk_norm ? 3 : 1) /* rotation, norms of heads */
                      + (F32 + operand) * (turned + in->kv)  /* operands of q k v */
                      + (3 * F32 + 2 * operand) * in->ffn;   /* SwiGLU */
    double ends = 7 * F32 * in->width;                       /* embedding, last norm */
    return in->layers * (forward * (recompute ? 2 : 1) + backward) + ends;
}

/* Bytes that one process reads and writes in passes over the parameters: gradients of its shards
 * down the tree; then norm and optimizer for the part that it keeps. */
static double gradient_bytes(const struct shape *in, const struct totals *totals)
{
    return totals->weights * F32 * 3 * (in->local_shards - 1);
}

static double optimizer_bytes(const struct shape *in, const struct totals *totals)
{
    double copy = in->half ? BF16 : 0;
    double adamw = totals->adamw_weights * (7 * F32 + copy);
    /* momentum, update, its turning, then five rounds of narrowing and combining */
    double muon = totals->muon_weights * (11 * F32 + copy + 5 * (F32 + BF16 + 3 * F32));
    return (totals->weights * F32 + adamw + muon) / in->processes;
}

static double buckets_of(double bytes)
{
    return ceil(bytes / BUCKET_BYTES_MAX);
}

static void add_network(struct plan_time *time, const struct shape *in,
                        const struct plan_cluster *cluster, double bytes)
{
    if (in->processes < 2)
        return;
    double nodes = (double)cluster->nodes, local = (double)cluster->processes;
    /* Neighbours are added first: only sums of a node leave it.  Inside a node memory carries. */
    double messages = log2(in->processes) * buckets_of(bytes);
    double between = nodes > 1 ? bytes * (1 - 1 / nodes) / cluster->link_bytes +
                                     messages * cluster->link_latency_s
                               : 0;
    double inside = 5 * bytes * (1 - 1 / local) / cluster->rates.stream_bytes;
    time->reduce = between + inside;
    time->gather = between + inside;
}

/* Gradients travel while the last micro-batch goes on backwards, weights while others are stepped;
 * of each the last bucket can't. */
static void hide_network(struct plan_time *time, const struct shape *in,
                         const struct totals *totals, const struct plan_rates *rates)
{
    double backward = BACKWARD_SHARE * (time->blocks + time->head + time->attention + time->rows);
    double optimizer = time->muon + optimizer_bytes(in, totals) / rates->stream_bytes;
    double early = 1 - 1 / buckets_of(F32 * totals->weights);
    time->hidden = fmin(time->reduce * early, backward / (in->process_rows / in->micro_rows)) +
                   fmin(time->gather * early, optimizer);
}

static struct plan_time time_of(const struct recipe *recipe, const struct shape *in,
                                const struct totals *totals, const struct plan_cluster *cluster)
{
    const struct plan_rates *rates = &cluster->rates;
    struct plan_work work = plan_work_of(recipe);
    double tokens = in->process_rows * in->length;
    /* Recomputing does the blocks' forward pass, a third of their work, once more. */
    double again = recipe->recompute ? 4.0 / 3 : 1;
    struct plan_time time = {
        .blocks = again * tokens * work.blocks / rates->block_flops,
        .head = tokens * work.head / rates->head_flops,
        .attention = again * tokens * work.attention / rates->attention_flops,
        .muon =
            fmax(totals->muon_flops / in->processes, totals->muon_flops_most) / rates->block_flops,
        .rows = tokens * row_bytes(in, recipe->model.qk_norm, recipe->recompute) / rates->row_bytes,
        .parameters =
            (gradient_bytes(in, totals) + optimizer_bytes(in, totals)) / rates->stream_bytes};
    add_network(&time, in, cluster, F32 * totals->weights);
    hide_network(&time, in, totals, rates);
    time.arithmetic = time.blocks + time.head + time.attention + time.muon;
    time.memory = time.rows + time.parameters;
    time.network = time.reduce + time.gather - time.hidden;
    time.step = time.arithmetic + time.memory + time.network;
    return time;
}

/* ---- the whole ---- */

const char *plan_limit_name(enum plan_limit limit)
{
    static const char *const names[] = {"memory size", "arithmetic", "memory traffic", "network"};
    ASSERT(limit <= PLAN_LIMIT_NETWORK);
    return names[limit];
}

static enum plan_limit limit_of(const struct plan *plan, const struct plan_cluster *cluster)
{
    const struct plan_time *time = &plan->time;
    if (cluster->process_bytes > 0 && plan->memory.total > cluster->process_bytes)
        return PLAN_LIMIT_CAPACITY;
    if (time->network > time->arithmetic && time->network > time->memory)
        return PLAN_LIMIT_NETWORK;
    return time->memory > time->arithmetic ? PLAN_LIMIT_MEMORY : PLAN_LIMIT_ARITHMETIC;
}

static status check_rows(const struct recipe *recipe, int64_t processes, struct error *error)
{
    TRY(recipe_check(recipe, error));
    if (processes > recipe->batch)
        return fail(error, ERR_USAGE,
                    "%lld processes can't share train.batch = %lld rows: allowed are at most as "
                    "many processes as rows",
                    (long long)processes, (long long)recipe->batch);
    return OK;
}

status plan_make(struct plan *out, const struct recipe *recipe, double tokens,
                 const struct plan_cluster *cluster, struct error *error)
{
    ASSERT(out && recipe && cluster && error && cluster->nodes > 0 && cluster->processes > 0);
    struct totals totals = {0};
    struct plan plan = {.processes = cluster->nodes * cluster->processes};
    TRY(check_rows(recipe, plan.processes, error));
    struct shape shape = shape_of(recipe, cluster);
    TRY(sum_table(&totals, recipe, &shape.config, error));
    plan.parameters = model_parameters(&shape.config);
    plan.product_parameters = model_product_parameters(&shape.config);
    plan.step_tokens = (double)(recipe->batch * recipe->sequence);
    double mean_tokens = schedule_mean_batch(recipe) * (double)recipe->sequence;
    plan.steps = tokens > 0 ? (int64_t)ceil(tokens / mean_tokens) : recipe->steps;
    plan.tokens = tokens > 0 ? mean_tokens * (double)plan.steps
                             : (double)(schedule_rows(recipe, recipe->steps) * recipe->sequence);
    plan.memory = memory_of(recipe, &shape, &totals);
    plan.time = time_of(recipe, &shape, &totals, cluster);
    plan.tokens_per_second = plan.step_tokens / plan.time.step;
    plan.run_s = plan.time.step * plan.tokens / plan.step_tokens;
    plan.cost = plan.run_s / 3600 * cluster->node_hour_price * (double)cluster->nodes;
    plan.checkpoint_bytes = F32 * (2 * totals.weights + totals.adamw_weights);
    plan.limit = limit_of(&plan, cluster);
    plan.runs =
        (plan.processes & (plan.processes - 1)) == 0 && recipe->shards % plan.processes == 0;
    *out = plan;
    return OK;
}

struct plan_rates plan_rates_scaled(const struct plan_rates *rates, double factor)
{
    ASSERT(rates && factor > 0);
    return (struct plan_rates){.block_flops = rates->block_flops * factor,
                               .head_flops = rates->head_flops * factor,
                               .attention_flops = rates->attention_flops * factor,
                               .row_bytes = rates->row_bytes * factor,
                               .stream_bytes = rates->stream_bytes * factor};
}
