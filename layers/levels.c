#include "levels.h"

#include <string.h>

/* The levels above 0 by bits, ascending. */
static const float positive[][8] = {
    [1] = { 1 }, [2] = { 1, 3 }, [3] = { 14, 45, 79, 127 }, [4] = { 6, 18, 31, 44, 58, 75, 96, 127 }
};

/* How many of them there are. */
static int half(int bits) { return 1 << (bits - 1); }

float sn_level_most(int bits) { return bits == 8 ? 127 : positive[bits][half(bits) - 1]; }

float sn_level_near(int bits, float ratio)
{
    if (bits == 8) return fminf(fmaxf(rintf(ratio) + 0, -127), 127); /* + 0: no -0 */
    const float *levels = positive[bits];
    float size = fabsf(ratio);
    int k = 0, last = half(bits) - 1;
    while (k < last && 2 * size > levels[k] + levels[k + 1]) k++;
    return copysignf(levels[k], ratio);
}

uint32_t sn_level_code(int bits, float level)
{
    int k = 0;
    if (bits == 8) return (uint32_t)(level + 128);
    while (positive[bits][k] < fabsf(level)) k++;
    return (uint32_t)(level > 0 ? half(bits) + k : half(bits) - 1 - k);
}

float sn_level_of(int bits, uint32_t code)
{
    int k = (int)code - half(bits);
    if (bits == 8) return (float)k;
    return k >= 0 ? positive[bits][k] : -positive[bits][-1 - k];
}

uint16_t sn_bfloat_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40); /* Rounding could make it infinite. */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float sn_bfloat_value(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
