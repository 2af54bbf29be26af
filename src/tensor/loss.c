/* Cross-entropy in chunks of rows, so that the full logits never stand in memory. */
#include "tensor/tensor_internal.h"

#include <string.h>

/* Even, so that pairs along the depth of the head's gradient never straddle chunks: the chunk does
 * not change a bit. */
enum { LOSS_ROWS = 256 };

struct loss_chunk {
    struct compute *compute;
    const struct cross_entropy *in;
    float *logits;      /* [LOSS_ROWS, vocabulary] */
    struct array grads; /* [LOSS_ROWS, vocabulary] of the operands' type; f32: the logits' place */
    float *loss;
    size_t first, rows;
    bool backward;
};

static size_t logits_bytes(size_t vocabulary)
{
    return (LOSS_ROWS * vocabulary * sizeof(float) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

size_t cross_entropy_scratch_bytes(enum dtype type, size_t vocabulary)
{
    size_t half = type == DTYPE_BF16 ? LOSS_ROWS * vocabulary * sizeof(uint16_t) : 0;
    return logits_bytes(vocabulary) + half;
}

static void run_softmax(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct loss_chunk *chunk = context;
    const struct cross_entropy *in = chunk->in;
    for (size_t i = begin; i < end; i++) {
        float *logits = chunk->logits + i * in->vocabulary;
        uint32_t target = in->target[chunk->first + i];
        float total = chunk->compute->row->softmax_loss(logits, in->vocabulary, target,
                                                        &chunk->loss[chunk->first + i]);
        struct softmax_row row = {.exponentials = logits,
                                  .vocabulary = in->vocabulary,
                                  .out_at = i * in->vocabulary,
                                  .target = target,
                                  .grad_scale = in->grad_scale,
                                  .total = total};
        if (chunk->backward)
            chunk->compute->row->softmax_grad(chunk->grads, &row);
    }
}

static void chunk_logits(const struct loss_chunk *chunk)
{
    const struct cross_entropy *in = chunk->in;
    size_t row_bytes = in->width * dtype_bytes(in->x.type);
    struct product logits = {
        .rows = chunk->rows,
        .columns = in->vocabulary,
        .depth = in->width,
        .a = {(const char *)in->x.data + chunk->first * row_bytes, in->x.type, in->width, false},
        .b = {in->head.data, in->head.type, in->width, true},
        .out = chunk->logits,
        .out_stride = in->vocabulary};
    matrix_product(chunk->compute, &logits);
}

static void chunk_gradients(const struct loss_chunk *chunk, float *grad_x, float *grad_head)
{
    const struct cross_entropy *in = chunk->in;
    size_t row_bytes = in->width * dtype_bytes(in->x.type);
    struct product to_x = {.rows = chunk->rows,
                           .columns = in->width,
                           .depth = in->vocabulary,
                           .a = {chunk->grads.data, chunk->grads.type, in->vocabulary, false},
                           .b = {in->head.data, in->head.type, in->width, false},
                           .out = grad_x + chunk->first * in->width,
                           .out_stride = in->width};
    matrix_product(chunk->compute, &to_x);
    struct product to_head = {
        .rows = in->vocabulary,
        .columns = in->width,
        .depth = chunk->rows,
        .a = {chunk->grads.data, chunk->grads.type, in->vocabulary, true},
        .b = {(const char *)in->x.data + chunk->first * row_bytes, in->x.type, in->width, false},
        .out = grad_head,
        .out_stride = in->width,
        .accumulate = true};
    matrix_product(chunk->compute, &to_head);
}

void cross_entropy(struct compute *compute, const struct cross_entropy *in, float *loss,
                   float *grad_x, float *grad_head)
{
    ASSERT(compute && in && in->x.data && in->head.data && in->target && in->scratch && loss);
    ASSERT((grad_x == NULL) == (grad_head == NULL) && in->x.type == in->head.type);
    struct loss_chunk chunk = {.compute = compute,
                               .in = in,
                               .logits = in->scratch,
                               .grads = {in->scratch, DTYPE_F32},
                               .loss = loss,
                               .backward = grad_x != NULL};
    if (in->x.type == DTYPE_BF16)
        chunk.grads =
            (struct array){(char *)in->scratch + logits_bytes(in->vocabulary), DTYPE_BF16};
    for (; chunk.first < in->rows; chunk.first += LOSS_ROWS) {
        size_t left = in->rows - chunk.first;
        chunk.rows = left < LOSS_ROWS ? left : LOSS_ROWS;
        chunk_logits(&chunk);
        parallel_for(compute->pool, chunk.rows, chunk_of(chunk.rows, in->vocabulary * 8),
                     run_softmax, &chunk);
        if (chunk.backward)
            chunk_gradients(&chunk, grad_x, grad_head);
    }
}
