/* Exact products of two sparse matrices that show in blocks of rank one. */
#ifndef PSM_BLOCKS_H
#define PSM_BLOCKS_H

#include "psm_atoms.h"

/* W of which all blocks of some regular grid, contiguous or strided, have rank one, as in a
 * Kronecker product A x B = (A x I)(I x B), a Hadamard matrix, a step of an FFT. Each block is an
 * atom then. Ratios, which psm_peel goes by, tell nothing there, since all entries may be 1 or -1.
 * Conventions of psm_peel; of several grids the one with the fewest entries.
 *
 * Cost: m n for every grid that W has, little for the others. */
enum psm_peel_result psm_blocks(const float *w, int m, int n, struct psm_atoms *atoms);

#endif
