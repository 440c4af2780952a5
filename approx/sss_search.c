#include "sss_search.h"
#include "panels.h"
#include "sss_sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- What has been found ---- */

void sss_found_free(struct sss_found *found)
{
    free(found->best.plan);
    for (int i = 0; i < SSS_MOST_OTHERS; i++) free(found->others[i].plan);
    sn_fit_free(&found->fit);
}

double sss_reached(const struct sss_found *found)
{
    return found->fit.matrix ? found->fit.weighted_error : INFINITY;
}

int sss_improvable(const struct sss_found *found) { return sss_reached(found) >= 1e-6; }

int sss_is_exact(const struct sss_problem *problem, const struct sss_found *found)
{
    return found->best.plan && found->best.lost < 1e-12 * problem->energy;
}

int sss_is_promising(const struct sss_found *found, double lost)
{
    return !found->best.plan || lost <= 1.3 * found->best.lost;
}

int sss_stopped(const struct sss_problem *problem)
{
    return problem->options->stop && *problem->options->stop;
}

void sss_report(const struct sss_problem *problem, const struct sss_found *found, double done)
{
    const struct sn_fit_options *options = problem->options;
    double error = sss_reached(found);
    if (problem->row_order) return; /* sss_fit_reordered() reports on what it improves. */
    if (found->best.plan && !options->weighting)
        error = fmin(error, problem->energy > 0 ? sqrt(found->best.lost / problem->energy) : 0);
    if (options->progress && isfinite(error)) options->progress(options->context, done, error);
}

/* ---- Candidates ---- */

/* Takes a plan, which it owns from then on, among the others. Of one number of stages the better
 * stays. */
static void keep_other(struct sss_found *found, struct sss_candidate candidate)
{
    struct sss_candidate *others = found->others;
    int at = 0, alike = 0;
    while (alike < SSS_MOST_OTHERS - 1 && others[alike].plan
           && others[alike].plan->n_stages != candidate.plan->n_stages)
        alike++;
    while (at < SSS_MOST_OTHERS && others[at].plan && others[at].lost <= candidate.lost) at++;
    if (at > alike || at == SSS_MOST_OTHERS) {
        free(candidate.plan);
        return;
    }
    free(others[alike].plan);
    memmove(others + at + 1, others + at, (size_t)(alike - at) * sizeof *others);
    others[at] = candidate;
}

enum sn_status sss_consider(const struct sss_problem *problem, struct sss_found *found,
                            const struct sss_plan *plan, double lost, struct sn_error *error)
{
    struct sss_candidate *best = &found->best;
    size_t n_values = sss_plan_values(plan);
    if (!n_values || n_values > problem->budget) return SN_OK;
    struct sss_candidate candidate = { .plan = sss_plan_copy(plan, error),
                                       .n_values = n_values,
                                       .lost = lost };
    if (!candidate.plan) return SN_NO_MEMORY;
    double change = best->plan ? sqrt(lost) - sqrt(best->lost) : -INFINITY,
           rounding = 0x1p-22 * sqrt(problem->energy);
    if (change > rounding || (change >= -rounding && n_values >= best->n_values)) {
        keep_other(found, candidate);
        return SN_OK;
    }
    if (best->plan && best->plan->n_stages != plan->n_stages) keep_other(found, *best);
    else free(best->plan);
    *best = candidate;
    return SN_OK;
}

/* ---- Trying a plan ---- */

/* Sweeps of one plan, which do not depend on each other. */
struct sweeps {
    const struct sss_problem *problem;
    struct sss_plan *plan;
    struct sss_spectra *spectra;
    double *lost; /* n_stages for each direction */
    struct sn_error errors[2];
};

static void sweep(void *context, size_t d)
{
    struct sweeps *sweeps = context;
    const struct sss_problem *problem = sweeps->problem;
    struct sss_plan *plan = sweeps->plan;
    sss_sweep(problem->w, problem->n_outputs, problem->n_inputs, plan, (int)d, plan->states[d],
              sweeps->spectra, sweeps->lost + d * (size_t)plan->n_stages, NULL, NULL,
              &sweeps->errors[d]);
}

