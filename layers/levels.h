/* Values of few bits: a small integer, the level, times a scale that many values share.
 *
 *     1 to 4 bits   the odd levels -(2^bits - 1), ..., -3, -1, 1, 3, ..., 2^bits - 1; no zero,
 * which a sparse pattern has elsewhere 8 bits        the levels -127 ... 127
 *
 * Stored is a code: (level + 2^bits - 1) / 2, and level + 128 in 8 bits, where 0 stands for
 * nothing. Scales are bfloat16 numbers: the upper half of a float32. */
#ifndef LEVELS_H
#define LEVELS_H

#include <math.h>
#include <stdint.h>

/* 1, 2, 3, 4 or 8: values of few bits; else they are floats. */
static inline int sn_bits_are_few(int bits) { return (bits >= 1 && bits <= 4) || bits == 8; }

/* The largest level. */
static inline float sn_level_most(int bits) { return bits == 8 ? 127 : (float)((1 << bits) - 1); }

/* The level nearest to a value over its scale: the largest one beyond it. No ratio is out of range;
 * of two levels as near the greater one, of 8 bits the even one. Without calls of the C library, as
 * training rounds all values at every step. */
static inline float sn_level_near(int bits, float ratio)
{
    const float whole = 0x1.8p23f; /* Floats of this size are whole numbers: a sum is rounded. */
    float most = sn_level_most(bits);
    ratio = ratio < most ? ratio : most;
    ratio = ratio > -most ? ratio : -most;
    if (bits == 8) return ratio + whole - whole;
    float half = ratio / 2;
    int towards_zero = (int)half;
    return (float)(2 * (towards_zero - (half < (float)towards_zero)) + 1);
}

/* scale times the level nearest to value / scale. With a scale of 0, zero; NaN when value is not
 * finite. */
static inline float sn_level_round(int bits, float value, float scale)
{
    if (!isfinite(value)) return NAN;
    return scale > 0 ? scale * sn_level_near(bits, value / scale) : 0;
}

static inline uint32_t sn_level_code(int bits, float level)
{
    return bits == 8 ? (uint32_t)(level + 128) : (uint32_t)(level + sn_level_most(bits)) / 2;
}

static inline float sn_level_of(int bits, uint32_t code)
{
    return bits == 8 ? (float)code - 128 : 2 * (float)code - sn_level_most(bits);
}

/* The bfloat16 number nearest to value, the even one of two. */
uint16_t sn_bfloat_of(float value);
float sn_bfloat_value(uint16_t bfloat);

/* value as a bfloat16 number: what a scale must be, in order to be stored as it is. */
static inline float sn_bfloat_round(float value) { return sn_bfloat_value(sn_bfloat_of(value)); }

#endif
