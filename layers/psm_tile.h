/* The kernels of PSM for many samples: products with one sparse factor S (rows x width of S) and
 * their gradients for a tile of samples that stand side by side, so that a stored value meets whole
 * vectors of them,
 *
 *     Y = S X        dS += dY X^T, at the stored entries only        dX += S^T dY
 *
 * X and dX are (width of S) x n, Y and dY rows x n, row-major, n samples: 8, 16, 32 or 64. What
 * psm_kernel.h says of kernels holds here too, but for the order, which has no effect: row i is row
 * i. The result depends on the instruction set (isa.h) in the last bits only. */
#ifndef PSM_TILE_H
#define PSM_TILE_H

#include "psm_kernel.h"

/* The samples of the next tile when so many are left: 64, 32, 16 or 8, or 0 when less than 8 are.
 */
enum { PSM_LEAST_TILE = 8 };
int psm_tile_samples(int left);

/* Y = S X: Y is overwritten. */
void psm_tile_forward(const struct psm_pattern *s, const float *values, int n, const float *x,
                      float *y);

/* dS += dY X^T into dvalues, which lies as values does, and dX += S^T dY unless dx is NULL. */
void psm_tile_backward(const struct psm_pattern *s, const float *values, int n, const float *x,
                       const float *dy, float *dvalues, float *dx);

/* Both for one instruction set. */
struct psm_tile_kernel {
    void (*forward)(const struct psm_pattern *s, const float *values, int n, const float *x,
                    float *y);
    void (*backward)(const struct psm_pattern *s, const float *values, int n, const float *x,
                     const float *dy, float *dvalues, float *dx);
};
extern const struct psm_tile_kernel psm_tile_plain, psm_tile_avx2, psm_tile_avx512;

#endif
