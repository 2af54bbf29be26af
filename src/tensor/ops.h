/* The only door to compute: matrix products, transformer operations forward and backward, optimizer
 * steps.
 *
 * The same bits on every instruction set, thread count and process count: each output element is
 * one chain of operations in the order stated here and in docs/numerics.md; SIMD lanes and threads
 * split outputs, never a chain.  reference.c computes the same in plain loops and is the judge in
 * tests.
 *
 * Not for: what a model is made of (model/), where memory comes from (arenas of the caller).
 *
 * Arrays are row-major, borrowed, 64-byte aligned at their first element for best speed (not
 * required).  Programmers' errors (shapes that don't fit) ASSERT; operations never fail otherwise.
 * One thread at a time per `struct compute`. */
#ifndef RODNIK_TENSOR_OPS_H
#define RODNIK_TENSOR_OPS_H

#include "base/arena.h"
#include "base/thread.h"

/* ---- the machine ---- */

enum isa { ISA_SCALAR, ISA_AVX2, ISA_AVX512, ISA_AVX512BF16, ISA_COUNT };

struct compute; /* a thread pool, the chosen instruction set, scratch memory per thread */

/* threads 0: all processors allowed.  The instruction set is the best of this machine, capped by
 * the environment variable RODNIK_ISA (scalar, avx2, avx512, avx512bf16); an unknown name is
 * ERR_USAGE.  avx512bf16 allows the bf16 dot instruction but uses it only where it is faster than
 * two fused multiply-adds (same bits, so the choice is free). */
MUST_USE status compute_create(struct compute **out, int threads, struct error *error);
void compute_destroy(struct compute *compute);
enum isa compute_isa(const struct compute *compute);
const char *isa_name(enum isa isa);
int compute_threads(const struct compute *compute);
struct thread_pool *compute_pool(struct compute *compute);

/* ---- types ---- */

enum dtype { DTYPE_F32, DTYPE_BF16 };
size_t dtype_bytes(enum dtype type);

/* The limits of this machine at this moment, for benchmarks.  Clocks fall under load, so that a
 * limit says something only about work done right before or after it. */
/* Multiply-adds of all threads in registers, a few milliseconds long, in GFLOP/s; for bf16 by the
 * fastest way to the canonical result. */
double compute_multiply_add_gflops(struct compute *compute, enum dtype type);

struct array { /* written by the operation */
    void *data;
    enum dtype type;
};
struct const_array { /* read only */
    const void *data;
    enum dtype type;
};

uint16_t bf16_from_f32(float value); /* round to nearest even on the bits; NaN stays NaN */
float f32_from_bf16(uint16_t value);
/* out[i] = x[i] in the other type */
void convert_array(struct compute *compute, struct array out, struct const_array x, size_t count);

/* ---- matrix products ---- */

/* out f32 [rows, columns] = op(a) [rows, depth] * op(b) [depth, columns]  (+ out if accumulate).
 *   a and b have one type.  stride: elements between rows as stored.  transposed: a is stored
 *   [depth, rows], b [columns, depth].
 * Chain: f32 acc = fma(a[k], b[k], acc), k ascending, from 0 or the old out; bf16 pairs of k, the
 * odd one first: acc = fma(a[2i+1], b[2i+1], acc); acc = fma(a[2i], b[2i], acc), depth padded to
 * even with zeros. */
struct operand {
    const void *data;
    enum dtype type;
    size_t stride;
    bool transposed;
};
struct product {
    size_t rows, columns, depth;
    struct operand a, b;
    float *out;
    size_t out_stride;
    bool accumulate;
    bool symmetric; /* the result is known to be: half of it is computed, the rest copied */
};
void matrix_product(struct compute *compute, const struct product *product);

/* A right-hand operand packed once, for many products with few rows (decoding): same chains, same
 * bits as matrix_product. */
struct packed_matrix {
    void *panels;
    enum dtype type;
    size_t depth, columns;
};
size_t matrix_packed_bytes(enum dtype type, size_t depth, size_t columns);
MUST_USE status matrix_pack(struct packed_matrix *out, struct compute *compute, struct operand b,
                            size_t depth, size_t columns, struct arena *arena, struct error *error);
/* out f32 [rows, columns], x [rows, depth] of the packed type with stride depth; out_stride in
 * elements */
void matrix_product_packed(struct compute *compute, float *out, size_t out_stride, const void *x,
                           size_t rows, const struct packed_matrix *b);

/* ---- element- and row-wise operations ---- */

/* Sums along a row: sixteen virtual lanes, lane j takes elements j, j+16, ... in order, then the
 * tree j + j+8, j + j+4, j + j+2, j + j+1.  Sums down a column (weight gradients): a chain over
 * rows, ascending, from the old value. */

