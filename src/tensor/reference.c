#include "tensor/reference.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "tensor/math.h"

enum { LANES = 16, SUM_BLOCK = 4096 };

float reference_get(struct const_array x, size_t at)
{
    if (x.type == DTYPE_BF16)
        return f32_from_bf16(((const uint16_t *)x.data)[at]);
    return ((const float *)x.data)[at];
}

void reference_set(struct array out, size_t at, float value)
{
    if (out.type == DTYPE_BF16)
        ((uint16_t *)out.data)[at] = bf16_from_f32(value);
    else
        ((float *)out.data)[at] = value;
}

void reference_convert(struct array out, struct const_array x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reference_set(out, i, reference_get(x, i));
}

/* ---- matrix products ---- */

/* Element (lane, k) of an operand: a lane is a row of a or a column of b; 0 beyond the depth. */
static float operand_at(const struct operand *operand, bool depth_runs, size_t lane, size_t k)
{
    size_t at = depth_runs ? lane * operand->stride + k : k * operand->stride + lane;
    return reference_get((struct const_array){operand->data, operand->type}, at);
}

static float product_chain(const struct product *product, size_t row, size_t column, float acc)
{
    const struct operand *a = &product->a, *b = &product->b;
    bool half = a->type == DTYPE_BF16;
    size_t padded = half ? (product->depth + 1) / 2 * 2 : product->depth;
    for (size_t i = 0; i < padded; i++) {
        size_t k = half ? i ^ 1 : i; /* of each pair the odd one first */
        bool inside = k < product->depth;
        float x = inside ? operand_at(a, !a->transposed, row, k) : 0;
        float y = inside ? operand_at(b, b->transposed, column, k) : 0;
        acc = fmaf(x, y, acc);
    }
    return acc;
}

void reference_product(const struct product *product)
{
    for (size_t row = 0; row < product->rows; row++)
        for (size_t column = 0; column < product->columns; column++) {
            float *out = product->out + row * product->out_stride + column;
            *out = product_chain(product, row, column, product->accumulate ? *out : 0);
        }
}

/* ---- sums ---- */

