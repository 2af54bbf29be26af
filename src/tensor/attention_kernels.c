/* Attention, one instruction set.  A key block is turned once ([head_size][64], lanes are keys) and
 * shared by all queries that see
 * it; several rows are worked on at once so that each load serves them all. */
#include "tensor/tensor_internal.h"

#include "tensor/vector_math.h"
#include "tensor/vector_turn.h"

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* Rows at once, and vectors of a key block: their accumulators fill the registers. */
enum { GROUP = KERNEL_ISA >= 2 ? 4 : 1, BLOCK_VECTORS = KEY_BLOCK / LANES };

struct span { /* of positions: [begin, end) */
    size_t begin, end;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- building blocks ---- */

/* out [head_size][64] = rows turned, to the end of a vector; rows beyond `count` are zero */
static void turn_block(float *out, const float *rows, size_t stride, size_t count, size_t head_size)
{
    for (size_t j = 0; j < count; j += LANES)
        for (size_t d = 0; d < head_size; d += LANES) {
            v16 x[LANES];
            UNROLL
            for (size_t i = 0; i < LANES; i++)
                x[i] = j + i < count ? vload(rows + (j + i) * stride + d) : vzero();
            vturn(x);
            UNROLL
            for (size_t i = 0; i < LANES; i++)
                vstore(out + (d + i) * KEY_BLOCK + j, x[i]);
        }
}

struct dots { /* out [rows][64] = chains over d of a[r][d] * turned[d][.] */
    float *out;
    const float *a;
    size_t a_stride;
    const float *turned;
    size_t head_size;
};

INLINE void dot_columns(const struct dots *in, size_t row, const size_t rows, const size_t vectors)
{
    v16 acc[GROUP][BLOCK_VECTORS];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        acc[r][v] = vzero();
    const float *a = in->a + row * in->a_stride;
    for (size_t d = 0; d < in->head_size; d++) {
        v16 keys[BLOCK_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            keys[v] = vload(in->turned + d * KEY_BLOCK + v * LANES);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            v16 x = vset(a[r * in->a_stride + d]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                acc[r][v] = vfma(x, keys[v], acc[r][v]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        vstore(in->out + (row + r) * KEY_BLOCK + v * LANES, acc[r][v]);
}

/* A switch over constant widths, so that accumulators stay in registers. */
_Static_assert(BLOCK_VECTORS == 4, "the switch below lists every width");
INLINE void dot_rows(const struct dots *in, size_t row, size_t vectors, const size_t rows)
{
    switch (vectors) {
    case 1:
        dot_columns(in, row, rows, 1);
        break;
    case 2:
        dot_columns(in, row, rows, 2);
        break;
    case 3:
        dot_columns(in, row, rows, 3);
        break;
    default:
        dot_columns(in, row, rows, BLOCK_VECTORS);
    }
}

/* Row r sees slots below seen + r; vectors that no row of a group sees are passed over. */
static void dot_block(const struct dots *in, size_t rows, size_t seen)
{
    size_t r = 0;
    for (; r + GROUP <= rows; r += GROUP)
        dot_rows(in, r, (seen + r + GROUP - 1 + LANES - 1) / LANES, GROUP);
    for (; r < rows; r++)
        dot_rows(in, r, (seen + r + LANES - 1) / LANES, 1);
}

struct weighted { /* out[r] = chain over t of fma(weight(r, t), x[t], out[r]) */
    float *out;
    size_t out_stride;
    const float *weights;
    size_t row_step, t_step; /* weight(r, t) = weights[r * row_step + t * t_step] */
    const float *x;
    size_t x_stride;
    size_t width; /* of x and out, a multiple of 16 */
};

INLINE void weighted_columns(const struct weighted *in, size_t row, struct span span, size_t column,
                             const size_t rows, const size_t vectors)
{
    v16 acc[GROUP][BLOCK_VECTORS];
    float *out = in->out + row * in->out_stride + column;
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        acc[r][v] = vload(out + r * in->out_stride + v * LANES);
    const float *weights = in->weights + row * in->row_step;
    for (size_t t = span.begin; t < span.end; t++) {
        v16 x[BLOCK_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            x[v] = vload(in->x + t * in->x_stride + column + v * LANES);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            v16 weight = vset(weights[r * in->row_step + t * in->t_step]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                acc[r][v] = vfma(weight, x[v], acc[r][v]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        vstore(out + r * in->out_stride + v * LANES, acc[r][v]);
}

INLINE void weighted_span(const struct weighted *in, size_t row, struct span span,
                          const size_t rows)
{
    if (span.begin >= span.end)
        return;
    size_t column = 0;
    for (; column + KEY_BLOCK <= in->width; column += KEY_BLOCK)
        weighted_columns(in, row, span, column, rows, BLOCK_VECTORS);
    for (; column < in->width; column += LANES)
        weighted_columns(in, row, span, column, rows, 1);
}

/* Each row has its own span; what a group has in common is worked on together, the rest before and
 * after it row by row. */
static void weighted_rows(const struct weighted *in, const struct span *spans, size_t rows)
{
    size_t row = 0;
    for (; row + GROUP <= rows; row += GROUP) {
        struct span common = spans[row];
        for (size_t r = 1; r < GROUP; r++) {
            common.begin = larger(common.begin, spans[row + r].begin);
            common.end = smaller(common.end, spans[row + r].end);
        }
        if (common.begin >= common.end) {
            for (size_t r = 0; r < GROUP; r++)
                weighted_span(in, row + r, spans[row + r], 1);
            continue;
        }
        for (size_t r = 0; r < GROUP; r++)
            weighted_span(in, row + r, (struct span){spans[row + r].begin, common.begin}, 1);
        weighted_span(in, row, common, GROUP);
        for (size_t r = 0; r < GROUP; r++)
            weighted_span(in, row + r, (struct span){common.end, spans[row + r].end}, 1);
    }
    for (; row < rows; row++)
        weighted_span(in, row, spans[row], 1);
}

/* ---- which keys a query sees ---- */

static size_t first_seen(const struct attention *shape, size_t sequence, size_t position)
{
    return shape->first_key ? shape->first_key[sequence * shape->keys + position] : 0;
}

/* Of the key block that starts at `block`: slots that the query at `position` sees (maybe none). */
static struct span slots_seen(const struct attention *shape, size_t sequence, size_t position,
                              size_t block)
{
    size_t first = larger(first_seen(shape, sequence, position), block);
    size_t end = smaller(position + 1, block + KEY_BLOCK);
    if (first >= end)
        return (struct span){0, 0};
    return (struct span){first - block, end - block};
}

/* Slots of the block up to the one of the query at `position` itself, at least one. */
static size_t slots_before(size_t position, size_t block)
{
    return larger(position + 1, block + 1) - block;
}

/* ---- forward ---- */

struct forward_scratch {
    float turned[HEAD_SIZE_MAX * KEY_BLOCK];
    float scores[QUERY_TILE * KEY_BLOCK];
    float values[QUERY_TILE * HEAD_SIZE_MAX];
    float maximum[QUERY_TILE], next[QUERY_TILE], change[QUERY_TILE], total[QUERY_TILE];
    struct span spans[QUERY_TILE];
};

/* x in lanes `at` and on, -infinity in those outside the span */
static v16 seen_lanes(v16 x, struct span span, size_t at)
{
    static const float numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 slot = vadd(vload(numbers), vset((float)at)), lowest = vset(-__builtin_inff());
    x = vselect(vless(slot, vset((float)span.end)), x, lowest);
    return vselect(vless(slot, vset((float)span.begin)), lowest, x);
}

/* Scores of one query are scaled and hidden outside the span, in whole vectors; returns the
 * largest. */
static float scale_scores(float *scores, struct span span, float scale)
{
    v16 best = vset(-__builtin_inff());
    for (size_t at = span.begin / LANES * LANES; at < span.end; at += LANES) {
        v16 x = vmul(vload(scores + at), vset(scale));
        if (at < span.begin || at + LANES > span.end)
            x = seen_lanes(x, span, at);
        vstore(scores + at, x);
        best = vmax(best, x);
    }
    return vmaximum(best);
}

/* Scores become weights; returns their sum.  Vectors outside the span would add zeros. */
static float exponentials(float *scores, struct span span, float maximum)
{
    v16 sum = vzero();
    for (size_t at = span.begin / LANES * LANES; at < span.end; at += LANES) {
        v16 weight = vexp(vsub(vload(scores + at), vset(maximum)));
        vstore(scores + at, weight);
        sum = vadd(sum, weight);
    }
    return vsum(sum);
}

/* Scores of all queries become their weights, and what was gathered before shrinks with the
 * maximum. */
static void soften(struct forward_scratch *scratch, size_t queries, size_t head_size)
{
    float scale = 1.0f / __builtin_sqrtf((float)head_size);
    for (size_t i = 0; i < queries; i++) {
        struct span span = scratch->spans[i];
        float before = scratch->maximum[i], next = before;
        if (span.begin < span.end)
            next = scale_scores(scratch->scores + i * KEY_BLOCK, span, scale);
        scratch->next[i] = before > next ? before : next;
    }
    for (size_t i = 0; i < queries; i += LANES)
        vstore(scratch->change + i,
               vexp(vsub(vload(scratch->maximum + i), vload(scratch->next + i))));
    for (size_t i = 0; i < queries; i++) {
        struct span span = scratch->spans[i];
        if (span.begin == span.end)
            continue;
        float change = scratch->change[i], *values = scratch->values + i * head_size;
        float sum = exponentials(scratch->scores + i * KEY_BLOCK, span, scratch->next[i]);
        scratch->maximum[i] = scratch->next[i];
        scratch->total[i] = flushed_fma(scratch->total[i], change, sum);
        for (size_t d = 0; d < head_size; d += LANES)
            vstore(values + d, vmul(vload(values + d), vset(change)));
    }
}

static void forward_block(const struct attention_task *task, struct forward_scratch *scratch,
                          size_t block)
{
    const struct attention *shape = task->shape;
    size_t head_size = shape->head_size, kv_head = task->head / (shape->heads / shape->kv_heads);
    size_t kv =
        task->sequence * shape->kv_sequence_stride + block * shape->kv_stride + kv_head * head_size;
    size_t first = shape->query_first + task->query;
    size_t count = smaller(KEY_BLOCK, first + task->queries - block);
    turn_block(scratch->turned, task->in.key + kv, shape->kv_stride, count, head_size);
    struct dots dots = {.out = scratch->scores,
                        .a = task->in.query +
                             (task->sequence * shape->queries + task->query) * shape->query_stride +
                             task->head * head_size,
                        .a_stride = shape->query_stride,
                        .turned = scratch->turned,
                        .head_size = head_size};
    dot_block(&dots, task->queries, slots_before(first, block));
    for (size_t i = 0; i < task->queries; i++)
        scratch->spans[i] = slots_seen(shape, task->sequence, first + i, block);
    soften(scratch, task->queries, head_size);
    struct weighted sum = {.out = scratch->values,
                           .out_stride = head_size,
                           .weights = scratch->scores,
                           .row_step = KEY_BLOCK,
                           .t_step = 1,
                           .x = task->in.value + kv,
                           .x_stride = shape->kv_stride,
                           .width = head_size};
    weighted_rows(&sum, scratch->spans, task->queries);
}

static void forward(const struct attention_task *task)
{
    const struct attention *shape = task->shape;
    struct forward_scratch *scratch = task->scratch;
    size_t head_size = shape->head_size, first = shape->query_first + task->query;
    for (size_t i = 0; i < task->queries; i++) {
        scratch->maximum[i] = -__builtin_inff();
        scratch->total[i] = 0;
    }
    memset(scratch->values, 0, task->queries * head_size * sizeof(float));
    size_t begin = first_seen(shape, task->sequence, first) / KEY_BLOCK * KEY_BLOCK;
    for (size_t block = begin; block < first + task->queries; block += KEY_BLOCK)
        forward_block(task, scratch, block);
    for (size_t i = 0; i < task->queries; i++) {
        size_t row = task->sequence * shape->queries + task->query + i;
        size_t at = (row * shape->heads + task->head) * head_size;
        for (size_t d = 0; d < head_size; d += LANES) {
            v16 value = vload(scratch->values + i * head_size + d);
            vstore_as(task->out.data, task->out.type, at + d, vdiv(value, vset(scratch->total[i])),
                      LANES);
        }
        if (task->log_sum) {
            float logarithm[LANES];
            vstore(logarithm, vlog(vset(scratch->total[i])));
            task->log_sum[(task->sequence * shape->heads + task->head) * shape->queries +
                          task->query + i] = scratch->maximum[i] + logarithm[0];
        }
    }
}

/* ---- backward: everything of one key-value head in one pass ---- */

struct backward_scratch {
    float keys[HEAD_SIZE_MAX * KEY_BLOCK], values[HEAD_SIZE_MAX * KEY_BLOCK]; /* turned */
    float grad_key[KEY_BLOCK * HEAD_SIZE_MAX], grad_value[KEY_BLOCK * HEAD_SIZE_MAX];
    float weights[QUERY_TILE * KEY_BLOCK], slopes[QUERY_TILE * KEY_BLOCK];
    struct span by_query[QUERY_TILE], by_key[KEY_BLOCK];
};

struct backward_tile {
    size_t head, query, queries, block;
};

/* sum of grad_out * out over the head, by the lane rule */
static float grad_dot_out(const struct attention_task *task, size_t head, size_t row)
{
    size_t head_size = task->shape->head_size;
    size_t at = (row * task->shape->heads + head) * head_size;
    v16 lanes = vzero();
    for (size_t d = 0; d < head_size; d += LANES)
        lanes = vfma(vload(task->grad_out + at + d),
                     vload_as(task->out_in.data, task->out_in.type, at + d, LANES), lanes);
    return vsum(lanes);
}

/* weights become p = exp(s * scale - log_sum); slopes become (p * (dp - D)) * scale; unseen slots
 * are not used */
static void slope_row(const struct attention_task *task, const struct backward_tile *tile,
                      struct backward_scratch *scratch, size_t i)
{
    const struct attention *shape = task->shape;
    size_t query = tile->query + i, row = task->sequence * shape->queries + query;
    float scale = 1.0f / __builtin_sqrtf((float)shape->head_size);
    float log_sum =
        task->log_sum_in[(task->sequence * shape->heads + tile->head) * shape->queries + query];
    v16 dot = vset(grad_dot_out(task, tile->head, row));
    struct span span = scratch->by_query[i];
    for (size_t at = span.begin / LANES * LANES; at < span.end; at += LANES) {
        float *weights = scratch->weights + i * KEY_BLOCK + at;
        float *slopes = scratch->slopes + i * KEY_BLOCK + at;
        v16 p = vexp(vsub(vmul(vload(weights), vset(scale)), vset(log_sum)));
        v16 slope = vmul(vmul(p, vsub(vload(slopes), dot)), vset(scale));
        vstore(weights, p);
        vstore(slopes, slope);
    }
}

/* Which queries of the tile see each key: spans by key from spans by query, whose ends ascend; so
 * do their beginnings (first_key does not descend) up to queries that see nothing. */
static void spans_by_key(struct backward_scratch *scratch, size_t queries)
{
    const struct span *seen = scratch->by_query;
    while (queries > 0 && seen[queries - 1].end == 0)
        queries--;
    for (size_t j = 0, begin = 0, end = 0; j < KEY_BLOCK; j++) {
        while (begin < queries && seen[begin].end <= j)
            begin++;
        while (end < queries && seen[end].begin <= j)
            end++;
        scratch->by_key[j] = begin < end ? (struct span){begin, end} : (struct span){0, 0};
    }
}

static void backward_tile(const struct attention_task *task, const struct backward_tile *tile,
                          struct backward_scratch *scratch)
{
    const struct attention *shape = task->shape;
    size_t head_size = shape->head_size, row = task->sequence * shape->queries + tile->query;
    size_t query_at = row * shape->query_stride + tile->head * head_size;
    size_t out_stride = shape->heads * head_size;
    const float *query = task->in.query + query_at;
    const float *grad_out = task->grad_out + row * out_stride + tile->head * head_size;
    size_t before = slots_before(tile->query, tile->block);
    dot_block(
        &(struct dots){scratch->weights, query, shape->query_stride, scratch->keys, head_size},
        tile->queries, before);
    dot_block(&(struct dots){scratch->slopes, grad_out, out_stride, scratch->values, head_size},
              tile->queries, before);
    for (size_t i = 0; i < tile->queries; i++) {
        scratch->by_query[i] = slots_seen(shape, task->sequence, tile->query + i, tile->block);
        slope_row(task, tile, scratch, i);
    }
    spans_by_key(scratch, tile->queries);
    size_t key_at = task->sequence * shape->kv_sequence_stride + tile->block * shape->kv_stride +
                    task->head * head_size;
    struct weighted to_query = {task->grad.grad_query + query_at,
                                shape->query_stride,
                                scratch->slopes,
                                KEY_BLOCK,
                                1,
                                task->in.key + key_at,
                                shape->kv_stride,
                                head_size};
    weighted_rows(&to_query, scratch->by_query, tile->queries);
    struct weighted to_key = {scratch->grad_key, head_size, scratch->slopes,     1,
                              KEY_BLOCK,         query,     shape->query_stride, head_size};
    weighted_rows(&to_key, scratch->by_key, KEY_BLOCK);
    struct weighted to_value = {scratch->grad_value, head_size, scratch->weights, 1,
                                KEY_BLOCK,           grad_out,  out_stride,       head_size};
    weighted_rows(&to_value, scratch->by_key, KEY_BLOCK);
}

static void backward_block(const struct attention_task *task, struct backward_scratch *scratch,
                           size_t block)
{
    const struct attention *shape = task->shape;
    size_t head_size = shape->head_size, group = shape->heads / shape->kv_heads;
    size_t count = smaller(KEY_BLOCK, shape->keys - block);
    size_t at = task->sequence * shape->kv_sequence_stride + block * shape->kv_stride +
                task->head * head_size;
    turn_block(scratch->keys, task->in.key + at, shape->kv_stride, count, head_size);
    turn_block(scratch->values, task->in.value + at, shape->kv_stride, count, head_size);
    memset(scratch->grad_key, 0, KEY_BLOCK * head_size * sizeof(float));
    memset(scratch->grad_value, 0, KEY_BLOCK * head_size * sizeof(float));
    for (size_t member = 0; member < group; member++)
        for (size_t query = block; query < shape->queries; query += QUERY_TILE) {
            struct backward_tile tile = {.head = task->head * group + member,
                                         .query = query,
                                         .queries = smaller(QUERY_TILE, shape->queries - query),
                                         .block = block};
            if (first_seen(shape, task->sequence, query) >= block + KEY_BLOCK)
                break;
            backward_tile(task, &tile, scratch);
        }
    for (size_t j = 0; j < count; j++) {
        memcpy(task->grad.grad_key + at + j * shape->kv_stride, scratch->grad_key + j * head_size,
               head_size * sizeof(float));
        memcpy(task->grad.grad_value + at + j * shape->kv_stride,
               scratch->grad_value + j * head_size, head_size * sizeof(float));
    }
}

static void backward(const struct attention_task *task)
{
    const struct attention *shape = task->shape;
    size_t group = shape->heads / shape->kv_heads;
    for (size_t query = 0; query < shape->queries; query++)
        memset(task->grad.grad_query +
                   (task->sequence * shape->queries + query) * shape->query_stride +
                   task->head * group * shape->head_size,
               0, group * shape->head_size * sizeof(float));
    for (size_t block = 0; block < shape->keys; block += KEY_BLOCK)
        backward_block(task, task->scratch, block);
}

_Static_assert(sizeof(struct forward_scratch) <= SCRATCH_THREAD_BYTES, "scratch of a thread");
_Static_assert(sizeof(struct backward_scratch) <= SCRATCH_THREAD_BYTES, "scratch of a thread");

extern const struct attention_kernels KERNEL_NAME(attention_kernels);
const struct attention_kernels KERNEL_NAME(attention_kernels) = {forward, backward};