/* out [count, width] = table[token], out f32; table f32 [vocabulary, width] */
void embedding_forward(struct compute *compute, float *out, const float *table,
                       const uint32_t *tokens, size_t count, size_t width);
/* grad_table[token] += grad_out, tokens ascending by position */
void embedding_backward(struct compute *compute, float *grad_table, const float *grad_out,
                        const uint32_t *tokens, size_t count, size_t width);

/* RMSNorm (Zhang & Sennrich 2019): out = (x * scale) * weight with
 * scale = 1 / sqrt(sum(x^2) / width + epsilon).
 *   x f32 [rows, width], x_stride elements between rows;  out [rows, width], out_stride
 *   weight f32 [width];  scale f32 [rows] is kept for the backward pass (NULL: not kept) */
struct rmsnorm {
    size_t rows, width;
    size_t x_stride, out_stride; /* of rows */
    float epsilon;
    size_t parts; /* vectors of `width` side by side in a row, each with its own scale; 0: one */
};
void rmsnorm_forward(struct compute *compute, const struct rmsnorm *shape, struct array out,
                     float *scale, const float *x, const float *weight);
/* grad_x f32 with x_stride (added to if accumulate, else overwritten and may be grad_out itself);
 * grad_weight f32 [width] (always added to, by the column chain).  grad_out f32 with out_stride. */
struct rmsnorm_gradients {
    float *grad_x;
    float *grad_weight;
    bool accumulate;
};
void rmsnorm_backward(struct compute *compute, const struct rmsnorm *shape,
                      const struct rmsnorm_gradients *out, const float *grad_out, const float *x,
                      const float *weight, const float *scale);

/* Rotary embeddings (Su et al. 2021), half-rotation layout: pair (i, i + head_size/2) of each head
 * turns by position * theta^(-2i/head_size).  In place.
 *   x f32 [rows, heads, head_size], row_stride elements between rows
 *   table f32 [positions, head_size], each row the cosines, then the sines, from rotary_table
 *   inverse: turns back, which is the backward pass */
MUST_USE status rotary_table(float **out, size_t positions, size_t head_size, double theta,
                             struct arena *arena, struct error *error);
struct rotary {
    size_t rows, heads, head_size, row_stride;
    const float *table;
    const uint32_t *positions; /* [rows] */
    bool inverse;
};
void rotary_apply(struct compute *compute, float *x, const struct rotary *rotary);

/* Causal grouped-query attention with online softmax over key blocks of 64 in ascending absolute
 * position (Dao et al. 2022), scores scaled by 1/sqrt(head_size).  Per sequence: queries at
 * positions query_first .. query_first + queries - 1 see the keys first_key[position] .. position.
 *   query  f32 [sequences, queries, heads, head_size], query_stride elements between positions
 *   key, value f32 [sequences, keys, kv_heads, head_size], kv_stride between positions,
 *          kv_sequence_stride between sequences (queries: queries * query_stride)
 *   out    [sequences, queries, heads * head_size], contiguous, f32 or bf16
 *   log_sum f32 [sequences, heads, queries]: max + log(sum), for the backward pass (NULL: not kept)
 *   first_key u32 [sequences, keys] by position, not descending, at most the position; NULL: 0
 * head_size is a multiple of 16, at most 256.  Orders of summing: docs/numerics.md. */
struct attention {
    size_t sequences, queries, keys, query_first;
    size_t heads, kv_heads, head_size;
    size_t query_stride, kv_stride, kv_sequence_stride;
    const uint32_t *first_key;
};
struct attention_inputs {
    const float *query, *key, *value;
};
void attention_forward(struct compute *compute, const struct attention *shape, struct array out,
                       float *log_sum, const struct attention_inputs *in);
/* Training only (query_first 0, queries == keys).  grad_query, grad_key, grad_value f32 have the
 * layout of the inputs and are overwritten.  out is what forward wrote (its type), grad_out f32
 * [sequences, queries, heads * head_size]. */
struct attention_gradients {
    float *grad_query, *grad_key, *grad_value;
};
void attention_backward(struct compute *compute, const struct attention *shape,
                        const struct attention_gradients *gradients, const float *grad_out,
                        struct const_array out, const float *log_sum,
                        const struct attention_inputs *in);

/* SwiGLU (Shazeer 2020): out = silu(gate) * up.  gate_up f32 [rows, 2 * width]: gate then up in
 * each row; out [rows, width]. */
void swiglu_forward(struct compute *compute, struct array out, const float *gate_up, size_t rows,
                    size_t width);
