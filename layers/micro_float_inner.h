/* What the kernels of floats share: the instructions that the compiler has, and those of four rows
 * by hand, since compilers load registers one by one. */
#ifndef MICRO_FLOAT_INNER_H
#define MICRO_FLOAT_INNER_H

#include "micro_float.h"

#if defined __ARM_FEATURE_MVE && __ARM_FEATURE_MVE & 2
#define MICRO_FLOAT_VECTORS 1
#include <arm_mve.h>
#elif defined __thumb__ && defined __ARM_FP && __ARM_FP & 4 && defined __ARM_FEATURE_FMA
#define MICRO_FLOAT_UNIT 1
#define MICRO_FLOAT_SUMS                                                             \
    register float a0 __asm__("s0") = 0, a1 __asm__("s1") = 0, a2 __asm__("s2") = 0, \
                      a3 __asm__("s3") = 0
#define MICRO_TIMES(x, w0, w1, w2, w3)                                                     \
    "vfma.f32 s0, " w0 ", " x "\nvfma.f32 s1, " w1 ", " x "\nvfma.f32 s2, " w2 ", " x "\n" \
    "vfma.f32 s3, " w3 ", " x "\n"
/* Four weights of one column, eight of two, which stand in registers x and y. */
#define MICRO_COLUMN(x) "vldmia %[w]!, {s8-s11}\n" MICRO_TIMES(x, "s8", "s9", "s10", "s11")
#define MICRO_TWO_COLUMNS(x, y)                                         \
    "vldmia %[w]!, {s8-s15}\n" MICRO_TIMES(x, "s8", "s9", "s10", "s11") \
        MICRO_TIMES(y, "s12", "s13", "s14", "s15")
#define MICRO_LOOP(body, at) "b 2f\n1:" body "2: cmp " at ", %[end]\nbne 1b\n"
#define MICRO_FLOAT_CLOBBERS \
    "cc", "memory", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15"
#endif

#endif
