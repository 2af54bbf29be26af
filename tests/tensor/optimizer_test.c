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

static void *copy_of(const void *x, size_t bytes)
{
    void *out = take(bytes);
    memcpy(out, x, bytes);
    return out;
}

/* ---- sums ---- */

/* Around lanes, blocks of 4,096 and sixteen blocks. */
static const size_t counts[] = {0, 1, 15, 17, 4095, 4096, 4097, 16 * 4096 + 3, 70 * 4096 + 100};
#define EACH(i, list) (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

static void sums_have_the_reference_s_bits(void **state)
{
    (void)state;
    for
        EACH(c, counts)
        {
            float *x = take_hard(counts[c], 3, c);
            float squares = reference_sum_of_squares(x, counts[c]);
            float values = reference_sum_of_values(x, counts[c]);
            for (size_t m = 0; m < machines.count; m++) {
                float got = sum_of_squares(machines.list[m], x, counts[c]);
                check_equal(&got, &squares, 1, "sum_of_squares", machines.list[m]);
                got = sum_of_values(machines.list[m], x, counts[c]);
                check_equal(&got, &values, 1, "sum_of_values", machines.list[m]);
            }
        }
}

static void sums_are_near_the_true_ones(void **state)
{
    (void)state;
    enum { COUNT = 300001 };
    float *x = take(COUNT * sizeof *x);
    fill_uniform(x, COUNT, 1, 9);
    double squares = 0, values = 0;
    for (size_t i = 0; i < COUNT; i++) {
        squares += (double)x[i] * (double)x[i];
        values += (double)x[i];
    }
    assert_true(fabs((double)sum_of_squares(machines.list[0], x, COUNT) / squares - 1) < 1e-6);
    assert_true(fabs((double)sum_of_values(machines.list[0], x, COUNT) - values) < 1e-2);
}

static void one_number_that_is_not_finite_is_found_wherever_it_stands(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xff812345};
    for
        EACH(c, counts)
        {
            size_t count = counts[c];
            float *x = take_hard(count, 3e38f, c);
            for (size_t m = 0; m < machines.count; m++) {
                assert_true(all_finite(machines.list[m], x, count));
                for (size_t i = 0; i < 5 && count; i++) {
                    size_t at = i * (count - 1) / 4;
                    float old = x[at];
                    x[at] = float_of(bad[(c + i) % 4]);
                    assert_false(all_finite(machines.list[m], x, count));
                    x[at] = old;
                }
            }
        }
}

/* ---- AdamW ---- */

static struct adamw_state take_adamw(size_t count, bool copy)
{
    struct adamw_state out = {take_hard(count, 1, 1), take_hard(count, 0.1f, 2),
                              take_hard(count, 0.1f, 3), copy ? take(count * 2) : NULL};
    for (size_t i = 0; i < count; i++)
        out.second[i] = fabsf(out.second[i]);
    return out;
}

static void adamw_has_the_reference_s_bits_over_several_steps(void **state)
{
    (void)state;
    for
        EACH(c, counts)
    for (int copy = 0; copy < 2; copy++) {
        size_t count = counts[c];
        float *gradient = take_hard(count, 1, 4);
        struct adamw settings = {3e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.37f, 1};
        struct adamw_state want = take_adamw(count, copy);
        for (settings.step = 1; settings.step <= 3; settings.step++)
            reference_adamw(&settings, &want, gradient, count);
        for (size_t m = 0; m < machines.count; m++) {
            struct adamw_state got = take_adamw(count, copy);
            for (settings.step = 1; settings.step <= 3; settings.step++)
                adamw_step(machines.list[m], &settings, &got, gradient, count);
            check_equal(got.weight, want.weight, count, "weight", machines.list[m]);
            check_equal(got.first, want.first, count, "first moment", machines.list[m]);
            check_equal(got.second, want.second, count, "second moment", machines.list[m]);
            if (copy)
                check_equal_half(got.copy, want.copy, count, "copy", machines.list[m]);
        }
    }
}

/* The algorithm as its paper has it, in double. */
static void adamw_follows_its_paper(void **state)
{
    (void)state;
    float weight = 0.7f, first = 0, second = 0;
    double w = 0.7, m = 0, v = 0;
    for (int64_t step = 1; step <= 200; step++) {
        float gradient = sinf((float)step) * 4;
        struct adamw settings = {1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, 0.25f, step};
        struct adamw_state one = {&weight, &first, &second, NULL};
        adamw_step(machines.list[0], &settings, &one, &gradient, 1);
        double g = (double)gradient * 0.25;
        m = 0.9 * m + 0.1 * g;
        v = 0.99 * v + 0.01 * g * g;
        double mean = m / (1 - pow(0.9, (double)step)), square = v / (1 - pow(0.99, (double)step));
        w -= 1e-2 * (mean / (sqrt(square) + 1e-8) + 0.1 * w);
        assert_true(fabs((double)weight - w) < 2e-6 * (double)step);
    }
    assert_true(weight < 0.65f);
}

/* ---- Muon ---- */

struct shape {
    size_t rows, columns;
};
static const struct shape shapes[] = {{1, 1}, {5, 3}, {16, 16}, {33, 70}, {70, 33}, {64, 192}};

