/* Operations on rows and elements, one instruction set.  Orders of summing: docs/numerics.md. */
#include "tensor/tensor_internal.h"

#include "tensor/vector_math.h"

enum { WEIGHT_VECTORS = 4 };

static size_t lanes_left(size_t at, size_t end)
{
    return end - at < LANES ? end - at : LANES;
}

/* ---- elements ---- */

static void convert(struct array out, struct const_array x, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i += LANES) {
        size_t n = lanes_left(i, end);
        vstore_as(out.data, out.type, i, vload_as(x.data, x.type, i, n), n);
    }
}

static void add(float *out, const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        size_t n = lanes_left(i, count);
        vstore_n(out + i, vadd(vload_n(a + i, n), vload_n(b + i, n)), n);
    }
}

static void scale(float *x, float factor, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        size_t n = lanes_left(i, count);
        vstore_n(x + i, vmul(vload_n(x + i, n), vset(factor)), n);
    }
}

static void combine(float *out, const float *a, float alpha, const float *b, float beta,
                    size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        size_t n = lanes_left(i, count);
        v16 product = vmul(vload_n(a + i, n), vset(alpha));
        vstore_n(out + i, vfma(vload_n(b + i, n), vset(beta), product), n);
    }
}

/* ---- sums by the lane rule ---- */

static inline v16 sum_step(v16 lanes, v16 x, const enum sum_kind kind)
{
    return kind == SUM_VALUES    ? vadd(lanes, x)
           : kind == SUM_SQUARES ? vfma(x, x, lanes)
                                 : vfma(x, vzero(), lanes); /* inf and NaN times 0 are NaN */
}

static inline float sum_row(const float *x, size_t count, const enum sum_kind kind)
{
    v16 lanes = vzero();
    for (size_t i = 0; i < count; i += LANES)
        lanes = sum_step(lanes, vload_n(x + i, lanes_left(i, count)), kind);
    return vsum(lanes);
}

/* Whole blocks are read four at a time: one stream of memory alone does not reach its speed. */
static inline void sum_blocks(float *out, const float *x, size_t count, const enum sum_kind kind)
{
    enum { STREAMS = 4 };
    for (; count >= STREAMS * SUM_BLOCK; count -= STREAMS * SUM_BLOCK, out += STREAMS) {
        v16 lanes[STREAMS] = {vzero(), vzero(), vzero(), vzero()};
        for (size_t i = 0; i < SUM_BLOCK; i += LANES)
            for (size_t s = 0; s < STREAMS; s++)
                lanes[s] = sum_step(lanes[s], vload(x + s * SUM_BLOCK + i), kind);
        for (size_t s = 0; s < STREAMS; s++)
            out[s] = vsum(lanes[s]);
        x += STREAMS * SUM_BLOCK;
    }
    for (size_t at = 0; at < count; at += SUM_BLOCK)
        *out++ = sum_row(x + at, count - at < SUM_BLOCK ? count - at : SUM_BLOCK, kind);
}

static float sum(const float *x, size_t count)
{
    return sum_row(x, count, SUM_VALUES);
}

static void sums_of_values(float *out, const float *x, size_t count)
{
    sum_blocks(out, x, count, SUM_VALUES);
}

static void sums_of_squares(float *out, const float *x, size_t count)
{
    sum_blocks(out, x, count, SUM_SQUARES);
}

static void sums_of_zeros(float *out, const float *x, size_t count)
{
    sum_blocks(out, x, count, SUM_ZEROS);
}

/* ---- RMSNorm ---- */

static float rmsnorm(const struct rmsnorm *shape, struct array out, size_t out_at, const float *x,
                     const float *weight)
{
    size_t width = shape->width;
    float mean = flushed_div(sum_row(x, width, SUM_SQUARES), (float)width);
    float factor = 1.0f / __builtin_sqrtf(flushed_add(mean, shape->epsilon));
    for (size_t i = 0; i < width; i += LANES) {
        size_t n = lanes_left(i, width);
        v16 value = vmul(vmul(vload_n(x + i, n), vset(factor)), vload_n(weight + i, n));
        vstore_as(out.data, out.type, out_at + i, value, n);
    }
    return factor;
}

