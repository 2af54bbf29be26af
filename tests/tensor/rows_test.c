#include "tensor/ops.h"

#include "tensor/math.h"
#include "tensor/reference.h"
#include "tensor/tensor_support.h"

static struct machines machines;
static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    struct error error = {0};
    machines_create(&machines);
    return arena_create(&arena, 0, &error) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    machines_destroy(&machines);
    arena_destroy(arena);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    arena_reset(arena);
    return 0;
}

static void *take(size_t bytes)
{
    struct error error = {0};
    void *out = arena_alloc(arena, bytes ? bytes : 1, 1, &error);
    assert_non_null(out);
    return out;
}

static float *take_hard(size_t count, float magnitude, uint64_t stream)
{
    float *out = take(count * sizeof *out);
    fill_hard(out, count, magnitude, stream);
    return out;
}

static float *copy_of(const float *x, size_t count)
{
    float *out = take(count * sizeof *out);
    memcpy(out, x, count * sizeof *out);
    return out;
}

static struct array take_array(enum dtype type, size_t count)
{
    return (struct array){take(count * dtype_bytes(type)), type};
}

static void check_array(struct array got, struct array want, size_t count, const char *what,
                        const struct compute *compute)
{
    if (got.type == DTYPE_BF16)
        check_equal_half(got.data, want.data, count, what, compute);
    else
        check_equal(got.data, want.data, count, what, compute);
}

/* Around the widths of vectors and chunks. */
static const size_t counts[] = {1, 15, 16, 17, 33, 4099, 50000};
static const size_t widths[] = {1, 7, 16, 31, 64, 130, 768, 771};
#define EACH(i, list) (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

/* ---- elements ---- */

static void converting_has_the_reference_s_bits(void **state)
{
    (void)state;
    for
        EACH(c, counts)
    for (int from = DTYPE_F32; from <= DTYPE_BF16; from++)
        for (int to = DTYPE_F32; to <= DTYPE_BF16; to++) {
            size_t count = counts[c];
            struct array x = take_array((enum dtype)from, count);
            struct array want = take_array((enum dtype)to, count);
            for (size_t i = 0; i < count; i++) /* every kind of bits, NaN among them */
                reference_set(x, i, float_of((uint32_t)(i * 2654435761u)));
            struct const_array in = {x.data, x.type};
            reference_convert(want, in, count);
            for (size_t m = 0; m < machines.count; m++) {
                struct array got = take_array((enum dtype)to, count);
                convert_array(machines.list[m], got, in, count);
                check_array(got, want, count, "convert_array", machines.list[m]);
            }
        }
}

static void adding_scaling_and_zeroing_have_the_reference_s_bits(void **state)
{
    (void)state;
    for
        EACH(c, counts)
        {
            size_t count = counts[c];
            float *a = take_hard(count, 3, 1), *b = take_hard(count, 1e-30f, 2);
            a[0] = INFINITY;
            b[count / 2] = -INFINITY;
            float *sum = take(count * sizeof *sum), *scaled = copy_of(b, count);
            reference_add(sum, a, b, count);
            reference_scale(scaled, 1.7e-9f, count);
            for (size_t m = 0; m < machines.count; m++) {
                float *got = take(count * sizeof *got);
                add_arrays(machines.list[m], got, a, b, count);
                check_equal(got, sum, count, "add_arrays", machines.list[m]);
                got = copy_of(a, count);
                residual_add(machines.list[m], got, b, count);
                check_equal(got, sum, count, "residual_add", machines.list[m]);
                got = copy_of(b, count);
                scale_array(machines.list[m], got, 1.7e-9f, count);
                check_equal(got, scaled, count, "scale_array", machines.list[m]);
                zero_array(machines.list[m], got, count);
                check_equal(got, take(count * sizeof *got), count, "zero_array", machines.list[m]);
            }
        }
}

/* ---- embedding ---- */

