/* What every operation of tensor/ops.h means, in plain loops: one thread, one element after the
 * other, each chain in its written order.  The judge in tests and the text to read first; arguments
 * are those of ops.h without the machine.
 *
 * Not for speed, and not called by any other module.  Arrays are borrowed.  The calling thread must
 * have the floating-point environment of docs/numerics.md (compute_create sets it). */
#ifndef RODNIK_TENSOR_REFERENCE_H
#define RODNIK_TENSOR_REFERENCE_H

#include "tensor/ops.h"

void reference_product(const struct product *product);
void reference_convert(struct array out, struct const_array x, size_t count);

/* One element of an array in either type. */
float reference_get(struct const_array x, size_t at);
void reference_set(struct array out, size_t at, float value);

/* Sums by the lane rule of a term that is added (sum) or multiplied by itself and added (squares),
 * and over a whole tensor in blocks of 4,096. */
float reference_lane_sum(const float *x, size_t count);
float reference_lane_squares(const float *x, size_t count);
float reference_sum_of_squares(const float *x, size_t count);
float reference_sum_of_values(const float *x, size_t count);
bool reference_all_finite(const float *x, size_t count);

void reference_scale(float *x, float factor, size_t count);
void reference_add(float *out, const float *a, const float *b, size_t count);

void reference_embedding_forward(float *out, const float *table, const uint32_t *tokens,
                                 size_t count, size_t width);
void reference_embedding_backward(float *grad_table, const float *grad_out, const uint32_t *tokens,
                                  size_t count, size_t width);

void reference_rmsnorm_forward(const struct rmsnorm *shape, struct array out, float *scale,
                               const float *x, const float *weight);
void reference_rmsnorm_backward(const struct rmsnorm *shape, const struct rmsnorm_gradients *out,
                                const float *grad_out, const float *x, const float *weight,
                                const float *scale);

void reference_rotary(float *x, const struct rotary *rotary);

void reference_swiglu_forward(struct array out, const float *gate_up, size_t rows, size_t width);
void reference_swiglu_backward(struct array grad_gate_up, const float *grad_out,
                               const float *gate_up, size_t rows, size_t width);

/* Arguments as of attention_forward and attention_backward. */
void reference_attention_forward(const struct attention *shape, struct array out, float *log_sum,
                                 const struct attention_inputs *in);
void reference_attention_backward(const struct attention *shape,
                                  const struct attention_gradients *gradients,
                                  const float *grad_out, struct const_array out,
                                  const float *log_sum, const struct attention_inputs *in);

/* As cross_entropy; scratch: the logits of all rows, f32, and behind them, for operands in bf16,
 * their gradients in bf16. */
size_t reference_cross_entropy_scratch_bytes(enum dtype type, size_t rows, size_t vocabulary);
void reference_cross_entropy(const struct cross_entropy *in, float *loss, float *grad_x,
                             float *grad_head);

void reference_adamw(const struct adamw *settings, const struct adamw_state *state,
                     const float *gradient, size_t count);
/* settings->scratch as for muon_step */
void reference_muon(const struct muon *settings, const struct muon_state *state,
                    const float *gradient);

void reference_random_normal(float *out, size_t count, float standard_deviation, uint64_t seed,
                             uint64_t stream);

#endif
