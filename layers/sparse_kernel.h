/* The kernel of packed sparse factors:
 *
 *     y = S x        S rows x width, of levels or floats
 *
 * for a factor of PSM (psm.h), whose arrays stand in the order in which they are read. It needs
 * neither memory of its own nor a library. */
#ifndef SPARSE_KERNEL_H
#define SPARSE_KERNEL_H

#include "lanes.h"

/* How the entries of a factor stand. */
enum sparse_form {
    /* Single entries, rows sorted by their length and in slices of eight: the first entries of a
     * slice's rows stand side by side, then their second ones, up to the length of the longest.
     * What shorter rows have behind their end has no effect. */
    SPARSE_SLICES,
    /* Single entries, row after row, each filled up to a multiple of eight values, and a bitmap for
     * each: column c at bit c % 8 of byte c / 8, from a new byte on. Codes lie as in a file. */
    SPARSE_BITMAPS,
    /* Single entries in tiles of columns whose x registers hold: sparse_tile.h. */
    SPARSE_TILES,
    /* Blocks of 4 or 8 rows, in panels of columns whose x the first cache holds: of each panel
     * group after group, of each group in parts of at most 32 blocks: their columns, u16 counted
     * from the panel's first, then their values, so that all is read as it lies. Where the values
     * of a part are no multiple of eight another block without effect follows. */
    SPARSE_BLOCKS
};

enum { SPARSE_PANEL = 2048, SPARSE_PART = 32 };

/* Bytes of the columns and of the values of so many blocks of a part. Floats keep their place in
 * lines. */
static inline size_t sparse_part_columns(int bits, size_t count)
{
    size_t line = bits == 32 ? LANES * sizeof(float) : sizeof(uint32_t),
           bytes = count * sizeof(uint16_t);
    return (bytes + line - 1) / line * line;
}

static inline size_t sparse_part_values(int bits, size_t block, size_t count)
{
    size_t bytes = (count * block + LANES - 1) / LANES * lanes_bytes(bits);
    return (bytes + sizeof(uint32_t) - 1) / sizeof(uint32_t) * sizeof(uint32_t);
}

/* Bytes of a group's blocks in a panel. */
static inline size_t sparse_group_bytes(int bits, size_t block, size_t count)
{
    size_t rest = count % SPARSE_PART;
    return count / SPARSE_PART
        * (sparse_part_columns(bits, SPARSE_PART) + sparse_part_values(bits, block, SPARSE_PART))
        + sparse_part_columns(bits, rest) + sparse_part_values(bits, block, rest);
}

struct sparse_factor {
    enum sparse_form form;
    int rows, width;
    int block;               /* rows of a block */
    int bits;                /* of a value (lanes.h) */
    int is_wide;             /* columns of slices are u32, else u16 */
    const uint32_t *lengths; /* of each row, in the order of slices and zeros behind the last, or of
                              * each group in each panel; slices of each tile */
    const uint32_t *order;   /* of slices: the row of y for each length */
    const char *columns;     /* of each entry, or bitmaps */
    const char *values;      /* of tiles and groups: all that they hold */
    const struct lanes_levels *levels;
    const struct lanes_codes *x8; /* as in dense_kernel.h */
};

/* Floats of y: whole slices or groups, and for tiles one float more. */
static inline size_t sparse_result_floats(int rows)
{
    return ((size_t)rows + LANES) / LANES * LANES;
}

/* y = S x: y[sparse_result_floats()] is overwritten; what it has behind the rows is undefined. Up
 * to 64 bytes may be read behind each array but x. Cost: a multiply-add for each value, and a step
 * for eight columns of a bitmap. Source of slices: Kreutzer et al., A unified sparse matrix data
 * format for efficient general sparse matrix-vector multiplication on modern processors with wide
 * SIMD units, SIAM J. Sci. Comput. 36(5), 2014. */
struct sparse_kernel {
    int has_tiles; /* whether SPARSE_TILES are among what it multiplies */
    void (*multiply)(const struct sparse_factor *s, const float *x, float *y);
};
extern const struct sparse_kernel sparse_plain, sparse_avx2, sparse_avx512;

#endif
