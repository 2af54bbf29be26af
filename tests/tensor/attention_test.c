/* Attention and the loss against plain loops that say what docs/numerics.md says, bit for bit on
 * every path. */
#include "tensor/math.h"
#include "tensor/reference.h"
#include "tensor_support.h"

enum { SEQUENCES = 2, KEYS_MAX = 150, HEADS = 4, KV_HEADS = 2, HEAD_SIZE = 64 };
enum { QUERY_WIDTH = HEADS * HEAD_SIZE, KV_WIDTH = KV_HEADS * HEAD_SIZE };

struct data {
    float query[SEQUENCES * KEYS_MAX * QUERY_WIDTH], grad_out[SEQUENCES * KEYS_MAX * QUERY_WIDTH];
    float key[SEQUENCES * KEYS_MAX * KV_WIDTH], value[SEQUENCES * KEYS_MAX * KV_WIDTH];
    uint32_t first_key[SEQUENCES * KEYS_MAX];
    float out[2][SEQUENCES * KEYS_MAX * QUERY_WIDTH], log_sum[2][SEQUENCES * HEADS * KEYS_MAX];
    float grad_query[2][SEQUENCES * KEYS_MAX * QUERY_WIDTH];
    float grad_key[2][SEQUENCES * KEYS_MAX * KV_WIDTH],
        grad_value[2][SEQUENCES * KEYS_MAX * KV_WIDTH];
};

static struct attention make_shape(size_t queries, size_t first, const uint32_t *first_key)
{
    return (struct attention){.sequences = SEQUENCES,
                              .queries = queries,
                              .keys = first + queries,
                              .query_first = first,
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .head_size = HEAD_SIZE,
                              .query_stride = QUERY_WIDTH,
                              .kv_stride = KV_WIDTH,
                              .kv_sequence_stride = (first + queries) * KV_WIDTH,
                              .first_key = first_key};
}

static struct data *make_data(float magnitude)
{
    struct data *data = calloc(1, sizeof *data);
    assert_non_null(data);
    fill_uniform(data->query, sizeof data->query / 4, magnitude, 1);
    fill_uniform(data->key, sizeof data->key / 4, magnitude, 2);
    fill_uniform(data->value, sizeof data->value / 4, 1, 3);
    fill_uniform(data->grad_out, sizeof data->grad_out / 4, 1, 4);
    return data;
}

/* Documents packed in a row begin at these places. */
static void pack_documents(struct data *data, size_t keys)
{
    static const size_t starts[] = {0, 3, 64, 70, 130};
    for (size_t i = 0; i < SEQUENCES * keys; i++)
        for (size_t s = 0; s < 5; s++)
            if (i % keys >= starts[s])
                data->first_key[i] = (uint32_t)starts[s];
}

static float chain_dot(const float *a, const float *b)
{
    float sum = 0;
    for (size_t d = 0; d < HEAD_SIZE; d++)
        sum = fmaf(a[d], b[d], sum);
    return sum;
}

static size_t first_of(const struct attention *shape, size_t sequence, size_t position)
{
    return shape->first_key ? shape->first_key[sequence * shape->keys + position] : 0;
}

struct row { /* one query of one head */
    size_t sequence, head, query, position, first;
    const float *q;
    float log_sum;
};

static struct row row_of(const struct attention *shape, const struct data *data, size_t sequence,
                         size_t head, size_t query)
{
    struct row row = {sequence, head, query, shape->query_first + query, 0, NULL, 0};
    row.first = first_of(shape, sequence, row.position);
    row.q = data->query + (sequence * shape->queries + query) * QUERY_WIDTH + head * HEAD_SIZE;
    return row;
}

static size_t kv_at(const struct attention *shape, const struct row *row, size_t key)
{
    return row->sequence * shape->kv_sequence_stride + key * KV_WIDTH +
           row->head / (HEADS / KV_HEADS) * HEAD_SIZE;
}

