/* Sixteen floats as one value: the sixteen lanes of docs/numerics.md, with the same result on every
 * instruction set.  Included by kernel sources, which are compiled once per KERNEL_ISA (0 portable,
 * on aarch64 NEON; 1 AVX2, 2 AVX-512, 3 AVX-512 BF16).  The portable form may be narrowed:
 * VECTOR_LANES 1 makes the same definitions scalar functions.
 *
 * Denormals: arithmetic, conversions and comparisons take them for zero and never give one (the
 * thread's environment sees to it); loads, stores, selects, integer operations, widening and
 * narrowing pass their bits through.  vmax adds zero to what it chose, so that it never gives one
 * either: instruction sets differ in whether their own maximum does.
 * Not a number: where a result is one, its sign and payload are not promised. */
#ifndef RODNIK_TENSOR_VECTOR_H
#define RODNIK_TENSOR_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tensor/ops.h"

#ifndef KERNEL_ISA
#define KERNEL_ISA 0
#endif
#if KERNEL_ISA > 0
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef VECTOR_LANES
#define VECTOR_LANES 16
#endif
enum { LANES = VECTOR_LANES };
#if KERNEL_ISA > 0
_Static_assert(LANES == 16, "only the portable form may be narrower");
#endif

/* Compilers left to themselves pass pairs of registers through memory.  But a sanitizing compiler
 * would be busy for minutes with hundreds of these inlined into one function. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VECTOR_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VECTOR_SANITIZED
#endif
#if KERNEL_ISA < 2 && defined(VECTOR_SANITIZED)
#define VECTOR static __attribute__((noinline, unused))
#elif KERNEL_ISA > 0
#define VECTOR static inline __attribute__((always_inline))
#else
#define VECTOR static inline
#endif

/* One operation a line. */
/* clang-format off */

/* ---- single floats.  x86 flushes by itself, after rounding.  Other processors have no such mode
 * (RISC-V) or flush before rounding (Arm: what would round up to the smallest normal number is lost),
 * so there it is done here, with x86's results; their own mode is off. ---- */

#if defined(__x86_64__)

VECTOR float flush(float x) { return x; }
VECTOR float flushed_add(float a, float b) { return a + b; }
VECTOR float flushed_mul(float a, float b) { return a * b; }
VECTOR float flushed_div(float a, float b) { return a / b; }
VECTOR float flushed_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

#else

VECTOR uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffffu;
}
/* Denormals become zeros of their sign. */
VECTOR float flush(float x)
{
    return magnitude_bits(x) < 0x00800000u ? __builtin_copysignf(0.0f, x) : x;
}
/* The smallest normal number may have been rounded up from below: `larger`, the same result times
 * 2^24, tells. */
#define SETTLE(result, larger) \
    float r = (result); \
    if (magnitude_bits(r) > 0x00800000u) \
        return r; \
    return magnitude_bits(r) < 0x00800000u || __builtin_fabsf(larger) < 0x1p-102f \
               ? __builtin_copysignf(0.0f, r) : r
/* A sum below the smallest normal number is exact. */
VECTOR float flushed_add(float a, float b) { return flush(flush(a) + flush(b)); }
VECTOR float flushed_fma(float a, float b, float c)
{
    a = flush(a);
    b = flush(b);
    c = flush(c);
    bool a_is_less = __builtin_fabsf(a) < __builtin_fabsf(b);
    SETTLE(__builtin_fmaf(a, b, c), __builtin_fmaf(a_is_less ? a * 0x1p24f : a,
                                                   a_is_less ? b : b * 0x1p24f, c * 0x1p24f));
}
VECTOR float flushed_mul(float a, float b)
{
    a = flush(a);
    b = flush(b);
    bool a_is_less = __builtin_fabsf(a) < __builtin_fabsf(b);
    SETTLE(a * b, (a_is_less ? a * 0x1p24f : a) * (a_is_less ? b : b * 0x1p24f));
}
VECTOR float flushed_div(float a, float b)
{
    a = flush(a);
    b = flush(b);
    SETTLE(a / b, a * 0x1p24f / b);
}

