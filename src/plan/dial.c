#include "plan/dial.h"

#include <math.h>
#include <string.h>

/* ---- the law ---- */

/* scripts/fit_law.py docs/scaling-runs.tsv */
const struct scaling_law dial_law = {
    .floor = 0.7477, .size = 20.32, .size_power = 0.3759, .text = 94.13, .text_power = 0.3645};

double dial_bits_per_byte(const struct scaling_law *law, double parameters, double tokens)
{
    ASSERT(law && parameters > 0 && tokens > 0);
    return law->floor + law->size * pow(parameters, -law->size_power) +
           law->text * pow(tokens, -law->text_power);
}

/* Each repetition is worth less, and all of them together at most this many times the texts. */
static const double REPEATS_WORTH = 15.4;

double dial_worth(double tokens, double unique)
{
    ASSERT(tokens > 0 && unique > 0);
    if (tokens <= unique)
        return tokens;
    double repeats = tokens / unique - 1;
    return unique * (1 + REPEATS_WORTH * (1 - exp(-repeats / REPEATS_WORTH)));
}

/* ---- the ladder ---- */

static const struct {
    int64_t layers, width, vocabulary;
} ladder[DIAL_SHAPES] = {
    {2, 64, 1024},     {3, 128, 4096},    {4, 192, 4096},    {6, 256, 6144},   {6, 320, 6144},
    {6, 384, 8192},    {8, 448, 8192},    {8, 512, 16384},   {10, 640, 16384}, {12, 768, 32768},
    {16, 1024, 32768}, {20, 1280, 32768}, {24, 1536, 32768},
};

/* About 8/3 of the width: SwiGLU's three matrices then weigh as much as two of four times it. */
static int64_t ffn_width(int64_t width)
{
    return (width * 8 / 3 + 63) / 64 * 64;
}

/* Longer rows cost attention and pay off in larger models. */
static int64_t sequence_of(int64_t width)
{
    return width < 512 ? 256 : width < 768 ? 512 : 1024;
}

/* Before there is a tokenizer: measured on Russian and English prose, law and documentation. */
static double bytes_per_token(int64_t vocabulary)
{
    return 4.54 * (1 + 0.125 * log2((double)vocabulary / 6144));
}

/* Larger batches for longer runs: 8,192 tokens for ten millions, then with the power 0.4. */
static int64_t batch_rows(double tokens, int64_t sequence, int64_t processes)
{
    double rows = 8192 * pow(tokens / 1e7, 0.4) / (double)sequence;
    int64_t power = (int64_t)exp2(floor(log2(fmax(rows, 1)) + 0.5));
    int64_t least = 2048 / sequence > processes ? 2048 / sequence : processes;
    return power < least ? least : power > 4096 ? 4096 : power;
}

static void set_shape(struct recipe *recipe, size_t index)
{
    int64_t width = ladder[index].width;
    recipe->model.layers = ladder[index].layers;
    recipe->model.width = width;
    recipe->model.heads = recipe->model.kv_heads = width / 64;
    recipe->model.head_size = 64;
    recipe->model.ffn_width = ffn_width(width);
    recipe->model.context = recipe->sequence = sequence_of(width);
    recipe->model.tied = recipe->model.qk_norm = true;
    recipe->vocabulary = ladder[index].vocabulary;
}

/* Rates and course of recipes/hour.ini, which were measured. */
static void set_optimizer(struct recipe *recipe)
{
    recipe->matrix_optimizer = MATRIX_MUON;
    recipe->learning_rate = recipe->embedding_rate = 0.005;
    recipe->head_rate = recipe->vector_rate = 0.005;
    recipe->warmup = 0.02;
    recipe->decay = 0.6;
    recipe->weight_decay = 0.05;
}

static struct recipe recipe_of(size_t index)
{
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    set_shape(&recipe, index);
    set_optimizer(&recipe);
    return recipe;
}

/* ---- the machine ---- */