static void plain_row(const struct attention *shape, const struct data *data, const struct row *row,
                      float *out, float *log_sum)
{
    float scale = 1.0f / sqrtf(HEAD_SIZE), maximum = -INFINITY, total = 0;
    memset(out, 0, HEAD_SIZE * sizeof *out);
    for (size_t block = row->first / 64 * 64; block <= row->position; block += 64) {
        float weights[64] = {0}, lanes[16] = {0}, next = maximum;
        size_t begin = row->first > block ? row->first : block;
        size_t end = row->position + 1 < block + 64 ? row->position + 1 : block + 64;
        for (size_t j = begin; j < end; j++) {
            weights[j - block] = chain_dot(row->q, data->key + kv_at(shape, row, j)) * scale;
            next = next > weights[j - block] ? next : weights[j - block];
        }
        float factor = math_exp(maximum - next);
        for (size_t j = begin; j < end; j++)
            weights[j - block] = math_exp(weights[j - block] - next);
        for (size_t j = 0; j < 64; j++)
            lanes[j % 16] = lanes[j % 16] + weights[j];
        for (int half = 8; half; half /= 2)
            for (int j = 0; j < half; j++)
                lanes[j] = lanes[j] + lanes[j + half];
        total = fmaf(total, factor, lanes[0]);
        maximum = next;
        for (size_t d = 0; d < HEAD_SIZE; d++) {
            float sum = out[d] * factor;
            for (size_t j = begin; j < end; j++)
                sum = fmaf(weights[j - block], data->value[kv_at(shape, row, j) + d], sum);
            out[d] = sum;
        }
    }
    for (size_t d = 0; d < HEAD_SIZE; d++)
        out[d] = out[d] / total;
    *log_sum = maximum + math_log(total);
}

static void plain_forward(const struct attention *shape, struct data *data)
{
    for (size_t s = 0; s < SEQUENCES; s++)
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < shape->queries; i++) {
                struct row row = row_of(shape, data, s, h, i);
                plain_row(shape, data, &row,
                          data->out[1] + (s * shape->queries + i) * QUERY_WIDTH + h * HEAD_SIZE,
                          &data->log_sum[1][(s * HEADS + h) * shape->queries + i]);
            }
}

static void plain_backward_row(const struct attention *shape, struct data *data,
                               const struct row *row)
{
    size_t at = (row->sequence * shape->queries + row->query) * QUERY_WIDTH + row->head * HEAD_SIZE;
    const float *grad_out = data->grad_out + at;
    float scale = 1.0f / sqrtf(HEAD_SIZE), lanes[16] = {0};
    float log_sum =
        data->log_sum[1][(row->sequence * HEADS + row->head) * shape->queries + row->query];
    for (size_t d = 0; d < HEAD_SIZE; d++)
        lanes[d % 16] = fmaf(grad_out[d], data->out[1][at + d], lanes[d % 16]);
    for (int half = 8; half; half /= 2)
        for (int j = 0; j < half; j++)
            lanes[j] = lanes[j] + lanes[j + half];
    for (size_t j = row->first; j <= row->position; j++) {
        size_t kv = kv_at(shape, row, j);
        float p = math_exp(chain_dot(row->q, data->key + kv) * scale - log_sum);
        float slope = p * (chain_dot(grad_out, data->value + kv) - lanes[0]) * scale;
        for (size_t d = 0; d < HEAD_SIZE; d++) {
            data->grad_query[1][at + d] =
                fmaf(slope, data->key[kv + d], data->grad_query[1][at + d]);
            data->grad_key[1][kv + d] = fmaf(slope, row->q[d], data->grad_key[1][kv + d]);
            data->grad_value[1][kv + d] = fmaf(p, grad_out[d], data->grad_value[1][kv + d]);
        }
    }
}

static void plain_backward(const struct attention *shape, struct data *data)
{
    for (size_t s = 0; s < SEQUENCES; s++)
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < shape->queries; i++) {
                struct row row = row_of(shape, data, s, h, i);
                plain_backward_row(shape, data, &row);
            }
}

