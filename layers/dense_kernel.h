/* The kernel of packed dense blocks:
 *
 *     y = W x        y += W x        W rows x columns, of levels or floats
 *
 * W is packed in strips of 32 rows, the last of which may have fewer; in a strip column stands
 * behind column. A column of floats takes as many as the strip has rows; one of codes (lanes.h) a
 * multiple of 8, and what is added has no effect. It needs neither memory of its own nor a
 * library. */
#ifndef DENSE_KERNEL_H
#define DENSE_KERNEL_H

#include "lanes.h"

enum { DENSE_STRIP = 32 };

/* Bytes of a packed block; up to 64 more may be read behind it. */
static inline size_t dense_bytes(int bits, size_t rows, size_t columns)
{
    return bits == 32 ? 4 * rows * columns
                      : (rows + LANES - 1) / LANES * lanes_bytes(bits) * columns;
}

/* A packed block. */
struct dense_block {
    int bits; /* of a value (lanes.h) */
    size_t rows, columns;
    const char *values;
    const struct lanes_levels *levels;
    const float *scales; /* by which the sum of a row is multiplied, for whole vectors of rows; NULL
                          * for floats */
    const struct lanes_codes *x8; /* x in codes, with values of 8 bits; else NULL. What is
                                   * multiplied is up to the kernel: x, or the codes in integers. */
};

/* y = W x, or y += W x where adds is set. y is read and written for whole vectors, but keeps what
 * it has behind the rows if adds is set. Cost: rows x columns multiply-adds, one stream of the
 * bytes. */
struct dense_kernel {
    void (*multiply)(const struct dense_block *w, const float *x, float *y, int adds);

    /* Rounds x[n] to codes_j = x_j / scale, scale = max |x_j| / 127, to the nearest, halves to
     * even, and rounded_j = scale codes_j. The scale is no number where an x_j is none or not
     * finite, and codes are 0 where it is less than normal. Returns the scale; *sum is that of the
     * codes. */
    float (*round)(const float *x, size_t n, signed char *codes, float *rounded, int32_t *sum);
};
extern const struct dense_kernel dense_plain, dense_avx2, dense_avx512;

#endif