#endif

/* ---- four floats in a NEON register, flushed as above; where a result is the smallest normal
 * number, its lanes are done again one by one ---- */

#if defined(__aarch64__) && VECTOR_LANES == 16

typedef float32x4_t quad;

VECTOR uint32x4_t quad_magnitude(quad x)
{
    return vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x7fffffffu));
}
VECTOR quad quad_flush(quad x)
{
    uint32x4_t small = vcltq_u32(quad_magnitude(x), vdupq_n_u32(0x00800000u));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x),
                                           vandq_u32(small, vdupq_n_u32(0x7fffffffu))));
}
VECTOR bool quad_in_doubt(quad x)
{
    return vmaxvq_u32(vceqq_u32(quad_magnitude(x), vdupq_n_u32(0x00800000u))) != 0;
}
#define QUAD_AGAIN(count, expression) \
    float lane[count][4]; \
    for (int k = 0; k < count; k++) \
        vst1q_f32(lane[k], operand[k]); \
    for (int i = 0; i < 4; i++) \
        lane[0][i] = (expression); \
    return vld1q_f32(lane[0])
static inline quad quad_fma_again(quad a, quad b, quad c)
{
    const quad operand[3] = {a, b, c};
    QUAD_AGAIN(3, flushed_fma(lane[0][i], lane[1][i], lane[2][i]));
}
static inline quad quad_mul_again(quad a, quad b)
{
    const quad operand[2] = {a, b};
    QUAD_AGAIN(2, flushed_mul(lane[0][i], lane[1][i]));
}
static inline quad quad_div_again(quad a, quad b)
{
    const quad operand[2] = {a, b};
    QUAD_AGAIN(2, flushed_div(lane[0][i], lane[1][i]));
}
VECTOR quad quad_add(quad a, quad b)
{
    return quad_flush(vaddq_f32(quad_flush(a), quad_flush(b)));
}
VECTOR quad quad_fma(quad a, quad b, quad c)
{
    quad r = vfmaq_f32(quad_flush(c), quad_flush(a), quad_flush(b));
    return quad_in_doubt(r) ? quad_fma_again(a, b, c) : quad_flush(r);
}
VECTOR quad quad_mul(quad a, quad b)
{
    quad r = vmulq_f32(quad_flush(a), quad_flush(b));
    return quad_in_doubt(r) ? quad_mul_again(a, b) : quad_flush(r);
}
VECTOR quad quad_div(quad a, quad b)
{
    quad r = vdivq_f32(quad_flush(a), quad_flush(b));
    return quad_in_doubt(r) ? quad_div_again(a, b) : quad_flush(r);
}

#endif

#if KERNEL_ISA >= 2

typedef __m512 v16;
typedef __m512i i16;
typedef __mmask16 mask16;

