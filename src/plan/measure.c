/* The rates of this machine, measured on the operations and shapes that a recipe's steps are made
 * of.  Clocks and neighbours change them from minute to minute. */
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

/* Larger shapes run at the rates of these. */
enum {
    ROWS_MAX = 2048,
    WIDTH_MAX = 2048,
    FFN_MAX = 5632,
    VOCABULARY_MAX = 32768,
    LENGTH_MAX = 2048
};
enum { HEAD_ROWS = 1024, STREAM_MAX = 16 << 20, PASSES_MIN = 1, PASSES_MAX = 64, HEAD_SIZE = 64 };
enum { FILL_DRAWN = 1 << 16 };

struct bench {
    struct compute *compute;
    enum dtype type;
    size_t rows, width, ffn, vocabulary, length, sequences, heads, kv_heads, head_size, stream;
    float *wide, *grad_wide, *narrow, *grad_narrow, *weights; /* f32 */
    void *wide_half, *narrow_half, *weights_half;             /* operands */
    float *first, *second, *scale, *log_sum;
    void *attended, *scratch;
    uint32_t *targets, *positions;
    struct rotary rotary; /* of queries and keys */
};

static size_t smaller(int64_t a, size_t b)
{
    return (size_t)a < b ? (size_t)a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct bench bench_of(const struct recipe *recipe, struct compute *compute)
{
    const struct model_config *config = &recipe->model;
    int64_t vocabulary = config->vocabulary ? config->vocabulary : recipe->vocabulary;
    struct bench bench = {.compute = compute,
                          .type = (enum dtype)recipe->precision,
                          .width = smaller(config->width, WIDTH_MAX),
                          .ffn = smaller(config->ffn_width, FFN_MAX),
                          .vocabulary = smaller(vocabulary, VOCABULARY_MAX),
                          .length = smaller(recipe->sequence, LENGTH_MAX),
                          .head_size = (size_t)config->head_size};
    bench.heads = smaller(config->heads, WIDTH_MAX / HEAD_SIZE);
    bench.kv_heads = bench.heads % (size_t)config->kv_heads ? 1 : (size_t)config->kv_heads;
    int64_t shard_rows = recipe->batch / recipe->shards;
    int64_t micro = recipe->micro_batch < shard_rows ? recipe->micro_batch : shard_rows;
    bench.sequences = larger(1, smaller(micro, ROWS_MAX / bench.length));
    bench.rows = bench.sequences * bench.length;
    bench.stream = smaller((int64_t)model_parameters(config), STREAM_MAX);
    return bench;
}

/* ---- what is timed ---- */

static size_t qkv_width(const struct bench *in)
{
    return (in->heads + 2 * in->kv_heads) * in->head_size;
}

/* One linear map, forward and both ways back. */
static void run_products(struct bench *in, size_t outputs, size_t inputs)
{
    size_t rows = in->rows;
    struct operand x = {in->narrow_half, in->type, inputs, false};
    struct operand grad = {in->wide_half, in->type, outputs, false};
    struct operand weights = {in->weights_half, in->type, inputs, true};
    struct product forward = {.rows = rows,
                              .columns = outputs,
                              .depth = inputs,
                              .a = x,
                              .b = weights,
                              .out = in->wide,
                              .out_stride = outputs};
    matrix_product(in->compute, &forward);
    weights.transposed = false;
    struct product back = {.rows = rows,
                           .columns = inputs,
                           .depth = outputs,
                           .a = grad,
                           .b = weights,
                           .out = in->narrow,
                           .out_stride = inputs};
    matrix_product(in->compute, &back);
    grad.transposed = true;
    struct product learn = {.rows = outputs,
                            .columns = inputs,
                            .depth = rows,
                            .a = grad,
                            .b = x,
                            .out = in->weights,
                            .out_stride = inputs,
                            .accumulate = true};
    matrix_product(in->compute, &learn);
}

static void run_head(struct bench *in)
{
    struct cross_entropy head = {.rows = smaller((int64_t)in->rows, HEAD_ROWS),
                                 .width = in->width,
                                 .vocabulary = in->vocabulary,
                                 .x = {in->narrow_half, in->type},
                                 .head = {in->weights_half, in->type},
                                 .target = in->targets,
                                 .grad_scale = 1e-3f,
                                 .scratch = in->scratch};
    cross_entropy(in->compute, &head, in->log_sum, in->narrow, in->weights);
}

static void run_attention(struct bench *in)
{
    size_t stride = qkv_width(in), kv = in->kv_heads * in->head_size;
    size_t attended = in->heads * in->head_size;
    struct attention shape = {.sequences = in->sequences,
                              .queries = in->length,
                              .keys = in->length,
                              .heads = in->heads,
                              .kv_heads = in->kv_heads,
                              .head_size = in->head_size,
                              .query_stride = stride,
                              .kv_stride = stride,
                              .kv_sequence_stride = stride * in->length};
    struct attention_inputs inputs = {in->wide, in->wide + attended, in->wide + attended + kv};
    attention_forward(in->compute, &shape, (struct array){in->attended, in->type}, in->log_sum,
                      &inputs);
    struct attention_gradients gradients = {in->grad_wide, in->grad_wide + attended,
                                            in->grad_wide + attended + kv};
    attention_backward(in->compute, &shape, &gradients, in->grad_narrow,
                       (struct const_array){in->attended, in->type}, in->log_sum, &inputs);
}

static void run_rows(struct bench *in)
{
    struct rmsnorm norm = {.rows = in->rows,
                           .width = in->width,
                           .x_stride = in->width,
                           .out_stride = in->width,
                           .epsilon = 1e-5f};
    struct rmsnorm_gradients gradients = {in->grad_narrow, in->first, true};
    swiglu_forward(in->compute, (struct array){in->narrow_half, in->type}, in->wide, in->rows,
                   in->ffn);
    swiglu_backward(in->compute, (struct array){in->wide_half, in->type}, in->grad_wide, in->wide,
                    in->rows, in->ffn);
    rmsnorm_forward(in->compute, &norm, (struct array){in->narrow_half, in->type}, in->scale,
                    in->narrow, in->weights);
    rotary_apply(in->compute, in->wide, &in->rotary);
    rmsnorm_backward(in->compute, &norm, &gradients, in->grad_wide, in->narrow, in->weights,
                     in->scale);
}

static void run_stream(struct bench *in)
{
    const struct adamw settings = {.learning_rate = 1e-6f,
                                   .beta1 = 0.9f,
                                   .beta2 = 0.95f,
                                   .epsilon = 1e-10f,
                                   .grad_scale = 1,
                                   .step = 1};
    const struct adamw_state state = {.weight = in->weights,
                                      .first = in->first,
                                      .second = in->second,
                                      .copy = in->type == DTYPE_BF16 ? in->weights_half : NULL};
    adamw_step(in->compute, &settings, &state, in->grad_wide, in->stream);
}

/* ---- timing ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum part {
    PART_QKV,
    PART_OUT,
    PART_GATE_UP,
    PART_DOWN,
    PART_ATTENTION,
    PART_ROWS,
    PART_HEAD,
    PART_STREAM,
    PARTS
};

static void run_part(struct bench *in, enum part part)
{
    size_t attended = in->heads * in->head_size;
    const size_t maps[][2] = {[PART_QKV] = {qkv_width(in), in->width},
                              [PART_OUT] = {in->width, attended},
                              [PART_GATE_UP] = {2 * in->ffn, in->width},
                              [PART_DOWN] = {in->width, in->ffn}};
    if (part <= PART_DOWN)
        run_products(in, maps[part][0], maps[part][1]);
    else if (part == PART_ATTENTION)
        run_attention(in);
    else if (part == PART_ROWS)
        run_rows(in);
    else if (part == PART_HEAD)
        run_head(in);
    else
        run_stream(in);
}

/* Medians of passes over all parts in turn, so that each finds caches and clocks as in a step. */
static void time_parts(double out[PARTS], struct bench *in, double budget_s)
{
    double seconds[PARTS][PASSES_MAX];
    size_t passes = 0;
    for (int part = 0; part < PARTS; part++)
        run_part(in, (enum part)part); /* pages */
    double started = time_monotonic_s(), before = started;
    while (passes < PASSES_MAX && (passes < PASSES_MIN || before - started < budget_s)) {
        for (int part = 0; part < PARTS; part++) {
            run_part(in, (enum part)part);
            double now = time_monotonic_s();
            seconds[part][passes] = now - before;
            before = now;
        }
        passes++;
    }
    for (int part = 0; part < PARTS; part++) {
        qsort(seconds[part], passes, sizeof(double), compare);
        out[part] = seconds[part][passes / 2];
    }
}

static struct plan_rates rates_of(const struct bench *in, const double seconds[PARTS])
{
    double operand = (double)dtype_bytes(in->type), four = sizeof(float), rows = (double)in->rows;
    double width = (double)in->width, ffn = (double)in->ffn;
    double attended = (double)(in->heads * in->head_size);
    double kv = (double)(in->kv_heads * in->head_size);
    double maps = width * (2 * attended + 2 * kv + 3 * ffn);
    double products = 0;
    for (int part = PART_QKV; part <= PART_DOWN; part++)
        products += seconds[part];
    double head_rows = (double)smaller((int64_t)in->rows, HEAD_ROWS);
    double bytes = ffn * (5 * four + 3 * operand) + width * (4 * four + operand + 3 * four) +
                   (attended + kv) * 2 * four;
    double stream = 7 * four + (in->type == DTYPE_BF16 ? operand : 0);
    return (struct plan_rates){
        .block_flops = 6 * rows * maps / products,
        .head_flops = 6 * head_rows * (double)in->vocabulary * width / seconds[PART_HEAD],
        .attention_flops = 6 * rows * attended * (double)in->length / seconds[PART_ATTENTION],
        .row_bytes = rows * bytes / seconds[PART_ROWS],
        .stream_bytes = stream * (double)in->stream / seconds[PART_STREAM]};
}

/* Ordinary numbers, since denormals and zeros may run at another speed; the operands' copy too. */
static void fill(const struct bench *in, float *values, void *operands, size_t count)
{
    size_t drawn = smaller((int64_t)count, FILL_DRAWN);
    random_normal(in->compute, values, drawn, 0.1f, 1, 0);
    for (size_t at = drawn; at < count; at += drawn)
        memcpy(values + at, values, smaller((int64_t)(count - at), drawn) * sizeof *values);
    if (operands)
        convert_array(in->compute, (struct array){operands, in->type},
                      (struct const_array){values, DTYPE_F32}, count);
}

static status take(struct bench *in, struct arena *arena, struct error *error)
{
    size_t attended = in->heads * in->head_size;
    size_t wide = larger(larger(2 * in->ffn, qkv_width(in)), attended);
    size_t narrow = larger(larger(in->ffn, in->width), attended);
    size_t weights = larger(larger(wide * narrow, in->vocabulary * in->width), in->stream);
    TRY_ALLOC(in->wide, arena, in->rows * wide, error);
    TRY_ALLOC(in->grad_wide, arena, larger(in->rows * wide, in->stream), error);
    TRY_ALLOC(in->narrow, arena, in->rows * narrow, error);
    TRY_ALLOC(in->grad_narrow, arena, in->rows * narrow, error);
    TRY_ALLOC(in->weights, arena, weights, error);
    TRY_ALLOC(in->first, arena, larger(in->stream, in->width), error);
    TRY_ALLOC(in->second, arena, in->stream, error);
    TRY_ALLOC(in->scale, arena, in->rows, error);
    TRY_ALLOC(in->log_sum, arena, in->rows * in->heads, error);
    TRY_ALLOC(in->targets, arena, in->rows, error);
    TRY_ALLOC(in->positions, arena, in->rows, error);
    size_t scratch =
        cross_entropy_scratch_bytes(smaller((int64_t)in->rows, HEAD_ROWS), in->vocabulary);
    char *bytes[5];
    const size_t sizes[5] = {in->rows * wide * sizeof(float), in->rows * narrow * sizeof(float),
                             weights * sizeof(float), scratch, in->rows * attended * sizeof(float)};
    for (int i = 0; i < 5; i++)
        TRY_ALLOC(bytes[i], arena, sizes[i], error);
    float *angles = NULL;
    TRY(rotary_table(&angles, in->length, in->head_size, 10000, arena, error));
    for (size_t row = 0; row < in->rows; row++)
        in->positions[row] = (uint32_t)(row % in->length);
    in->rotary = (struct rotary){.rows = in->rows,
                                 .heads = in->heads + in->kv_heads,
                                 .head_size = in->head_size,
                                 .row_stride = qkv_width(in),
                                 .table = angles,
                                 .positions = in->positions};
    in->wide_half = bytes[0];
    in->narrow_half = bytes[1];
    in->weights_half = bytes[2];
    in->scratch = bytes[3];
    in->attended = bytes[4];
    fill(in, in->wide, in->wide_half, in->rows * wide);
    fill(in, in->narrow, in->narrow_half, in->rows * narrow);
    fill(in, in->weights, in->weights_half, weights);
    fill(in, in->grad_wide, NULL, larger(in->rows * wide, in->stream));
    fill(in, in->grad_narrow, NULL, in->rows * narrow);
    return OK;
}

status plan_measure(struct plan_rates *out, const struct recipe *recipe, double seconds,
                    struct compute *compute, struct error *error)
{
    ASSERT(out && recipe && compute && error);
    struct bench bench = bench_of(recipe, compute);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = take(&bench, arena, error);
    if (result == OK) {
        double parts[PARTS];
        time_parts(parts, &bench, seconds);
        *out = rates_of(&bench, parts);
    }
    arena_destroy(arena);
    return result;
}