status dial_measure(struct dial_machine *out, double seconds, struct compute *compute,
                    struct error *error)
{
    static const size_t measured[DIAL_RATES_MAX] = {1, 3, 7, 10}; /* of the ladder */
    enum { MEASURED_TOKENS = 2048 };
    ASSERT(out && compute && error);
    struct dial_machine machine = {.processes = 1};
    double started = time_monotonic_s();
    /* In a short time large models are not measured: they won't be chosen. */
    for (size_t i = 0; i < DIAL_RATES_MAX && time_monotonic_s() - started <= seconds; i++) {
        struct recipe recipe = recipe_of(measured[i]);
        recipe.micro_batch = recipe.batch = MEASURED_TOKENS / recipe.sequence;
        machine.widths[i] = (double)recipe.model.width;
        TRY(plan_measure(&machine.rates[i], &recipe, seconds / DIAL_RATES_MAX, compute, error));
        machine.count = i + 1;
    }
    *out = machine;
    return OK;
}

static double between(double a, double b, double share)
{
    return a * pow(b / a, share);
}

/* Between two measured widths along the logarithm; beyond them as at the nearest. */
static struct plan_rates rates_at(const struct dial_machine *machine, double width)
{
    size_t i = 0;
    while (i + 2 < machine->count && width > machine->widths[i + 1])
        i++;
    const struct plan_rates *a = &machine->rates[i], *b = a + (i + 1 < machine->count);
    double low = machine->widths[i], high = machine->widths[i + 1 < machine->count ? i + 1 : i];
    double share = high > low ? fmin(fmax(log(width / low) / log(high / low), 0), 1) : 0;
    return (struct plan_rates){.block_flops = between(a->block_flops, b->block_flops, share),
                               .head_flops = between(a->head_flops, b->head_flops, share),
                               .attention_flops =
                                   between(a->attention_flops, b->attention_flops, share),
                               .row_bytes = between(a->row_bytes, b->row_bytes, share),
                               .stream_bytes = between(a->stream_bytes, b->stream_bytes, share)};
}

/* ---- a candidate ---- */

/* Of the time, what validation and checkpoints leave. */
static const double STEPS_SHARE = 0.96;
/* Tokens a parameter: beyond, small models stop learning, of which the law, a sum, knows nothing
 * (at 46 it was 4 % too low). */
static const double TOKENS_MAX = 40;
/* The most rows at once that fit, and if none do, recomputing. */
static status fit_memory(struct dial_candidate *candidate, struct plan *plan,
                         const struct plan_cluster *cluster, struct error *error)
{
    struct recipe *recipe = &candidate->recipe;
    int64_t rows = recipe->batch / recipe->shards, most = 4096 / recipe->sequence;
    for (int recompute = 0; recompute < 2; recompute++)
        for (int64_t micro = most < rows ? most : rows; micro >= 1; micro /= 2) {
            recipe->micro_batch = micro;
            recipe->recompute = recompute;
            TRY(plan_make(plan, recipe, 0, cluster, error));
            if (plan->memory.total <= cluster->process_bytes)
                return OK;
        }
    candidate->verdict = DIAL_NO_MEMORY;
    return OK;
}

/* The batch depends on how many tokens there will be, and these a little on the batch. */
static status fit_time(struct dial_candidate *candidate, const struct dial_question *question,
                       const struct dial_machine *machine, struct error *error)
{
    struct recipe *recipe = &candidate->recipe;
    const struct plan_cluster cluster = {.nodes = 1,
                                         .processes = machine->processes,
                                         .rates = rates_at(machine, (double)recipe->model.width),
                                         .process_bytes = machine->memory_bytes};
    struct plan plan;
    double unique = question->text_bytes / bytes_per_token(recipe->vocabulary);
    candidate->tokens = unique;
    recipe->shards = machine->processes;
    for (int round = 0; round < 3; round++) {
        recipe->batch = batch_rows(candidate->tokens, recipe->sequence, machine->processes);
        candidate->verdict = DIAL_FITS;
        TRY(fit_memory(candidate, &plan, &cluster, error));
        candidate->tokens = question->seconds * STEPS_SHARE * plan.tokens_per_second;
        candidate->text_ends = candidate->tokens > DIAL_EPOCHS_MAX * unique;
        if (candidate->text_ends)
            candidate->tokens = DIAL_EPOCHS_MAX * unique;
    }
    candidate->parameters = plan.parameters;
    candidate->tokens_per_second = plan.tokens_per_second;
    candidate->epochs = candidate->tokens / unique;
    candidate->bits_per_byte = dial_bits_per_byte(&dial_law, (double)plan.parameters,
                                                  dial_worth(candidate->tokens, unique));
    if (candidate->verdict == DIAL_FITS && candidate->tokens > TOKENS_MAX * (double)plan.parameters)
        candidate->verdict = DIAL_TOO_SMALL;
    /* The law knows nothing of models that learn their texts by heart. */
    double seen = fmin(candidate->tokens, unique);
    if (candidate->verdict == DIAL_FITS && (double)plan.parameters > seen)
        candidate->verdict = DIAL_NO_TEXT;
    return OK;
}