/* With g = grad_out * weight, c = sum(g * x) / width * scale^3:  grad_x = g * scale - x * c */
static void rmsnorm_grad(const struct rmsnorm *shape, const struct rmsnorm_row *row)
{
    size_t width = shape->width;
    v16 lanes = vzero();
    for (size_t i = 0; i < width; i += LANES) {
        size_t n = lanes_left(i, width);
        v16 g = vmul(vload_n(row->grad_out + i, n), vload_n(row->weight + i, n));
        lanes = vfma(g, vload_n(row->x + i, n), lanes);
    }
    float factor = row->scale, cube = flushed_mul(flushed_mul(factor, factor), factor);
    float share = flushed_mul(flushed_div(vsum(lanes), (float)width), cube);
    for (size_t i = 0; i < width; i += LANES) {
        size_t n = lanes_left(i, width);
        v16 g = vmul(vload_n(row->grad_out + i, n), vload_n(row->weight + i, n));
        v16 value = vmul(g, vset(factor));
        value = vfma(vload_n(row->x + i, n), vset(-share), value);
        if (row->accumulate)
            value = vadd(vload_n(row->grad_x + i, n), value);
        vstore_n(row->grad_x + i, value, n);
    }
}

/* Chains of up to LANES * vectors columns: fma(grad_out, x * scale, chain), rows ascending, the
 * parts of a row ascending. */
static inline __attribute__((always_inline)) void weight_chains(const struct rmsnorm *shape,
                                                                const struct rmsnorm_columns *in,
                                                                size_t column, size_t last_lanes,
                                                                const size_t vectors)
{
    v16 chain[WEIGHT_VECTORS];
    for (size_t v = 0; v < vectors; v++)
        chain[v] = vload_n(in->grad_weight + column + v * LANES, last_lanes);
    const float *scale = in->scale;
    size_t row_end = (shape->parts ? shape->parts : 1) * shape->width;
    for (size_t row = 0; row < shape->rows; row++)
        for (size_t at = column; at < row_end; at += shape->width) {
            const float *x = in->x + row * shape->x_stride + at;
            const float *g = in->grad_out + row * shape->out_stride + at;
            v16 factor = vset(*scale++);
            for (size_t v = 0; v < vectors; v++)
                chain[v] = vfma(vload_n(g + v * LANES, last_lanes),
                                vmul(vload_n(x + v * LANES, last_lanes), factor), chain[v]);
        }
    for (size_t v = 0; v < vectors; v++)
        vstore_n(in->grad_weight + column + v * LANES, chain[v], last_lanes);
}

/* Several vectors at once, so that each row gives whole stretches of memory. */
static void rmsnorm_weight(const struct rmsnorm *shape, const struct rmsnorm_columns *in,
                           size_t begin, size_t end)
{
    size_t column = begin;
    for (; end - column >= WEIGHT_VECTORS * LANES; column += WEIGHT_VECTORS * LANES)
        weight_chains(shape, in, column, LANES, WEIGHT_VECTORS);
    for (; column < end; column += LANES)
        weight_chains(shape, in, column, lanes_left(column, end), 1);
}

/* ---- rotary: (a, b) -> (a cos - b sin, b cos + a sin), the products of a first ---- */

static void rotary(float *head, const float *table, size_t head_size, bool inverse)
{
    size_t half = head_size / 2;
    for (size_t i = 0; i < half; i += LANES) {
        size_t n = lanes_left(i, half);
        v16 a = vload_n(head + i, n), b = vload_n(head + half + i, n);
        v16 cosine = vload_n(table + i, n), sine = vload_n(table + half + i, n);
        if (inverse)
            sine = vsub(vzero(), sine);
        v16 minus_sine = vsub(vzero(), sine);
        vstore_n(head + i, vfma(b, minus_sine, vmul(a, cosine)), n);
        vstore_n(head + half + i, vfma(b, cosine, vmul(a, sine)), n);
    }
}

/* ---- SwiGLU ---- */

static void swiglu(struct array out, size_t out_at, const float *gate, const float *up,
                   size_t width)
{
    for (size_t i = 0; i < width; i += LANES) {
        size_t n = lanes_left(i, width);
        v16 g = vload_n(gate + i, n);
        v16 value = vmul(vmul(g, vsigmoid(g)), vload_n(up + i, n));
        vstore_as(out.data, out.type, out_at + i, value, n);
    }
}

/* s = sigmoid(g): d up = grad * (g * s);  d gate = (grad * up) * (s * (1 + g * (1 - s))) */
static void swiglu_grad(struct array out, const struct swiglu_row *row, size_t width)
{
    for (size_t i = 0; i < width; i += LANES) {
        size_t n = lanes_left(i, width);
        v16 g = vload_n(row->gate + i, n), u = vload_n(row->up + i, n);
        v16 grad = vload_n(row->grad + i, n), s = vsigmoid(g), one = vset(1);
        v16 slope = vmul(s, vfma(g, vsub(one, s), one));
        vstore_as(out.data, out.type, row->out_at + i, vmul(vmul(grad, u), slope), n);
        vstore_as(out.data, out.type, row->out_at + width + i, vmul(grad, vmul(g, s)), n);
    }
}

