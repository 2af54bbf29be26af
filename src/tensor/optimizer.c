/* Sums over whole tensors, AdamW and Muon. */
#include "tensor/tensor_internal.h"

#include <math.h>
#include <string.h>

#include "tensor/math.h"

/* ---- sums: blocks by the lane rule, block sums again by the lane rule over blocks ---- */

enum { SUM_BLOCKS_MAX = SCRATCH_SHARED_BYTES / sizeof(float), SUM_CHUNK = 16 };

struct sum {
    void (*kernel)(float *out, const float *x, size_t count);
    const float *x;
    size_t count;
    float *sums;
};

static void run_sum(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct sum *job = context;
    size_t first = begin * SUM_BLOCK, last = end * SUM_BLOCK;
    last = last < job->count ? last : job->count;
    job->kernel(job->sums + begin, job->x + first, last - first);
}

static float sum_blocks(struct compute *compute, enum sum_kind kind, const float *x, size_t count)
{
    struct sum job = {compute->row->sums[kind], x, count, compute->shared};
    size_t blocks = (count + SUM_BLOCK - 1) / SUM_BLOCK;
    ASSERT(blocks <= SUM_BLOCKS_MAX);
    parallel_for(compute->pool, blocks, SUM_CHUNK, run_sum, &job);
    return compute->row->sum(job.sums, blocks);
}

float sum_of_squares(struct compute *compute, const float *x, size_t count)
{
    ASSERT(compute && x);
    return sum_blocks(compute, SUM_SQUARES, x, count);
}

_Static_assert((int)SQUARES_BLOCK == (int)SUM_BLOCK, "ops.h states the kernels' block");

void squares_of_blocks(struct compute *compute, float *sums, const float *x, size_t count)
{
    ASSERT(compute && sums && x);
    struct sum job = {compute->row->sums[SUM_SQUARES], x, count, sums};
    parallel_for(compute->pool, (count + SUM_BLOCK - 1) / SUM_BLOCK, SUM_CHUNK, run_sum, &job);
}

float sum_of_blocks(const struct compute *compute, const float *sums, size_t blocks)
{
    ASSERT(compute && sums);
    return compute->row->sum(sums, blocks);
}

float sum_of_values(struct compute *compute, const float *x, size_t count)
{
    ASSERT(compute && x);
    return sum_blocks(compute, SUM_VALUES, x, count);
}

bool all_finite(struct compute *compute, const float *x, size_t count)
{
    ASSERT(compute && x);
    return sum_blocks(compute, SUM_ZEROS, x, count) == 0;
}

/* ---- AdamW ---- */

enum { ADAMW_CHUNK = 16 << 10 };

struct adamw_job {
    void (*kernel)(const struct adamw_run *run, size_t begin, size_t end);
    struct adamw_run run;
};

static void run_adamw(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct adamw_job *job = context;
    job->kernel(&job->run, begin, end);
}

double adamw_limit_gbytes(struct compute *compute, const struct adamw_state *state,
                          const float *gradient, size_t count)
{
    ASSERT(compute && state && state->copy && gradient && count);
    struct adamw_job job = {compute->row->stream, {.state = state, .gradient = gradient}};
    double start = time_monotonic_s();
    parallel_for(compute->pool, count, ADAMW_CHUNK, run_adamw, &job);
    return (double)count * ADAMW_BYTES / (time_monotonic_s() - start) * 1e-9;
}

void adamw_step(struct compute *compute, const struct adamw *settings,
                const struct adamw_state *state, const float *gradient, size_t count)
{
    ASSERT(compute && settings && state && gradient && settings->step >= 1);
    long step = (long)settings->step;
    struct adamw_job job = {
        .kernel = compute->row->adamw,
        .run = {.settings = settings,
                .state = state,
                .gradient = gradient,
                .correction1 = (float)(1 / (1 - math_power((double)settings->beta1, step))),
                .correction2 = (float)(1 / (1 - math_power((double)settings->beta2, step)))}};
    parallel_for(compute->pool, count, ADAMW_CHUNK, run_adamw, &job);
}

/* ---- Muon ---- */

struct muon_job {
    struct compute *compute;
    struct muon_run run;
};

static void run_momentum(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct muon_job *job = context;
    job->compute->row->muon_momentum(&job->run, begin, end);
}

static void run_apply(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct muon_job *job = context;
    job->compute->row->muon_apply(&job->run, begin, end);
}

struct combination {
    struct compute *compute;
    float *out;
    const float *a, *b;
    float alpha, beta;
};

static void run_combine(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct combination *job = context;
    job->compute->row->combine(job->out + begin, job->a + begin, job->alpha, job->b + begin,
                               job->beta, end - begin);
}

/* The buffers of one orthogonalisation: m = the smaller side, n = the larger. */
struct newton_schulz {
    size_t m, n;
    float *x, *product, *gram, *square; /* [m, n], [m, n], [m, m], [m, m] */
    uint16_t *x_half, *gram_half;       /* [m, n], [m, m] */
};

