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
/* Codes, each from bit places[k] of the word on, choose one of eight or sixteen levels by their own
 * bits and some of the next code's, so that the levels repeat. */
INLINE vec lanes_chosen(int bits, uint32_t word, __m256i places, const struct lanes_levels *levels)
{
    __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32((int)word), places);
#ifdef __AVX512VBMI__
    (void)bits;
    return (vec)_mm256_permutex2var_ps(_mm256_loadu_ps(levels->level), index,
                                       _mm256_loadu_ps(levels->level + LANES));
#else
    __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels->level), index);
    if (bits < 4) return (vec)low;
    __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels->level + LANES), index);
    return (vec)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
#endif
}

INLINE vec lanes_few(int bits, uint32_t word, const struct lanes_levels *levels)
{
    __m256i places = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                        _mm256_set1_epi32(bits));
    return lanes_chosen(bits, word, places, levels);
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

/* Eight or sixteen values of 4 bits; those of a vector are the lower and then the upper halves of
 * four bytes. */
#ifdef __AVX512VBMI__
INLINE void lanes_halves(const char *codes, size_t vectors, const struct lanes_levels *levels,
                         vec *v)
{
    const __m256i places = _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28);
    for (size_t i = 0; i < vectors; i++)
        v[i] = lanes_chosen(4, lanes_word(codes + 4 * i), places, levels);
}
#elif defined __AVX2__
/* As levels are whole numbers of 8 bits, two bytes hold one as the upper half of a float, and a
 * table of sixteen bytes each of them. */
INLINE void lanes_halves(const char *codes, size_t vectors, const struct lanes_levels *levels,
                         vec *v)
{
    __m256i bytes = vectors == 1 ? _mm256_set1_epi32((int)lanes_word(codes))
                                 : _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)codes));
    const __m256i shifts = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4), zero = _mm256_setzero_si256();
    __m256i index = _mm256_and_si256(_mm256_srlv_epi32(bytes, shifts), _mm256_set1_epi8(15));
    __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)levels->low)),
            high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)levels->high));
    __m256i upper = _mm256_unpacklo_epi8(_mm256_shuffle_epi8(low, index),
                                         _mm256_shuffle_epi8(high, index));
    v[0] = (vec)_mm256_unpacklo_epi16(zero, upper);
    if (vectors == 2) v[1] = (vec)_mm256_unpackhi_epi16(zero, upper);
}
#else
INLINE void lanes_halves(const char *codes, size_t vectors, const struct lanes_levels *levels,
                         vec *v)
{
    for (size_t i = 0; i < vectors; i++)
        for (size_t k = 0; k < LANES; k++)
            v[i][k] = levels->level[(unsigned char)codes[4 * i + k % 4] >> (k & 4) & 15];
}
#endif

/* Eight values of 1, 2, 3, 4, 8 or 32 bits. */
INLINE vec lanes_of(int bits, const char *codes, const struct lanes_levels *levels)
{
    vec v = { 0 };
    if (bits == 32) return *(const vec *)(const void *)codes;
    if (bits == 8) return lanes_bytes8(codes);
    if (bits < 4) return lanes_few(bits, lanes_word(codes), levels);
    lanes_halves(codes, 1, levels, &v);
    return v;
}

/* Sixteen values as two vectors. */
INLINE void lanes_pair(int bits, const char *codes, const struct lanes_levels *levels, vec pair[2])
{
    if (bits == 4) {
        lanes_halves(codes, 2, levels, pair);
        return;
    }
    pair[0] = lanes_of(bits, codes, levels);
    pair[1] = lanes_of(bits, codes + lanes_bytes(bits), levels);
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