/* ---- optimizers: as fast as memory gives and takes (measured: docs/notebook.md) ---- */

/* Asks for the lines that will be read some steps from now. */
static inline void fetch_ahead(const float *x)
{
    enum { AHEAD_BYTES = 2048 };
    __builtin_prefetch((const char *)x + AHEAD_BYTES);
}

/* The copy is not read again before the next step: it goes to memory past the caches, which else
 * would first read what is overwritten. */
static inline void narrow_past_caches(uint16_t *x, v16 v, size_t n)
{
#if KERNEL_ISA > 0
    uint16_t half[LANES];
    if (n >= LANES && (uintptr_t)x % sizeof(__m256i) == 0) {
        vnarrow(half, v);
        _mm256_stream_si256((__m256i *)(void *)x,
                            _mm256_loadu_si256((const __m256i *)(const void *)half));
        return;
    }
#endif
    vnarrow_n(x, v, n);
}

/* Before other threads may read what went past the caches. */
static inline void finish_past_caches(void)
{
#if KERNEL_ISA > 0
    _mm_sfence();
#endif
}

static void adamw(const struct adamw_run *run, size_t begin, size_t end)
{
    const struct adamw *in = run->settings;
    const struct adamw_state *state = run->state;
    v16 beta1 = vset(in->beta1), beta2 = vset(in->beta2);
    v16 rest1 = vset(1.0f - in->beta1), rest2 = vset(1.0f - in->beta2);
    v16 keep = vset(1.0f - in->learning_rate * in->weight_decay);
    v16 rate = vset(in->learning_rate), epsilon = vset(in->epsilon);
    for (size_t i = begin; i < end; i += LANES) {
        size_t n = lanes_left(i, end);
        fetch_ahead(run->gradient + i);
        fetch_ahead(state->first + i);
        fetch_ahead(state->second + i);
        fetch_ahead(state->weight + i);
        v16 g = vmul(vload_n(run->gradient + i, n), vset(in->grad_scale));
        v16 first = vfma(vload_n(state->first + i, n), beta1, vmul(g, rest1));
        v16 second = vfma(vload_n(state->second + i, n), beta2, vmul(vmul(g, g), rest2));
        v16 mean = vmul(first, vset(run->correction1));
        v16 spread = vadd(vsqrt(vmul(second, vset(run->correction2))), epsilon);
        v16 weight = vmul(vload_n(state->weight + i, n), keep);
        weight = vsub(weight, vmul(rate, vdiv(mean, spread)));
        vstore_n(state->first + i, first, n);
        vstore_n(state->second + i, second, n);
        vstore_n(state->weight + i, weight, n);
        if (state->copy)
            narrow_past_caches(state->copy + i, weight, n);
    }
    finish_past_caches();
}

/* The memory traffic of adamw with hardly any arithmetic: the limit beside it. */
static void stream(const struct adamw_run *run, size_t begin, size_t end)
{
    const struct adamw_state *state = run->state;
    for (size_t i = begin; i < end; i += LANES) {
        size_t n = lanes_left(i, end);
        fetch_ahead(run->gradient + i);
        fetch_ahead(state->first + i);
        fetch_ahead(state->second + i);
        fetch_ahead(state->weight + i);
        v16 g = vload_n(run->gradient + i, n);
        v16 weight = vadd(vload_n(state->weight + i, n), g);
        vstore_n(state->first + i, vadd(vload_n(state->first + i, n), g), n);
        vstore_n(state->second + i, vadd(vload_n(state->second + i, n), g), n);
        vstore_n(state->weight + i, weight, n);
        narrow_past_caches(state->copy + i, weight, n);
    }
    finish_past_caches();
}

/* momentum = momentum * mu + g; update = g + mu * momentum (Nesterov) */
static void muon_momentum(const struct muon_run *run, size_t begin, size_t end)
{
    v16 mu = vset(run->momentum_factor), factor = vset(run->grad_scale);
    for (size_t i = begin; i < end; i += LANES) {
        size_t n = lanes_left(i, end);
        v16 g = vmul(vload_n(run->gradient + i, n), factor);
        v16 momentum = vfma(vload_n(run->momentum + i, n), mu, g);
        vstore_n(run->momentum + i, momentum, n);
        vstore_n(run->update + i, vfma(momentum, mu, g), n);
    }
}