VECTOR v16 vload(const float *x) { return _mm512_loadu_ps(x); }
VECTOR void vstore(float *x, v16 v) { _mm512_storeu_ps(x, v); }
VECTOR v16 vset(float x) { return _mm512_set1_ps(x); }
VECTOR v16 vadd(v16 a, v16 b) { return _mm512_add_ps(a, b); }
VECTOR v16 vsub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
VECTOR v16 vmul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
VECTOR v16 vdiv(v16 a, v16 b) { return _mm512_div_ps(a, b); }
VECTOR v16 vsqrt(v16 a) { return _mm512_sqrt_ps(a); }
VECTOR v16 vfma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
VECTOR v16 vmax(v16 a, v16 b)
{
    return _mm512_add_ps(_mm512_max_ps(a, b), _mm512_setzero_ps());
}
VECTOR mask16 vless(v16 a, v16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VECTOR v16 vselect(mask16 m, v16 yes, v16 no) { return _mm512_mask_blend_ps(m, no, yes); }
VECTOR i16 vbits(v16 a) { return _mm512_castps_si512(a); }
VECTOR v16 vfrom_bits(i16 a) { return _mm512_castsi512_ps(a); }
VECTOR i16 iset(int32_t x) { return _mm512_set1_epi32(x); }
VECTOR i16 iadd(i16 a, i16 b) { return _mm512_add_epi32(a, b); }
VECTOR i16 isub(i16 a, i16 b) { return _mm512_sub_epi32(a, b); }
VECTOR i16 iand(i16 a, i16 b) { return _mm512_and_si512(a, b); }
VECTOR i16 ior(i16 a, i16 b) { return _mm512_or_si512(a, b); }
VECTOR i16 ixor(i16 a, i16 b) { return _mm512_xor_si512(a, b); }
#define ishift_left(a, n) _mm512_slli_epi32(a, n)
#define ishift_right(a, n) _mm512_srli_epi32(a, n)
#define ishift_signed(a, n) _mm512_srai_epi32(a, n)
VECTOR i16 iload(const uint32_t *x) { return _mm512_loadu_si512(x); }
VECTOR void istore(uint32_t *x, i16 v) { _mm512_storeu_si512(x, v); }
VECTOR v16 vfrom_int(i16 a) { return _mm512_cvtepi32_ps(a); }
VECTOR i16 vround_int(v16 a) { return _mm512_cvtps_epi32(a); }
VECTOR v16 vwiden(const uint16_t *x)
{
    __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
VECTOR void vstore_high_halves(uint16_t *x, i16 v)
{
    __m256i half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16));
    _mm256_storeu_si256((__m256i *)(void *)x, half);
}
VECTOR v16 vnan_or(v16 a, i16 if_nan, i16 otherwise)
{
    mask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_castsi512_ps(_mm512_mask_blend_epi32(nan, otherwise, if_nan));
}

#elif KERNEL_ISA == 1

typedef struct { __m256 half[2]; } v16;
typedef struct { __m256i half[2]; } i16;
typedef v16 mask16;

#define EACH_HALF(type, expression) \
    type r; \
    for (int h = 0; h < 2; h++) \
        r.half[h] = (expression); \
    return r

