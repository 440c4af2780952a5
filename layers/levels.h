/* Values of few bits: a code stands for a level, and a level times a scale for a value.
 *
 *     bits   levels
 *     1      +-1
 *     2      +-1, +-3
 *     3      +-14, +-45, +-79, +-127
 *     4      +-6, +-18, +-31, +-44, +-58, +-75, +-96, +-127
 *     8      -127 .. 127
 *
 * Those of 3 and 4 bits have the least mean squared error for normally distributed values, in
 * 127ths of the largest: the weights of trained nets come nearer to that than to equal steps. Codes
 * of up to 4 bits have no 0, which a sparse matrix leaves to its pattern and a full one does not
 * miss. Scales are bfloat16, the upper half of a float32, finite and not negative.
 *
 * Source: Max, Quantizing for minimum distortion, IRE Trans. Inf. Theory 6(1), 1960, table I. */
#ifndef LEVELS_H
#define LEVELS_H

#include <stdint.h>

/* Whether values can have so many bits; 32 is float32, which has no codes. */
int sn_bits_are_known(int bits);

/* The largest level. */
float sn_level_largest(int bits);

/* The level next to x; of two the one nearer to 0. */
float sn_level_near(int bits, float x);

/* Codes are stored as 0 .. 2^bits - 1, in the order of their levels; with 8 bits 0 has none. */
uint32_t sn_level_code(int bits, float level);
float sn_level_of(int bits, uint32_t code);

/* x rounded to the nearest bfloat16, for 0 <= x below 2^128 - 2^119, and its 16 bits. */
float sn_bfloat16(float x);
uint16_t sn_bfloat16_bits(float x);
float sn_bfloat16_of(uint16_t bits);

#endif
