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
 * The values: factor by factor, group by group, block by block, a block from top to bottom. Rows
 * that share a scale when values have few bits (stored.h): those of the factors in order; a row
 * that does not exist counts as the factor's last one.
 *
 * The structure, each of these arrays padded with zeros to a multiple of 4 bytes:
 *
 *     for each factor
 *         its column indices, group by group, ascending in a group, in one of the forms below
 *         its group lengths, in blocks, but for bitmaps: u16 when the width is at most 65,535, else
 *         u32
 *     the order, if there is one: u16 when n_outputs is at most 65,536, else u32
 *
 *     index=16, 32    the columns as u16 or u32
 *     index=8         u8: the difference to the column before in the group, minus 1 (the first: the
 *                     column itself)
 *     index=4         the same in half bytes, the lower half first. 15 says to skip 15 columns and
 *                     to go on with the next half byte. So many escapes of 15 as the shape has are
 *                     room in the array; the part that is not used is 0 and at its end
 *     index=1         a bitmap for each group, column c at bit c%8 of byte c/8, from a new byte on
 *
 * Where columns are farther apart than index=8 can say, or index=4 with its escapes, blocks of
 * zeros must stand between them: a fresh layer moves the columns that it draws, the approximators
 * bridge the gaps. */
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
    int *escapes;         /* n_factors: half bytes of 15 at most; 0 unless index_bits is 4 */
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
    const int *escapes; /* n_factors: of 4 bits, else 0; NULL: all 0 */
};

/* A shape with the given layout, which is copied; row_starts, columns and order are zero until
 * psm_family.init or unpack, or the caller with psm_pack, sets them. NULL and error when a size is
 * below 1, a factor has more nonzeros than entries or no whole number of blocks, block or
 * index_bits is none of the above, 16 bits are too few for the width, there are escapes without 4
 * bits or more than could be used, or the counts overflow an int. free() releases it. */
struct psm *psm_new(const struct psm_layout *layout, struct sn_error *error);

/* Writes row_starts, columns and order behind the values and scales of words[n_words], as unpack
 * reads them. Columns with 8-bit indices must not be farther apart than 256, the first of a group
 * not farther than 255 from column 0; with 4-bit indices a factor's groups must take no more
 * escapes (psm_count_escapes) than it has. */
void psm_pack(const struct psm *shape, float *words);

/* The escapes that a group of n ascending columns takes. */
size_t psm_count_escapes(const uint32_t *columns, size_t n);

/* Bytes of a factor's structure: column indices and group lengths. Zero index_bits and block are
 * the defaults. Values and scales come on top, packed over all factors together: sn_value_bytes. */
size_t psm_structure_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block,
                           int escapes);

/* Bytes that a factor takes with values of 32 bits and without escapes. */
size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block);

/* Bytes that an order of n_outputs takes. */
size_t psm_order_bytes(int n_outputs);

#endif
