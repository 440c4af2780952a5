/* The kernels of PSM: products with one sparse factor S (rows x width) and their gradients,
 *
 *     Y += X S^T        dS += dY^T X, at the stored entries only        dX += dY S
 *
 * for a batch of row vectors X (batch x width) and Y (batch x rows). psm.h says what blocks and
 * groups are; psm.c goes from factor to factor.
 *
 * The kernels trust their caller: a pattern is checked when it is made or read (psm.c). They need
 * neither memory of their own nor a library nor another header of ours, so that the same file
 * serves a microcontroller. Threads may call them at the same time when they write to different
 * arrays. Cost: a multiply-add for each stored value and sample in the product, and one for each of
 * the two gradients. */
#ifndef PSM_KERNEL_H
#define PSM_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* The pattern of S, which the caller keeps: where its entries are. */
struct psm_pattern {
    int rows, width;
    int block;                  /* rows of a block: 1 to 8 */
    const uint32_t *row_starts; /* n_groups+1: where each group starts among the blocks */
    const uint32_t *columns;    /* of each block */
    const uint32_t *order;      /* rows: row i of S is row order[i] of Y; NULL: i itself */
};

/* The groups of `block` consecutive rows in a factor, the last of which may lack rows. */
size_t psm_count_groups(int rows, int block);

/* The rows of a group that exist. */
int psm_group_height(int rows, int block, size_t group);

/* Y += X S^T. values are block floats for each block; x and y do not overlap. */
void psm_factor_forward(const struct psm_pattern *s, const float *values, int batch, const float *x,
                        float *y);

/* dS += dY^T X into dvalues, which lies as values does, and dX += dY S unless dx is NULL. No array
 * that is written overlaps another. */
void psm_factor_backward(const struct psm_pattern *s, const float *values, int batch,
                         const float *x, const float *dy, float *dvalues, float *dx);

#endif
