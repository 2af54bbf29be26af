#include "tensor/math.h"

#include <math.h>

#include "base/thread.h"
#include "support.h"

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* |got - want| in units in the last place of `want` as a float; below the smallest normal number
 * the unit stays that of the smallest. */
static double ulp_error(float got, double want)
{
    if (isnan(want) || isinf((float)want))
        return isnan(want) ? (isnan(got) ? 0 : INFINITY) : (float)want == got ? 0 : INFINITY;
    int exponent = want == 0 ? -126 : ilogb(want);
    double unit = ldexp(1, (exponent < -126 ? -126 : exponent) - 23);
    return fabs((double)got - want) / unit;
}

struct range {
    float (*tested)(float x);
    double (*judge)(double x);
    uint32_t first, last; /* bits */
    double ulp_max;       /* or, if 0, the largest absolute error allowed */
    double absolute_max;
};

struct worst {
    double error;
    float at;
};

static void check_point(const struct range *range, struct worst *worst, uint64_t bits)
{
    float x = float_of((uint32_t)bits), got = range->tested(x);
    double want = range->judge((double)x);
    double error = range->ulp_max > 0 ? ulp_error(got, want) : fabs((double)got - want);
    if (!(error <= worst->error))
        *worst = (struct worst){error, x};
}

/* All floats of the range in the long form; in the short one every 1021st, and 64 on either side of
 * each quarter of a power of two and of the range's ends, where reductions change their branch. */
static void check_range(const struct range *range)
{
    enum { QUARTER = 1 << 21, NEAR = 64 };
    bool all = getenv("RODNIK_TEST_LONG") != NULL;
    struct worst worst = {0};
    double allowed = range->ulp_max > 0 ? range->ulp_max : range->absolute_max;
    for (uint64_t bits = range->first; bits <= range->last; bits += all ? 1 : 1021)
        check_point(range, &worst, bits);
    for (uint64_t at = range->first; !all && at <= range->last; at = (at / QUARTER + 1) * QUARTER)
        for (uint64_t i = 0; i < 2 * NEAR; i++)
            if (at + i >= range->first + NEAR && at + i - NEAR <= range->last)
                check_point(range, &worst, at + i - NEAR);
    for (uint64_t i = 0; !all && i < NEAR && i <= range->last - range->first; i++)
        check_point(range, &worst, range->last - i);
    print_message("worst %.4g of %.4g allowed, at %.9g\n", worst.error, allowed, (double)worst.at);
    if (!(worst.error <= allowed))
        fail_msg("error %.4g at %.9g (%08x), allowed %.4g", worst.error, (double)worst.at,
                 bits_of(worst.at), allowed);
}

#define NEGATIVE 0x80000000u
#define INFINITE 0x7f800000u
#define NORMAL   0x00800000u

static double sigmoid_judge(double x)
{
    return 1 / (1 + exp(-x));
}

static void exp_is_within_its_error_everywhere(void **state)
{
    (void)state;
    check_range(&(struct range){math_exp, exp, 0, bits_of(88.72283f), .ulp_max = 1.1});
    check_range(&(struct range){math_exp, exp, NEGATIVE, bits_of(-87.33654f), .ulp_max = 1.1});
}

static void exp_leaves_the_range_cleanly(void **state)
{
    (void)state;
    assert_true(math_exp(88.722855f) == INFINITY);
    assert_true(math_exp(INFINITY) == INFINITY);
    assert_true(isfinite(math_exp(88.72283f)));
    for (uint64_t bits = bits_of(-87.33655f); bits <= (NEGATIVE | INFINITE); bits += 61)
        assert_int_equal(bits_of(math_exp(float_of((uint32_t)bits))), 0);
    assert_true(isnan(math_exp(NAN)) && isnan(math_exp(-NAN)));
    assert_true(math_exp(0) == 1 && math_exp(-0.0f) == 1 && math_exp(float_of(1)) == 1);
}

static void log_is_within_its_error_on_all_positive_normal_numbers(void **state)
{
    (void)state;
    check_range(&(struct range){math_log, log, NORMAL, INFINITE - 1, .ulp_max = 0.9});
}

static void log_of_anything_else_is_a_limit_or_not_a_number(void **state)
{
    (void)state;
    assert_true(math_log(0) == -INFINITY && math_log(-0.0f) == -INFINITY);
    assert_true(math_log(float_of(NORMAL - 1)) == -INFINITY);
    assert_true(math_log(float_of(NEGATIVE | (NORMAL - 1))) == -INFINITY);
    assert_true(math_log(INFINITY) == INFINITY && math_log(1) == 0);
    assert_true(isnan(math_log(NAN)) && isnan(math_log(-1)) && isnan(math_log(-INFINITY)));
    assert_true(isnan(math_log(float_of(NEGATIVE | NORMAL))));
}

static void tanh_is_within_its_error_everywhere(void **state)
{
    (void)state;
    check_range(&(struct range){math_tanh, tanh, 0, INFINITE, .ulp_max = 1.4});
    check_range(&(struct range){math_tanh, tanh, NEGATIVE, NEGATIVE | INFINITE, .ulp_max = 1.4});
    assert_true(isnan(math_tanh(NAN)));
}

