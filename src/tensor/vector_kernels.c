/* The operations of vector.h and vector_math.h on arrays, one instruction set: what tests compare
 * between instruction sets, bit by bit. */
#include "tensor/tensor_internal.h"

#include "tensor/vector_math.h"

#define APPLY(name, expression)                                                                    \
    static void apply_##name(float *out, const float *x, const float *y, const float *z,           \
                             size_t count)                                                         \
    {                                                                                              \
        (void)y, (void)z;                                                                          \
        for (size_t i = 0; i < count; i += LANES) {                                                \
            size_t n = count - i < LANES ? count - i : LANES;                                      \
            v16 a = vload_n(x + i, n);                                                             \
            vstore_n(out + i, (expression), n);                                                    \
        }                                                                                          \
    }
#define B vload_n(y + i, n)
#define C vload_n(z + i, n)

static v16 narrow_and_widen(v16 x)
{
    uint16_t half[LANES];
    vnarrow(half, x);
    return vwiden(half);
}

static v16 sine(v16 x)
{
    v16 out, cosine;
    vsincos(&out, &cosine, x);
    return out;
}

static v16 cosine(v16 x)
{
    v16 sine, out;
    vsincos(&sine, &out, x);
    return out;
}

APPLY(copy, a)
APPLY(add, vadd(a, B))
APPLY(subtract, vsub(a, B))
APPLY(multiply, vmul(a, B))
APPLY(divide, vdiv(a, B))
APPLY(root, vsqrt(a))
APPLY(fma, vfma(a, B, C))
APPLY(maximum, vmax(a, B))
APPLY(less, vselect(vless(a, B), vset(1), vset(2)))
APPLY(select, vselect(vless(a, B), B, C))
APPLY(round, vfrom_int(vround_int(a)))
APPLY(from_int, vfrom_int(vbits(a)))
APPLY(shift_left, vfrom_bits(ishift_left(vbits(a), 3)))
APPLY(shift_right, vfrom_bits(ishift_right(vbits(a), 3)))
APPLY(shift_signed, vfrom_bits(ishift_signed(vbits(a), 3)))
APPLY(integers,
      vfrom_bits(isub(iadd(vbits(a), vbits(B)), ixor(iand(vbits(a), vbits(C)), vbits(B)))))
APPLY(half, narrow_and_widen(a))
APPLY(sum, vset(vsum(a)))
APPLY(largest, vset(vmaximum(a)))
APPLY(exp, vexp(a))
APPLY(log, vlog(a))
APPLY(tanh, vtanh(a))
APPLY(sigmoid, vsigmoid(a))
APPLY(sin, sine(a))
APPLY(cos, cosine(a))

extern const struct vector_kernels KERNEL_NAME(vector_kernels);
const struct vector_kernels KERNEL_NAME(vector_kernels) = {.operation = {
                                                               {"copy", apply_copy},
                                                               {"add", apply_add},
                                                               {"subtract", apply_subtract},
                                                               {"multiply", apply_multiply},
                                                               {"divide", apply_divide},
                                                               {"root", apply_root},
                                                               {"fma", apply_fma},
                                                               {"maximum", apply_maximum},
                                                               {"less", apply_less},
                                                               {"select", apply_select},
                                                               {"round", apply_round},
                                                               {"from_int", apply_from_int},
                                                               {"shift_left", apply_shift_left},
                                                               {"shift_right", apply_shift_right},
                                                               {"shift_signed", apply_shift_signed},
                                                               {"integers", apply_integers},
                                                               {"half", apply_half},
                                                               {"sum", apply_sum},
                                                               {"largest", apply_largest},
                                                               {"exp", apply_exp},
                                                               {"log", apply_log},
                                                               {"tanh", apply_tanh},
                                                               {"sigmoid", apply_sigmoid},
                                                               {"sin", apply_sin},
                                                               {"cos", apply_cos},
                                                           }};
