/* Few-bit values for a product of sparse factors: W ~ S_1 .. S_J, each S_j by rounding.h with O =
 * S_1 .. S_{j-1} and Z = S_{j+1} .. S_J. From the last factor to the first, each is fitted to what
 * the rounded ones behind it give, and rounded; then their codes are improved in turn while that
 * lowers the error. Of one factor the pattern is chosen together with the codes. */
#ifndef PSM_ROUND_H
#define PSM_ROUND_H

#include "psm_search.h"

/* The bytes that a float fit of the family takes in few bits, over those of the budget; 0 without
 * such a budget or without memory. */
double psm_round_excess(const struct psm_search *search, const struct sn_fit *fit);

/* Rounds the values of fit, a float matrix of the family, which becomes one of search->bits bits
 * within search->budget, in the narrowest index form; fit's errors are left as they are. *fit is
 * empty on failure: SN_NO_MEMORY. Scratch: five copies of W, two of each factor as a dense matrix,
 * one of M. Cost: for each factor and round about three products of the size of W times M. */
enum sn_status psm_round(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error);

#endif
