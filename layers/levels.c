#include "levels.h"

#include <math.h>
#include <string.h>

/* The levels above 0 by bits, ascending. */
static const float positive[][8] = {
    [1] = { 1 }, [2] = { 1, 3 }, [3] = { 14, 45, 79, 127 }, [4] = { 6, 18, 31, 44, 58, 75, 96, 127 }
};

/* How many of them there are. */
static int half(int bits) { return 1 << (bits - 1); }

int sn_bits_are_known(int bits) { return (bits >= 1 && bits <= 4) || bits == 8 || bits == 32; }

float sn_level_largest(int bits) { return bits == 8 ? 127 : positive[bits][half(bits) - 1]; }

float sn_level_near(int bits, float x)
{
    if (bits == 8) return fminf(fmaxf(rintf(x), -127), 127);
    const float *levels = positive[bits];
    float size = fabsf(x);
    int k = 0, last = half(bits) - 1;
    while (k < last && 2 * size > levels[k] + levels[k + 1]) k++;
    return copysignf(levels[k], x);
}

uint32_t sn_level_code(int bits, float level)
{
    if (bits == 8) return (uint32_t)((int)level + 128);
    int k = 0;
    while (positive[bits][k] < fabsf(level)) k++;
    return (uint32_t)(level > 0 ? half(bits) + k : half(bits) - 1 - k);
}

float sn_level_of(int bits, uint32_t code)
{
    int k = (int)code - half(bits);
    if (bits == 8) return (float)k;
    return k >= 0 ? positive[bits][k] : -positive[bits][-1 - k];
}

uint16_t sn_bfloat16_bits(float x)
{
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

float sn_bfloat16_of(uint16_t bits)
{
    uint32_t word = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
}

float sn_bfloat16(float x) { return sn_bfloat16_of(sn_bfloat16_bits(x)); }