static void embedding_has_the_reference_s_bits_forward_and_backward(void **state)
{
    (void)state;
    enum { VOCABULARY = 13, COUNT = 300 };
    uint32_t tokens[COUNT];
    struct random_key key = {4, RANDOM_TEST, 0};
    for (uint32_t i = 0; i < COUNT; i++) /* tokens repeat, so the order of adding shows */
        tokens[i] = (uint32_t)random_below(key, i, VOCABULARY);
    for
        EACH(w, widths)
        {
            size_t width = widths[w];
            float *table = take_hard(VOCABULARY * width, 1, 1),
                  *grad = take_hard(COUNT * width, 1, 2);
            float *want = take(COUNT * width * sizeof *want);
            float *want_grad = copy_of(table, VOCABULARY * width);
            reference_embedding_forward(want, table, tokens, COUNT, width);
            reference_embedding_backward(want_grad, grad, tokens, COUNT, width);
            for (size_t m = 0; m < machines.count; m++) {
                float *got = take(COUNT * width * sizeof *got);
                embedding_forward(machines.list[m], got, table, tokens, COUNT, width);
                check_equal(got, want, COUNT * width, "embedding_forward", machines.list[m]);
                got = copy_of(table, VOCABULARY * width);
                embedding_backward(machines.list[m], got, grad, tokens, COUNT, width);
                check_equal(got, want_grad, VOCABULARY * width, "embedding_backward",
                            machines.list[m]);
            }
        }
}

/* ---- RMSNorm ---- */

static void rmsnorm_has_the_reference_s_bits_forward(void **state)
{
    (void)state;
    for
        EACH(w, widths)
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct rmsnorm shape = {70, widths[w], widths[w] + 3, widths[w] + 5, 1e-6f, 0};
        size_t count = shape.rows * shape.out_stride;
        float *x = take_hard(shape.rows * shape.x_stride, 2, 1);
        float *weight = take_hard(shape.width, 1, 2);
        struct array want = take_array((enum dtype)type, count);
        float *want_scale = take(shape.rows * sizeof *want_scale);
        reference_rmsnorm_forward(&shape, want, want_scale, x, weight);
        for (size_t m = 0; m < machines.count; m++) {
            struct array got = take_array((enum dtype)type, count);
            float *scale = take(shape.rows * sizeof *scale);
            rmsnorm_forward(machines.list[m], &shape, got, scale, x, weight);
            check_array(got, want, count, "rmsnorm_forward", machines.list[m]);
            check_equal(scale, want_scale, shape.rows, "its scales", machines.list[m]);
            got = take_array((enum dtype)type, count);
            rmsnorm_forward(machines.list[m], &shape, got, NULL, x, weight);
            check_array(got, want, count, "without scales", machines.list[m]);
        }
    }
}

struct norm_case {
    struct rmsnorm shape;
    const float *x, *weight, *grad_out, *scale, *old_grad_x, *old_grad_weight;
    bool accumulate;
};

static void check_norm_backward(const struct norm_case *norm)
{
    const struct rmsnorm *shape = &norm->shape;
    size_t count = shape->rows * shape->x_stride;
    struct rmsnorm_gradients want = {copy_of(norm->old_grad_x, count),
                                     copy_of(norm->old_grad_weight, shape->width),
                                     norm->accumulate};
    reference_rmsnorm_backward(shape, &want, norm->grad_out, norm->x, norm->weight, norm->scale);
    for (size_t m = 0; m < machines.count; m++) {
        struct rmsnorm_gradients got = {copy_of(norm->old_grad_x, count),
                                        copy_of(norm->old_grad_weight, shape->width),
                                        norm->accumulate};
        rmsnorm_backward(machines.list[m], shape, &got, norm->grad_out, norm->x, norm->weight,
                         norm->scale);
        check_equal(got.grad_x, want.grad_x, count, "gradient of x", machines.list[m]);
        check_equal(got.grad_weight, want.grad_weight, shape->width, "gradient of the weight",
                    machines.list[m]);
    }
}

static void rmsnorm_has_the_reference_s_bits_backward(void **state)
{
    (void)state;
    for
        EACH(w, widths)
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        struct norm_case norm = {.shape = {70, widths[w], widths[w] + 3, widths[w] + 5, 1e-6f, 0},
                                 .accumulate = accumulate};
        size_t count = norm.shape.rows * norm.shape.x_stride;
        size_t out_count = norm.shape.rows * norm.shape.out_stride;
        float *scale = take(norm.shape.rows * sizeof *scale);
        norm.x = take_hard(count, 2, 1);
        norm.weight = take_hard(norm.shape.width, 1, 2);
        norm.grad_out = take_hard(out_count, 1, 3);
        norm.old_grad_x = take_hard(count, 1, 4);
        norm.old_grad_weight = take_hard(norm.shape.width, 1, 5);
        reference_rmsnorm_forward(&norm.shape, take_array(DTYPE_F32, out_count), scale, norm.x,
                                  norm.weight);
        norm.scale = scale;
        check_norm_backward(&norm);
    }
}