static void muon_has_the_reference_s_bits_over_several_steps(void **state)
{
    (void)state;
    for
        EACH(s, shapes)
        {
            size_t count = shapes[s].rows * shapes[s].columns;
            struct muon settings = {.learning_rate = 0.02f,
                                    .momentum = 0.95f,
                                    .weight_decay = 0.1f,
                                    .grad_scale = 0.5f,
                                    .rows = shapes[s].rows,
                                    .columns = shapes[s].columns};
            settings.scratch = take(muon_scratch_bytes(settings.rows, settings.columns));
            float *gradient = take_hard(count, 1, 1), *weight = take_hard(count, 1, 2);
            struct muon_state want = {copy_of(weight, count * 4), take(count * 4), take(count * 2)};
            for (int step = 0; step < 2; step++)
                reference_muon(&settings, &want, gradient);
            for (size_t m = 0; m < machines.count; m++) {
                struct muon_state got = {copy_of(weight, count * 4), take(count * 4),
                                         take(count * 2)};
                for (int step = 0; step < 2; step++)
                    muon_step(machines.list[m], &settings, &got, gradient);
                check_equal(got.weight, want.weight, count, "weight", machines.list[m]);
                check_equal(got.momentum, want.momentum, count, "momentum", machines.list[m]);
                check_equal_half(got.copy, want.copy, count, "copy", machines.list[m]);
            }
        }
}

static void muon_stays_within_its_scratch_memory(void **state)
{
    (void)state;
    for
        EACH(s, shapes)
        {
            size_t count = shapes[s].rows * shapes[s].columns;
            size_t bytes = muon_scratch_bytes(shapes[s].rows, shapes[s].columns);
            unsigned char *scratch = take(bytes + 64);
            memset(scratch + bytes, 0xA5, 64);
            struct muon settings = {0.02f, 0.95f, 0, 1, shapes[s].rows, shapes[s].columns, scratch};
            struct muon_state state_of = {take(count * 4), take(count * 4), NULL};
            float *gradient = take_hard(count, 1, 1);
            muon_step(machines.list[0], &settings, &state_of, gradient);
            reference_muon(&settings, &state_of, gradient);
            for (size_t i = 0; i < 64; i++)
                assert_int_equal(scratch[bytes + i], 0xA5);
        }
}

/* The step from zero weights without momentum is -rate * 0.2 * sqrt(longer side) * O, where O has
 * the gradient's singular vectors and singular values near 1: O (O^T) is near the identity. */
static void muon_s_update_is_nearly_orthogonal(void **state)
{
    (void)state;
    enum { ROWS = 24, COLUMNS = 64 };
    float *gradient = take(ROWS * COLUMNS * 4), *weight = take(ROWS * COLUMNS * 4);
    fill_uniform(gradient, ROWS * COLUMNS, 1, 5);
    struct muon settings = {.learning_rate = 1,
                            .grad_scale = 1,
                            .rows = ROWS,
                            .columns = COLUMNS,
                            .scratch = take(muon_scratch_bytes(ROWS, COLUMNS))};
    struct muon_state one = {weight, take(ROWS * COLUMNS * 4), NULL};
    muon_step(machines.list[0], &settings, &one, gradient);
    double factor = -0.2 * sqrt(COLUMNS), along = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < ROWS; j++) {
            double sum = 0;
            for (size_t k = 0; k < COLUMNS; k++)
                sum += (double)weight[i * COLUMNS + k] * (double)weight[j * COLUMNS + k];
            sum /= factor * factor;
            assert_true(i == j ? sum > 0.45 && sum < 1.5 : fabs(sum) < 0.4);
        }
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        along += (double)weight[i] * (double)gradient[i];
    assert_true(along < 0); /* downhill */
}

static void muon_decays_weights_without_a_gradient(void **state)
{
    (void)state;
    float weight[6] = {1, -2, 3, -4, 5, -6}, momentum[6] = {0}, gradient[6] = {0};
    struct muon settings = {0.5f, 0.9f, 0.1f, 1, 2, 3, take(muon_scratch_bytes(2, 3))};
    struct muon_state one = {weight, momentum, NULL};
    muon_step(machines.list[0], &settings, &one, gradient);
    for (size_t i = 0; i < 6; i++)
        assert_true(weight[i] == (i % 2 ? -1.0f : 1.0f) * (float)(i + 1) * (1 - 0.5f * 0.1f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(sums_have_the_reference_s_bits, forget),
        cmocka_unit_test_teardown(sums_are_near_the_true_ones, forget),
        cmocka_unit_test_teardown(one_number_that_is_not_finite_is_found_wherever_it_stands,
                                  forget),
        cmocka_unit_test_teardown(adamw_has_the_reference_s_bits_over_several_steps, forget),
        cmocka_unit_test(adamw_follows_its_paper),
        cmocka_unit_test_teardown(muon_has_the_reference_s_bits_over_several_steps, forget),
        cmocka_unit_test_teardown(muon_stays_within_its_scratch_memory, forget),
        cmocka_unit_test_teardown(muon_s_update_is_nearly_orthogonal, forget),
        cmocka_unit_test_teardown(muon_decays_weights_without_a_gradient, forget),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