static void compare_forward(const struct machines *machines, const struct attention *shape,
                            struct data *data)
{
    struct attention_inputs in = {data->query, data->key, data->value};
    plain_forward(shape, data);
    for (size_t m = 0; m < machines->count; m++) {
        attention_forward(machines->list[m], shape, (struct array){data->out[0], DTYPE_F32},
                          data->log_sum[0], &in);
        check_equal(data->out[0], data->out[1], SEQUENCES * shape->queries * QUERY_WIDTH, "out",
                    machines->list[m]);
        check_equal(data->log_sum[0], data->log_sum[1], SEQUENCES * HEADS * shape->queries,
                    "log_sum", machines->list[m]);
    }
}

static void forward_equals_plain_loops(void **state)
{
    (void)state;
    static const size_t lengths[][2] = {{1, 0},   {5, 0},   {64, 0}, {100, 0},
                                        {150, 0}, {1, 149}, {1, 64}, {37, 100}};
    struct machines machines;
    machines_create(&machines);
    for (int masked = 0; masked < 2; masked++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct data *data = make_data(masked ? 1 : 8);
            size_t keys = lengths[i][0] + lengths[i][1];
            pack_documents(data, keys);
            struct attention shape =
                make_shape(lengths[i][0], lengths[i][1], masked ? data->first_key : NULL);
            compare_forward(&machines, &shape, data);
            free(data);
        }
    machines_destroy(&machines);
}

static void backward_equals_plain_loops(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 63, 65, 150};
    struct machines machines;
    machines_create(&machines);
    for (int masked = 0; masked < 2; masked++)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct data *data = make_data(2);
            pack_documents(data, lengths[i]);
            struct attention shape = make_shape(lengths[i], 0, masked ? data->first_key : NULL);
            struct attention_inputs in = {data->query, data->key, data->value};
            struct attention_gradients grad = {data->grad_query[0], data->grad_key[0],
                                               data->grad_value[0]};
            plain_forward(&shape, data);
            plain_backward(&shape, data);
            for (size_t m = 0; m < machines.count; m++) {
                attention_backward(machines.list[m], &shape, &grad, data->grad_out,
                                   (struct const_array){data->out[1], DTYPE_F32}, data->log_sum[1],
                                   &in);
                size_t rows = SEQUENCES * lengths[i];
                check_equal(grad.grad_query, data->grad_query[1], rows * QUERY_WIDTH, "grad_query",
                            machines.list[m]);
                check_equal(grad.grad_key, data->grad_key[1], rows * KV_WIDTH, "grad_key",
                            machines.list[m]);
                check_equal(grad.grad_value, data->grad_value[1], rows * KV_WIDTH, "grad_value",
                            machines.list[m]);
            }
            free(data);
        }
    machines_destroy(&machines);
}

/* ---- the loss ---- */

enum { ROWS = 300, WIDTH = 64, VOCABULARY = 517 };

struct loss_data {
    float x[ROWS * WIDTH], head[VOCABULARY * WIDTH], loss[2][ROWS];
    float grad_x[2][ROWS * WIDTH], grad_head[2][VOCABULARY * WIDTH];
    float logits[ROWS * VOCABULARY];
    uint32_t target[ROWS];
};