/* Heads side by side: the parts of a row are vectors of their own, and their weight is one. */
static void parts_of_a_row_have_norms_of_their_own(void **state)
{
    (void)state;
    struct norm_case norm = {.shape = {20, 64, 5 * 64, 6 * 64, 1e-6f, 5}};
    size_t count = 20 * 5 * 64, out_count = 20 * 6 * 64, vectors = 100;
    float *scale = take(vectors * sizeof *scale);
    norm.x = take_hard(count, 2, 1);
    norm.weight = take_hard(64, 1, 2);
    norm.grad_out = take_hard(out_count, 1, 3);
    norm.old_grad_x = take_hard(count, 1, 4);
    norm.old_grad_weight = take_hard(64, 1, 5);
    struct array want = take_array(DTYPE_F32, out_count);
    reference_rmsnorm_forward(&norm.shape, want, scale, norm.x, norm.weight);
    for (size_t m = 0; m < machines.count; m++) {
        struct array got = take_array(DTYPE_F32, out_count);
        float *got_scale = take(vectors * sizeof *got_scale);
        rmsnorm_forward(machines.list[m], &norm.shape, got, got_scale, norm.x, norm.weight);
        check_array(got, want, out_count, "parts", machines.list[m]);
        check_equal(got_scale, scale, vectors, "scales of parts", machines.list[m]);
    }
    norm.scale = scale;
    check_norm_backward(&norm);
}

static void the_gradient_of_rmsnorm_may_take_the_place_of_its_input_gradient(void **state)
{
    (void)state;
    struct rmsnorm shape = {50, 96, 96, 96, 1e-6f, 0};
    size_t count = shape.rows * shape.width;
    float *x = take_hard(count, 1, 1), *weight = take_hard(shape.width, 1, 2);
    float *grad = take_hard(count, 1, 3), *scale = take(shape.rows * sizeof *scale);
    reference_rmsnorm_forward(&shape, take_array(DTYPE_F32, count), scale, x, weight);
    struct rmsnorm_gradients want = {take(count * 4), take(shape.width * 4), false};
    reference_rmsnorm_backward(&shape, &want, grad, x, weight, scale);
    for (size_t m = 0; m < machines.count; m++) {
        float *place = copy_of(grad, count);
        struct rmsnorm_gradients got = {place, take(shape.width * 4), false};
        rmsnorm_backward(machines.list[m], &shape, &got, place, x, weight, scale);
        check_equal(place, want.grad_x, count, "in place", machines.list[m]);
        check_equal(got.grad_weight, want.grad_weight, shape.width, "weight", machines.list[m]);
    }
}

/* ---- gradients against differences ----
 * The loss is sum(c * f(x)) with fixed c in double, so its gradient is the backward pass of c. */

typedef double loss_function(const void *context, const float *x);

static void check_gradient(loss_function *loss, const void *context, float *x, const float *grad,
                           size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)grad[i]));
    for (size_t i = 0; i < count; i++) {
        const float step = 0x1p-7f, old = x[i];
        x[i] = old + step;
        double high = loss(context, x);
        x[i] = old - step;
        double low = loss(context, x);
        x[i] = old;
        double slope = (high - low) / (2 * (double)step);
        if (fabs(slope - (double)grad[i]) > 1e-3 * largest + 1e-5)
            fail_msg("gradient %zu is %.6g, differences say %.6g", i, (double)grad[i], slope);
    }
}

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

struct norm_loss {
    struct rmsnorm shape;
    const float *x, *weight, *factors;
};

static double norm_loss_of_x(const void *context, const float *x)
{
    const struct norm_loss *loss = context;
    float out[256];
    reference_rmsnorm_forward(&loss->shape, (struct array){out, DTYPE_F32}, NULL, x, loss->weight);
    return dot(out, loss->factors, loss->shape.rows * loss->shape.width);
}

static double norm_loss_of_weight(const void *context, const float *weight)
{
    const struct norm_loss *loss = context;
    float out[256];
    reference_rmsnorm_forward(&loss->shape, (struct array){out, DTYPE_F32}, NULL, loss->x, weight);
    return dot(out, loss->factors, loss->shape.rows * loss->shape.width);
}