VECTOR v16 vload(const float *x) { EACH_HALF(v16, _mm256_loadu_ps(x + 8 * h)); }
VECTOR void vstore(float *x, v16 v)
{
    _mm256_storeu_ps(x, v.half[0]);
    _mm256_storeu_ps(x + 8, v.half[1]);
}
VECTOR v16 vset(float x) { EACH_HALF(v16, _mm256_set1_ps(x)); }
VECTOR v16 vadd(v16 a, v16 b) { EACH_HALF(v16, _mm256_add_ps(a.half[h], b.half[h])); }
VECTOR v16 vsub(v16 a, v16 b) { EACH_HALF(v16, _mm256_sub_ps(a.half[h], b.half[h])); }
VECTOR v16 vmul(v16 a, v16 b) { EACH_HALF(v16, _mm256_mul_ps(a.half[h], b.half[h])); }
VECTOR v16 vdiv(v16 a, v16 b) { EACH_HALF(v16, _mm256_div_ps(a.half[h], b.half[h])); }
VECTOR v16 vsqrt(v16 a) { EACH_HALF(v16, _mm256_sqrt_ps(a.half[h])); }
VECTOR v16 vfma(v16 a, v16 b, v16 c)
{
    EACH_HALF(v16, _mm256_fmadd_ps(a.half[h], b.half[h], c.half[h]));
}
VECTOR v16 vmax(v16 a, v16 b)
{
    EACH_HALF(v16, _mm256_add_ps(_mm256_max_ps(a.half[h], b.half[h]), _mm256_setzero_ps()));
}
VECTOR mask16 vless(v16 a, v16 b)
{
    EACH_HALF(v16, _mm256_cmp_ps(a.half[h], b.half[h], _CMP_LT_OQ));
}
VECTOR v16 vselect(mask16 m, v16 yes, v16 no)
{
    EACH_HALF(v16, _mm256_blendv_ps(no.half[h], yes.half[h], m.half[h]));
}
VECTOR i16 vbits(v16 a) { EACH_HALF(i16, _mm256_castps_si256(a.half[h])); }
VECTOR v16 vfrom_bits(i16 a) { EACH_HALF(v16, _mm256_castsi256_ps(a.half[h])); }
VECTOR i16 iset(int32_t x) { EACH_HALF(i16, _mm256_set1_epi32(x)); }
VECTOR i16 iadd(i16 a, i16 b) { EACH_HALF(i16, _mm256_add_epi32(a.half[h], b.half[h])); }
VECTOR i16 isub(i16 a, i16 b) { EACH_HALF(i16, _mm256_sub_epi32(a.half[h], b.half[h])); }
VECTOR i16 iand(i16 a, i16 b) { EACH_HALF(i16, _mm256_and_si256(a.half[h], b.half[h])); }
VECTOR i16 ior(i16 a, i16 b) { EACH_HALF(i16, _mm256_or_si256(a.half[h], b.half[h])); }
VECTOR i16 ixor(i16 a, i16 b) { EACH_HALF(i16, _mm256_xor_si256(a.half[h], b.half[h])); }
VECTOR i16 ishift_left(i16 a, int n) { EACH_HALF(i16, _mm256_slli_epi32(a.half[h], n)); }
VECTOR i16 ishift_right(i16 a, int n) { EACH_HALF(i16, _mm256_srli_epi32(a.half[h], n)); }
VECTOR i16 ishift_signed(i16 a, int n) { EACH_HALF(i16, _mm256_srai_epi32(a.half[h], n)); }
VECTOR i16 iload(const uint32_t *x)
{
    EACH_HALF(i16, _mm256_loadu_si256((const __m256i *)(const void *)(x + 8 * h)));
}
VECTOR void istore(uint32_t *x, i16 v)
{
    _mm256_storeu_si256((__m256i *)(void *)x, v.half[0]);
    _mm256_storeu_si256((__m256i *)(void *)(x + 8), v.half[1]);
}
VECTOR v16 vfrom_int(i16 a) { EACH_HALF(v16, _mm256_cvtepi32_ps(a.half[h])); }
VECTOR i16 vround_int(v16 a) { EACH_HALF(i16, _mm256_cvtps_epi32(a.half[h])); }
VECTOR v16 vwiden(const uint16_t *x)
{
    EACH_HALF(v16, _mm256_castsi256_ps(_mm256_slli_epi32(
                       _mm256_cvtepu16_epi32(
                           _mm_loadu_si128((const __m128i *)(const void *)(x + 8 * h))),
                       16)));
}
VECTOR void vstore_high_halves(uint16_t *x, i16 v)
{
    __m256i packed = _mm256_packus_epi32(_mm256_srli_epi32(v.half[0], 16),
                                         _mm256_srli_epi32(v.half[1], 16));
    _mm256_storeu_si256((__m256i *)(void *)x, _mm256_permute4x64_epi64(packed, 0xD8));
}
VECTOR v16 vnan_or(v16 a, i16 if_nan, i16 otherwise)
{
    EACH_HALF(v16, _mm256_blendv_ps(_mm256_castsi256_ps(otherwise.half[h]),
                                    _mm256_castsi256_ps(if_nan.half[h]),
                                    _mm256_cmp_ps(a.half[h], a.half[h], _CMP_UNORD_Q)));
}

#elif defined(__aarch64__) && VECTOR_LANES == 16

typedef struct { quad part[4]; } v16;
typedef struct { uint32x4_t part[4]; } i16;
typedef i16 mask16;

#define EACH_QUAD(type, expression) \
    type r; \
    for (int q = 0; q < 4; q++) \
        r.part[q] = (expression); \
    return r

