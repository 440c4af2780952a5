#include "sss_search.h"

#include "sss_sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double sss_search_part = 0.5, sss_settle_part = 0.8;

struct sss_search sss_search_new(const struct sss_view *view, double reached)
{
    return (struct sss_search){ .view = view, .reached = reached };
}

int sss_stopped(const struct sss_search *search)
{
    return search->view->options->stop && *search->view->options->stop;
}

/* Of a plan without a weighting the error is foretold; with one it is known only of what was
 * realised. */
void sss_report(const struct sss_search *search, double done)
{
    if (search->view->row_order) return; /* sss_fit_ordered() reports on what it improves. */
    double error = search->reached;
    if (search->best.plan && !search->view->options->weighting)
        error = fmin(error,
                     search->view->energy > 0 ? sqrt(search->best.lost / search->view->energy) : 0);
    if (search->view->options->progress && isfinite(error))
        search->view->options->progress(search->view->options->context, done, error);
}

/* Takes a plan, which it owns from then on, among the others. Of one number of stages the better
 * stays. */
static void keep_other(struct sss_search *search, struct sss_measured candidate)
{
    struct sss_measured *others = search->others;
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

void sss_search_free(struct sss_search *search)
{
    free(search->best.plan);
    for (int i = 0; i < SSS_MOST_OTHERS; i++) free(search->others[i].plan);
}

/* Errors within 2^-22 are the same, which is about what rounding the values to float32 adds. A plan
 * without values cannot be trained and never wins. */
enum sn_status sss_consider(struct sss_search *search, const struct sss_plan *plan, double lost,
                            struct sn_error *error)
{
    struct sss_measured *best = &search->best;
    size_t n_values = sss_plan_values(plan);
    if (!n_values || n_values > search->view->budget) return SN_OK;
    struct sss_measured candidate = { .plan = sss_plan_copy(plan, error),
                                      .n_values = n_values,
                                      .lost = lost };
    if (!candidate.plan) return SN_NO_MEMORY;
    double change = best->plan ? sqrt(lost) - sqrt(best->lost) : -INFINITY,
           rounding = 0x1p-22 * sqrt(search->view->energy);
    if (change > rounding || (change >= -rounding && n_values >= best->n_values)) {
        keep_other(search, candidate);
        return SN_OK;
    }
    if (best->plan && best->plan->n_stages != plan->n_stages) keep_other(search, *best);
    else free(best->plan);
    *best = candidate;
    return SN_OK;
}

enum sn_status sss_measure(const struct sss_view *view, struct sss_plan *plan,
                           struct sss_spectra *spectra, double *lost, struct sn_error *error)
{
    *lost = 0;
    enum sn_status status = SN_OK;
    for (int d = 0; d < 2 && !status; d++)
        status = sss_sweep(view->w, view->n_outputs, view->n_inputs, plan, d, plan->states[d],
                           spectra, lost, NULL, NULL, error);
    return status;
}

/* A state size that no boundary is likely to exceed: four times the s for which s at every boundary
 * costs the budget, sum m_k n_k + 2 (N-1) s (s + (m+n)/N). */
static int likely_limit(const struct sss_view *view, const struct sss_plan *plan)
{
    double n = plan->n_stages, c = ((double)view->n_outputs + view->n_inputs) / n / 2;
    double values = (double)(view->budget - sss_plan_diagonal_values(plan)) / (2 * n - 2);
    double limit = 4 * (sqrt(c * c + values) - c) + 16;
    return (int)fmin(limit, sss_smaller(view->n_outputs, view->n_inputs));
}

/* Singular values of all Hankel blocks, and states spread by them. The limit of likely_limit saves
 * most of the time; when the spread runs into it, it is doubled. */
static enum sn_status first_spread(const struct sss_view *view, struct sss_plan *plan,
                                   struct sss_spectra *spectra, struct sn_error *error)
{
    int most = sss_smaller(view->n_outputs, view->n_inputs), limit = likely_limit(view, plan), hit;
    double lost;
    do {
        sss_spectra_free(spectra);
        enum sn_status status = sss_spectra_new(spectra, plan->n_stages, limit, error);
        if (status) return status;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) plan->states[d][k] = limit;
        status = sss_measure(view, plan, spectra, &lost, error);
        if (status) return status;
        sss_plan_spread(plan, spectra, view->budget);
        hit = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) hit |= plan->states[d][k] >= limit;
        limit = limit > most / 2 ? most : 2 * limit;
    } while (hit && spectra->cap < most);
    return SN_OK;
}

/* The Hankel blocks overlap, so the first spread counts what is lost at one boundary again at the
 * next; the sweep that measures it sees every loss once, and a spread by its singular values may do
 * better. */
enum sn_status sss_examine(struct sss_search *search, struct sss_plan *plan, int rounds,
                           double *lost, struct sn_error *error)
{
    if (sss_plan_diagonal_values(plan) > search->view->budget) return SN_OK;
    *lost = 0;
    if (plan->n_stages == 1) return sss_consider(search, plan, 0, error);
    struct sss_spectra spectra = { 0 };
    enum sn_status status = first_spread(search->view, plan, &spectra, error);
    double before = INFINITY;
    for (int round = 0; round < rounds && !status; round++) {
        double now;
        status = sss_measure(search->view, plan, &spectra, &now, error);
        if (!status) status = sss_consider(search, plan, now, error);
        if (!round) *lost = now;
        if (status || now >= 0.999 * before || now > 1.1 * search->best.lost) break;
        before = now;
        sss_plan_spread(plan, &spectra, search->view->budget);
    }
    sss_spectra_free(&spectra);
    return status;
}

enum sn_status sss_examine_new(struct sss_search *search, struct sss_plan *plan, double *lost,
                               struct sn_error *error)
{
    *lost = INFINITY;
    if (!plan) return SN_NO_MEMORY;
    enum sn_status status = sss_examine(search, plan, SSS_ROUNDS, lost, error);
    free(plan);
    return status;
}

int sss_plan_is_low_rank(const struct sss_plan *plan)
{
    return plan->n_stages == 2 && !plan->outputs[0] && !plan->inputs[1];
}

enum sn_status sss_examine_low_rank(struct sss_search *search, struct sn_error *error)
{
    double lost;
    struct sss_plan *plan = sss_plan_new(2, error);
    if (plan) {
        plan->inputs[0] = search->view->n_inputs;
        plan->outputs[1] = search->view->n_outputs;
    }
    return sss_examine_new(search, plan, &lost, error);
}