/* grad_gate_up [rows, 2 * width] */
void swiglu_backward(struct compute *compute, struct array grad_gate_up, const float *grad_out,
                     const float *gate_up, size_t rows, size_t width);

/* out[i] += x[i] */
void residual_add(struct compute *compute, float *out, const float *x, size_t count);

/* ---- loss ---- */

/* Next-token cross-entropy over the vocabulary, in chunks of rows so that the full logits never
 * stand in memory.
 *   x [rows, width] of type T, head [vocabulary, width] of type T
 *   target u32 [rows], rows with TARGET_NONE count nothing
 *   loss f32 [rows]: -log p(target), 0 where there is none
 *   grad_x f32 [rows, width] (overwritten) and grad_head f32 [vocabulary, width] (added to if
 *   accumulate, else overwritten) are the gradients of sum(loss) * grad_scale; both NULL: only the
 *   loss is computed
 *   scratch: cross_entropy_scratch_bytes(...) bytes */
#define TARGET_NONE UINT32_MAX
struct cross_entropy {
    size_t rows, width, vocabulary;
    struct const_array x, head;
    const uint32_t *target;
    float grad_scale;
    bool accumulate;
    void *scratch;
};
size_t cross_entropy_scratch_bytes(size_t rows, size_t vocabulary);
void cross_entropy(struct compute *compute, const struct cross_entropy *in, float *loss,
                   float *grad_x, float *grad_head);

/* ---- optimizers and sums ---- */

/* Sum of x[i]^2 and of x[i]: blocks of 4,096 elements by the lane rule, block sums again by the
 * lane rule over blocks. */
float sum_of_squares(struct compute *compute, const float *x, size_t count);
float sum_of_values(struct compute *compute, const float *x, size_t count);
/* The first half of sum_of_squares, the sums of its blocks, and the second. */
enum { SQUARES_BLOCK = 4096 };
void squares_of_blocks(struct compute *compute, float *sums, const float *x, size_t count);
float sum_of_blocks(const struct compute *compute, const float *sums, size_t blocks);
bool all_finite(struct compute *compute, const float *x, size_t count);
/* x[i] = 0, each thread its share: of fresh memory it gets the pages near its processor. */
void zero_array(struct compute *compute, float *x, size_t count);
/* x[i] = x[i] * factor */
void scale_array(struct compute *compute, float *x, float factor, size_t count);
/* out[i] = a[i] + b[i]; out may be a */
void add_arrays(struct compute *compute, float *out, const float *a, const float *b, size_t count);

/* AdamW (Loshchilov & Hutter 2019) with decoupled decay.  step counts from 1.  copy: a bf16 working
 * copy to refresh too, or NULL. */
struct adamw {
    float learning_rate, beta1, beta2, epsilon, weight_decay, grad_scale;
    int64_t step;
};
struct adamw_state {
    float *weight, *first, *second;
    uint16_t *copy;
};
void adamw_step(struct compute *compute, const struct adamw *settings,
                const struct adamw_state *state, const float *gradient, size_t count);
/* Bytes that this reads and writes for an element: gradient, both moments and the weight; moments,
 * weight and copy. */
enum { ADAMW_BYTES = 4 * 4 + 3 * 4 + 2 };
/* For benchmarks: 10^9 bytes a second when all threads read and write the same arrays in the same
 * way, with hardly any arithmetic (the gradient is added to all).  copy must not be NULL. */
double adamw_limit_gbytes(struct compute *compute, const struct adamw_state *state,
                          const float *gradient, size_t count);

/* Muon (Jordan et al. 2024): momentum with Nesterov, orthogonalised by five Newton-Schulz steps
 * (3.4445, -4.7750, 2.0315) in bf16 products, applied with factor learning_rate * 0.2 *
 * sqrt(max(rows, columns)) (Liu et al. 2025, so that AdamW's rates and decay carry over).  weight,
 * momentum f32 [rows, columns]; scratch: muon_scratch_bytes(rows, columns). */
struct muon {
    float learning_rate, momentum, weight_decay, grad_scale;
    size_t rows, columns;
    void *scratch;
};
struct muon_state {
    float *weight, *momentum;
    uint16_t *copy;
};
size_t muon_scratch_bytes(size_t rows, size_t columns);
void muon_step(struct compute *compute, const struct muon *settings, const struct muon_state *state,
               const float *gradient);

/* Normal deviates for initial weights: out[i] = standard_deviation * N(0, 1) from Philox (seed,
 * RANDOM_INIT, stream, i) by Box-Muller with the functions of tensor/math.h. */
void random_normal(struct compute *compute, float *out, size_t count, float standard_deviation,
                   uint64_t seed, uint64_t stream);

#endif