VECTOR v16 vload(const float *x) { EACH_QUAD(v16, vld1q_f32(x + 4 * q)); }
VECTOR void vstore(float *x, v16 v)
{
    for (int q = 0; q < 4; q++)
        vst1q_f32(x + 4 * q, v.part[q]);
}
VECTOR v16 vset(float x) { EACH_QUAD(v16, vdupq_n_f32(x)); }
VECTOR v16 vadd(v16 a, v16 b) { EACH_QUAD(v16, quad_add(a.part[q], b.part[q])); }
VECTOR v16 vsub(v16 a, v16 b)
{
    EACH_QUAD(v16, quad_flush(vsubq_f32(quad_flush(a.part[q]), quad_flush(b.part[q]))));
}
VECTOR v16 vmul(v16 a, v16 b) { EACH_QUAD(v16, quad_mul(a.part[q], b.part[q])); }
VECTOR v16 vdiv(v16 a, v16 b) { EACH_QUAD(v16, quad_div(a.part[q], b.part[q])); }
VECTOR v16 vsqrt(v16 a) { EACH_QUAD(v16, vsqrtq_f32(quad_flush(a.part[q]))); }
VECTOR v16 vfma(v16 a, v16 b, v16 c)
{
    EACH_QUAD(v16, quad_fma(a.part[q], b.part[q], c.part[q]));
}
VECTOR v16 vmax(v16 a, v16 b)
{
    EACH_QUAD(v16, vaddq_f32(quad_flush(vbslq_f32(vcgtq_f32(a.part[q], quad_flush(b.part[q])),
                                                  a.part[q], b.part[q])), vdupq_n_f32(0)));
}
VECTOR mask16 vless(v16 a, v16 b)
{
    EACH_QUAD(mask16, vcltq_f32(quad_flush(a.part[q]), quad_flush(b.part[q])));
}
VECTOR v16 vselect(mask16 m, v16 yes, v16 no)
{
    EACH_QUAD(v16, vbslq_f32(m.part[q], yes.part[q], no.part[q]));
}
VECTOR i16 vbits(v16 a) { EACH_QUAD(i16, vreinterpretq_u32_f32(a.part[q])); }
VECTOR v16 vfrom_bits(i16 a) { EACH_QUAD(v16, vreinterpretq_f32_u32(a.part[q])); }
VECTOR i16 iset(int32_t x) { EACH_QUAD(i16, vdupq_n_u32((uint32_t)x)); }
VECTOR i16 iadd(i16 a, i16 b) { EACH_QUAD(i16, vaddq_u32(a.part[q], b.part[q])); }
VECTOR i16 isub(i16 a, i16 b) { EACH_QUAD(i16, vsubq_u32(a.part[q], b.part[q])); }
VECTOR i16 iand(i16 a, i16 b) { EACH_QUAD(i16, vandq_u32(a.part[q], b.part[q])); }
VECTOR i16 ior(i16 a, i16 b) { EACH_QUAD(i16, vorrq_u32(a.part[q], b.part[q])); }
VECTOR i16 ixor(i16 a, i16 b) { EACH_QUAD(i16, veorq_u32(a.part[q], b.part[q])); }
VECTOR i16 ishift_left(i16 a, int n) { EACH_QUAD(i16, vshlq_u32(a.part[q], vdupq_n_s32(n))); }
VECTOR i16 ishift_right(i16 a, int n) { EACH_QUAD(i16, vshlq_u32(a.part[q], vdupq_n_s32(-n))); }
VECTOR i16 ishift_signed(i16 a, int n)
{
    EACH_QUAD(i16, vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a.part[q]),
                                                   vdupq_n_s32(-n))));
}
VECTOR i16 iload(const uint32_t *x) { EACH_QUAD(i16, vld1q_u32(x + 4 * q)); }
VECTOR void istore(uint32_t *x, i16 v)
{
    for (int q = 0; q < 4; q++)
        vst1q_u32(x + 4 * q, v.part[q]);
}
VECTOR v16 vfrom_int(i16 a)
{
    EACH_QUAD(v16, vcvtq_f32_s32(vreinterpretq_s32_u32(a.part[q])));
}
/* To nearest, ties to even; INT32_MIN for what does not fit and for not a number, as x86 has it. */
VECTOR uint32x4_t quad_round_int(quad a)
{
    uint32x4_t fits = vandq_u32(vcgeq_f32(a, vdupq_n_f32(-0x1p31f)),
                                vcltq_f32(a, vdupq_n_f32(0x1p31f)));
    return vbslq_u32(fits, vreinterpretq_u32_s32(vcvtnq_s32_f32(a)), vdupq_n_u32(0x80000000u));
}
VECTOR i16 vround_int(v16 a) { EACH_QUAD(i16, quad_round_int(a.part[q])); }
VECTOR v16 vwiden(const uint16_t *x)
{
    EACH_QUAD(v16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(x + 4 * q), 16)));
}
VECTOR void vstore_high_halves(uint16_t *x, i16 v)
{
    for (int q = 0; q < 4; q++)
        vst1_u16(x + 4 * q, vshrn_n_u32(v.part[q], 16));
}
VECTOR v16 vnan_or(v16 a, i16 if_nan, i16 otherwise)
{
    EACH_QUAD(v16, vreinterpretq_f32_u32(vbslq_u32(vceqq_f32(a.part[q], a.part[q]),
                                                   otherwise.part[q], if_nan.part[q])));
}

