/* What the PSM approximators share: one call of the family's fit, and the way from sparse factors
 * to its result. */
#ifndef PSM_SEARCH_H
#define PSM_SEARCH_H

#include "fit.h"
#include "psm.h"
#include "psm_keep.h"
#include "psm_sparse.h"

#include <stdint.h>

/* One call. Budgets have SIZE_MAX where there is no limit. */
struct psm_search {
    const float *w; /* m x n, scaled by a power of two, its rows in order */
    int m, n;
    int n_factors; /* 0: one or two, whichever is better */
    int block;
    enum psm_pattern pattern;
    const uint32_t *order;    /* row i of w is row order[i] of the matrix; NULL: as they stand */
    int bits;                 /* of a value: 32 or few */
    struct psm_budget budget; /* the order's bytes taken off */
    double energy;            /* sum w_ij^2 M_jj: of W as a search for patterns sees it */
    const struct sn_fit_options *options;
};

/* Bytes of one value in a factor with indices of bits bits, its part of an index included. */
double psm_value_bytes(const struct psm_search *search, int bits);

/* Turns sparse factors, indices of bits[j] bits with room for escapes[j] (NULL: none), into a
 * matrix of float32 and its words. *fit is empty on failure. */
enum sn_status psm_build(const struct psm_search *search, const struct psm_sparse *factors,
                         const int *bits, const int *escapes, int n_factors, struct sn_fit *fit,
                         struct sn_error *error);

/* Fills in fit's errors, in both norms, for rows of w in search's order. SN_NO_MEMORY is the only
 * failure, which empties *fit. */
enum sn_status psm_measure(const struct psm_search *search, struct sn_fit *fit,
                           struct sn_error *error);

/* *fit <- the one with the smaller error; the other is freed. */
void psm_keep_better(struct sn_fit *fit, struct sn_fit *other);

/* Tells the caller how far the search is. */
void psm_report(const struct psm_search *search, double done, double squared_error, double energy);

#endif
