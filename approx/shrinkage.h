/* How far the covariance of few features is to be trusted. */
#ifndef SHRINKAGE_H
#define SHRINKAGE_H

#include "approx.h"

/* A weighting from all samples x (n_samples x n) whose shrinkage and alignment are chosen by the
 * error of outputs on samples that did not fit: the last fifth is held out, and for each of a few
 * choices W (m x n), or 300 of its rows when it has more, is approximated with the weighting of the
 * others, by the simplest form that the family has within the budget of options (its low rank, one
 * sparse factor). Of the shrinkages whose error lies within a thirtieth of the least the largest is
 * taken, since it trusts the samples least (as in the one-standard-error rule: Hastie, Tibshirani
 * and Friedman, The Elements of Statistical Learning, 2nd ed., section 7.10). Fewer than ten
 * samples are shrunk entirely.
 *
 * The caller frees with sn_weighting_free. Errors: those of fit and of sn_weighting_new. Cost: nine
 * quick fits. */
enum sn_status sn_weighting_choose(sn_fit_function *fit, const struct sn_fit_options *options,
                                   const float *w, int m, int n, const float *x, int n_samples,
                                   struct sn_weighting *weighting, struct sn_error *error);

#endif
