/* W = sum_p a_p b_p^T: a matrix as a sum of atoms, products of a sparse column and a sparse row,
 * which is a product of two sparse factors: atom p is column p of the left one and row p of the
 * right. */
#ifndef PSM_ATOMS_H
#define PSM_ATOMS_H

#include "psm_sparse.h"

#include <stddef.h>

/* p < n_atoms: a_p (m) and b_p (n) lie one after the other in one dense row of m+n doubles. */
struct psm_atoms {
    int m, n, n_atoms, capacity;
    double *sides;
};

enum psm_peel_result { PSM_PEEL_NO_MEMORY = -1, PSM_PEEL_NONE, PSM_PEEL_WHOLE };

/* Legal on a zeroed struct. */
void psm_atoms_free(struct psm_atoms *atoms);

/* m + n. */
size_t psm_atoms_length(const struct psm_atoms *atoms);

/* a_p for side 0, b_p for side 1. */
double *psm_atoms_side(const struct psm_atoms *atoms, int p, int side);

/* Appends a zero atom. Returns its number, or -1 when memory runs out. */
int psm_atoms_append(struct psm_atoms *atoms);

/* The bytes and values that the atoms take as two factors. */
struct psm_budget psm_atoms_size(const struct psm_atoms *atoms);

/* Atoms whose sum is w (m x n), as few bytes of them as several searches find (psm_blocks, then
 * psm_peel from several seeds); the first that fit into the budget do. The searches of a large
 * matrix, which take seconds, are fewer. Conventions of psm_peel. */
enum psm_peel_result psm_atoms_find(const float *w, int m, int n, struct psm_budget budget,
                                    struct psm_atoms *best);

#endif
