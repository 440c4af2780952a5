/* What the kernels of the runtime share: the instructions that the compiler has, and what becomes
 * of a sum. */
#ifndef MICRO_INNER_H
#define MICRO_INNER_H

#include "micro.h"

#if defined __ARM_FEATURE_MVE
#define MICRO_MVE 1
#include <arm_mve.h>
#endif
#if defined __ARM_FEATURE_DSP && defined __ARM_FEATURE_SIMD32
#define MICRO_DSP 1
#include <arm_acle.h>

static inline int32_t micro_word(const void *p) { return *(const int32_t *)p; }

/* The odd bytes of x as two int16, as __sxtb16 has the even ones; compilers take two instructions.
 */
static inline int32_t micro_odd(int32_t x)
{
    int32_t y;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(y) : "r"(x));
    return y;
}
#elif defined __thumb__ && !defined __thumb2__
#define MICRO_THUMB1 1
#endif

#endif
