/* Sparse matrices on their way from a dense matrix to a factor, and what factors take. */
#ifndef PSM_SPARSE_H
#define PSM_SPARSE_H

#include <stddef.h>
#include <stdint.h>

/* A sparse matrix by groups of block rows; entries are blocks, as in psm.h. */
struct psm_sparse {
    int rows, columns, block, n_groups;
    uint32_t *start;  /* n_groups+1 */
    uint32_t *column; /* of each block */
    float *value;     /* block for each block */
};

/* A dense rows x columns matrix: entry (i, j) lies at values[i * step_i + j * step_j]. */
struct psm_strided {
    float *values;
    int rows, columns;
    size_t step_i, step_j;
};

/* What a matrix may take; SIZE_MAX where there is no limit. */
struct psm_budget {
    size_t bytes, values;
};

/* The entries of dense that are not zero. 0 when memory runs out; psm_sparse_free is legal then. */
int psm_sparse_new(struct psm_sparse *s, const struct psm_strided *dense, int block);
void psm_sparse_free(struct psm_sparse *s);

size_t psm_sparse_values(const struct psm_sparse *s);

/* Walks the groups of a factor and sets an entry next to nothing wherever two blocks are more than
 * 256 columns apart, for conjugate gradients to give it a value. Returns how many; only counts
 * unless set. */
size_t psm_bridge(const struct psm_strided *dense, int block, int set);

/* What factors take together, indices of bits[j] bits. */
struct psm_budget psm_size(const struct psm_sparse *factors, const int *bits, int n_factors);

int psm_is_within(struct psm_budget size, struct psm_budget budget);

#endif
