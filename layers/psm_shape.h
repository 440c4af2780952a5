/* What the files of PSM share: a factor of a shape, to be filled and read, its structure as words,
 * and its start values. */
#ifndef PSM_SHAPE_H
#define PSM_SHAPE_H

#include "psm.h"

/* Factor j of a shape; the arrays are the shape's. */
struct psm_factor {
    int rows, width, block, index_bits, escapes;
    size_t n_groups, n_blocks;
    size_t first;         /* position of its first value among all values */
    uint32_t *row_starts; /* n_groups+1 */
    uint32_t *columns;    /* n_blocks */
};
struct psm_factor psm_factor_at(const struct psm *shape, int j);

/* The least column that block p of a group may have: one behind that of the block before it. start
 * is the group's. */
uint32_t psm_least_column(const uint32_t *columns, size_t start, size_t p);

/* Columns that one 15 of 4-bit indices skips, and bytes of a group's bitmap. */
enum { PSM_ESCAPE = 15 };
size_t psm_bitmap_bytes(int width);

/* Takes over the structure in words: unpack of family.h. */
enum sn_status psm_unpack(struct sn_matrix *matrix, const float *words, struct sn_error *error);

/* A fresh pattern, values and the identity as order, packed into words: init of family.h. With one
 * full factor the values are make_connected_layer's sqrt(2/inputs) uniform(-1, 1), number for
 * number. Cost: a few passes over columns times groups. */
enum sn_status psm_start(struct sn_matrix *matrix, float *words, float (*uniform)(float, float),
                         struct sn_error *error);

#endif
