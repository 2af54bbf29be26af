/* Sixteen vectors of sixteen lanes turned: rows become columns.  Moves words, so denormal bits pass
 * through.  Included by kernel sources, which are compiled once per instruction set. */
#ifndef RODNIK_TENSOR_VECTOR_TURN_H
#define RODNIK_TENSOR_VECTOR_TURN_H

#include "tensor/vector.h"

#if KERNEL_ISA >= 2
VECTOR void vturn(v16 *x)
{
    __m512i r[16], t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(vbits(x[2 * i]), vbits(x[2 * i + 1]));
        t[2 * i + 1] = _mm512_unpackhi_epi32(vbits(x[2 * i]), vbits(x[2 * i + 1]));
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        x[i] = vfrom_bits(_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        x[i + 8] = vfrom_bits(_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    }
}
#elif KERNEL_ISA == 1
VECTOR void turn_quadrant(__m256 *x)
{
    __m256 t[8], r[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
}

VECTOR void vturn(v16 *x)
{
    __m256 quadrant[4][8]; /* rows 0-7 and 8-15, each by halves */
    for (int i = 0; i < 8; i++)
        for (int h = 0; h < 2; h++) {
            quadrant[h][i] = x[i].half[h];
            quadrant[2 + h][i] = x[8 + i].half[h];
        }
    for (int k = 0; k < 4; k++)
        turn_quadrant(quadrant[k]);
    for (int i = 0; i < 8; i++)
        for (int h = 0; h < 2; h++) {
            x[i].half[h] = quadrant[2 * h][i];
            x[8 + i].half[h] = quadrant[2 * h + 1][i];
        }
}
#else
VECTOR void vturn(v16 *x)
{
    uint32_t lanes[LANES][LANES], turned[LANES];
    for (int i = 0; i < LANES; i++)
        istore(lanes[i], vbits(x[i]));
    for (int i = 0; i < LANES; i++) {
        for (int j = 0; j < LANES; j++)
            turned[j] = lanes[j][i];
        x[i] = vfrom_bits(iload(turned));
    }
}
#endif

#endif
