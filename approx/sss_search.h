/* A search for the SSS form of a matrix that loses least within a budget: what it sees, the
 * candidates that it has measured, and how one is measured.
 *
 * A candidate is a plan (sss_plan.h), segments with state sizes. A sweep (sss_sweep.h) foretells
 * its error exactly, so that hundreds of plans are compared before one is given values. States are
 * spread over the boundaries of a plan at one price per value; since the Hankel blocks of
 * neighbouring boundaries overlap, the first spread counts losses twice, and it is repeated with
 * the singular values that its own sweep leaves. */
#ifndef SSS_SEARCH_H
#define SSS_SEARCH_H

#include "fit.h"
#include "sss.h"
#include "sss_plan.h"

#include <stdint.h>

/* The matrix as a search sees it. All of it is borrowed, and no search changes it. */
struct sss_view {
    const float *given; /* the caller's matrix */
    const float *dense; /* the matrix, its rows and columns in order */
    const float *w;     /* what is swept: dense, its columns times scale, or dense times L */
    const float *scale; /* n_inputs, in order; NULL: 1 */
    const struct sn_weighting *weighting; /* the caller's, its moment in order */
    const uint32_t *row_order;            /* position i of dense has row row_order[i] of given; */
    const uint32_t *column_order;         /* likewise; NULL: as they are */
    int n_outputs, n_inputs;
    size_t budget; /* values */
    double energy; /* ||w||_F^2 */
    const struct sn_fit_options *options;
};

/* One candidate that has been measured by a sweep. */
struct sss_measured {
    struct sss_plan *plan;
    size_t n_values;
    double lost; /* foretold ||W - What||_F^2 */
};

enum { SSS_MOST_OTHERS = 5 };

/* What a search has found; the plans are its own (sss_search_free). */
struct sss_search {
    const struct sss_view *view;
    struct sss_measured best;
    struct sss_measured others[SSS_MOST_OTHERS]; /* the next best of other numbers of stages, in
                                                  * order; no plan ends them */
    double reached; /* the weighted error of the best fit so far; infinite while there is none */
};

/* A search that has found nothing; the fits before it reached that error. */
struct sss_search sss_search_new(const struct sss_view *view, double reached);

void sss_search_free(struct sss_search *search);

/* Whether the caller wants an end. */
int sss_stopped(const struct sss_search *search);

/* The parts of all work after which the search for plans ends, and their refinement; the rest is
 * spent on orders. */
extern const double sss_search_part, sss_settle_part;

/* Tells the caller that a part of all work is done, and the error so far. */
void sss_report(const struct sss_search *search, double done);

/* Sweeps both directions with plan->states as limits and puts the sizes used in their place; *lost
 * becomes the squared error. spectra may be NULL. SN_NO_MEMORY, or SN_BAD_INPUT when eigenvalues do
 * not converge. */
enum sn_status sss_measure(const struct sss_view *view, struct sss_plan *plan,
                           struct sss_spectra *spectra, double *lost, struct sn_error *error);

/* Keeps a copy of plan, with the states it has, when it is better than the best so far: a smaller
 * error, or the same error with fewer values. */
enum sn_status sss_consider(struct sss_search *search, const struct sss_plan *plan, double lost,
                            struct sn_error *error);

/* The most spreads of states over a plan that pay: later ones change next to nothing. */
enum { SSS_ROUNDS = 3 };

/* Spreads states over plan's boundaries, at most rounds times, and considers each. *lost gets the
 * squared error of the first spread, and is left alone where the diagonal blocks exceed the budget.
 * Candidates far behind the best are not spread again. */
enum sn_status sss_examine(struct sss_search *search, struct sss_plan *plan, int rounds,
                           double *lost, struct sn_error *error);

/* sss_examine() for a plan that may be NULL because memory ran out, and that is freed; *lost is
 * infinite where it says nothing else. */
enum sn_status sss_examine_new(struct sss_search *search, struct sss_plan *plan, double *lost,
                               struct sn_error *error);

/* Examines widths (n, 0), heights (0, m): the only Hankel block is W, the state size is the rank,
 * so that this is the truncated SVD. */
enum sn_status sss_examine_low_rank(struct sss_search *search, struct sn_error *error);

/* Whether a plan is low rank alone, which no refinement improves: its truncated SVD, weighted or
 * not, is a candidate. */
int sss_plan_is_low_rank(const struct sss_plan *plan);

#endif
