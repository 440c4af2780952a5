/* Eight floats as one vector, for the kernels alone. A compiler makes two or four vectors of one
 * where the instruction set has shorter ones. */
#ifndef LANES_VEC_H
#define LANES_VEC_H

#include "lanes.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(32), aligned(4), may_alias));

INLINE uint32_t lanes_word(const char *codes)
{
    uint32_t word;
    memcpy(&word, codes, sizeof word);
    return word;
}

#ifdef __AVX2__
/* Codes of up to 3 bits choose one of eight levels by their own bits and some of the next code's,
 * so that the levels repeat. */
INLINE vec lanes_few(int bits, uint32_t word, const struct lanes_levels *levels)
{
    __m256i places = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                        _mm256_set1_epi32(bits));
    __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32((int)word), places);
    __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels->level), index);
    if (bits < 4) return (vec)low;
    __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels->level + LANES), index);
    return (vec)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}

INLINE vec lanes_bytes8(const char *codes)
{
    __m256i levels = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)codes));
    return (vec)_mm256_cvtepi32_ps(levels);
}
#else
INLINE vec lanes_few(int bits, uint32_t word, const struct lanes_levels *levels)
{
    vec v = { 0 };
    for (size_t k = 0; k < LANES; k++)
        v[k] = levels->level[word >> k * (size_t)bits & ((1u << bits) - 1)];
    return v;
}

INLINE vec lanes_bytes8(const char *codes)
{
    vec v = { 0 };
    for (size_t k = 0; k < LANES; k++) v[k] = (signed char)codes[k];
    return v;
}
#endif

/* Eight values of 1, 2, 3, 4, 8 or 32 bits. */
INLINE vec lanes_of(int bits, const char *codes, const struct lanes_levels *levels)
{
    if (bits == 32) return *(const vec *)(const void *)codes;
    return bits == 8 ? lanes_bytes8(codes) : lanes_few(bits, lanes_word(codes), levels);
}

INLINE float lanes_sum(vec v)
{
#ifdef __AVX2__
    __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v),
                             _mm256_extractf128_ps((__m256)v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
#else
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
#endif
}

/* Entry k of *sums is the sum of the entries of v[k]. */
INLINE void lanes_sums(const vec v[LANES], vec *sums)
{
    vec pairs[4], fours[2];
    for (size_t k = 0; k < 4; k++)
        pairs[k] = __builtin_shufflevector(v[2 * k], v[2 * k + 1], 0, 8, 1, 9, 4, 12, 5, 13)
            + __builtin_shufflevector(v[2 * k], v[2 * k + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    for (size_t k = 0; k < 2; k++)
        fours[k] = __builtin_shufflevector(pairs[2 * k], pairs[2 * k + 1], 0, 1, 8, 9, 4, 5, 12, 13)
            + __builtin_shufflevector(pairs[2 * k], pairs[2 * k + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    *sums = __builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11)
        + __builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* Entry i of v[j] and entry j of v[i] change places. */
INLINE void lanes_transpose(vec v[LANES])
{
    vec pairs[LANES], fours[LANES];
    for (size_t k = 0; k < 4; k++) {
        pairs[2 * k] = __builtin_shufflevector(v[2 * k], v[2 * k + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        pairs[2 * k + 1] = __builtin_shufflevector(v[2 * k], v[2 * k + 1], 2, 10, 3, 11, 6, 14, 7,
                                                   15);
    }
    for (size_t k = 0; k < 2; k++)
        for (size_t h = 0; h < 2; h++) {
            fours[4 * k + 2 * h] = __builtin_shufflevector(pairs[4 * k + h], pairs[4 * k + 2 + h],
                                                           0, 1, 8, 9, 4, 5, 12, 13);
            fours[4 * k + 2 * h + 1] = __builtin_shufflevector(pairs[4 * k + h],
                                                               pairs[4 * k + 2 + h], 2, 3, 10, 11,
                                                               6, 7, 14, 15);
        }
    for (size_t k = 0; k < 4; k++) {
        v[k] = __builtin_shufflevector(fours[k], fours[4 + k], 0, 1, 2, 3, 8, 9, 10, 11);
        v[4 + k] = __builtin_shufflevector(fours[k], fours[4 + k], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

#endif
