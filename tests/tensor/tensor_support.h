/* What tests of tensor/ share: every instruction set of this machine with 1, 2 and 3 threads,
 * numbers to work on, and equality of bits. */
#ifndef RODNIK_TESTS_TENSOR_SUPPORT_H
#define RODNIK_TESTS_TENSOR_SUPPORT_H

#include <math.h>

#include "base/random.h"
#include "support.h"
#include "tensor/ops.h"
#include "tensor/tensor_internal.h"

enum { MACHINES_MAX = 12 };
struct machines {
    size_t count;
    struct compute *list[MACHINES_MAX];
};

/* Instruction sets that this processor lacks are left out, and named. */
static inline void machines_create(struct machines *out)
{
    out->count = 0;
    for (int isa = 0; isa < ISA_COUNT; isa++)
        for (int threads = 1; threads <= 3; threads++) {
            struct error error = {0};
            struct compute *compute = NULL;
            setenv("RODNIK_ISA", isa_name((enum isa)isa), 1);
            assert_ok(compute_create(&compute, threads, &error), error);
            if (compute_isa(compute) != (enum isa)isa) {
                if (threads == 1)
                    print_message("%s: not on this processor\n", isa_name((enum isa)isa));
                compute_destroy(compute);
                continue;
            }
            out->list[out->count++] = compute;
        }
    unsetenv("RODNIK_ISA");
}

static inline void machines_destroy(struct machines *machines)
{
    for (size_t i = 0; i < machines->count; i++)
        compute_destroy(machines->list[i]);
}

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Uniform in [-1, 1) times magnitude. */
static inline void fill_uniform(float *out, size_t count, float magnitude, uint64_t stream)
{
    struct random_key key = {1, RANDOM_TEST, stream};
    for (size_t i = 0; i < count; i++)
        out[i] = (random_unit(key, i) * 2 - 1) * magnitude;
}

/* Mostly uniform; here and there denormals, zeros of both signs and the smallest normal numbers. */
static inline void fill_hard(float *out, size_t count, float magnitude, uint64_t stream)
{
    static const uint32_t hard[8] = {0,          0x80000000, 0x00000001, 0x807fffff,
                                     0x00400000, 0x00800000, 0x80800001, 0x3f800000};
    struct random_key key = {2, RANDOM_TEST, stream};
    fill_uniform(out, count, magnitude, stream);
    for (size_t i = 0; i < count; i++)
        if (random_below(key, i, 5) == 0)
            out[i] = float_of(hard[random_below(key, i + count, 8)]);
}

static inline bool same_bits(float a, float b)
{
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

/* Equality of bits; all numbers that are none count as one. */
static inline void check_equal(const float *got, const float *want, size_t count, const char *what,
                               const struct compute *compute)
{
    for (size_t i = 0; i < count; i++)
        if (!same_bits(got[i], want[i]))
            fail_msg("%s, %s, %d threads: element %zu is %.9g (%08x), should be %.9g (%08x)", what,
                     isa_name(compute_isa(compute)), compute_threads(compute), i, (double)got[i],
                     bits_of(got[i]), (double)want[i], bits_of(want[i]));
}

static inline void check_equal_half(const uint16_t *got, const uint16_t *want, size_t count,
                                    const char *what, const struct compute *compute)
{
    for (size_t i = 0; i < count; i++) {
        float a = f32_from_bf16(got[i]), b = f32_from_bf16(want[i]);
        check_equal(&a, &b, 1, what, compute);
    }
}

#endif
