#include "tensor/vector.h"

#include "base/thread.h"
#include "tensor/math.h"
#include "tensor/reference.h"
#include "tensor/tensor_support.h"

static struct machines machines;

static int setup(void **state)
{
    (void)state;
    machines_create(&machines);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machines_destroy(&machines);
    return 0;
}

enum { COUNT = 16 * 1024 + 5 };

struct operands {
    float x[COUNT], y[COUNT], z[COUNT];
};

/* Bits without any pattern, moderate numbers, and everything that is special in every position. */
static void fill_operands(struct operands *out)
{
    static const uint32_t special[16] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                         0x7fc00000, 0xffc12345, 0x00000001, 0x80000001,
                                         0x007fffff, 0x807fffff, 0x00800000, 0x80800000,
                                         0x7f7fffff, 0x3f800000, 0xbf800000, 0x4b000001};
    struct random_key key = {3, RANDOM_TEST, 0};
    float *arrays[3] = {out->x, out->y, out->z};
    for (uint32_t i = 0; i < COUNT; i++) {
        struct random_block block = random_philox(key, i);
        for (uint32_t j = 0; j < 3; j++) {
            uint32_t word = block.word[j], kind = block.word[3] >> 8 * j & 15;
            arrays[j][i] = kind < 4   ? float_of(special[word & 15])
                           : kind < 8 ? float_of(word)
                                      : (float)(int32_t)word * 0x1p-25f;
        }
    }
}

/* What each operation means for one lane; NAN marks those that are judged elsewhere. */
static float meaning(const char *name, float a, float b, float c)
{
#define IS(text) (strcmp(name, text) == 0)
    uint32_t x = bits_of(a), y = bits_of(b), z = bits_of(c);
    if (IS("copy"))
        return a;
    if (IS("add"))
        return a + b;
    if (IS("subtract"))
        return a - b;
    if (IS("multiply"))
        return a * b;
    if (IS("divide"))
        return a / b;
    if (IS("root"))
        return sqrtf(a);
    if (IS("fma"))
        return fmaf(a, b, c);
    if (IS("less"))
        return a < b ? 1 : 2;
    if (IS("select"))
        return float_of(a < b ? y : z);
    if (IS("from_int"))
        return (float)(int32_t)x;
    if (IS("shift_left"))
        return float_of(x << 3);
    if (IS("shift_right"))
        return float_of(x >> 3);
    if (IS("shift_signed"))
        return float_of((uint32_t)((int32_t)x >> 3));
    if (IS("integers"))
        return float_of(x + y - ((x & z) ^ y));
    if (IS("half"))
        return f32_from_bf16(bf16_from_f32(a));
    if (IS("exp"))
        return math_exp(a);
    if (IS("log"))
        return math_log(a);
    if (IS("tanh"))
        return math_tanh(a);
    if (IS("sigmoid"))
        return math_sigmoid(a);
    if (IS("sin"))
        return math_sin(a);
    if (IS("cos"))
        return math_cos(a);
#undef IS
    fail_msg("%s: no meaning", name);
    return 0;
}

static uint32_t without_denormals(uint32_t bits)
{
    return bits << 1 >> 24 == 0 ? bits & 0x80000000 : bits;
}

/* On the bits, so that no compiler's and no processor's own maximum takes part. */
static float larger(float a, float b)
{
    uint32_t x = without_denormals(bits_of(a)), y = without_denormals(bits_of(b));
    uint32_t chosen = float_of(x) > float_of(y) ? x : y;
    return float_of(chosen == 0x80000000 ? 0 : chosen);
}

static float rounded(float a)
{
    if (!(a >= -0x1p31f && a < 0x1p31f))
        return -0x1p31f;
    double below = floor((double)a), part = (double)a - below;
    bool odd = fmod(below, 2) != 0;
    return (float)(part > 0.5 || (part == 0.5 && odd) ? below + 1 : below) + 0.0f;
}

