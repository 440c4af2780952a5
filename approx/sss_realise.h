/* A plan as a matrix: its values by the sweeps that measured it, then refined.
 *
 * Each truncation of a sweep is the best one for its Hankel block, given those before it. All of
 * them together are not the best values for these segments and states: blocks overlap, so what one
 * boundary should keep depends on the others. With a weighting the sweeps besides see the scales
 * of the inputs alone, not their correlation. Refinement (sss_refine.h) changes all values with the
 * whole error in view. It only goes down to the nearest minimum, hence it starts from what the
 * sweeps give; it takes as long as measuring several plans, hence it is left to the few most
 * promising ones; and it gains more on some than on others, hence to more than one. */
#ifndef SSS_REALISE_H
#define SSS_REALISE_H

#include "sss_search.h"

/* A plan as a matrix of problem->dense. The sweeps repeat those that measured it, so they lead to
 * the same states. Without a measure before, reached (n_stages+1, may be NULL) says how many causal
 * states the sweep used; others are zero. The caller frees *fit (sn_fit_free), whose errors are
 * left unmeasured. */
enum sn_status sss_realise(const struct sss_problem *problem, const struct sss_plan *plan,
                           int *reached, struct sn_fit *fit, struct sn_error *error);

/* Measures a fit of problem->given, which becomes the found one where it is better, and is freed
 * otherwise. */
enum sn_status sss_offer(const struct sss_problem *problem, struct sn_fit *candidate,
                         struct sss_found *found, struct sn_error *error);

/* Offers a plan as the sweeps leave it, then refined in so many rounds. Low rank is not refined,
 * nor is anything once the error is one of rounding. */
enum sn_status sss_settle(const struct sss_problem *problem, const struct sss_plan *plan,
                          int rounds, struct sss_found *found, struct sn_error *error);

#endif
