/* Exact products of two sparse matrices, recovered atom by atom. */
#ifndef PSM_PEEL_H
#define PSM_PEEL_H

#include "psm_atoms.h"

/* W = A B with sparse A and B in general position: columns where row i and row l of W hold nothing
 * but a common atom p all have the ratio a_ip / a_lp there. Equal ratios so betray an atom; the
 * rows and columns that agree with it are joined to it, it is subtracted, and what was covered by
 * it becomes visible (as in the decoding of erasure codes). What no atom explains (an atom that two
 * lines or places never show bare) is left as rows or columns of its own, so that W may take a few
 * entries more than A and B have.
 *
 * w (m x n, row-major) is borrowed. *atoms belongs to the caller (psm_atoms_free) unless the result
 * is NO_MEMORY; it holds all of W when the result is WHOLE. NONE, quickly, for a matrix without
 * such structure. Another seed visits the lines in another order, which may leave fewer of them
 * over; 0 leaves them in place.
 *
 * Cost: O((m^2 n + m n^2) log) per sweep, a few sweeps, when there is structure; else a sample of
 * pairs. */
enum psm_peel_result psm_peel(const float *w, int m, int n, unsigned seed, struct psm_atoms *atoms);

#endif
