/* The project's own exp, log, tanh, sigmoid, sin, cos and rsqrt in f32: fixed chains of +, *, fma,
 * the same bits in scalar C and in every vector width.  Errors in units in the last place are
 * stated at each and tested against double. Denormal inputs and results count as zero. */
#ifndef RODNIK_TENSOR_MATH_H
#define RODNIK_TENSOR_MATH_H

float math_exp(float x);
float math_log(float x);
float math_tanh(float x);
float math_sigmoid(float x);
float math_sin(float x);
float math_cos(float x);
float math_rsqrt(float x);
/* base^exponent for optimizer bias corrections: by repeated squaring in double, only correctly
 * rounded operations. */
double math_power(double base, long exponent);

/* For tables made once, in double: sine and cosine for 0 <= x < 1e7, and the n-th root of x >= 1
 * (bisection to the last bit). */
void math_sincos_double(double *sine, double *cosine, double x);
double math_root(double x, int n);

#endif
