/* Eigenvalues and eigenvectors of the Gram matrices that a sweep meets. */
#ifndef SSS_EIGEN_H
#define SSS_EIGEN_H

#include "sn_error.h"

#include <stddef.h>

/* Doubles and integers of scratch for an order, at least 1. */
size_t sss_eigen_work(size_t order);
size_t sss_eigen_integers(size_t order);

/* A = V^T diag(values) V, A symmetric positive semidefinite (order x order, its upper triangle row
 * by row, overwritten): the largest `wanted` eigenvalues (1 to order), descending, and their
 * vectors, one a row. values has room for order numbers, vectors for order x order, work and
 * integers for as many as the two functions above say; nothing overlaps. More than what is wanted
 * may be written there.
 *
 * All of them are exact up to rounding where the order is at most 1024 or many are wanted. Of a
 * larger matrix a few may come from a subspace (sss_subspace.h) where that is quicker; the sum of
 * their eigenvalues is then proven to be as large as it can, up to 10^-6 of the sum of those that
 * are not wanted.
 *
 * SN_NO_MEMORY, SN_BAD_INPUT where LAPACK does not converge. Cost: 4/3 order^3 multiply-adds, twice
 * that with all vectors. */
enum sn_status sss_eigen(double *a, int order, int wanted, double *values, double *vectors,
                         double *work, int *integers, struct sn_error *error);

#endif
