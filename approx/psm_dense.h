/* The dense matrix that a product of sparse matrices is. */
#ifndef PSM_DENSE_H
#define PSM_DENSE_H

#include "psm.h"

/* Writes W = S_1 S_2 ... S_J (n_outputs x n_inputs), as sn_dense does but for rounding.
 * SN_NO_MEMORY is the only failure.
 *
 * The product is formed from the right, S_J as it is stored. Cost: for two factors one multiply-add
 * for each pair of an entry of S_1 and one in the row of S_2 that it meets, a share of S_2 of what
 * products with all unit vectors take; n_inputs for each entry of any factor but the last two. */
enum sn_status psm_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                         struct sn_error *error);

#endif