static size_t align_bytes(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

size_t muon_scratch_bytes(size_t rows, size_t columns)
{
    size_t m = rows < columns ? rows : columns, n = rows < columns ? columns : rows;
    return align_bytes(rows * columns * sizeof(float)) * 3 + align_bytes(m * m * 4) * 2 +
           align_bytes(m * n * 2) + align_bytes(m * m * 2);
}

static struct newton_schulz buffers_of(const struct muon *settings, float **update)
{
    size_t rows = settings->rows, columns = settings->columns;
    struct newton_schulz out = {.m = rows < columns ? rows : columns,
                                .n = rows < columns ? columns : rows};
    char *at = settings->scratch;
#define TAKE(pointer, bytes)                                                                       \
    do {                                                                                           \
        (pointer) = (void *)at;                                                                    \
        at += align_bytes(bytes);                                                                  \
    } while (0)
    TAKE(*update, rows * columns * sizeof(float));
    TAKE(out.x, rows * columns * sizeof(float));
    TAKE(out.product, rows * columns * sizeof(float));
    TAKE(out.gram, out.m * out.m * sizeof(float));
    TAKE(out.square, out.m * out.m * sizeof(float));
    TAKE(out.x_half, out.m * out.n * sizeof(uint16_t));
    TAKE(out.gram_half, out.m * out.m * sizeof(uint16_t));
#undef TAKE
    return out;
}

static void to_half(struct compute *compute, uint16_t *out, const float *x, size_t count)
{
    convert_array(compute, (struct array){out, DTYPE_BF16}, (struct const_array){x, DTYPE_F32},
                  count);
}

/* out [m, m] = a b, known to be symmetric, both bf16 */
static void symmetric_product(struct compute *compute, float *out, struct operand a,
                              struct operand b, size_t m, size_t depth)
{
    struct product product = {.rows = m,
                              .columns = m,
                              .depth = depth,
                              .a = a,
                              .b = b,
                              .out = out,
                              .out_stride = m,
                              .symmetric = true};
    matrix_product(compute, &product);
}

/* x <- 3.4445 x + (-4.7750 g + 2.0315 g g) x, g = x x^T, the products of bf16 values */
static void newton_schulz_step(struct compute *compute, struct newton_schulz *in)
{
    size_t m = in->m, n = in->n;
    to_half(compute, in->x_half, in->x, m * n);
    struct operand x = {in->x_half, DTYPE_BF16, n, false};
    struct operand x_turned = {in->x_half, DTYPE_BF16, n, true};
    symmetric_product(compute, in->gram, x, x_turned, m, n);
    to_half(compute, in->gram_half, in->gram, m * m);
    struct operand gram = {in->gram_half, DTYPE_BF16, m, false};
    symmetric_product(compute, in->square, gram, gram, m, m);
    struct combination polynomial = {compute, in->gram, in->gram, in->square, -4.7750f, 2.0315f};
    parallel_for(compute->pool, m * m, 16 << 10, run_combine, &polynomial);
    to_half(compute, in->gram_half, in->gram, m * m);
    struct product product = {.rows = m,
                              .columns = n,
                              .depth = m,
                              .a = gram,
                              .b = x,
                              .out = in->product,
                              .out_stride = n};
    matrix_product(compute, &product);
    struct combination next = {compute, in->x, in->x, in->product, 3.4445f, 1};
    parallel_for(compute->pool, m * n, 16 << 10, run_combine, &next);
}

struct turning { /* out [columns, rows] from x [rows, columns] */
    float *out;
    const float *x;
    size_t rows, columns;
};
enum { TURN_TILE = 16 };

/* Rows [begin, end) of x. */
static void run_turn(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct turning *in = context;
    for (size_t j0 = 0; j0 < in->columns; j0 += TURN_TILE)
        for (size_t i = begin; i < end; i++)
            for (size_t j = j0; j < in->columns && j < j0 + TURN_TILE; j++)
                in->out[j * in->rows + i] = in->x[i * in->columns + j];
}

static void turn(struct compute *compute, float *out, const float *x, size_t rows, size_t columns)
{
    struct turning job = {out, x, rows, columns};
    parallel_for(compute->pool, rows, TURN_TILE, run_turn, &job);
}

/* The update becomes (nearly) orthogonal: all its singular values near 1. */
static void orthogonalize(struct compute *compute, const struct muon *settings, float *update,
                          struct newton_schulz *in)
{
    size_t count = settings->rows * settings->columns;
    bool tall = settings->rows > settings->columns;
    float norm = sqrtf(sum_of_squares(compute, update, count));
    scale_array(compute, update, 1.0f / (norm + 1e-7f), count);
    if (tall)
        turn(compute, in->x, update, settings->rows, settings->columns);
    else
        memcpy(in->x, update, count * sizeof *update);
    for (int step = 0; step < 5; step++)
        newton_schulz_step(compute, in);
    if (tall)
        turn(compute, update, in->x, settings->columns, settings->rows);
    else
        memcpy(update, in->x, count * sizeof *update);
}

void muon_step(struct compute *compute, const struct muon *settings, const struct muon_state *state,
               const float *gradient)
{
    ASSERT(compute && settings && settings->scratch && state && gradient);
    size_t count = settings->rows * settings->columns;
    struct muon_job job = {.compute = compute,
                           .run = {.weight = state->weight,
                                   .momentum = state->momentum,
                                   .copy = state->copy,
                                   .gradient = gradient,
                                   .momentum_factor = settings->momentum,
                                   .grad_scale = settings->grad_scale}};
    struct newton_schulz buffers = buffers_of(settings, &job.run.update);
    parallel_for(compute->pool, count, 16 << 10, run_momentum, &job);
    orthogonalize(compute, settings, job.run.update, &buffers);
    job.run.factor = settings->learning_rate * (0.2f * sqrtf((float)buffers.n));
    job.run.keep = 1.0f - settings->learning_rate * settings->weight_decay;
    parallel_for(compute->pool, count, 16 << 10, run_apply, &job);
}
