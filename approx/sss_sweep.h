/* The balanced truncation of Hankel blocks.
 *
 * The causal part of W is described by its Hankel blocks, one for each boundary k:
 *
 *     H_k = W[rows of stages >= k, columns of stages < k].
 *
 * All that later outputs know of earlier inputs passes through the state there, so rank H_k is the
 * state size that boundary k needs, and a smaller one leaves an approximation of H_k of that rank.
 * A sweep visits the boundaries in order and keeps H_k = O_k R_k with orthonormal rows in R_k. With
 * M_k = [O_{k-1} without its first m_{k-1} rows, W[.., stage k-1]]
 *
 *     M_k = U S V^T cut to s_k terms,
 *     [A_{k-1} B_{k-1}] = V^T,    O_k = U S,    C_k = the first m_k rows of O_k.
 *
 * M_k has the singular values of H_k as far as nothing was cut before. What is cut at one boundary
 * is orthogonal to what is cut at any other, hence
 *
 *     ||W - What||_F^2 = sum of the squared singular values cut off,
 *
 * over all boundaries and both directions, up to rounding: an error that is known without forming
 * What. The anticausal part is the causal part of W with its rows and columns in reverse order.
 *
 * The singular values come from the eigenvalues of M M^T or M^T M in double: that leaves them an
 * absolute error of about 2e-8 ||M||, which is below the rounding noise of a float32 matrix, at a
 * fraction of the cost of an SVD.
 *
 * Sources: Dewilde and van der Veen, Time-Varying Systems and Computations, 1998, chapters 5 and
 * 10; Chandrasekaran et al., Some fast algorithms for sequentially semiseparable representations,
 * SIAM J. Matrix Anal. Appl. 27(2), 2005, section 3. */
#ifndef SSS_SWEEP_H
#define SSS_SWEEP_H

#include "sss.h"
#include "sss_plan.h"

/* Sweeps the part of w (n_outputs x n_inputs, row-major, the plan's sums) in one direction with at
 * most plan->states[direction] states. Any of these may be NULL: reached gets the state sizes used,
 * n_stages+1, and may be plan->states[direction]; spectra the singular values; lost (n_stages) the
 * squared errors, from its second entry on in the order of the sweep; values the blocks A, B, C (or
 * E, F, G) of shape. Sweeps in both directions may run at the same time. */
enum sn_status sss_sweep(const float *w, int n_outputs, int n_inputs, const struct sss_plan *plan,
                         int direction, int *reached, struct sss_spectra *spectra, double *lost,
                         const struct sss *shape, float *values, struct sn_error *error);

#endif
