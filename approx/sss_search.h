/* The search for a plan: what all its parts share, and how a plan is tried.
 *
 * A segmentation is tried in three steps. A sweep that cuts off next to nothing gives the singular
 * values of all its Hankel blocks (sss_sweep.h). The budget is spread over them, at one price per
 * value at every boundary (sss_plan_spread). A sweep with these states gives the error, without
 * forming What, since what a sweep cuts off at different boundaries is orthogonal.
 *
 * The spread is repeated, since Hankel blocks overlap: an entry of W far from the diagonal lies in
 * the blocks of all boundaries between its column and its row, and the first singular values count
 * it at each of them. A sweep that truncates takes what is lost at one boundary out of the blocks
 * that follow, so its singular values count every loss once, and a spread by them may do better.
 * They belong to the truncation before, though, so this iteration may also do worse. It moves the
 * error of a classifier's matrix by a thousandth or so, either way: the best round is kept, and
 * three are enough. */
#ifndef SSS_SEARCH_H
#define SSS_SEARCH_H

#include "sn_error.h"
#include "sss_plan.h"

#include <stdint.h>

/* What is to be approximated and within which limits. It owns nothing and no search changes it, so
 * that a copy may stand for the same problem with other weights or in another order. */
struct sss_problem {
    const float *given; /* the caller's matrix, n_outputs x n_inputs */
    const float *dense; /* the same, its rows and columns in order */
    const float *w;     /* what is swept: dense, its columns times scale, or dense times L */
    const float *scale; /* n_inputs, in order; NULL: 1 */
    const struct sn_weighting *weighting; /* the caller's, its moment in order */
    const uint32_t *row_order;    /* position i of dense has row row_order[i] of given; NULL: i */
    const uint32_t *column_order; /* likewise */
    int n_outputs, n_inputs;
    size_t budget; /* values */
    double energy; /* ||w||_F^2 */
    const struct sn_fit_options *options;
};

/* A plan that a sweep has measured. */
struct sss_candidate {
    struct sss_plan *plan;
    size_t n_values;
    double lost; /* predicted ||W - What||_F^2 */
};

enum {
    SSS_MOST_OTHERS = 5,
    SSS_MOST_ROUNDS = 3 /* of spreading states */
};

/* What has been found so far. It owns its plans and the fit. */
struct sss_found {
    struct sss_candidate best;                    /* no plan while there is none */
    struct sss_candidate others[SSS_MOST_OTHERS]; /* the next best of other numbers of stages, in
                                                   * order; no plan ends them */
    struct sn_fit fit; /* the best that was made of any plan; no matrix while there is none */
};

/* Legal on a zeroed struct. */
void sss_found_free(struct sss_found *found);

/* The weighted error of the fit; infinite while there is none. */
double sss_reached(const struct sss_found *found);

/* Whether the fit's error is more than that of rounding, float32's with a margin. */
int sss_improvable(const struct sss_found *found);

/* Whether the best plan loses nothing but rounding errors. */
int sss_is_exact(const struct sss_problem *problem, const struct sss_found *found);

/* Whether a plan that loses so much may come out better than the best one once both are refined:
 * refinement gains less than what others are behind. */
int sss_is_promising(const struct sss_found *found, double lost);

/* Whether the caller wants an end. */
int sss_stopped(const struct sss_problem *problem);

/* The parts of all work after which the search for plans ends, and their refinement; the rest is
 * spent on orders. */
#define SSS_SEARCH_PART 0.5
#define SSS_SETTLE_PART 0.8

/* Tells the caller how much of all work is done and the error so far; nothing for a problem in an
 * order of our own. Of a plan without a weighting the error is foretold; with one it is known only
 * of a fit. */
void sss_report(const struct sss_problem *problem, const struct sss_found *found, double done);

/* Sweeps both directions with plan->states as limits and puts the sizes used in their place.
 * spectra (may be NULL) gets the singular values, *lost the squared error. */
enum sn_status sss_measure(const struct sss_problem *problem, struct sss_plan *plan,
                           struct sss_spectra *spectra, double *lost, struct sn_error *error);

/* Keeps a copy of the plan, with the states it has, as the best or among the others. It is the best
 * when its error is smaller, or the same with fewer values. Errors within 2^-22 are the same, which
 * is about what rounding the values to float32 adds. A plan without values cannot be trained and
 * is never kept, nor is one above the budget. */
enum sn_status sss_consider(const struct sss_problem *problem, struct sss_found *found,
                            const struct sss_plan *plan, double lost, struct sn_error *error);

/* Spreads states over the plan's boundaries, measures and considers it, in so many rounds. *lost
 * gets the squared error of the first one, and is left alone where the diagonal blocks exceed the
 * budget. */
enum sn_status sss_examine(const struct sss_problem *problem, struct sss_found *found,
                           struct sss_plan *plan, int rounds, double *lost, struct sn_error *error);

/* sss_examine() for a plan that may be NULL because memory ran out, and that is freed. *lost is
 * infinite where it would be left alone. */
enum sn_status sss_examine_new(const struct sss_problem *problem, struct sss_found *found,
                               struct sss_plan *plan, int rounds, double *lost,
                               struct sn_error *error);

#endif