static void plain_softmax(struct loss_data *data, size_t row, float grad_scale)
{
    float *z = data->logits + row * VOCABULARY, maximum = -INFINITY, lanes[16] = {0};
    uint32_t target = data->target[row];
    for (size_t i = 0; i < VOCABULARY; i++)
        maximum = maximum > z[i] ? maximum : z[i];
    float wanted = target == TARGET_NONE ? 0 : z[target];
    for (size_t i = 0; i < VOCABULARY; i++) {
        z[i] = math_exp(z[i] - maximum);
        lanes[i % 16] = lanes[i % 16] + z[i];
    }
    for (int half = 8; half; half /= 2)
        for (int j = 0; j < half; j++)
            lanes[j] = lanes[j] + lanes[j + half];
    bool learnt = target != TARGET_NONE;
    data->loss[1][row] = learnt ? (math_log(lanes[0]) + maximum) - wanted : 0;
    float inverse = learnt ? 1.0f / lanes[0] : 0;
    for (size_t i = 0; i < VOCABULARY; i++)
        z[i] = (z[i] * inverse - (learnt && i == target ? 1 : 0)) * grad_scale;
}

static void plain_loss(struct loss_data *data, float grad_scale)
{
    struct product logits = {.rows = ROWS,
                             .columns = VOCABULARY,
                             .depth = WIDTH,
                             .a = {data->x, DTYPE_F32, WIDTH, false},
                             .b = {data->head, DTYPE_F32, WIDTH, true},
                             .out = data->logits,
                             .out_stride = VOCABULARY};
    reference_product(&logits);
    for (size_t row = 0; row < ROWS; row++)
        plain_softmax(data, row, grad_scale);
    struct product to_x = {.rows = ROWS,
                           .columns = WIDTH,
                           .depth = VOCABULARY,
                           .a = {data->logits, DTYPE_F32, VOCABULARY, false},
                           .b = {data->head, DTYPE_F32, WIDTH, false},
                           .out = data->grad_x[1],
                           .out_stride = WIDTH};
    reference_product(&to_x);
    struct product to_head = {.rows = VOCABULARY,
                              .columns = WIDTH,
                              .depth = ROWS,
                              .a = {data->logits, DTYPE_F32, VOCABULARY, true},
                              .b = {data->x, DTYPE_F32, WIDTH, false},
                              .out = data->grad_head[1],
                              .out_stride = WIDTH,
                              .accumulate = true};
    reference_product(&to_head);
}

static void the_loss_and_its_gradients_equal_plain_loops(void **state)
{
    (void)state;
    struct machines machines;
    struct loss_data *data = calloc(1, sizeof *data);
    struct random_key key = {4, RANDOM_TEST, 0};
    void *scratch = malloc(cross_entropy_scratch_bytes(DTYPE_F32, VOCABULARY));
    assert_true(data && scratch);
    fill_uniform(data->x, ROWS * WIDTH, 2, 1);
    fill_uniform(data->head, VOCABULARY * WIDTH, 1, 2);
    for (size_t i = 0; i < ROWS; i++)
        data->target[i] = i % 7 == 3 ? TARGET_NONE : (uint32_t)random_below(key, i, VOCABULARY);
    plain_loss(data, 0.01f);
    machines_create(&machines);
    for (size_t m = 0; m < machines.count; m++) {
        struct cross_entropy in = {
            ROWS,         WIDTH, VOCABULARY, {data->x, DTYPE_F32}, {data->head, DTYPE_F32},
            data->target, 0.01f, scratch};
        memset(data->grad_head[0], 0, sizeof data->grad_head[0]);
        cross_entropy(machines.list[m], &in, data->loss[0], data->grad_x[0], data->grad_head[0]);
        check_equal(data->loss[0], data->loss[1], ROWS, "loss", machines.list[m]);
        check_equal(data->grad_x[0], data->grad_x[1], ROWS * WIDTH, "grad_x", machines.list[m]);
        check_equal(data->grad_head[0], data->grad_head[1], VOCABULARY * WIDTH, "grad_head",
                    machines.list[m]);
        cross_entropy(machines.list[m], &in, data->loss[0], NULL, NULL);
        check_equal(data->loss[0], data->loss[1], ROWS, "loss alone", machines.list[m]);
    }
    machines_destroy(&machines);
    free(scratch);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_plain_loops),
        cmocka_unit_test(backward_equals_plain_loops),
        cmocka_unit_test(the_loss_and_its_gradients_equal_plain_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