#else /* portable: loops that compilers turn into whatever vectors the machine has */

typedef struct { float lane[LANES]; } v16;
typedef struct { uint32_t lane[LANES]; } i16;
typedef i16 mask16;

#define EACH_LANE(type, expression) \
    type r; \
    for (int j = 0; j < LANES; j++) \
        r.lane[j] = (expression); \
    return r

VECTOR uint32_t lane_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
VECTOR float lane_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
VECTOR v16 vload(const float *x) { EACH_LANE(v16, x[j]); }
VECTOR void vstore(float *x, v16 v) { memcpy(x, v.lane, sizeof v.lane); }
VECTOR v16 vset(float x) { EACH_LANE(v16, x); }
VECTOR v16 vadd(v16 a, v16 b) { EACH_LANE(v16, flushed_add(a.lane[j], b.lane[j])); }
VECTOR v16 vsub(v16 a, v16 b) { EACH_LANE(v16, flush(flush(a.lane[j]) - flush(b.lane[j]))); }
VECTOR v16 vmul(v16 a, v16 b) { EACH_LANE(v16, flushed_mul(a.lane[j], b.lane[j])); }
VECTOR v16 vdiv(v16 a, v16 b) { EACH_LANE(v16, flushed_div(a.lane[j], b.lane[j])); }
VECTOR v16 vsqrt(v16 a) { EACH_LANE(v16, __builtin_sqrtf(flush(a.lane[j]))); }
VECTOR v16 vfma(v16 a, v16 b, v16 c)
{
    EACH_LANE(v16, flushed_fma(a.lane[j], b.lane[j], c.lane[j]));
}
/* The second operand when either is not a number, as x86 has it; a zero is positive. */
VECTOR v16 vmax(v16 a, v16 b)
{
    EACH_LANE(v16, flush(a.lane[j] > flush(b.lane[j]) ? a.lane[j] : b.lane[j]) + 0.0f);
}
VECTOR mask16 vless(v16 a, v16 b) { EACH_LANE(mask16, flush(a.lane[j]) < flush(b.lane[j]) ? ~0u : 0u); }
VECTOR v16 vselect(mask16 m, v16 yes, v16 no)
{
    EACH_LANE(v16, m.lane[j] ? yes.lane[j] : no.lane[j]);
}
VECTOR i16 vbits(v16 a) { EACH_LANE(i16, lane_bits(a.lane[j])); }
VECTOR v16 vfrom_bits(i16 a) { EACH_LANE(v16, lane_float(a.lane[j])); }
VECTOR i16 iset(int32_t x) { EACH_LANE(i16, (uint32_t)x); }
VECTOR i16 iadd(i16 a, i16 b) { EACH_LANE(i16, a.lane[j] + b.lane[j]); }
VECTOR i16 isub(i16 a, i16 b) { EACH_LANE(i16, a.lane[j] - b.lane[j]); }
VECTOR i16 iand(i16 a, i16 b) { EACH_LANE(i16, a.lane[j] & b.lane[j]); }
VECTOR i16 ior(i16 a, i16 b) { EACH_LANE(i16, a.lane[j] | b.lane[j]); }
VECTOR i16 ixor(i16 a, i16 b) { EACH_LANE(i16, a.lane[j] ^ b.lane[j]); }
VECTOR i16 ishift_left(i16 a, int n) { EACH_LANE(i16, a.lane[j] << n); }
VECTOR i16 ishift_right(i16 a, int n) { EACH_LANE(i16, a.lane[j] >> n); }
VECTOR i16 ishift_signed(i16 a, int n)
{
    EACH_LANE(i16, (uint32_t)((int32_t)a.lane[j] >> n));
}
VECTOR i16 iload(const uint32_t *x) { EACH_LANE(i16, x[j]); }
VECTOR void istore(uint32_t *x, i16 v) { memcpy(x, v.lane, sizeof v.lane); }
VECTOR v16 vfrom_int(i16 a) { EACH_LANE(v16, (float)(int32_t)a.lane[j]); }
/* To nearest, ties to even; INT32_MIN for what does not fit and for not a number, as x86 has it. */
VECTOR i16 vround_int(v16 a)
{
    EACH_LANE(i16, a.lane[j] >= -0x1p31f && a.lane[j] < 0x1p31f
                       ? (uint32_t)(int32_t)__builtin_rintf(a.lane[j])
                       : 0x80000000u);
}
VECTOR v16 vwiden(const uint16_t *x) { EACH_LANE(v16, lane_float((uint32_t)x[j] << 16)); }
VECTOR void vstore_high_halves(uint16_t *x, i16 v)
{
    uint16_t half[LANES]; /* copied, since x may have been read as floats */
    for (int j = 0; j < LANES; j++)
        half[j] = (uint16_t)(v.lane[j] >> 16);
    memcpy(x, half, sizeof half);
}
VECTOR v16 vnan_or(v16 a, i16 if_nan, i16 otherwise)
{
    EACH_LANE(v16, lane_float(a.lane[j] != a.lane[j] ? if_nan.lane[j] : otherwise.lane[j]));
}

