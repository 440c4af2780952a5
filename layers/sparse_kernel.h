/* The kernel of packed sparse factors:
 *
 *     y = S x        S rows x width, of levels or floats
 *
 * for a factor of PSM (psm.h), whose arrays stand in the order in which they are read. It needs
 * neither memory of its own nor a library. */
#ifndef SPARSE_KERNEL_H
#define SPARSE_KERNEL_H

#include "lanes.h"

/* How the entries of a factor stand. Those of columns and of values are as many. */
enum sparse_form {
    /* Single entries, rows sorted by their length and in slices of eight: the first entries of a
     * slice's rows stand side by side, then their second ones, up to the length of the longest.
     * What shorter rows have behind their end has no effect. */
    SPARSE_SLICES,
    /* Single entries, row after row, each filled up to a multiple of eight values, and a bitmap for
     * each: column c at bit c % 8 of byte c / 8, from a new byte on. Codes lie as in a file. */
    SPARSE_BITMAPS,
    /* Blocks of 4 or 8 rows, group after group; where the values of a group are no multiple of
     * eight another block without effect follows. */
    SPARSE_BLOCKS
};

struct sparse_factor {
    enum sparse_form form;
    int rows, width;
    int block;               /* rows of a block */
    int bits;                /* of a value (lanes.h) */
    int is_wide;             /* columns are u32, else u16 */
    const uint32_t *lengths; /* of each row, in the order of slices and zeros behind the last, or of
                              * each group in blocks */
    const uint32_t *order;   /* of slices: the row of y for each length */
    const char *columns;     /* of each entry or block, or bitmaps */
    const char *values;
    const struct lanes_levels *levels;
};

/* Floats of y: whole slices or groups. */
static inline size_t sparse_result_floats(int rows)
{
    return ((size_t)rows + LANES - 1) / LANES * LANES;
}

/* y = S x: y[sparse_result_floats()] is overwritten; what it has behind the rows is undefined. Up
 * to 64 bytes may be read behind each array but x. Cost: a multiply-add for each value, and a step
 * for eight columns of a bitmap. Source of slices: Kreutzer et al., A unified sparse matrix data
 * format for efficient general sparse matrix-vector multiplication on modern processors with wide
 * SIMD units, SIAM J. Sci. Comput. 36(5), 2014. */
struct sparse_kernel {
    void (*multiply)(const struct sparse_factor *s, const float *x, float *y);
};
extern const struct sparse_kernel sparse_plain, sparse_avx2;

#endif
