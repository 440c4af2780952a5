/* Values of few bits: a code stands for a level, and a level times a scale, which many values
 * share, for a value.
 *
 *     bits   levels
 *     1      +-1
 *     2      +-1, +-3
 *     3      +-14, +-45, +-79, +-127
 *     4      +-6, +-18, +-31, +-44, +-58, +-75, +-96, +-127
 *     8      -127 .. 127
 *
 * Those of 3 and 4 bits have the least mean squared error for normally distributed values, in
 * 127ths of the largest: the weights of trained nets come nearer to that than to equal steps. Up to
 * 4 bits there is no zero, which a sparse matrix leaves to its pattern.
 *
 * Stored is a code, 0 to 2^bits - 1 in the order of the levels; in 8 bits 0 stands for nothing.
 * Scales are bfloat16 numbers: the upper half of a float32.
 *
 * Source: Max, Quantizing for minimum distortion, IRE Trans. Inf. Theory 6(1), 1960, table I. */
#ifndef LEVELS_H
#define LEVELS_H

#include <math.h>
#include <stdint.h>

/* 1, 2, 3, 4 or 8: values of few bits; else they are floats. */
static inline int sn_bits_are_few(int bits) { return (bits >= 1 && bits <= 4) || bits == 8; }

/* The largest level. */
float sn_level_most(int bits);

/* The level nearest to a value over its scale: the largest one beyond it. No ratio is out of range;
 * of two levels as near the one nearer to 0, of 8 bits the even one. */
float sn_level_near(int bits, float ratio);

uint32_t sn_level_code(int bits, float level);
float sn_level_of(int bits, uint32_t code);

/* scale times the level nearest to value / scale. With a scale of 0, zero; NaN when value is not
 * finite. */
static inline float sn_level_round(int bits, float value, float scale)
{
    if (!isfinite(value)) return NAN;
    return scale > 0 ? scale * sn_level_near(bits, value / scale) : 0;
}

/* The bfloat16 number nearest to value, the even one of two. */
uint16_t sn_bfloat_of(float value);
float sn_bfloat_value(uint16_t bfloat);

/* value as a bfloat16 number: what a scale must be, in order to be stored as it is. */
static inline float sn_bfloat_round(float value) { return sn_bfloat_value(sn_bfloat_of(value)); }

#endif