#endif

VECTOR v16 vzero(void) { return vset(0); }
/* clang-format on */

/* ---- the first n lanes (0 < n <= 16); the others read as zero and are not written ---- */

#if KERNEL_ISA >= 2
VECTOR mask16 first_lanes(size_t n)
{
    return (mask16)((1u << n) - 1);
}
static inline v16 vload_part(const float *x, size_t n)
{
    return _mm512_maskz_loadu_ps(first_lanes(n), x);
}
static inline void vstore_part(float *x, v16 v, size_t n)
{
    _mm512_mask_storeu_ps(x, first_lanes(n), v);
}
static inline v16 vwiden_part(const uint16_t *x, size_t n)
{
    __m256i half = _mm256_maskz_loadu_epi16(first_lanes(n), x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
#else
static inline v16 vload_part(const float *x, size_t n)
{
    float lanes[LANES] = {0};
    memcpy(lanes, x, n * sizeof *x);
    return vload(lanes);
}
static inline void vstore_part(float *x, v16 v, size_t n)
{
    float lanes[LANES];
    vstore(lanes, v);
    memcpy(x, lanes, n * sizeof *x);
}
static inline v16 vwiden_part(const uint16_t *x, size_t n)
{
    uint16_t lanes[LANES] = {0};
    memcpy(lanes, x, n * sizeof *x);
    return vwiden(lanes);
}
#endif
VECTOR v16 vload_n(const float *x, size_t n)
{
    return n >= LANES ? vload(x) : vload_part(x, n);
}
VECTOR void vstore_n(float *x, v16 v, size_t n)
{
    if (n >= LANES)
        vstore(x, v);
    else
        vstore_part(x, v, n);
}

/* ---- bf16: widening is exact, narrowing rounds to nearest even on the bits and keeps NaN ---- */

VECTOR void vnarrow(uint16_t *x, v16 v)
{
    i16 bits = vbits(v);
    i16 odd = iand(ishift_right(bits, 16), iset(1));
    i16 rounded = iadd(iadd(bits, iset(0x7fff)), odd);
    i16 quiet = ior(bits, iset(0x00400000));
    vstore_high_halves(x, vbits(vnan_or(v, quiet, rounded)));
}
VECTOR v16 vwiden_n(const uint16_t *x, size_t n)
{
    return n >= LANES ? vwiden(x) : vwiden_part(x, n);
}
VECTOR void vnarrow_n(uint16_t *x, v16 v, size_t n)
{
    uint16_t lanes[LANES];
    vnarrow(n >= LANES ? x : lanes, v);
    if (n < LANES)
        memcpy(x, lanes, n * sizeof *x);
}
VECTOR void vstore_as(void *x, enum dtype type, size_t at, v16 v, size_t n)
{
    if (type == DTYPE_BF16)
        vnarrow_n((uint16_t *)x + at, v, n);
    else
        vstore_n((float *)x + at, v, n);
}
VECTOR v16 vload_as(const void *x, enum dtype type, size_t at, size_t n)
{
    return type == DTYPE_BF16 ? vwiden_n((const uint16_t *)x + at, n)
                              : vload_n((const float *)x + at, n);
}

/* ---- along the lanes: the fixed tree ---- */

#if KERNEL_ISA > 0
VECTOR float halves_sum(__m256 x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
VECTOR float halves_maximum(__m256 x)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two))) + 0.0f;
}
#endif

