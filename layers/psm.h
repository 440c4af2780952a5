/* PSM: products of sparse matrices, W = S_1 S_2 ... S_J, J >= 1. Factor j (0-based) is sizes[j] x sizes[j+1], with
 * sizes[0] = n_outputs and sizes[J] = n_inputs, and has nonzeros[j] stored entries. Only these are multiplied and
 * trained. Source: Le Magoarou and Gribonval, Flexible multi-layer sparse approximations of matrices and applications,
 * IEEE J. Sel. Top. Signal Process. 10(4), 2016.
 *
 * Words in a .weights file: the values, factor by factor, row by row, then for each factor
 *     its column indices, row by row, ascending in a row: u16 when the width is at most 65,536, else u32
 *     its row lengths: u16 when the width is at most 65,535, else u32
 * each of these arrays padded with zeros to a multiple of 4 bytes. */
#ifndef PSM_H
#define PSM_H

#include "family.h"

#include <stdint.h>

struct psm {
    struct sn_matrix matrix;
    int n_factors;
    int *sizes;             /* n_factors+1 */
    int *nonzeros;          /* n_factors */
    uint32_t *row_starts;   /* for factor 0, 1, ...: sizes[j]+1 positions in the factor's own values, from 0 */
    uint32_t *columns;      /* for factor 0, 1, ...: nonzeros[j] column indices, ascending in a row */
    uint32_t storage[];     /* of the four arrays */
};

extern const struct sn_family psm_family;

/* A shape with the given sizes[n_factors+1] and nonzeros[n_factors], copied; row_starts and columns are zero until
 * psm_family.init or unpack, or the caller with psm_pack, sets them. NULL and error when a size is below 1, a factor
 * has more nonzeros than entries, or the counts overflow an int. free() releases it. */
struct psm *psm_new(int n_factors, const int *sizes, const int *nonzeros, struct sn_error *error);

/* Writes row_starts and columns behind the values of words[n_words], as unpack reads them. */
void psm_pack(const struct psm *shape, float *words);

/* Bytes that a factor takes: values, column indices and row lengths. */
size_t psm_factor_bytes(int rows, int columns, size_t nonzeros);

#endif
