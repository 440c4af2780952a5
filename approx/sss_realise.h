/* From plans to matrices: sweeps give a plan its values, refinement (sss_refine.h) lowers their
 * error, and the best of all is kept. */
#ifndef SSS_REALISE_H
#define SSS_REALISE_H

#include "sss_search.h"

/* A plan as a matrix with its words, in *fit. The sweeps repeat those that measured it, so they
 * lead to the same states. */
enum sn_status sss_realise(const struct sss_view *view, const struct sss_plan *plan,
                           struct sn_fit *fit, struct sn_error *error);

/* Measures a fit of view->given, which becomes the best where it is better, and is freed
 * otherwise. */
enum sn_status sss_offer(struct sss_search *search, struct sn_fit *candidate, struct sn_fit *best,
                         struct sn_error *error);

/* Offers a plan as the sweeps leave it, then refined in so many rounds. An error of rounding,
 * float32's with a margin, is not refined. */
enum sn_status sss_settle(struct sss_search *search, const struct sss_plan *plan, int rounds,
                          struct sn_fit *best, struct sn_error *error);

/* Offers the plans of the search, the more of them and the longer the greater the effort. A plan
 * foretold to be far behind is left out: refinement gains less than that. */
enum sn_status sss_settle_all(struct sss_search *search, struct sn_fit *best,
                              struct sn_error *error);

#endif