static float lane_tree(float lanes[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lanes[j] = lanes[j] + lanes[j + half];
    return lanes[0];
}

float reference_lane_sum(const float *x, size_t count)
{
    float lanes[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        lanes[i % LANES] = lanes[i % LANES] + x[i];
    return lane_tree(lanes);
}

float reference_lane_squares(const float *x, size_t count)
{
    float lanes[LANES] = {0};
    for (size_t i = 0; i < count; i++)
        lanes[i % LANES] = fmaf(x[i], x[i], lanes[i % LANES]);
    return lane_tree(lanes);
}

/* The lane rule over the sums of blocks, without an array of them. */
static float sum_blocks(float (*block_sum)(const float *x, size_t count), const float *x,
                        size_t count)
{
    float lanes[LANES] = {0};
    for (size_t block = 0; block * SUM_BLOCK < count; block++) {
        size_t at = block * SUM_BLOCK, left = count - at;
        float *lane = &lanes[block % LANES];
        *lane = *lane + block_sum(x + at, left < SUM_BLOCK ? left : SUM_BLOCK);
    }
    return lane_tree(lanes);
}

float reference_sum_of_squares(const float *x, size_t count)
{
    return sum_blocks(reference_lane_squares, x, count);
}

float reference_sum_of_values(const float *x, size_t count)
{
    return sum_blocks(reference_lane_sum, x, count);
}

bool reference_all_finite(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* ---- elements ---- */

void reference_scale(float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = x[i] * factor;
}

void reference_add(float *out, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

/* ---- embedding ---- */

void reference_embedding_forward(float *out, const float *table, const uint32_t *tokens,
                                 size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++)
        memcpy(out + i * width, table + tokens[i] * width, width * sizeof *out);
}

void reference_embedding_backward(float *grad_table, const float *grad_out, const uint32_t *tokens,
                                  size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++) {
        float *row = grad_table + tokens[i] * width;
        reference_add(row, row, grad_out + i * width, width);
    }
}

/* ---- RMSNorm ---- */

void reference_rmsnorm_forward(const struct rmsnorm *shape, struct array out, float *scale,
                               const float *x, const float *weight)
{
    size_t width = shape->width, parts = shape->parts ? shape->parts : 1;
    for (size_t row = 0; row < shape->rows; row++)
        for (size_t part = 0; part < parts; part++) {
            const float *in = x + row * shape->x_stride + part * width;
            float mean = reference_lane_squares(in, width) / (float)width;
            float factor = 1.0f / sqrtf(mean + shape->epsilon);
            for (size_t i = 0; i < width; i++)
                reference_set(out, row * shape->out_stride + part * width + i,
                              (in[i] * factor) * weight[i]);
            if (scale)
                scale[row * parts + part] = factor;
        }
}

/* y = x s w with s = (sum(x^2) / n + e)^(-1/2):  dx = g s - x (sum(g x) / n) s^3,  g = dy w */
static void rmsnorm_backward_of(const struct rmsnorm *shape, const struct rmsnorm_gradients *out,
                                size_t dx_at, const float *dy, const float *in, const float *weight,
                                float s)
{
    size_t width = shape->width;
    float *dx = out->grad_x + dx_at, lanes[LANES] = {0};
    for (size_t i = 0; i < width; i++)
        lanes[i % LANES] = fmaf(dy[i] * weight[i], in[i], lanes[i % LANES]);
    float share = lane_tree(lanes) / (float)width * (s * s * s);
    for (size_t i = 0; i < width; i++) {
        float value = fmaf(in[i], -share, (dy[i] * weight[i]) * s);
        dx[i] = out->accumulate ? dx[i] + value : value;
    }
}

void reference_rmsnorm_backward(const struct rmsnorm *shape, const struct rmsnorm_gradients *out,
                                const float *grad_out, const float *x, const float *weight,
                                const float *scale)
{
    size_t width = shape->width, parts = shape->parts ? shape->parts : 1;
    for (size_t i = 0; i < width; i++)
        for (size_t vector = 0; vector < shape->rows * parts; vector++) {
            size_t row = vector / parts, at = vector % parts * width + i;
            float normal = x[row * shape->x_stride + at] * scale[vector];
            out->grad_weight[i] =
                fmaf(grad_out[row * shape->out_stride + at], normal, out->grad_weight[i]);
        }
    for (size_t vector = 0; vector < shape->rows * parts; vector++) {
        size_t row = vector / parts, at = vector % parts * width;
        rmsnorm_backward_of(shape, out, row * shape->x_stride + at,
                            grad_out + row * shape->out_stride + at, x + row * shape->x_stride + at,
                            weight, scale[vector]);
    }
}

/* ---- rotary ---- */

void reference_rotary(float *x, const struct rotary *rotary)
{
    size_t half = rotary->head_size / 2;
    for (size_t row = 0; row < rotary->rows; row++)
        for (size_t head = 0; head < rotary->heads; head++) {
            const float *cosines = rotary->table + rotary->positions[row] * rotary->head_size;
            const float *sines = cosines + half;
            float *first = x + row * rotary->row_stride + head * rotary->head_size;
            float *second = first + half;
            for (size_t i = 0; i < half; i++) {
                float a = first[i], b = second[i];
                float sine = rotary->inverse ? 0 - sines[i] : sines[i];
                first[i] = fmaf(b, 0 - sine, a * cosines[i]);
                second[i] = fmaf(b, cosines[i], a * sine);
            }
        }
}

/* ---- SwiGLU ---- */

void reference_swiglu_forward(struct array out, const float *gate_up, size_t rows, size_t width)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++) {
            float gate = gate_up[row * 2 * width + i], up = gate_up[row * 2 * width + width + i];
            reference_set(out, row * width + i, (gate * math_sigmoid(gate)) * up);
        }
}

