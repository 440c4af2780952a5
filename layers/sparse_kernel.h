/* The kernel of packed sparse factors:
 *
 *     y = S x        S rows x width, of levels or floats
 *
 * for a factor of PSM as psm.h describes it, whose arrays stand group by group in the order in
 * which they are read. It needs neither memory of its own nor a library. */
#ifndef SPARSE_KERNEL_H
#define SPARSE_KERNEL_H

#include "lanes.h"

struct sparse_factor {
    int rows, width;
    int block;               /* rows of a block: 1, 4 or 8 */
    int bits;                /* of a value (lanes.h) */
    int index_bits;          /* 1, 4, 8, 16 or 32; of a width above 65,536 always 32 */
    const uint32_t *lengths; /* blocks of each group */
    const char *indices;     /* as psm.h says, but that half bytes begin anew in each group, and an
                              * even number of them ends with 15 where a half is left */
    const char *values;      /* each group filled up to a multiple of eight, with zeros where they
                              * are floats */
    const struct lanes_levels *levels;
};

/* Half bytes, bytes and bitmaps become columns for one group after the other. */
static inline size_t sparse_scratch_bytes(int width, int index_bits)
{
    return index_bits >= 16 ? 0 : ((size_t)width + 4 * LANES) * sizeof(uint16_t);
}

/* Floats of y: whole groups. */
static inline size_t sparse_result_floats(int rows, int block)
{
    return ((size_t)rows + (size_t)block - 1) / (size_t)block * (size_t)block;
}

/* y = S x: y[sparse_result_floats()] is overwritten; what it has behind the rows is undefined.
 * columns is scratch of sparse_scratch_bytes(). Up to 64 bytes may be read behind each array but x.
 * Cost: a multiply-add for each value, and for bitmaps of single entries a step for eight columns.
 */
struct sparse_kernel {
    void (*multiply)(const struct sparse_factor *s, const float *x, float *y, uint16_t *columns);
};
extern const struct sparse_kernel sparse_plain, sparse_avx2;

#endif
