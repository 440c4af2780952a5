/* Few-bit values for an SSS matrix, by rounding.h: the states of boundary k+1 enter What as
 *
 *     O_{k+1} [A_k B_k] [R_k; I_k],    x_k = R_k u,
 *
 * with O_{k+1} for what the later outputs make of them, and the anticausal ones likewise. So the
 * stages are rounded in the direction in which their states run, each fitted first to what the
 * rounded ones before it give; and when all states are rounded the outputs are,
 *
 *     y_k = [D_k C_k G_k] [I_k; R_k; T_{k+1}] u,    z_{k+1} = T_{k+1} u,
 *
 * whose rows do not depend on each other. The whole is repeated while it lowers the error.
 *
 * Values of a row share a scale, so states are scaled first such that the entries of C and G are as
 * large as those of D beside them: what a state is multiplied with, the row that gives it loses. */
#ifndef SSS_ROUND_H
#define SSS_ROUND_H

#include "sss.h"

/* Rounds the values of fit, a float matrix of the family near w (n_outputs x n_inputs), which
 * becomes one of options->bits bits; its errors are left as they are. *fit is empty on failure:
 * SN_NO_MEMORY. Scratch: four copies of W, two of M, and as many rows of n_inputs and n_outputs as
 * there are states. Cost of a round: sum over the stages of m n (n_k + s_k) + (n_k + s_k) n^2. */
enum sn_status sss_round(const float *w, const struct sn_fit_options *options, struct sn_fit *fit,
                         struct sn_error *error);

#endif