/* silu(g) = g s with s = sigmoid(g), silu'(g) = s (1 + g (1 - s)) */
void reference_swiglu_backward(struct array grad_gate_up, const float *grad_out,
                               const float *gate_up, size_t rows, size_t width)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++) {
            size_t gate_at = row * 2 * width + i, up_at = gate_at + width;
            float gate = gate_up[gate_at], up = gate_up[up_at], grad = grad_out[row * width + i];
            float s = math_sigmoid(gate), slope = s * fmaf(gate, 1 - s, 1);
            reference_set(grad_gate_up, gate_at, (grad * up) * slope);
            reference_set(grad_gate_up, up_at, grad * (gate * s));
        }
}

/* ---- attention ---- */

enum { KEY_BLOCK = 64, HEAD_SIZE_MAX = 256 };

static float chain_dot(const float *a, const float *b, size_t count)
{
    float sum = 0;
    for (size_t i = 0; i < count; i++)
        sum = fmaf(a[i], b[i], sum);
    return sum;
}

struct query {              /* one query of one head, and where the keys lie that it sees */
    size_t first, position; /* keys [first, position] */
    size_t at, out_at;      /* of its elements, in query and in out */
    size_t kv_at;           /* of key 0 of its head */
    size_t log_sum_at;
};

static struct query query_of(const struct attention *shape, size_t sequence, size_t head,
                             size_t query)
{
    size_t size = shape->head_size, row = sequence * shape->queries + query;
    size_t position = shape->query_first + query, group = shape->heads / shape->kv_heads;
    return (struct query){
        .first = shape->first_key ? shape->first_key[sequence * shape->keys + position] : 0,
        .position = position,
        .at = row * shape->query_stride + head * size,
        .out_at = (row * shape->heads + head) * size,
        .kv_at = sequence * shape->kv_sequence_stride + head / group * size,
        .log_sum_at = (sequence * shape->heads + head) * shape->queries + query};
}

/* Walks queries head by head, so that a key's gradient takes them in its written order. */
#define EACH_QUERY(shape, query)                                                                   \
    for (size_t s_ = 0; s_ < (shape)->sequences; s_++)                                             \
        for (size_t h_ = 0; h_ < (shape)->heads; h_++)                                             \
            for (size_t q_ = 0; q_ < (shape)->queries; q_++)                                       \
                for (struct query query = query_of(shape, s_, h_, q_), *once_ = &query; once_;     \
                     once_ = NULL)

struct softmax { /* running */
    float maximum, total;
    float values[HEAD_SIZE_MAX];
};

static void attend_block(struct softmax *softmax, const struct attention *shape,
                         const struct attention_inputs *in, const struct query *query, size_t block)
{
    float weights[KEY_BLOCK] = {0}, next = softmax->maximum;
    float scale = 1.0f / sqrtf((float)shape->head_size);
    size_t begin = query->first > block ? query->first : block;
    size_t end = query->position + 1 < block + KEY_BLOCK ? query->position + 1 : block + KEY_BLOCK;
    for (size_t j = begin; j < end; j++) {
        const float *key = in->key + query->kv_at + j * shape->kv_stride;
        weights[j - block] = chain_dot(in->query + query->at, key, shape->head_size) * scale;
        next = next > weights[j - block] ? next : weights[j - block];
    }
    float change = math_exp(softmax->maximum - next);
    for (size_t j = begin; j < end; j++)
        weights[j - block] = math_exp(weights[j - block] - next);
    softmax->total = fmaf(softmax->total, change, reference_lane_sum(weights, KEY_BLOCK));
    softmax->maximum = next;
    for (size_t d = 0; d < shape->head_size; d++) {
        float sum = softmax->values[d] * change;
        for (size_t j = begin; j < end; j++)
            sum = fmaf(weights[j - block], in->value[query->kv_at + j * shape->kv_stride + d], sum);
        softmax->values[d] = sum;
    }
}

