/* The project's own exp, log, tanh, sigmoid, sin, cos and rsqrt in f32: fixed chains of +, *, / and
 * fma, the same bits in scalar C and in every vector width, on every machine.  Denormal arguments
 * and results count as zero.  Not for speed on arrays: kernels use tensor/vector_math.h, the same
 * definitions.  No state; the calling thread must have the floating-point environment of
 * docs/numerics.md.
 *
 * Errors in units in the last place (ulp) are the largest against libm in double over all floats of
 * the range, as tests/tensor/math_test.c finds them. */
#ifndef RODNIK_TENSOR_MATH_H
#define RODNIK_TENSOR_MATH_H

/* 1.1 ulp.  +0 below -87.3365, infinity above 88.7228. */
float math_exp(float x);
/* 0.9 ulp.  Zero (or denormal): -infinity; negative: not a number. */
float math_log(float x);
/* 1.4 ulp. */
float math_tanh(float x);
/* 1 / (1 + exp(-x)): 2.6 ulp below zero, 1.6 above; 0 where the result would be denormal. */
float math_sigmoid(float x);
/* For |x| <= 8192 within 1e-7 of the true value (up to pi/4 0.8 and 1.3 ulp); beyond, anything. */
float math_sin(float x);
float math_cos(float x);
/* 1 / sqrt(x) as two rounded operations. */
float math_rsqrt(float x);
/* base^exponent for the bias corrections of optimizers, exponent >= 0: by repeated squaring. */
double math_power(double base, long exponent);

/* For tables that are made once, in double, of correctly rounded operations only: sine and cosine
 * for 0 <= x < 1e7 within 1e-15, and the n-th root of x >= 1 to the last bits, by halving the
 * interval. */
void math_sincos_double(double *sine, double *cosine, double x);
double math_root(double x, int n);

#endif
