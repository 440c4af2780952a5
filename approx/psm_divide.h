/* A sparse matrix divided exactly: S = S_1 S_2. */
#ifndef PSM_DIVIDE_H
#define PSM_DIVIDE_H

#include "psm_sparse.h"

/* The rows and columns of S that its entries join make parts, S is their direct sum, and so may its
 * factors be: each part is divided by itself (psm_atoms_find), where that takes fewer values than
 * the part and the identity do, and else is the product of itself and the identity.
 *
 * halves receives S_1 and S_2, which the caller frees; empty ones where no part of S can be
 * divided. 0 when memory runs out; freeing both is legal then. Cost: psm_atoms_find's, for every
 * part. */
int psm_divide(const struct psm_sparse *s, struct psm_budget budget, struct psm_sparse halves[2]);

#endif