void reference_attention_forward(const struct attention *shape, struct array out, float *log_sum,
                                 const struct attention_inputs *in)
{
    EACH_QUERY(shape, query)
    {
        struct softmax softmax = {.maximum = -INFINITY};
        size_t block = query.first / KEY_BLOCK * KEY_BLOCK;
        for (; block <= query.position; block += KEY_BLOCK)
            attend_block(&softmax, shape, in, &query, block);
        for (size_t d = 0; d < shape->head_size; d++)
            reference_set(out, query.out_at + d, softmax.values[d] / softmax.total);
        if (log_sum)
            log_sum[query.log_sum_at] = softmax.maximum + math_log(softmax.total);
    }
}

static void attend_backward(const struct attention *shape,
                            const struct attention_gradients *gradients, const float *grad_out,
                            const struct attention_inputs *in, const struct query *query,
                            float log_sum, float grad_dot)
{
    float scale = 1.0f / sqrtf((float)shape->head_size);
    const float *q = in->query + query->at;
    for (size_t j = query->first; j <= query->position; j++) {
        size_t kv = query->kv_at + j * shape->kv_stride;
        float p = math_exp(chain_dot(q, in->key + kv, shape->head_size) * scale - log_sum);
        float slope =
            p * (chain_dot(grad_out, in->value + kv, shape->head_size) - grad_dot) * scale;
        for (size_t d = 0; d < shape->head_size; d++) {
            float *to_query = &gradients->grad_query[query->at + d];
            float *to_key = &gradients->grad_key[kv + d];
            float *to_value = &gradients->grad_value[kv + d];
            *to_query = fmaf(slope, in->key[kv + d], *to_query);
            *to_key = fmaf(slope, q[d], *to_key);
            *to_value = fmaf(p, grad_out[d], *to_value);
        }
    }
}

static void clear_gradients(const struct attention *shape,
                            const struct attention_gradients *gradients)
{
    size_t size = shape->head_size;
    for (size_t row = 0; row < shape->sequences * shape->queries; row++)
        memset(gradients->grad_query + row * shape->query_stride, 0,
               shape->heads * size * sizeof(float));
    for (size_t s = 0; s < shape->sequences; s++)
        for (size_t key = 0; key < shape->keys; key++) {
            size_t at = s * shape->kv_sequence_stride + key * shape->kv_stride;
            memset(gradients->grad_key + at, 0, shape->kv_heads * size * sizeof(float));
            memset(gradients->grad_value + at, 0, shape->kv_heads * size * sizeof(float));
        }
}

void reference_attention_backward(const struct attention *shape,
                                  const struct attention_gradients *gradients,
                                  const float *grad_out, struct const_array out,
                                  const float *log_sum, const struct attention_inputs *in)
{
    clear_gradients(shape, gradients);
    EACH_QUERY(shape, query)
    {
        float lanes[LANES] = {0};
        for (size_t d = 0; d < shape->head_size; d++)
            lanes[d % LANES] = fmaf(grad_out[query.out_at + d],
                                    reference_get(out, query.out_at + d), lanes[d % LANES]);
        attend_backward(shape, gradients, grad_out + query.out_at, in, &query,
                        log_sum[query.log_sum_at], lane_tree(lanes));
    }
}

/* ---- loss ---- */

size_t reference_cross_entropy_scratch_bytes(enum dtype type, size_t rows, size_t vocabulary)
{
    return rows * vocabulary * (sizeof(float) + (type == DTYPE_BF16 ? sizeof(uint16_t) : 0));
}