/* Lane by lane: where some are not numbers, the order decides. */
static inline float lanes_maximum(v16 v)
{
    float x[LANES];
    vstore(x, v);
    float best = x[0];
    for (int j = 1; j < LANES; j++)
        best = flush(best) > flush(x[j]) ? best : x[j];
    return flush(best) + 0.0f;
}

#if KERNEL_ISA >= 2
VECTOR float vsum(v16 v)
{
    return halves_sum(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
/* A zero is positive. */
VECTOR float vmaximum(v16 v)
{
    if (__builtin_expect(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0, 0))
        return lanes_maximum(v);
    return halves_maximum(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
}
#elif KERNEL_ISA == 1
VECTOR float vsum(v16 v)
{
    return halves_sum(_mm256_add_ps(v.half[0], v.half[1]));
}
/* A zero is positive. */
VECTOR float vmaximum(v16 v)
{
    __m256 unordered = _mm256_cmp_ps(v.half[0], v.half[1], _CMP_UNORD_Q);
    if (__builtin_expect(_mm256_movemask_ps(unordered) != 0, 0))
        return lanes_maximum(v);
    return halves_maximum(_mm256_max_ps(v.half[0], v.half[1]));
}
#else
VECTOR float vsum(v16 v)
{
    float x[LANES];
    vstore(x, v);
    for (int half = LANES / 2; half; half /= 2)
        for (int j = 0; j < half; j++)
            x[j] = flushed_add(x[j], x[j + half]);
    return x[0];
}
/* A zero is positive. */
VECTOR float vmaximum(v16 v)
{
    return lanes_maximum(v);
}
#endif

#endif
