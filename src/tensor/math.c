#include "tensor/math.h"

#include <math.h>

#include "base/error.h"

/* The vector functions on one lane, so that there is one definition. */
#define VECTOR_LANES 1
#include "tensor/vector_math.h"

static float only_lane(v16 v)
{
    float out[LANES];
    vstore(out, v);
    return out[0];
}

float math_exp(float x)
{
    return only_lane(vexp(vset(x)));
}

float math_log(float x)
{
    return only_lane(vlog(vset(x)));
}

float math_tanh(float x)
{
    return only_lane(vtanh(vset(x)));
}

float math_sigmoid(float x)
{
    return only_lane(vsigmoid(vset(x)));
}

float math_sin(float x)
{
    v16 sine, cosine;
    vsincos(&sine, &cosine, vset(x));
    return only_lane(sine);
}

float math_cos(float x)
{
    v16 sine, cosine;
    vsincos(&sine, &cosine, vset(x));
    return only_lane(cosine);
}

float math_rsqrt(float x)
{
    return 1.0f / sqrtf(x);
}

double math_power(double base, long exponent)
{
    ASSERT(exponent >= 0);
    double result = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1)
            result = result * base;
        base = base * base;
    }
    return result;
}

/* ---- double precision for tables that are made once ---- */

/* Taylor series on |x| <= pi/4, where twelve terms reach the last bit of a float by far. */
static double sine_near_zero(double x)
{
    double z = x * x, term = x, sum = x;
    for (int n = 1; n <= 12; n++) {
        term = term * -z / (double)((2 * n) * (2 * n + 1));
        sum = sum + term;
    }
    return sum;
}

static double cosine_near_zero(double x)
{
    double z = x * x, term = 1, sum = 1;
    for (int n = 1; n <= 12; n++) {
        term = term * -z / (double)((2 * n - 1) * (2 * n));
        sum = sum + term;
    }
    return sum;
}

void math_sincos_double(double *sine, double *cosine, double x)
{
    ASSERT(x >= 0 && x < 1e7);
    static const double HALF_PI_HIGH = 1.5707963267341256, HALF_PI_LOW = 6.077100506506192e-11;
    long quadrant = (long)(x * 0.6366197723675814 + 0.5);
    double r = fma((double)-quadrant, HALF_PI_HIGH, x);
    r = fma((double)-quadrant, HALF_PI_LOW, r);
    double s = sine_near_zero(r), c = cosine_near_zero(r);
    double sines[4] = {s, c, -s, -c}, cosines[4] = {c, -s, -c, s};
    *sine = sines[quadrant & 3];
    *cosine = cosines[quadrant & 3];
}

/* The largest double whose n-th power stays below x, by halving the interval. */
double math_root(double x, int n)
{
    ASSERT(x >= 1 && n >= 1);
    double low = 1, high = x;
    for (int i = 0; i < 200 && low < high; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high)
            break;
        if (math_power(middle, n) < x)
            low = middle;
        else
            high = middle;
    }
    return low;
}
