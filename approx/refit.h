/* The values of a structured matrix, of any family, fitted to a dense one with the structure as it
 * stands. */
#ifndef REFIT_H
#define REFIT_H

#include "approx.h"

/* Lowers f = ||(W - What) L||_F^2 over fit's values (L = I when weighting is NULL) by at most
 * n_steps steps of L-BFGS with a line search that only ever goes down, so that the end is never
 * worse than the start. w is n_outputs x n_inputs, borrowed. fit's errors are left as they are.
 * Ends early when *stop (which may be NULL) is set, or when a step gains next to nothing.
 * SN_NO_MEMORY is the only failure; the values are as before then.
 *
 * Cost of a step: about one forward and one backward product for each of the n_inputs columns of L.
 * Source: Nocedal and Wright, Numerical optimization, 2nd ed., algorithms 7.4 and 3.1. */
enum sn_status sn_refit(struct sn_fit *fit, const float *w, const struct sn_weighting *weighting,
                        int n_steps, const volatile sig_atomic_t *stop, struct sn_error *error);

#endif
