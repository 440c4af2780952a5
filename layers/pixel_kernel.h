/* The kernels of a sparse factor S (rows x width) for the pixels of an image, which stand side by
 * side, so that a stored value meets whole vectors of them, and one load of X serves all rows of a
 * block:
 *
 *     Y = S X        dS += dY X^T, at the stored entries only        dX += S^T dY
 *
 * X and dX are (width of S) x n, Y and dY rows x n, n pixels, each row of which lies on its own
 * (pixel_rows.h), so that the rows of X may be one image moved by some pixels. No array that
 * is written overlaps another but rows of dX one another. What psm_kernel.h says of kernels holds
 * here too. The result depends on the instruction set (isa.h) in the last bits only. */
#ifndef PIXEL_KERNEL_H
#define PIXEL_KERNEL_H

#include "pixel_rows.h"
#include "psm_kernel.h"

struct pixel_kernel {
    /* Y = S X; the order of s says which row of Y is one of S. */
    void (*forward)(const struct psm_pattern *s, const float *values, size_t n,
                    const struct pixel_rows *x, const struct pixel_rows *y);
    /* dS += dY X^T into dvalues, which lies as values does. Sums of all n pixels are formed at
     * once: few hundred keep a group's rows in the first cache. */
    void (*gradient)(const struct psm_pattern *s, size_t n, const struct pixel_rows *x,
                     const struct pixel_rows *dy, float *dvalues);
    /* dX += S^T dY. */
    void (*backward)(const struct psm_pattern *s, const float *values, size_t n,
                     const struct pixel_rows *dy, const struct pixel_rows *dx);
};
extern const struct pixel_kernel pixel_plain, pixel_avx2, pixel_avx512;

#endif