static void the_gradient_of_rmsnorm_is_its_slope(void **state)
{
    (void)state;
    float x[3 * 40], weight[40], factors[3 * 40], scale[3], grad_x[3 * 40] = {0}, out[3 * 40];
    float grad_weight[40] = {0};
    struct norm_loss loss = {{3, 40, 40, 40, 1e-5f, 0}, x, weight, factors};
    fill_uniform(x, 120, 2, 1);
    fill_uniform(weight, 40, 2, 2);
    fill_uniform(factors, 120, 1, 3);
    struct rmsnorm_gradients grads = {grad_x, grad_weight, false};
    rmsnorm_forward(machines.list[0], &loss.shape, (struct array){out, DTYPE_F32}, scale, x,
                    weight);
    rmsnorm_backward(machines.list[0], &loss.shape, &grads, factors, x, weight, scale);
    check_gradient(norm_loss_of_x, &loss, x, grad_x, 120);
    check_gradient(norm_loss_of_weight, &loss, weight, grad_weight, 40);
}

static double swiglu_loss(const void *context, const float *gate_up)
{
    float out[3 * 20];
    reference_swiglu_forward((struct array){out, DTYPE_F32}, gate_up, 3, 20);
    return dot(out, context, 60);
}

static void the_gradient_of_swiglu_is_its_slope(void **state)
{
    (void)state;
    float gate_up[120], factors[60], grad[120];
    fill_uniform(gate_up, 120, 4, 1);
    fill_uniform(factors, 60, 1, 2);
    swiglu_backward(machines.list[0], (struct array){grad, DTYPE_F32}, factors, gate_up, 3, 20);
    check_gradient(swiglu_loss, factors, gate_up, grad, 120);
}

/* ---- SwiGLU ---- */

static void swiglu_has_the_reference_s_bits_forward_and_backward(void **state)
{
    (void)state;
    enum { ROWS = 37 };
    for
        EACH(w, widths)
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        size_t width = widths[w], count = ROWS * width;
        float *gate_up = take_hard(2 * count, 100, 1), *grad = take_hard(count, 1, 2);
        gate_up[0] = INFINITY;
        struct array want = take_array((enum dtype)type, count);
        struct array want_grad = take_array((enum dtype)type, 2 * count);
        reference_swiglu_forward(want, gate_up, ROWS, width);
        reference_swiglu_backward(want_grad, grad, gate_up, ROWS, width);
        for (size_t m = 0; m < machines.count; m++) {
            struct array got = take_array((enum dtype)type, count);
            swiglu_forward(machines.list[m], got, gate_up, ROWS, width);
            check_array(got, want, count, "swiglu_forward", machines.list[m]);
            got = take_array((enum dtype)type, 2 * count);
            swiglu_backward(machines.list[m], got, grad, gate_up, ROWS, width);
            check_array(got, want_grad, 2 * count, "swiglu_backward", machines.list[m]);
        }
    }
}

/* ---- rotary ---- */

enum { POSITIONS = 50 };

static float *table_of(size_t head_size)
{
    struct error error = {0};
    float *table;
    assert_ok(rotary_table(&table, POSITIONS, head_size, 10000, arena, &error), error);
    return table;
}

static void the_rotary_table_holds_the_nearest_floats(void **state)
{
    (void)state;
    struct error error = {0};
    enum { FAR = 3000, HEAD = 64 };
    float *table;
    assert_ok(rotary_table(&table, FAR, HEAD, 500000, arena, &error), error);
    size_t different = 0;
    for (size_t position = 0; position < FAR; position++)
        for (size_t i = 0; i < HEAD / 2; i++) {
            double angle = (double)position * pow(500000, -2.0 * (double)i / HEAD);
            const float *row = table + position * HEAD;
            different += row[i] != (float)cos(angle);
            different += row[HEAD / 2 + i] != (float)sin(angle);
            assert_true(fabs((double)row[i] - cos(angle)) < 6.1e-8);
            assert_true(fabs((double)row[HEAD / 2 + i] - sin(angle)) < 6.1e-8);
        }
    assert_true(different < 10); /* of 192,000: roundings that fell on a tie */
}

static void rotary_has_the_reference_s_bits(void **state)
{
    (void)state;
    static const size_t heads_of[] = {2, 16, 34, 64, 128};
    for
        EACH(h, heads_of)
    for (int inverse = 0; inverse < 2; inverse++) {
        uint32_t positions[40];
        for (uint32_t i = 0; i < 40; i++)
            positions[i] = (i * 7) % POSITIONS;
        size_t head_size = heads_of[h], stride = 3 * head_size + 5;
        struct rotary rotary = {40, 3, head_size, stride, table_of(head_size), positions, inverse};
        float *x = take_hard(40 * stride, 2, 1), *want = copy_of(x, 40 * stride);
        reference_rotary(want, &rotary);
        for (size_t m = 0; m < machines.count; m++) {
            float *got = copy_of(x, 40 * stride);
            rotary_apply(machines.list[m], got, &rotary);
            check_equal(got, want, 40 * stride, "rotary_apply", machines.list[m]);
        }
    }
}

