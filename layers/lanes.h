/* Eight values side by side: what kernels and those who pack for them share. */
#ifndef LANES_H
#define LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES ((size_t)8)

/* Bytes of eight values as they are packed: codes lie as in a file (stored.h), but those of 8 bits
 * are the levels themselves, as signed bytes, and those of 4 bits are four lower half bytes and
 * then the four upper ones. */
static inline size_t lanes_bytes(int bits) { return (size_t)bits * LANES / 8; }

/* What codes of up to 4 bits stand for: level[c] for code c; where there are fewer than 16, they
 * repeat. */
struct lanes_levels {
    float level[16];
    unsigned char low[16], high[16]; /* its bytes as a bfloat16 number, which holds it exactly */
};

/* A vector in 8 bits, x_j = scale codes_j. The codes are followed by zeros up to a multiple of
 * LANES_CODES. */
struct lanes_codes {
    const signed char *codes;
    float scale;
    int32_t sum; /* of the codes */
};

#define LANES_CODES ((size_t)4)

/* The first float of a cache line from p on: at most LANES_LINE - 1 floats behind it. Vectors
 * across lines take twice as long. */
#define LANES_LINE ((size_t)16)
static inline float *lanes_align(const float *p)
{
    return (float *)(((uintptr_t)p + 63) & ~(uintptr_t)63);
}

#endif
