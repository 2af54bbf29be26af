/* exp, log, tanh, sigmoid, sin, cos on sixteen lanes; tensor/math.c applies the same definitions to
 * single values.  Polynomials by Horner's rule in fma; arguments reduced as stated at each.  Errors
 * in units in the last place stand in tensor/math.h. */
#ifndef RODNIK_TENSOR_VECTOR_MATH_H
#define RODNIK_TENSOR_VECTOR_MATH_H

#include "tensor/vector.h"

/* 2^n for n in [-126, 127] */
VECTOR v16 vpower_of_two(i16 n)
{
    return vfrom_bits(ishift_left(iadd(n, iset(127)), 23));
}

/* exp(x) = 2^n * exp(r), n = round(x / ln 2), r = x - n ln 2 in two parts, |r| <= 0.347.
 * Below -87.33 (the result would be denormal): +0.  Above 88.72: infinity.  NaN stays. */
VECTOR v16 vexp(v16 x)
{
    v16 low = vset(-87.3365447f), high = vset(88.7228394f);
    mask16 under = vless(x, low), over = vless(high, x);
    v16 bounded = vselect(under, low, vselect(over, high, x));
    i16 n = vround_int(vmul(bounded, vset(1.44269504f)));
    v16 count = vfrom_int(n);
    v16 r = vfma(count, vset(-0.693359375f), bounded);
    r = vfma(count, vset(2.12194440e-4f), r);
    v16 p = vset(1.9875691500e-4f);
    p = vfma(p, r, vset(1.3981999507e-3f));
    p = vfma(p, r, vset(8.3334519073e-3f));
    p = vfma(p, r, vset(4.1665795894e-2f));
    p = vfma(p, r, vset(1.6666665459e-1f));
    p = vfma(p, r, vset(5.0000001201e-1f));
    p = vadd(vset(1), vfma(p, vmul(r, r), r));
    /* two factors, since 2^128 alone is not a float */
    i16 half = ishift_signed(n, 1);
    v16 result = vmul(vmul(p, vpower_of_two(half)), vpower_of_two(isub(n, half)));
    return vselect(under, vzero(), vselect(over, vset(__builtin_inff()), result));
}

/* log(x) = e ln 2 + log(m), m in [sqrt(1/2), sqrt(2)) (Cephes' polynomial).
 * Zero and denormals: -infinity.  Negative: NaN.  Infinity and NaN stay. */
VECTOR v16 vlog(v16 x)
{
    i16 bits = isub(vbits(x), iset(0x3f3504f3));
    v16 e = vfrom_int(ishift_signed(bits, 23));
    v16 m = vfrom_bits(iadd(iand(bits, iset(0x007fffff)), iset(0x3f3504f3)));
    v16 r = vsub(m, vset(1)), z = vmul(r, r);
    v16 p = vset(7.0376836292e-2f);
    p = vfma(p, r, vset(-1.1514610310e-1f));
    p = vfma(p, r, vset(1.1676998740e-1f));
    p = vfma(p, r, vset(-1.2420140846e-1f));
    p = vfma(p, r, vset(1.4249322787e-1f));
    p = vfma(p, r, vset(-1.6668057665e-1f));
    p = vfma(p, r, vset(2.0000714765e-1f));
    p = vfma(p, r, vset(-2.4999993993e-1f));
    p = vfma(p, r, vset(3.3333331174e-1f));
    v16 y = vmul(vmul(p, r), z);
    y = vfma(e, vset(-2.12194440e-4f), y);
    y = vfma(z, vset(-0.5f), y);
    v16 result = vfma(e, vset(0.693359375f), vadd(r, y));
    v16 infinity = vset(__builtin_inff());
    result = vselect(vless(x, infinity), result, x);
    result = vselect(vless(x, vset(1.17549435e-38f)), vset(-__builtin_inff()), result);
    return vselect(vless(x, vzero()), vset(__builtin_nanf("")), result);
}

/* 1 / (1 + exp(-x)) */
VECTOR v16 vsigmoid(v16 x)
{
    return vdiv(vset(1), vadd(vset(1), vexp(vsub(vzero(), x))));
}

/* Odd polynomial for |x| < 0.625 (Cephes), else 1 - 2 / (exp(2|x|) + 1) with x's sign. */
VECTOR v16 vtanh(v16 x)
{
    i16 sign = iand(vbits(x), iset(INT32_MIN));
    v16 a = vfrom_bits(ixor(vbits(x), sign)), z = vmul(x, x);
    v16 p = vset(-5.70498872745e-3f);
    p = vfma(p, z, vset(2.06390887954e-2f));
    p = vfma(p, z, vset(-5.37397155531e-2f));
    p = vfma(p, z, vset(1.33314422036e-1f));
    p = vfma(p, z, vset(-3.33332819422e-1f));
    v16 small = vfma(vmul(p, z), x, x);
    v16 e = vexp(vadd(a, a));
    v16 large = vsub(vset(1), vdiv(vset(2), vadd(e, vset(1))));
    large = vfrom_bits(ior(vbits(large), sign));
    return vselect(vless(a, vset(0.625f)), small, large);
}

/* sin and cos for |x| <= 8192: q = round(x * 2 / pi), r = x - q pi / 2 in three parts,
 * |r| <= 0.7854. */
VECTOR void vsincos(v16 *sine, v16 *cosine, v16 x)
{
    i16 q = vround_int(vmul(x, vset(0.636619772f)));
    v16 count = vfrom_int(q);
    v16 r = vfma(count, vset(-1.5703125f), x);
    r = vfma(count, vset(-4.837512969970703125e-4f), r);
    r = vfma(count, vset(-7.549789948768648e-8f), r);
    v16 z = vmul(r, r);
    v16 s = vset(-1.9515295891e-4f);
    s = vfma(s, z, vset(8.3321608736e-3f));
    s = vfma(s, z, vset(-1.6666654611e-1f));
    s = vfma(vmul(s, z), r, r);
    v16 c = vset(2.443315711809948e-5f);
    c = vfma(c, z, vset(-1.388731625493765e-3f));
    c = vfma(c, z, vset(4.166664568298827e-2f));
    c = vfma(vmul(c, z), z, vfma(z, vset(-0.5f), vset(1)));
    /* quadrant: odd ones swap, then signs */
    v16 odd = vfrom_int(iand(q, iset(1)));
    mask16 swap = vless(vzero(), odd);
    i16 sine_sign = ishift_left(iand(q, iset(2)), 30);
    i16 cosine_sign = ishift_left(iand(iadd(q, iset(1)), iset(2)), 30);
    *sine = vfrom_bits(ixor(vbits(vselect(swap, c, s)), sine_sign));
    *cosine = vfrom_bits(ixor(vbits(vselect(swap, s, c)), cosine_sign));
}

#endif