/* ---- what follows from the tokens ---- */

/* Looks and checkpoints that cost some hundredths of the time. */
static void set_course(struct dial_candidate *candidate, const struct dial_question *question)
{
    enum { LOOKS = 10, LOOKED_MIN = 4096, LOOKED_MAX = 200000, COST = 200 };
    static const double CHECKPOINT_EVERY_S = 600;
    struct recipe *recipe = &candidate->recipe;
    double step_tokens = (double)(recipe->batch * recipe->sequence);
    double steps = fmax(1, floor(candidate->tokens / step_tokens));
    double step_s = step_tokens / candidate->tokens_per_second;
    double saved = fmin(fmax(1, ceil(steps / LOOKS)), fmax(1, CHECKPOINT_EVERY_S / step_s));
    recipe->steps = (int64_t)steps;
    recipe->validate_every = (int64_t)fmax(1, ceil(steps / LOOKS));
    recipe->validate_tokens = (int64_t)fmin(fmax(candidate->tokens / COST, LOOKED_MIN), LOOKED_MAX);
    recipe->checkpoint_every = (int64_t)saved;
    /* When the texts end first, the number of steps counts, not the clock. */
    recipe->minutes = candidate->text_ends ? 0 : question->seconds / 60;
}

/* Among those that fit the best prediction; else the largest of those that are too small; else the
 * smallest that the memory holds. */
static bool is_better(const struct dial_candidate *a, const struct dial_candidate *b)
{
    static const int rank[] = {
        [DIAL_FITS] = 0, [DIAL_TOO_SMALL] = 1, [DIAL_NO_TEXT] = 2, [DIAL_NO_MEMORY] = 3};
    if (rank[a->verdict] != rank[b->verdict])
        return rank[a->verdict] < rank[b->verdict];
    return a->verdict != DIAL_NO_TEXT && a->bits_per_byte < b->bits_per_byte;
}

status dial_choose(struct dial_candidate out[DIAL_SHAPES], size_t *best,
                   const struct dial_question *question, const struct dial_machine *machine,
                   struct error *error)
{
    ASSERT(out && best && question && machine && machine->count && error);
    enum { TEXT_BYTES_MIN = 100000 };
    if (!(question->text_bytes >= TEXT_BYTES_MIN))
        return fail(error, ERR_USAGE,
                    "the corpus holds %.0f bytes of text to train on, at least %d are needed",
                    question->text_bytes, TEXT_BYTES_MIN);
    *best = 0;
    for (size_t i = 0; i < DIAL_SHAPES; i++) {
        out[i] = (struct dial_candidate){.recipe = recipe_of(i)};
        TRY(fit_time(&out[i], question, machine, error));
        set_course(&out[i], question);
        if (is_better(&out[i], &out[*best]))
            *best = i;
    }
    if (out[*best].verdict == DIAL_NO_MEMORY)
        return fail(error, ERR_LIMIT,
                    "not even the smallest model fits into the %.1f MB of memory that may be used",
                    machine->memory_bytes * 1e-6);
    if (out[*best].tokens < 20.0 * (double)(out[*best].recipe.batch * out[*best].recipe.sequence))
        return fail(error, ERR_USAGE,
                    "%.0f seconds are enough for %.0f tokens of the chosen model, too few to learn "
                    "from: give more hours",
                    question->seconds, out[*best].tokens);
    return OK;
}
