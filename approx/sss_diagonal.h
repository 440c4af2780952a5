/* All entries of equal blocks on the diagonal, one for each of the option "stages", by default one:
 * the matrix itself. What stands beside the blocks is lost; a convolution of groups has nothing
 * there. */
#ifndef SSS_DIAGONAL_H
#define SSS_DIAGONAL_H

#include "fit.h"
#include "sss.h"

/* A fit function (sn_fit). SN_BAD_INPUT too when the budget does not hold the entries, or there are
 * more blocks than rows or columns. Cost in few bits: that of sss_round for each block. */
enum sn_status sss_fit_diagonal(const float *dense, int n_outputs, int n_inputs,
                                const struct sn_fit_options *options, struct sn_fit *fit,
                                struct sn_error *error);

#endif