/* weight = weight * keep - factor * update */
static void muon_apply(const struct muon_run *run, size_t begin, size_t end)
{
    v16 keep = vset(run->keep), factor = vset(-run->factor);
    for (size_t i = begin; i < end; i += LANES) {
        size_t n = lanes_left(i, end);
        v16 weight = vmul(vload_n(run->weight + i, n), keep);
        weight = vfma(vload_n(run->update + i, n), factor, weight);
        vstore_n(run->weight + i, weight, n);
        if (run->copy)
            narrow_past_caches(run->copy + i, weight, n);
    }
    finish_past_caches();
}

/* ---- normal deviates ---- */

/* Box-Muller on sixteen pairs of words, first all first words: u1 in (0, 1] and u2 in [0, 1) are
 * the high 24 bits.  out: sixteen cosines, then sixteen sines. */
static void normal(float *out, const uint32_t *words, float deviation)
{
    i16 one = iset(1);
    v16 u1 = vmul(vfrom_int(iadd(ishift_right(iload(words), 8), one)), vset(0x1p-24f));
    v16 u2 = vmul(vfrom_int(ishift_right(iload(words + LANES), 8)), vset(0x1p-24f));
    v16 radius = vmul(vsqrt(vmul(vset(-2), vlog(u1))), vset(deviation));
    v16 sine, cosine;
    vsincos(&sine, &cosine, vmul(u2, vset(6.28318531f)));
    vstore(out, vmul(radius, cosine));
    vstore(out + LANES, vmul(radius, sine));
}

/* ---- softmax over the vocabulary ---- */

/* logits become exp(z - max); returns the sum by the lane rule.  loss = (log(sum) + max) -
 * z[target]. */
static float softmax_loss(float *logits, size_t vocabulary, uint32_t target, float *loss)
{
    v16 best = vset(-__builtin_inff());
    size_t whole = vocabulary / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        best = vmax(best, vload(logits + i));
    float maximum = vmaximum(best);
    for (size_t i = whole; i < vocabulary; i++)
        maximum = maximum > logits[i] ? maximum : logits[i];
    float wanted = target < vocabulary ? logits[target] : 0;
    v16 lanes = vzero(), shift = vset(maximum);
    for (size_t i = 0; i < whole; i += LANES) {
        v16 e = vexp(vsub(vload(logits + i), shift));
        vstore(logits + i, e);
        lanes = vadd(lanes, e);
    }
    if (whole < vocabulary) {
        size_t n = vocabulary - whole;
        vstore_n(logits + whole, vexp(vsub(vload_n(logits + whole, n), shift)), n);
        lanes = vadd(lanes, vload_n(logits + whole, n));
    }
    float total = vsum(lanes), logarithm[LANES];
    vstore(logarithm, vlog(vset(total)));
    *loss = target < vocabulary ? flushed_add(flushed_add(logarithm[0], maximum), -wanted) : 0;
    return total;
}

/* grad = (e * (1 / total) - [target]) * grad_scale */
static void softmax_grad(struct array out, const struct softmax_row *row)
{
    bool learnt = row->target < row->vocabulary;
    v16 inverse = vset(learnt ? 1.0f / row->total : 0), factor = vset(row->grad_scale);
    for (size_t i = 0; i < row->vocabulary; i += LANES) {
        size_t n = lanes_left(i, row->vocabulary);
        v16 p = vmul(vload_n(row->exponentials + i, n), inverse);
        if (learnt && row->target >= i && row->target < i + LANES) {
            float lanes[LANES] = {0};
            lanes[row->target - i] = 1;
            p = vsub(p, vload(lanes));
        }
        vstore_as(out.data, out.type, row->out_at + i, vmul(p, factor), n);
    }
}

extern const struct row_kernels KERNEL_NAME(row_kernels);
const struct row_kernels KERNEL_NAME(row_kernels) = {
    .convert = convert,
    .add = add,
    .scale = scale,
    .combine = combine,
    .sum = sum,
    .sums = {sums_of_values, sums_of_squares, sums_of_zeros},
    .rmsnorm = rmsnorm,
    .rmsnorm_grad = rmsnorm_grad,
    .rmsnorm_weight = rmsnorm_weight,
    .rotary = rotary,
    .swiglu = swiglu,
    .swiglu_grad = swiglu_grad,
    .adamw = adamw,
    .stream = stream,
    .muon_momentum = muon_momentum,
    .muon_apply = muon_apply,
    .normal = normal,
    .softmax_loss = softmax_loss,
    .softmax_grad = softmax_grad,
};
