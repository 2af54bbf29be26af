/* Cross-entropy in chunks of rows, so that the full logits never stand in memory. */
#include "tensor/tensor_internal.h"

#include <string.h>

/* A chunk is as many rows as these bytes of logits hold, so that products are large.  Multiples of
 * LOSS_ROWS, which is even, so that pairs along the depth of the head's gradient never straddle
 * chunks: the chunk does not change a bit. */
enum { LOSS_ROWS = 256, LOSS_BYTES = 128 << 20 };

struct loss_chunk {
    struct compute *compute;
    const struct cross_entropy *in;
    float *logits; /* [rows, pitch]; a row's gradients, of the operands' type, take its place */
    size_t pitch;  /* floats */
    float *loss;
    size_t first, rows;
    bool backward;
};

/* Rows begin on cache lines, at distances that are no power of two: else many rows would meet in
 * few places of a cache. */
static size_t logits_pitch(size_t vocabulary)
{
    enum { LINE_FLOATS = 16 };
    return (vocabulary / LINE_FLOATS + 1) * LINE_FLOATS;
}

static size_t chunk_rows(size_t rows, size_t vocabulary)
{
    size_t most = LOSS_BYTES / (logits_pitch(vocabulary) * sizeof(float)) / LOSS_ROWS * LOSS_ROWS;
    most = most < LOSS_ROWS ? LOSS_ROWS : most;
    return rows < most ? rows : most;
}

size_t cross_entropy_scratch_bytes(size_t rows, size_t vocabulary)
{
    return chunk_rows(rows, vocabulary) * logits_pitch(vocabulary) * sizeof(float);
}

/* Elements of the gradients' type between their rows. */
static size_t grads_pitch(const struct loss_chunk *chunk)
{
    return chunk->pitch * sizeof(float) / dtype_bytes(chunk->in->x.type);
}

static void run_softmax(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct loss_chunk *chunk = context;
    const struct cross_entropy *in = chunk->in;
    for (size_t i = begin; i < end; i++) {
        float *logits = chunk->logits + i * chunk->pitch;
        uint32_t target = in->target[chunk->first + i];
        float total = chunk->compute->row->softmax_loss(logits, in->vocabulary, target,
                                                        &chunk->loss[chunk->first + i]);
        struct softmax_row row = {.exponentials = logits,
                                  .vocabulary = in->vocabulary,
                                  .out_at = i * grads_pitch(chunk),
                                  .target = target,
                                  .grad_scale = in->grad_scale,
                                  .total = total};
        if (chunk->backward)
            chunk->compute->row->softmax_grad((struct array){chunk->logits, in->x.type}, &row);
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
        .out_stride = chunk->pitch};
    matrix_product(chunk->compute, &logits);
}

static void chunk_gradients(const struct loss_chunk *chunk, float *grad_x, float *grad_head)
{
    const struct cross_entropy *in = chunk->in;
    size_t row_bytes = in->width * dtype_bytes(in->x.type);
    struct product to_x = {.rows = chunk->rows,
                           .columns = in->width,
                           .depth = in->vocabulary,
                           .a = {chunk->logits, in->x.type, grads_pitch(chunk), false},
                           .b = {in->head.data, in->head.type, in->width, false},
                           .out = grad_x + chunk->first * in->width,
                           .out_stride = in->width};
    matrix_product(chunk->compute, &to_x);
    struct product to_head = {
        .rows = in->vocabulary,
        .columns = in->width,
        .depth = chunk->rows,
        .a = {chunk->logits, in->x.type, grads_pitch(chunk), true},
        .b = {(const char *)in->x.data + chunk->first * row_bytes, in->x.type, in->width, false},
        .out = grad_head,
        .out_stride = in->width,
        .accumulate = in->accumulate || chunk->first > 0};
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
                               .pitch = logits_pitch(in->vocabulary),
                               .loss = loss,
                               .backward = grad_x != NULL};
    size_t most = chunk_rows(in->rows, in->vocabulary);
    for (; chunk.first < in->rows; chunk.first += most) {
        size_t left = in->rows - chunk.first;
        chunk.rows = left < most ? left : most;
        chunk_logits(&chunk);
        parallel_for(compute->pool, chunk.rows, chunk_of(chunk.rows, in->vocabulary * 8),
                     run_softmax, &chunk);
        if (chunk.backward)
            chunk_gradients(&chunk, grad_x, grad_head);
    }
}
