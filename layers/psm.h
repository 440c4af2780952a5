/* PSM: products of sparse matrices, W = S_1 S_2 ... S_J, J >= 1. Factor j (0-based) is sizes[j] x
 * sizes[j+1], with sizes[0] = n_outputs and sizes[J] = n_inputs, and has nonzeros[j] stored
 * entries. Only these are multiplied and trained. Source: Le Magoarou and Gribonval, Flexible
 * multi-layer sparse approximations of matrices and applications, IEEE J. Sel. Top. Signal Process.
 * 10(4), 2016.
 *
 * Entries come in blocks of `block` consecutive rows x 1 column, with one column index per block.
 * The rows of a factor are grouped from the top into ceil(sizes[j]/block) groups. What the last
 * group has below the factor's height is stored and counts as nonzeros, but takes no part in
 * products and gradients. With an order, row i of the product is output order[i].
 *
 * Words in a .weights file, each of these arrays padded with zeros to a multiple of 4 bytes:
 *
 *     the values, factor by factor, group by group, block by block, a block from top to bottom
 *     for each factor
 *         its column indices, group by group, ascending in a group: u8, u16 or u32
 *         its group lengths, in blocks: u16 when the width is at most 65,535, else u32
 *       or, with 1 bit: for each group a bitmap of its columns, from the low bit of the first byte
 *         on, padded to a byte
 *     the order, if there is one: u16 when n_outputs is at most 65,536, else u32
 *
 * A column index in 8 bits is the difference to the one before it in the group, minus 1 (the first:
 * the column itself). Where columns are farther apart than 256, blocks of zeros must stand between
 * them: a fresh layer moves the columns that it draws, the approximators bridge the gaps. In 4 bits
 * it is the same difference, and 15 stands for 15 columns to be skipped, an escape, of which a
 * factor has room for so many; what it does not use is 0 behind the last index. */
#ifndef PSM_H
#define PSM_H

#include "family.h"

#include <stdint.h>

struct psm {
    struct sn_matrix matrix;
    int n_factors;
    int block;            /* rows of a block: 1, 4 or 8 */
    int *sizes;           /* n_factors+1 */
    int *nonzeros;        /* n_factors: stored values, each a multiple of block */
    int *index_bits;      /* n_factors: 1, 4, 8, 16 or 32 */
    int *escapes;         /* n_factors: room for so many, with 4 bits */
    uint32_t *row_starts; /* factor by factor n_groups+1 positions in its own blocks, from 0 */
    uint32_t *columns;    /* factor by factor nonzeros[j]/block columns, ascending in a group */
    uint32_t *order;      /* n_outputs: a permutation; NULL without one */
    size_t n_storage;
    uint32_t storage[]; /* of the seven arrays */
};

extern const struct sn_family psm_family;

/* What psm_new is told. The fields behind nonzeros may be left zero: the defaults. */
struct psm_layout {
    int n_factors;
    const int *sizes;    /* n_factors+1 */
    const int *nonzeros; /* n_factors */
    /* n_factors: 1, 4, 8, 16, 32, or 0 for 16 at a width of at most 65,536, else 32; NULL: all 0 */
    const int *index_bits;
    int block; /* 1, 4, 8, or 0 for 1 */
    int has_order;
    const int *escapes; /* n_factors, 0 but with 4 bits; NULL: all 0 */
};

/* A shape with the given layout, which is copied; row_starts, columns and order are zero until
 * psm_family.init or unpack, or the caller with psm_pack, sets them. NULL and error when a size is
 * below 1, a factor has more nonzeros than entries or no whole number of blocks, block or
 * index_bits is none of the above, 16 bits are too few for the width, or the counts overflow an
 * int. free() releases it. */
struct psm *psm_new(const struct psm_layout *layout, struct sn_error *error);

/* Writes row_starts, columns and order behind the values of words[n_words], as unpack reads them.
 * Columns with 8-bit indices must not be farther apart than 256, the first of a group not farther
 * than 255 from column 0; with 4 bits there must be room for the escapes. */
void psm_pack(const struct psm *shape, float *words);

/* Bytes of a factor's column indices and group lengths. */
size_t psm_structure_bytes(int rows, int columns, size_t n_blocks, int index_bits, int escapes,
                           int block);

/* Bytes that a factor of float32 values takes, without escapes. Zero index_bits and block are the
 * defaults. */
size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block);

/* Bytes that an order of n_outputs takes. */
size_t psm_order_bytes(int n_outputs);

#endif
