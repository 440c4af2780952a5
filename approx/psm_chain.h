/* W ~ S_1 S_2 ... S_J, a product of more than two sparse matrices. */
#ifndef PSM_CHAIN_H
#define PSM_CHAIN_H

#include "psm_search.h"

enum { PSM_MOST_FACTORS = 16 };

/* Exactly, where W can be divided again and again (psm_divide.h): H_32 so becomes five factors of
 * two entries in each row. Identities fill up what is missing, where the budget allows it.
 *
 * Where that ends before J factors, or the budget is less than it takes, the largest factor is
 * peeled: T ~ S T' (dsf.h), S starting as the identity and T' a step sparser, as often as factors
 * are missing. T' falls geometrically, since a step that takes much at once leaves the search far
 * from its exact start. Source: the hierarchical factorisation of Le Magoarou and Gribonval,
 * Flexible multi-layer sparse approximations of matrices and applications, IEEE J. Sel. Top. Signal
 * Process. 10(4), 2016, section IV. Each peel minimises its own error only, so that in the end all
 * values are fitted together (sn_refit).
 *
 * search->n_factors is J, at most PSM_MOST_FACTORS; search->block is 1. SN_BAD_INPUT when the
 * budget cannot hold J factors; *fit is empty then. Cost: J-1 times that of two factors, and of the
 * last fit. */
enum sn_status psm_chain_fit(const struct psm_search *search, struct sn_fit *fit,
                             struct sn_error *error);

#endif
