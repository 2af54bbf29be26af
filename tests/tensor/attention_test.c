/* Attention and the loss against plain loops, bit for bit on every path. */
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

static void compare_forward(const struct machines *machines, const struct attention *shape,
                            struct data *data)
{
    struct attention_inputs in = {data->query, data->key, data->value};
    reference_attention_forward(shape, (struct array){data->out[1], DTYPE_F32}, data->log_sum[1],
                                &in);
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
            struct attention_gradients expected = {data->grad_query[1], data->grad_key[1],
                                                   data->grad_value[1]};
            reference_attention_forward(&shape, (struct array){data->out[1], DTYPE_F32},
                                        data->log_sum[1], &in);
            reference_attention_backward(&shape, &expected, data->grad_out,
                                         (struct const_array){data->out[1], DTYPE_F32},
                                         data->log_sum[1], &in);
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
    uint16_t x_half[ROWS * WIDTH], head_half[VOCABULARY * WIDTH];
    float grad_x[2][ROWS * WIDTH], grad_head[2][VOCABULARY * WIDTH];
    uint32_t target[ROWS];
    void *scratch;
};

static struct loss_data *make_loss_data(void)
{
    struct loss_data *data = calloc(1, sizeof *data);
    struct random_key key = {4, RANDOM_TEST, 0};
    assert_non_null(data);
    data->scratch = malloc(reference_cross_entropy_scratch_bytes(DTYPE_BF16, ROWS, VOCABULARY));
    assert_non_null(data->scratch);
    assert_true(cross_entropy_scratch_bytes(ROWS, VOCABULARY) <=
                reference_cross_entropy_scratch_bytes(DTYPE_BF16, ROWS, VOCABULARY));
    fill_uniform(data->x, ROWS * WIDTH, 2, 1);
    fill_uniform(data->head, VOCABULARY * WIDTH, 1, 2);
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        data->x_half[i] = bf16_from_f32(data->x[i]);
    for (size_t i = 0; i < VOCABULARY * WIDTH; i++)
        data->head_half[i] = bf16_from_f32(data->head[i]);
    for (size_t i = 0; i < ROWS; i++)
        data->target[i] = i % 7 == 3 ? TARGET_NONE : (uint32_t)random_below(key, i, VOCABULARY);
    return data;
}

static void check_loss(const struct machines *machines, struct loss_data *data, enum dtype type,
                       bool accumulate)
{
    bool half = type == DTYPE_BF16;
    struct cross_entropy in = {.rows = ROWS,
                               .width = WIDTH,
                               .vocabulary = VOCABULARY,
                               .x = {half ? (void *)data->x_half : data->x, type},
                               .head = {half ? (void *)data->head_half : data->head, type},
                               .target = data->target,
                               .grad_scale = 0.01f,
                               .accumulate = accumulate,
                               .scratch = data->scratch};
    fill_uniform(data->grad_head[1], VOCABULARY * WIDTH, 1, 3);
    reference_cross_entropy(&in, data->loss[1], data->grad_x[1], data->grad_head[1]);
    for (size_t m = 0; m < machines->count; m++) {
        fill_uniform(data->grad_head[0], VOCABULARY * WIDTH, 1, 3);
        cross_entropy(machines->list[m], &in, data->loss[0], data->grad_x[0], data->grad_head[0]);
        check_equal(data->loss[0], data->loss[1], ROWS, "loss", machines->list[m]);
        check_equal(data->grad_x[0], data->grad_x[1], ROWS * WIDTH, "grad_x", machines->list[m]);
        check_equal(data->grad_head[0], data->grad_head[1], VOCABULARY * WIDTH, "grad_head",
                    machines->list[m]);
        cross_entropy(machines->list[m], &in, data->loss[0], NULL, NULL);
        check_equal(data->loss[0], data->loss[1], ROWS, "loss alone", machines->list[m]);
    }
}

static void the_loss_and_its_gradients_equal_plain_loops(void **state)
{
    (void)state;
    struct machines machines;
    struct loss_data *data = make_loss_data();
    machines_create(&machines);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        check_loss(&machines, data, DTYPE_F32, accumulate);
        check_loss(&machines, data, DTYPE_BF16, accumulate);
    }
    machines_destroy(&machines);
    free(data->scratch);
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
