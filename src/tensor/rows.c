/* Row- and element-wise operations over the threads. */
#include "tensor/tensor_internal.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "tensor/math.h"

size_t dtype_bytes(enum dtype type)
{
    return type == DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

uint16_t bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)((bits | 0x00400000u) >> 16);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

float f32_from_bf16(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

enum { ELEMENTS_CHUNK = 16 << 10 };

/* ---- elements ---- */

struct elements {
    struct compute *compute;
    struct array out;
    struct const_array x;
    float *target;
    const float *a, *b;
    float factor;
};

static void run_convert(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct elements *job = context;
    job->compute->row->convert(job->out, job->x, begin, end);
}

void convert_array(struct compute *compute, struct array out, struct const_array x, size_t count)
{
    ASSERT(compute && out.data && x.data);
    struct elements job = {.compute = compute, .out = out, .x = x};
    parallel_for(compute->pool, count, ELEMENTS_CHUNK, run_convert, &job);
}

static void run_add(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct elements *job = context;
    job->compute->row->add(job->target + begin, job->a + begin, job->b + begin, end - begin);
}

void add_arrays(struct compute *compute, float *out, const float *a, const float *b, size_t count)
{
    ASSERT(compute && out && a && b);
    struct elements job = {.compute = compute, .target = out, .a = a, .b = b};
    parallel_for(compute->pool, count, ELEMENTS_CHUNK, run_add, &job);
}

void residual_add(struct compute *compute, float *out, const float *x, size_t count)
{
    add_arrays(compute, out, out, x, count);
}

static void run_scale(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct elements *job = context;
    job->compute->row->scale(job->target + begin, job->factor, end - begin);
}

void scale_array(struct compute *compute, float *x, float factor, size_t count)
{
    ASSERT(compute && x);
    struct elements job = {.compute = compute, .target = x, .factor = factor};
    parallel_for(compute->pool, count, ELEMENTS_CHUNK, run_scale, &job);
}

static void run_zero(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    memset((float *)context + begin, 0, (end - begin) * sizeof(float));
}

void zero_array(struct compute *compute, float *x, size_t count)
{
    ASSERT(compute && x);
    parallel_for(compute->pool, count, ELEMENTS_CHUNK, run_zero, x);
}

/* Column chains: about two chunks a thread, of whole vectors. */
static size_t columns_chunk(const struct compute *compute, size_t width)
{
    enum { COLUMNS_MIN = 16 };
    size_t chunk = width / (2 * (size_t)thread_pool_count(compute->pool));
    return chunk < COLUMNS_MIN ? COLUMNS_MIN : chunk / COLUMNS_MIN * COLUMNS_MIN;
}

/* ---- embedding ---- */

struct embedding {
    struct compute *compute;
    float *out;
    const float *table, *grad_out;
    const uint32_t *tokens;
    size_t count, width;
};

static void run_embedding(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct embedding *job = context;
    for (size_t i = begin; i < end; i++)
        memcpy(job->out + i * job->width, job->table + job->tokens[i] * job->width,
               job->width * sizeof *job->out);
}

void embedding_forward(struct compute *compute, float *out, const float *table,
                       const uint32_t *tokens, size_t count, size_t width)
{
    ASSERT(compute && out && table && tokens);
    struct embedding job = {
        .compute = compute, .out = out, .table = table, .tokens = tokens, .width = width};
    parallel_for(compute->pool, count, chunk_of(count, width * sizeof *out), run_embedding, &job);
}

/* Threads split columns, so that each element's chain runs over the positions in order. */
static void run_embedding_grad(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct embedding *job = context;
    for (size_t i = 0; i < job->count; i++) {
        float *row = job->out + job->tokens[i] * job->width + begin;
        job->compute->row->add(row, row, job->grad_out + i * job->width + begin, end - begin);
    }
}

void embedding_backward(struct compute *compute, float *grad_table, const float *grad_out,
                        const uint32_t *tokens, size_t count, size_t width)
{
    ASSERT(compute && grad_table && grad_out && tokens);
    struct embedding job = {.compute = compute,
                            .out = grad_table,
                            .grad_out = grad_out,
                            .tokens = tokens,
                            .count = count,
                            .width = width};
    parallel_for(compute->pool, width, columns_chunk(compute, width), run_embedding_grad, &job);
}

/* ---- RMSNorm ---- */

struct norm {
    struct compute *compute;
    const struct rmsnorm *shape;
    struct array out;
    float *scale_out;
    const struct rmsnorm_gradients *gradients;
    const float *grad_out, *x, *weight, *scale;
};

static size_t norm_parts(const struct rmsnorm *shape)
{
    return shape->parts ? shape->parts : 1;
}

/* Where vector `index` of [rows, parts] begins. */
static size_t norm_at(const struct rmsnorm *shape, size_t index, size_t stride)
{
    size_t parts = norm_parts(shape);
    return index / parts * stride + index % parts * shape->width;
}

static void run_norm(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct norm *job = context;
    const struct rmsnorm *shape = job->shape;
    for (size_t i = begin; i < end; i++) {
        float scale =
            job->compute->row->rmsnorm(shape, job->out, norm_at(shape, i, shape->out_stride),
                                       job->x + norm_at(shape, i, shape->x_stride), job->weight);
        if (job->scale_out)
            job->scale_out[i] = scale;
    }
}

void rmsnorm_forward(struct compute *compute, const struct rmsnorm *shape, struct array out,
                     float *scale, const float *x, const float *weight)
{
    ASSERT(compute && shape && out.data && x && weight && shape->width > 0);
    struct norm job = {.compute = compute,
                       .shape = shape,
                       .out = out,
                       .scale_out = scale,
                       .x = x,
                       .weight = weight};
    size_t vectors = shape->rows * norm_parts(shape);
    parallel_for(compute->pool, vectors, chunk_of(vectors, shape->width * 8), run_norm, &job);
}

static void run_norm_weight(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct norm *job = context;
    struct rmsnorm_columns in = {job->gradients->grad_weight, job->grad_out, job->x, job->scale};
    job->compute->row->rmsnorm_weight(job->shape, &in, begin, end);
}

static void run_norm_grad(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct norm *job = context;
    for (size_t i = begin; i < end; i++) {
        size_t at = norm_at(job->shape, i, job->shape->x_stride);
        struct rmsnorm_row in = {.grad_x = job->gradients->grad_x + at,
                                 .grad_out =
                                     job->grad_out + norm_at(job->shape, i, job->shape->out_stride),
                                 .x = job->x + at,
                                 .weight = job->weight,
                                 .scale = job->scale[i],
                                 .accumulate = job->gradients->accumulate};
        job->compute->row->rmsnorm_grad(job->shape, &in);
    }
}

void rmsnorm_backward(struct compute *compute, const struct rmsnorm *shape,
                      const struct rmsnorm_gradients *out, const float *grad_out, const float *x,
                      const float *weight, const float *scale)
{
    ASSERT(compute && shape && out && grad_out && x && weight && scale);
    struct norm job = {.compute = compute,
                       .shape = shape,
                       .gradients = out,
                       .grad_out = grad_out,
                       .x = x,
                       .weight = weight,
                       .scale = scale};
    /* the weights first: grad_x may take grad_out's place */
    parallel_for(compute->pool, shape->width, columns_chunk(compute, shape->width), run_norm_weight,
                 &job);
    size_t vectors = shape->rows * norm_parts(shape);
    parallel_for(compute->pool, vectors, chunk_of(vectors, shape->width * 12), run_norm_grad, &job);
}

/* ---- rotary ---- */

status rotary_table(float **out, size_t positions, size_t head_size, double theta,
                    struct arena *arena, struct error *error)
{
    ASSERT(out && positions && head_size >= 2 && head_size % 2 == 0 && arena && error);
    float *table;
    TRY_ALLOC(table, arena, positions * head_size, error);
    size_t half = head_size / 2;
    double root = math_root(theta, (int)half), divisor = 1;
    for (size_t i = 0; i < half; i++) {
        for (size_t position = 0; position < positions; position++) {
            double sine, cosine;
            math_sincos_double(&sine, &cosine, (double)position / divisor);
            table[position * head_size + i] = (float)cosine;
            table[position * head_size + half + i] = (float)sine;
        }
        divisor = divisor * root;
    }
    *out = table;
    return OK;
}

struct rotation {
    struct compute *compute;
    const struct rotary *rotary;
    float *x;
};

static void run_rotary(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct rotation *job = context;
    const struct rotary *in = job->rotary;
    for (size_t row = begin; row < end; row++) {
        const float *table = in->table + in->positions[row] * in->head_size;
        for (size_t head = 0; head < in->heads; head++)
            job->compute->row->rotary(job->x + row * in->row_stride + head * in->head_size, table,
                                      in->head_size, in->inverse);
    }
}

void rotary_apply(struct compute *compute, float *x, const struct rotary *rotary)
{
    ASSERT(compute && x && rotary && rotary->table && rotary->positions);
    struct rotation job = {compute, rotary, x};
    size_t bytes = rotary->heads * rotary->head_size * 8;
    parallel_for(compute->pool, rotary->rows, chunk_of(rotary->rows, bytes), run_rotary, &job);
}

/* ---- SwiGLU ---- */

struct gating {
    struct compute *compute;
    struct array out;
    const float *gate_up, *grad;
    size_t width;
};

static void run_swiglu(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct gating *job = context;
    for (size_t row = begin; row < end; row++) {
        const float *gate = job->gate_up + row * 2 * job->width;
        job->compute->row->swiglu(job->out, row * job->width, gate, gate + job->width, job->width);
    }
}

void swiglu_forward(struct compute *compute, struct array out, const float *gate_up, size_t rows,
                    size_t width)
{
    ASSERT(compute && out.data && gate_up);
    struct gating job = {.compute = compute, .out = out, .gate_up = gate_up, .width = width};
    parallel_for(compute->pool, rows, chunk_of(rows, width * 12), run_swiglu, &job);
}

static void run_swiglu_grad(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct gating *job = context;
    for (size_t row = begin; row < end; row++) {
        const float *gate = job->gate_up + row * 2 * job->width;
        struct swiglu_row in = {row * 2 * job->width, job->grad + row * job->width, gate,
                                gate + job->width};
        job->compute->row->swiglu_grad(job->out, &in, job->width);
    }
}

void swiglu_backward(struct compute *compute, struct array grad_gate_up, const float *grad_out,
                     const float *gate_up, size_t rows, size_t width)
{
    ASSERT(compute && grad_gate_up.data && grad_out && gate_up);
    struct gating job = {.compute = compute,
                         .out = grad_gate_up,
                         .gate_up = gate_up,
                         .grad = grad_out,
                         .width = width};
    parallel_for(compute->pool, rows, chunk_of(rows, width * 20), run_swiglu_grad, &job);
}

/* ---- random numbers ---- */

struct deviates {
    struct compute *compute;
    float *out;
    size_t count;
    float deviation;
    struct random_key key;
};

/* A group of 32 deviates comes from 16 pairs of words: block i of the group gives the pairs 2i and
 * 2i + 1.  Deviate j of the group is the cosine of pair j, deviate 16 + j the sine. */
enum { GROUP = 32 };

static void run_normal(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct deviates *job = context;
    for (size_t group = begin; group < end; group++) {
        uint32_t words[GROUP];
        float values[GROUP];
        for (size_t i = 0; i < GROUP / 4; i++) {
            struct random_block block = random_philox(job->key, group * (GROUP / 4) + i);
            words[2 * i] = block.word[0];
            words[2 * i + 1] = block.word[1];
            words[GROUP / 2 + 2 * i] = block.word[2];
            words[GROUP / 2 + 2 * i + 1] = block.word[3];
        }
        job->compute->row->normal(values, words, job->deviation);
        size_t left = job->count - group * GROUP;
        memcpy(job->out + group * GROUP, values, (left < GROUP ? left : GROUP) * sizeof *values);
    }
}

void random_normal(struct compute *compute, float *out, size_t count, float standard_deviation,
                   uint64_t seed, uint64_t stream)
{
    ASSERT(compute && out);
    struct deviates job = {compute, out, count, standard_deviation, {seed, RANDOM_INIT, stream}};
    parallel_for(compute->pool, (count + GROUP - 1) / GROUP, 256, run_normal, &job);
}
