/* A few leading eigenpairs of a large matrix, by iteration on a random subspace.
 *
 * Let A be symmetric positive semidefinite, and X a random subspace of more dimensions than vectors
 * are wanted (Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53(2),
 * 2011, algorithms 4.4 and 5.3). In each round the rows of X are made orthonormal, and rotated such
 * that
 *
 *     X A = diag(theta) X + R,    R X^T = 0
 *
 * (Rayleigh and Ritz). Then X becomes X p(A) for a Chebyshev polynomial p that is large on the
 * wanted eigenvalues and small on those below the least theta, which a few products with A raise by
 * orders of magnitude even where the spectrum is flat (Saad, Numerical Methods for Large Eigenvalue
 * Problems, 2nd ed., SIAM, 2011, section 7.4).
 *
 * The sum of theta_1 .. theta_r is what the first r rows of X hold of trace A, exactly. How much
 * the best r vectors hold is bounded from the first q rows, r < q: let tau be at least all
 * eigenvalues of A on the complement of these rows, and tau < theta_r. An eigenvalue lambda >=
 * theta_r of A is one of diag(theta) + R (lambda I - C)^-1 R^T, C the matrix on the complement, so
 * that
 *
 *     lambda_1 + .. + lambda_r <= the sum of the r largest eigenvalues of
 *                                 diag(theta) + R R^T / (theta_r - tau).
 *
 * That tau is what it is to be is proven by a Cholesky factor of tau I - P A P, P the projection on
 * the complement; it exists only where the matrix is positive definite. Rounds end when the bound
 * exceeds the sum of the thetas by at most 10^-6 of what is left of trace A, or of the rounding
 * noise of float32. */
#ifndef SSS_SUBSPACE_H
#define SSS_SUBSPACE_H

#include "sn_error.h"

/* The largest `wanted` eigenvalues of a (order x order, its upper triangle row by row), descending,
 * and orthonormal vectors, one a row. *found is set to `wanted`, or to 0 when that would take
 * longer than LAPACK, or there is no proof: after a round it is known how many more there will be.
 * The random start is always the same. a is not changed. SN_NO_MEMORY is the only failure. Cost: of
 * a round two to twelve products of order^2 wanted 3/2 multiply-adds; of the proof order^3 / 6 and
 * two products. Memory: order^2 doubles and three times 3/2 wanted x order. */
enum sn_status sss_subspace(const double *a, int order, int wanted, double *values, double *vectors,
                            int *found, struct sn_error *error);

#endif
