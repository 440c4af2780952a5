/* Rows in an order that suits blocks. */
#ifndef PSM_ORDER_H
#define PSM_ORDER_H

#include "sn_error.h"

#include <stdint.h>

/* Entries that come in blocks of consecutive rows share their columns, so that rows which have
 * their energy in the same columns belong together. How much two rows have there is
 *
 *     similarity[i, l] = sum_j w_ij^2 w_lj^2,
 *
 * and groups are filled greedily by it.
 *
 * Puts the rows of w (m x n) in the order that order[m] receives: row i is row order[i] of before.
 * SN_NO_MEMORY is the only failure; w is as before then. Cost: m^2 n / 2 multiply-adds and
 * block m^2 additions. */
enum sn_status psm_order_rows(float *w, int m, int n, int block, uint32_t *order,
                              struct sn_error *error);

#endif
