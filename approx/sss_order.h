/* Orders of rows and columns for which a matrix is closer to SSS: a start by the matrix' spectrum,
 * and improvement by assignment of columns (rows) to the stages of an approximation. */
#ifndef SSS_ORDER_H
#define SSS_ORDER_H

#include "sss.h"

/* Position i of the new order takes row rows[i], position j column columns[j] of w (m x n,
 * row-major, borrowed). With A_ij = w_ij^2, row sums R and column sums C, rows are sorted by R^-1/2
 * u and columns by C^-1/2 v for the second singular pair u, v of R^-1/2 A C^-1/2: the Fiedler
 * vector of the bipartite graph of A, which puts what is coupled side by side. Source: Dhillon,
 * Co-clustering documents and words using bipartite spectral graph partitioning, KDD 2001, for the
 * singular pair; Atkins, Boman and Hendrickson, A spectral algorithm for seriation, SIAM J. Comput.
 * 28(1), 1998, for the sorting. SN_NO_MEMORY is the only failure. Cost: min(m,n) m n + 4/3
 * min(m,n)^3 multiply-adds. */
enum sn_status sss_seriate(const float *w, int m, int n, uint32_t *rows, uint32_t *columns,
                           struct sn_error *error);

/* The columns of w (rows when by_rows is set) in an order that suits an approximation of it better:
 * position j takes the column order[j] has. With the bases of the outputs fixed, a column j that
 * lies in stage k keeps the energy
 *     ||w_kj||^2 + ||O_{k+1}^T w_{>k,j}||^2 + ||P_{k-1}^T w_{<k,j}||^2
 * (O, P orthonormal bases of the causal and anticausal observability spaces), and the columns are
 * assigned to the widths of the stages such that the sum is largest: from the present assignment
 * along cycles of stages that gain (cycle cancelling; Ahuja, Magnanti and Orlin, Network Flows,
 * 1993, section 9.6). Within a stage the order stays. words may change their gauge. When the shape
 * does not allow orthonormal bases the order is the identity. */
enum sn_status sss_reassign(const struct sss *shape, float *words, const float *w, int by_rows,
                            uint32_t *order, struct sn_error *error);

#endif