static void expect(float *out, const char *name, const struct operands *in)
{
    bool sum = strcmp(name, "sum") == 0, largest = strcmp(name, "largest") == 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t first = i / LANES * LANES;
        size_t n = COUNT - first < LANES ? COUNT - first : LANES;
        if (sum) {
            out[i] = reference_lane_sum(in->x + first, n);
        } else if (largest) {
            float lanes[LANES] = {0};
            memcpy(lanes, in->x + first, n * sizeof *lanes);
            out[i] = lanes[0];
            for (size_t j = 1; j < LANES; j++)
                out[i] = larger(out[i], lanes[j]);
        } else if (strcmp(name, "maximum") == 0) {
            out[i] = larger(in->x[i], in->y[i]);
        } else if (strcmp(name, "round") == 0) {
            out[i] = rounded(in->x[i]);
        } else {
            out[i] = meaning(name, in->x[i], in->y[i], in->z[i]);
        }
    }
}

static void every_operation_has_its_bits_on_every_instruction_set(void **state)
{
    (void)state;
    static struct operands in;
    static float want[COUNT], got[COUNT + LANES];
    fill_operands(&in);
    for (size_t operation = 0; operation < VECTOR_OPERATIONS; operation++) {
        expect(want, machines.list[0]->vector->operation[operation].name, &in);
        for (size_t m = 0; m < machines.count; m++) {
            const struct vector_kernels *vector = machines.list[m]->vector;
            got[COUNT] = 42;
            vector->operation[operation].apply(got, in.x, in.y, in.z, COUNT);
            check_equal(got, want, COUNT, vector->operation[operation].name, machines.list[m]);
            assert_true(got[COUNT] == 42);
        }
    }
}

/* The functions once more, over all floats with a stride, against their scalar form. */
static void math_functions_are_the_scalar_ones_over_the_whole_range(void **state)
{
    (void)state;
    enum { BATCH = 4096 };
    static float x[BATCH], got[BATCH];
    uint64_t step = getenv("RODNIK_TEST_LONG") ? 7 : 2003;
    for (size_t m = 0; m < machines.count; m += 3)
        for (size_t operation = 0; operation < VECTOR_OPERATIONS; operation++) {
            const char *name = machines.list[m]->vector->operation[operation].name;
            if (!strstr("exp log tanh sigmoid sin cos", name))
                continue;
            for (uint64_t bits = 0; bits < 1ull << 32; bits += step * BATCH) {
                for (size_t i = 0; i < BATCH; i++)
                    x[i] = float_of((uint32_t)(bits + i * step));
                machines.list[m]->vector->operation[operation].apply(got, x, x, x, BATCH);
                for (size_t i = 0; i < BATCH; i++)
                    if (!same_bits(got[i], meaning(name, x[i], 0, 0)))
                        fail_msg("%s(%.9g), %s: %.9g", name, (double)x[i],
                                 isa_name(compute_isa(machines.list[m])), (double)got[i]);
            }
        }
}

static void narrowing_rounds_to_nearest_even_and_keeps_what_is_not_a_number(void **state)
{
    (void)state;
    assert_int_equal(bf16_from_f32(float_of(0x3f808000)), 0x3f80); /* a tie, to even */
    assert_int_equal(bf16_from_f32(float_of(0x3f818000)), 0x3f82);
    assert_int_equal(bf16_from_f32(float_of(0x3f808001)), 0x3f81);
    assert_int_equal(bf16_from_f32(float_of(0x7f7fffff)), 0x7f80); /* rounds up to infinity */
    assert_int_equal(bf16_from_f32(float_of(0x7f800001)), 0x7fc0); /* stays not a number */
    assert_int_equal(bf16_from_f32(float_of(0x00018000)), 0x0002); /* denormals round too */
    for (uint32_t half = 0; half <= UINT16_MAX; half++) {
        float wide = f32_from_bf16((uint16_t)half);
        if (!isnan(wide))
            assert_int_equal(bf16_from_f32(wide), half);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_its_bits_on_every_instruction_set),
        cmocka_unit_test(math_functions_are_the_scalar_ones_over_the_whole_range),
        cmocka_unit_test(narrowing_rounds_to_nearest_even_and_keeps_what_is_not_a_number),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
