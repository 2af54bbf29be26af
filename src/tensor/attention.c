/* Attention over the threads: a task is a tile of queries of one head (forward), a key-value head
 * (backward). */
#include "tensor/tensor_internal.h"

struct attention_job {
    struct compute *compute;
    struct attention_task task;
    size_t tiles;
};

static void check_shape(const struct attention *shape)
{
    ASSERT(shape->sequences && shape->queries && shape->heads && shape->kv_heads);
    ASSERT(shape->heads % shape->kv_heads == 0);
    ASSERT(shape->head_size % 16 == 0 && shape->head_size <= HEAD_SIZE_MAX);
    ASSERT(shape->query_first + shape->queries <= shape->keys);
}

static void run_forward(void *context, size_t begin, size_t end, int thread)
{
    const struct attention_job *job = context;
    const struct attention *shape = job->task.shape;
    for (size_t i = begin; i < end; i++) {
        struct attention_task task = job->task;
        /* the longest rows first, so that the last chunks are short ones */
        size_t tile = job->tiles - 1 - i / (shape->heads * shape->sequences);
        task.head = i % shape->heads;
        task.sequence = i / shape->heads % shape->sequences;
        task.query = tile * QUERY_TILE;
        task.queries = shape->queries - task.query;
        task.queries = task.queries < QUERY_TILE ? task.queries : QUERY_TILE;
        task.scratch = job->compute->thread[thread];
        job->compute->attention->forward(&task);
    }
}

void attention_forward(struct compute *compute, const struct attention *shape, struct array out,
                       float *log_sum, const struct attention_inputs *in)
{
    ASSERT(compute && shape && out.data && in && in->query && in->key && in->value);
    check_shape(shape);
    struct attention_job job = {.compute = compute,
                                .task = {.shape = shape, .in = *in, .out = out, .log_sum = log_sum},
                                .tiles = (shape->queries + QUERY_TILE - 1) / QUERY_TILE};
    parallel_for(compute->pool, job.tiles * shape->heads * shape->sequences, 1, run_forward, &job);
}

static void run_backward(void *context, size_t begin, size_t end, int thread)
{
    const struct attention_job *job = context;
    for (size_t i = begin; i < end; i++) {
        struct attention_task task = job->task;
        task.head = i % task.shape->kv_heads;
        task.sequence = i / task.shape->kv_heads;
        task.scratch = job->compute->thread[thread];
        job->compute->attention->backward(&task);
    }
}

void attention_backward(struct compute *compute, const struct attention *shape,
                        const struct attention_gradients *gradients, const float *grad_out,
                        struct const_array out, const float *log_sum,
                        const struct attention_inputs *in)
{
    ASSERT(compute && shape && gradients && grad_out && out.data && log_sum && in);
    ASSERT(shape->query_first == 0 && shape->queries == shape->keys);
    check_shape(shape);
    struct attention_job job = {.compute = compute,
                                .task = {.shape = shape,
                                         .in = *in,
                                         .grad = *gradients,
                                         .grad_out = grad_out,
                                         .log_sum_in = log_sum,
                                         .out_in = out}};
    parallel_for(compute->pool, shape->kv_heads * shape->sequences, 1, run_backward, &job);
}