static void turning_back_undoes_turning_and_keeps_lengths(void **state)
{
    (void)state;
    enum { HEAD = 32 };
    uint32_t positions[POSITIONS];
    for (uint32_t i = 0; i < POSITIONS; i++)
        positions[i] = i;
    struct rotary rotary = {POSITIONS, 1, HEAD, HEAD, table_of(HEAD), positions, false};
    float *x = take(sizeof(float) * POSITIONS * HEAD), *old;
    fill_uniform(x, POSITIONS * HEAD, 1, 1);
    old = copy_of(x, POSITIONS * HEAD);
    rotary_apply(machines.list[0], x, &rotary);
    assert_true(x[5 * HEAD] != old[5 * HEAD]);
    for (size_t row = 0; row < POSITIONS; row++) {
        double before = dot(old + row * HEAD, old + row * HEAD, HEAD);
        assert_true(fabs(dot(x + row * HEAD, x + row * HEAD, HEAD) - before) < 1e-5);
    }
    rotary.inverse = true;
    rotary_apply(machines.list[0], x, &rotary);
    for (size_t i = 0; i < POSITIONS * HEAD; i++)
        assert_true(fabs((double)x[i] - (double)old[i]) < 1e-6);
}

/* ---- random numbers ---- */

static void normal_deviates_have_the_reference_s_bits(void **state)
{
    (void)state;
    for
        EACH(c, counts)
        {
            size_t count = counts[c];
            float *want = take(count * sizeof *want);
            reference_random_normal(want, count, 0.02f, 77, c);
            for (size_t m = 0; m < machines.count; m++) {
                float *got = take((count + 1) * sizeof *got);
                got[count] = 42;
                random_normal(machines.list[m], got, count, 0.02f, 77, c);
                check_equal(got, want, count, "random_normal", machines.list[m]);
                assert_true(got[count] == 42);
            }
        }
}

static void normal_deviates_are_normal(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    float *x = take(COUNT * sizeof *x);
    random_normal(machines.list[0], x, COUNT, 2, 1, 2);
    double mean = 0, square = 0, fourth = 0, neighbours = 0;
    size_t beyond = 0;
    for (size_t i = 0; i < COUNT; i++) {
        double z = (double)x[i] / 2;
        mean += z / COUNT;
        square += z * z / COUNT;
        fourth += z * z * z * z / COUNT;
        neighbours += z * (double)x[i ? i - 1 : COUNT - 1] / 2 / COUNT;
        beyond += fabs(z) > 1.959964;
    }
    assert_true(fabs(mean) < 0.004 && fabs(square - 1) < 0.006 && fabs(fourth - 3) < 0.04);
    assert_true(fabs(neighbours) < 0.004 && labs((long)beyond - COUNT / 20) < 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(converting_has_the_reference_s_bits, forget),
        cmocka_unit_test_teardown(adding_scaling_and_zeroing_have_the_reference_s_bits, forget),
        cmocka_unit_test_teardown(embedding_has_the_reference_s_bits_forward_and_backward, forget),
        cmocka_unit_test_teardown(rmsnorm_has_the_reference_s_bits_forward, forget),
        cmocka_unit_test_teardown(rmsnorm_has_the_reference_s_bits_backward, forget),
        cmocka_unit_test_teardown(parts_of_a_row_have_norms_of_their_own, forget),
        cmocka_unit_test_teardown(the_gradient_of_rmsnorm_may_take_the_place_of_its_input_gradient,
                                  forget),
        cmocka_unit_test(the_gradient_of_rmsnorm_is_its_slope),
        cmocka_unit_test(the_gradient_of_swiglu_is_its_slope),
        cmocka_unit_test_teardown(swiglu_has_the_reference_s_bits_forward_and_backward, forget),
        cmocka_unit_test_teardown(the_rotary_table_holds_the_nearest_floats, forget),
        cmocka_unit_test_teardown(rotary_has_the_reference_s_bits, forget),
        cmocka_unit_test_teardown(turning_back_undoes_turning_and_keeps_lengths, forget),
        cmocka_unit_test_teardown(normal_deviates_have_the_reference_s_bits, forget),
        cmocka_unit_test_teardown(normal_deviates_are_normal, forget),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
