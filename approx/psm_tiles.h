/* Products of a sparse matrix S (lines x length, block 1) with dense row-major ones. They go by
 * tiles of PSM_TILE columns of the dense matrix, packed so that the cache holds them: an entry of S
 * then takes one multiply-add of PSM_TILE adjacent floats. That is about half of the speed of sgemm
 * for an entry, so that the product pays below half of the entries. */
#ifndef PSM_TILES_H
#define PSM_TILES_H

#include "psm_sparse.h"

enum { PSM_TILE = 32 };

/* Floats that the products need as scratch for an S of so many columns. */
size_t psm_tile_size(size_t length);

/* t <- S^T. t has room for S's entries and for a line for each of its columns. */
void psm_transpose(const struct psm_sparse *s, struct psm_sparse *t);

/* out = S G, or S G - out, lines x columns. G is length x columns, given as its transpose when
 * transposed. Cost: nonzeros(S) columns multiply-adds. */
void psm_times(const struct psm_sparse *s, const float *g, size_t columns, int transposed,
               int subtract, float *out, float *scratch);

/* The lower triangle of out = S S^T, lines x lines. Cost: nonzeros(S) lines / 2. */
void psm_gram(const struct psm_sparse *s, float *out, float *scratch);

#endif