/* The logits of a row become their gradients, rounded to the operands' type. */
static void softmax_row(const struct cross_entropy *in, float *z, struct array grads, size_t row,
                        float *loss)
{
    uint32_t target = in->target[row];
    bool learnt = target != TARGET_NONE;
    float maximum = -INFINITY, wanted = learnt ? z[target] : 0;
    for (size_t i = 0; i < in->vocabulary; i++)
        maximum = maximum > z[i] ? maximum : z[i];
    for (size_t i = 0; i < in->vocabulary; i++)
        z[i] = math_exp(z[i] - maximum);
    float total = reference_lane_sum(z, in->vocabulary);
    *loss = learnt ? (math_log(total) + maximum) - wanted : 0;
    float inverse = learnt ? 1.0f / total : 0;
    for (size_t i = 0; i < in->vocabulary; i++) {
        float share = z[i] * inverse;
        reference_set(grads, row * in->vocabulary + i,
                      (learnt && i == target ? share - 1 : share) * in->grad_scale);
    }
}

void reference_cross_entropy(const struct cross_entropy *in, float *loss, float *grad_x,
                             float *grad_head)
{
    size_t rows = in->rows, width = in->width, vocabulary = in->vocabulary;
    enum dtype type = in->x.type;
    float *logits = in->scratch;
    struct array grads = {type == DTYPE_BF16 ? (void *)(logits + rows * vocabulary) : logits, type};
    struct operand x = {in->x.data, type, width, false}, head = {in->head.data, type, width, true};
    reference_product(
        &(struct product){rows, vocabulary, width, x, head, logits, vocabulary, false, false});
    for (size_t row = 0; row < rows; row++)
        softmax_row(in, logits + row * vocabulary, grads, row, &loss[row]);
    if (!grad_x)
        return;
    struct operand slopes = {grads.data, type, vocabulary, false};
    head.transposed = false;
    reference_product(
        &(struct product){rows, width, vocabulary, slopes, head, grad_x, width, false, false});
    slopes.transposed = true;
    reference_product(&(struct product){vocabulary, width, rows, slopes, x, grad_head, width,
                                        in->accumulate, false});
}

/* ---- AdamW ---- */

void reference_adamw(const struct adamw *settings, const struct adamw_state *state,
                     const float *gradient, size_t count)
{
    float beta1 = settings->beta1, beta2 = settings->beta2, rate = settings->learning_rate;
    long step = (long)settings->step;
    float correction1 = (float)(1 / (1 - math_power((double)beta1, step)));
    float correction2 = (float)(1 / (1 - math_power((double)beta2, step)));
    float keep = 1 - rate * settings->weight_decay;
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * settings->grad_scale;
        float first = fmaf(state->first[i], beta1, g * (1 - beta1));
        float second = fmaf(state->second[i], beta2, (g * g) * (1 - beta2));
        float spread = sqrtf(second * correction2) + settings->epsilon;
        float change = rate * ((first * correction1) / spread);
        state->first[i] = first;
        state->second[i] = second;
        state->weight[i] = state->weight[i] * keep - change;
        if (state->copy)
            state->copy[i] = bf16_from_f32(state->weight[i]);
    }
}

/* ---- Muon ---- */

struct orthogonal { /* m = the smaller side, n = the larger */
    size_t m, n;
    float *x, *product, *gram, *square; /* [m, n], [m, n], [m, m], [m, m] */
    uint16_t *x_half, *gram_half;       /* [m, n], [m, m] */
};

static void to_half(uint16_t *out, const float *x, size_t count)
{
    reference_convert((struct array){out, DTYPE_BF16}, (struct const_array){x, DTYPE_F32}, count);
}

