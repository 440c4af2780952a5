/* W ~ S_1 S_2, a product of two sparse matrices. */
#ifndef PSM_PAIR_H
#define PSM_PAIR_H

#include "psm_search.h"

/* Exactly, where W is found to be such a product (psm_atoms_find); if that takes more than the
 * budget, a search from there shrinks it. Where that fails or leaves an error, by a search (dsf.h)
 * from W = W I or W = I W: the identity on the smaller side, or, of a square matrix, where a short
 * run comes closer. The better of both results counts.
 *
 * SN_BAD_INPUT when the budget cannot hold two factors, SN_NO_MEMORY; *fit is empty then. Cost:
 * psm_atoms_find's and dsf_run's. */
enum sn_status psm_pair_fit(const struct psm_search *search, struct sn_fit *fit,
                            struct sn_error *error);

#endif