/* Both directions at the same time where that is worth a thread. */
enum sn_status sss_measure(const struct sss_problem *problem, struct sss_plan *plan,
                           struct sss_spectra *spectra, double *lost, struct sn_error *error)
{
    const size_t large = 1 << 17;
    size_t n_stages = (size_t)plan->n_stages;
    struct sweeps sweeps = { .problem = problem,
                             .plan = plan,
                             .spectra = spectra,
                             .lost = malloc(2 * n_stages * sizeof(double)) };
    *lost = 0;
    if (!sweeps.lost) return sn_no_memory(error, "an SSS approximation");
    if ((size_t)problem->n_outputs * (size_t)problem->n_inputs >= large)
        sn_tasks(2, sweep, &sweeps);
    else
        for (size_t d = 0; d < 2; d++) sweep(&sweeps, d);
    enum sn_status status = SN_OK;
    for (size_t d = 0; d < 2 && !status; d++) {
        status = sweeps.errors[d].code;
        if (status && error) *error = sweeps.errors[d];
        for (size_t k = 1; k < n_stages && !status; k++) *lost += sweeps.lost[d * n_stages + k];
    }
    free(sweeps.lost);
    return status;
}

/* A state size that no boundary is likely to exceed: four times the s for which s at every boundary
 * costs the budget,
 *     sum m_k n_k + 2 (N-1) s (s + (m+n)/N). */
static int likely_limit(const struct sss_problem *problem, const struct sss_plan *plan)
{
    double n = plan->n_stages, c = ((double)problem->n_outputs + problem->n_inputs) / n / 2;
    double values = (double)(problem->budget - sss_plan_diagonal_values(plan)) / (2 * n - 2);
    double limit = 4 * (sqrt(c * c + values) - c) + 16;
    return (int)fmin(limit, sss_smaller(problem->n_outputs, problem->n_inputs));
}

/* Singular values of all Hankel blocks, and states spread by them. The limit of likely_limit saves
 * most of the time; when the spread runs into it, it is doubled. */
static enum sn_status first_spread(const struct sss_problem *problem, struct sss_plan *plan,
                                   struct sss_spectra *spectra, struct sn_error *error)
{
    int most = sss_smaller(problem->n_outputs, problem->n_inputs),
        limit = likely_limit(problem, plan), hit;
    double lost;
    do {
        sss_spectra_free(spectra);
        enum sn_status status = sss_spectra_new(spectra, plan->n_stages, limit, error);
        if (status) return status;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) plan->states[d][k] = limit;
        status = sss_measure(problem, plan, spectra, &lost, error);
        if (status) return status;
        sss_plan_spread(plan, spectra, problem->budget);
        hit = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) hit |= plan->states[d][k] >= limit;
        limit = limit > most / 2 ? most : 2 * limit;
    } while (hit && spectra->cap < most);
    return SN_OK;
}

/* Candidates far behind the best are not spread again. */
enum sn_status sss_examine(const struct sss_problem *problem, struct sss_found *found,
                           struct sss_plan *plan, int rounds, double *lost, struct sn_error *error)
{
    if (sss_plan_diagonal_values(plan) > problem->budget) return SN_OK;
    *lost = 0;
    if (plan->n_stages == 1) return sss_consider(problem, found, plan, 0, error);
    struct sss_spectra spectra = { 0 };
    enum sn_status status = first_spread(problem, plan, &spectra, error);
    double before = INFINITY;
    for (int round = 0; round < rounds && !status; round++) {
        double now;
        status = sss_measure(problem, plan, &spectra, &now, error);
        if (!status) status = sss_consider(problem, found, plan, now, error);
        if (!round) *lost = now;
        if (status || now >= 0.999 * before || now > 1.1 * found->best.lost) break;
        before = now;
        sss_plan_spread(plan, &spectra, problem->budget);
    }
    sss_spectra_free(&spectra);
    return status;
}

enum sn_status sss_examine_new(const struct sss_problem *problem, struct sss_found *found,
                               struct sss_plan *plan, int rounds, double *lost,
                               struct sn_error *error)
{
    *lost = INFINITY;
    if (!plan) return SN_NO_MEMORY;
    enum sn_status status = sss_examine(problem, found, plan, rounds, lost, error);
    free(plan);
    return status;
}