/* x <- 3.4445 x + (-4.7750 g + 2.0315 g g) x  with g = x x^T; products of bf16 values */
static void newton_schulz(struct orthogonal *in)
{
    size_t m = in->m, n = in->n;
    to_half(in->x_half, in->x, m * n);
    struct operand x = {in->x_half, DTYPE_BF16, n, false};
    struct operand turned = {in->x_half, DTYPE_BF16, n, true};
    struct operand gram = {in->gram_half, DTYPE_BF16, m, false};
    struct product to_gram = {m, m, n, x, turned, in->gram, m, false, false};
    reference_product(&to_gram);
    to_half(in->gram_half, in->gram, m * m);
    struct product to_square = {m, m, m, gram, gram, in->square, m, false, false};
    reference_product(&to_square);
    for (size_t i = 0; i < m * m; i++)
        in->gram[i] = fmaf(in->square[i], 2.0315f, in->gram[i] * -4.7750f);
    to_half(in->gram_half, in->gram, m * m);
    struct product to_x = {m, n, m, gram, x, in->product, n, false, false};
    reference_product(&to_x);
    for (size_t i = 0; i < m * n; i++)
        in->x[i] = in->x[i] * 3.4445f + in->product[i];
}

/* update [rows, columns] becomes nearly orthogonal, worked on with its rows as the smaller side */
static void orthogonalize(float *update, size_t rows, size_t columns, struct orthogonal *in)
{
    float norm = sqrtf(reference_sum_of_squares(update, rows * columns));
    reference_scale(update, 1.0f / (norm + 1e-7f), rows * columns);
    bool tall = rows > columns;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            in->x[tall ? j * rows + i : i * columns + j] = update[i * columns + j];
    for (int step = 0; step < 5; step++)
        newton_schulz(in);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            update[i * columns + j] = in->x[tall ? j * rows + i : i * columns + j];
}

void reference_muon(const struct muon *settings, const struct muon_state *state,
                    const float *gradient)
{
    size_t rows = settings->rows, columns = settings->columns, count = rows * columns;
    struct orthogonal in = {.m = rows < columns ? rows : columns,
                            .n = rows < columns ? columns : rows};
    float *update = settings->scratch;
    in.x = update + count;
    in.product = in.x + count;
    in.gram = in.product + count;
    in.square = in.gram + in.m * in.m;
    in.x_half = (uint16_t *)(in.square + in.m * in.m);
    in.gram_half = in.x_half + count;
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] * settings->grad_scale;
        state->momentum[i] = fmaf(state->momentum[i], settings->momentum, g);
        update[i] = fmaf(state->momentum[i], settings->momentum, g);
    }
    orthogonalize(update, rows, columns, &in);
    float factor = settings->learning_rate * (0.2f * sqrtf((float)in.n));
    float keep = 1 - settings->learning_rate * settings->weight_decay;
    for (size_t i = 0; i < count; i++) {
        state->weight[i] = fmaf(update[i], -factor, state->weight[i] * keep);
        if (state->copy)
            state->copy[i] = bf16_from_f32(state->weight[i]);
    }
}

/* ---- random numbers ---- */

/* Deviates come in groups of 32 = 16 pairs of words: block i of the group gives the pairs 2i, with
 * words 0 and 2, and 2i + 1, with words 1 and 3.  Deviate j is the cosine of pair j, deviate 16 + j
 * its sine. */
void reference_random_normal(float *out, size_t count, float standard_deviation, uint64_t seed,
                             uint64_t stream)
{
    enum { GROUP = 32, BLOCKS = 8 };
    struct random_key key = {seed, RANDOM_INIT, stream};
    for (size_t i = 0; i < count; i++) {
        size_t group = i / GROUP, pair = i % LANES;
        struct random_block block = random_philox(key, group * BLOCKS + pair / 2);
        float u1 = (float)((block.word[pair % 2] >> 8) + 1) * 0x1p-24f;
        float u2 = (float)(block.word[2 + pair % 2] >> 8) * 0x1p-24f;
        float radius = sqrtf(-2 * math_log(u1)) * standard_deviation;
        float angle = u2 * 6.28318531f;
        out[i] = radius * (i % GROUP < LANES ? math_cos(angle) : math_sin(angle));
    }
}