static void sigmoid_is_within_its_error_everywhere(void **state)
{
    (void)state;
    check_range(&(struct range){math_sigmoid, sigmoid_judge, 0, INFINITE, .ulp_max = 1.6});
    check_range(
        &(struct range){math_sigmoid, sigmoid_judge, NEGATIVE, bits_of(-87.3f), .ulp_max = 2.6});
    assert_true(math_sigmoid(-INFINITY) == 0 && math_sigmoid(-89) == 0);
    assert_true(isnan(math_sigmoid(NAN)));
}

static void sine_and_cosine_are_within_their_error_up_to_8192(void **state)
{
    (void)state;
    uint32_t last = bits_of(8192);
    check_range(&(struct range){math_sin, sin, 0, last, .absolute_max = 1e-7});
    check_range(&(struct range){math_sin, sin, NEGATIVE, NEGATIVE | last, .absolute_max = 1e-7});
    check_range(&(struct range){math_cos, cos, 0, last, .absolute_max = 1e-7});
    check_range(&(struct range){math_cos, cos, NEGATIVE, NEGATIVE | last, .absolute_max = 1e-7});
    check_range(&(struct range){math_sin, sin, 0, bits_of(0.785f), .ulp_max = 0.8});
    check_range(&(struct range){math_cos, cos, 0, bits_of(0.785f), .ulp_max = 1.3});
}

static void rsqrt_is_two_rounded_operations(void **state)
{
    (void)state;
    for (uint64_t bits = NORMAL; bits < INFINITE; bits += 6101) {
        float x = float_of((uint32_t)bits), root = (float)sqrt((double)x);
        assert_int_equal(bits_of(math_rsqrt(x)), bits_of((float)(1 / (double)root)));
    }
}

/* FNV-1a over the bits of f at every 9973rd float: the same number on every machine and compiler.
 * Whoever changes it changes the meaning of every recorded training run. */
static uint32_t fingerprint(float (*f)(float x), uint32_t first, uint32_t last)
{
    uint32_t hash = 2166136261u;
    for (uint64_t bits = first; bits <= last; bits += 9973) {
        hash ^= bits_of(f(float_of((uint32_t)bits)));
        hash *= 16777619u;
    }
    return hash;
}

static void the_bits_are_the_recorded_ones(void **state)
{
    (void)state;
    const uint32_t top = NEGATIVE | INFINITE, turns = bits_of(8192);
    assert_int_equal(fingerprint(math_exp, 0, INFINITE), 0x24b357f3u);
    assert_int_equal(fingerprint(math_exp, NEGATIVE, top), 0x658c610bu);
    assert_int_equal(fingerprint(math_log, 0, INFINITE), 0x3878aab8u);
    assert_int_equal(fingerprint(math_tanh, 0, INFINITE), 0x92d73b6bu);
    assert_int_equal(fingerprint(math_sigmoid, NEGATIVE, top), 0x2c7b41d9u);
    assert_int_equal(fingerprint(math_sin, 0, turns), 0x987b679bu);
    assert_int_equal(fingerprint(math_cos, 0, turns), 0x3f13e02du);
}

static void power_follows_repeated_multiplication(void **state)
{
    (void)state;
    assert_true(math_power(0.9, 0) == 1 && math_power(0.5, 10) == 0x1p-10);
    double product = 1;
    for (long exponent = 1; exponent < 2000; exponent++) {
        product *= 0.999;
        assert_true(fabs(math_power(0.999, exponent) / product - 1) < 1e-12);
    }
    assert_true(math_power(0.9, 1000000000) == 0);
}

static void roots_are_exact_to_the_last_bits(void **state)
{
    (void)state;
    for (int n = 1; n <= 128; n++)
        for (double x = 1; x < 1e8; x = x * 3.7 + 1)
            assert_true(fabs(math_root(x, n) / pow(x, 1.0 / n) - 1) < 1e-14);
}

static void double_sine_and_cosine_follow_libm(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = 0; x < 1e7; x = x < 100 ? x + 0.0137 : x * 1.0001 + 0.37) {
        double sine, cosine;
        math_sincos_double(&sine, &cosine, x);
        worst = fmax(worst, fmax(fabs(sine - sin(x)), fabs(cosine - cos(x))));
    }
    print_message("worst %.3g\n", worst);
    assert_true(worst < 1e-15);
}

int main(void)
{
    float_environment_set();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_its_error_everywhere),
        cmocka_unit_test(exp_leaves_the_range_cleanly),
        cmocka_unit_test(log_is_within_its_error_on_all_positive_normal_numbers),
        cmocka_unit_test(log_of_anything_else_is_a_limit_or_not_a_number),
        cmocka_unit_test(tanh_is_within_its_error_everywhere),
        cmocka_unit_test(sigmoid_is_within_its_error_everywhere),
        cmocka_unit_test(sine_and_cosine_are_within_their_error_up_to_8192),
        cmocka_unit_test(rsqrt_is_two_rounded_operations),
        cmocka_unit_test(the_bits_are_the_recorded_ones),
        cmocka_unit_test(power_follows_repeated_multiplication),
        cmocka_unit_test(roots_are_exact_to_the_last_bits),
        cmocka_unit_test(double_sine_and_cosine_follow_libm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
