#include "sss_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Plans ---- */

struct sss_plan *sss_plan_new(int n_stages, struct sn_error *error)
{
    size_t n = (size_t)n_stages;
    struct sss_plan *plan = calloc(1, sizeof *plan + (4 * n + 2) * sizeof(int));
    if (!plan) {
        sn_no_memory(error, "an SSS approximation");
        return NULL;
    }
    plan->n_stages = n_stages;
    plan->inputs = plan->storage;
    plan->outputs = plan->inputs + n;
    plan->states[SSS_CAUSAL] = plan->outputs + n;
    plan->states[SSS_ANTICAUSAL] = plan->states[SSS_CAUSAL] + n + 1;
    return plan;
}

struct sss_plan *sss_plan_copy(const struct sss_plan *plan, struct sn_error *error)
{
    size_t n = (size_t)plan->n_stages;
    struct sss_plan *copy = sss_plan_new(plan->n_stages, error);
    if (!copy) return NULL;
    memcpy(copy->inputs, plan->inputs, n * sizeof(int));
    memcpy(copy->outputs, plan->outputs, n * sizeof(int));
    for (int d = 0; d < 2; d++) memcpy(copy->states[d], plan->states[d], (n + 1) * sizeof(int));
    return copy;
}

struct sss_plan *sss_plan_equal(int n_stages, int n_outputs, int n_inputs, struct sn_error *error)
{
    struct sss_plan *plan = sss_plan_new(n_stages, error);
    if (!plan) return NULL;
    for (long long k = 0; k < n_stages; k++) {
        plan->inputs[k] = (int)((k + 1) * n_inputs / n_stages - k * n_inputs / n_stages);
        plan->outputs[k] = (int)((k + 1) * n_outputs / n_stages - k * n_outputs / n_stages);
    }
    return plan;
}

/* The stages of plan, from first on, as those of to from at on. */
static void copy_stages(const struct sss_plan *plan, int first, struct sss_plan *to, int at)
{
    size_t size = (size_t)(plan->n_stages - first) * sizeof(int);
    memcpy(to->inputs + at, plan->inputs + first, size);
    memcpy(to->outputs + at, plan->outputs + first, size);
}

struct sss_plan *sss_plan_shifted(const struct sss_plan *plan, int k, int rows, int columns,
                                  struct sn_error *error)
{
    struct sss_plan *other = sss_plan_new(plan->n_stages, error);
    if (!other) return NULL;
    copy_stages(plan, 0, other, 0);
    if (plan->outputs[k - 1] + rows < 0 || plan->outputs[k] < rows) return other;
    if (plan->inputs[k - 1] + columns < 0 || plan->inputs[k] < columns) return other;
    other->outputs[k - 1] += rows;
    other->outputs[k] -= rows;
    other->inputs[k - 1] += columns;
    other->inputs[k] -= columns;
    return other;
}

struct sss_plan *sss_plan_merged(const struct sss_plan *plan, int k, struct sn_error *error)
{
    struct sss_plan *other = sss_plan_new(plan->n_stages, error);
    if (!other) return NULL;
    copy_stages(plan, 0, other, 0);
    copy_stages(plan, k, other, k - 1);
    other->n_stages--;
    other->outputs[k - 1] += plan->outputs[k - 1];
    other->inputs[k - 1] += plan->inputs[k - 1];
    return other;
}

struct sss_plan *sss_plan_split(const struct sss_plan *plan, int k, struct sn_error *error)
{
    struct sss_plan *other = sss_plan_new(plan->n_stages + 1, error);
    if (!other) return NULL;
    copy_stages(plan, 0, other, 0);
    copy_stages(plan, k, other, k + 1);
    other->outputs[k] /= 2;
    other->outputs[k + 1] -= other->outputs[k];
    other->inputs[k] /= 2;
    other->inputs[k + 1] -= other->inputs[k];
    return other;
}

int sss_plan_is_low_rank(const struct sss_plan *plan)
{
    return plan->n_stages == 2 && !plan->outputs[0] && !plan->inputs[1];
}

size_t sss_plan_diagonal_values(const struct sss_plan *plan)
{
    size_t values = 0;
    for (int k = 0; k < plan->n_stages; k++)
        values += (size_t)plan->inputs[k] * (size_t)plan->outputs[k];
    return values;
}

/* Values of B and C (F and G) per state of boundary k: n_{k-1} + m_k, anticausal n_k + m_{k-1}. */
static int state_values(const struct sss_plan *plan, int direction, int k)
{
    return direction == SSS_CAUSAL ? plan->inputs[k - 1] + plan->outputs[k]
                                   : plan->inputs[k] + plan->outputs[k - 1];
}

size_t sss_plan_values(const struct sss_plan *plan)
{
    size_t values = sss_plan_diagonal_values(plan);
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            values += (size_t)plan->states[d][k]
                * ((size_t)state_values(plan, d, k) + (size_t)plan->states[d][k - 1]);
    return values;
}

/* ---- Spectra ---- */

void sss_spectra_free(struct sss_spectra *spectra)
{
    for (int d = 0; d < 2; d++) {
        free(spectra->n[d]);
        free(spectra->energy[d]);
        spectra->n[d] = NULL;
        spectra->energy[d] = NULL;
    }
}

enum sn_status sss_spectra_new(struct sss_spectra *spectra, int n_stages, int cap,
                               struct sn_error *error)
{
    size_t boundaries = (size_t)n_stages + 1;
    spectra->cap = cap;
    for (int d = 0; d < 2; d++) {
        spectra->n[d] = calloc(boundaries, sizeof(int));
        spectra->energy[d] = calloc(boundaries * (size_t)cap + 1, sizeof(double));
    }
    if (spectra->n[0] && spectra->n[1] && spectra->energy[0] && spectra->energy[1]) return SN_OK;
    sss_spectra_free(spectra);
    return sn_no_memory(error, "an SSS approximation");
}

/* ---- Spreading the budget over the boundaries ---- */

/* Adds states one by one while they fit and there are singular values left, each where sigma^2 per
 * additional value is largest. */
static void fill(struct sss_plan *plan, const struct sss_spectra *spectra, size_t budget)
{
    size_t used = sss_plan_values(plan);
    for (;;) {
        double best = 0;
        int best_d = 0, best_k = 0;
        size_t best_cost = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) {
                const int *s = plan->states[d];
                size_t cost = (size_t)state_values(plan, d, k) + (size_t)s[k - 1]
                    + (size_t)s[k + 1];
                if (used + cost > budget || s[k] >= spectra->n[d][k]) continue;
                double gain = spectra->energy[d][(size_t)k * (size_t)spectra->cap + (size_t)s[k]]
                    / (double)cost;
                if (gain > best) best = gain, best_d = d, best_k = k, best_cost = cost;
            }
        if (best <= 0) return;
        plan->states[best_d][best_k]++;
        used += best_cost;
    }
}

/* The number of states i for which energy[i] > lambda (c + 2 i), energies descending: what is worth
 * its price when the neighbours have as many states. */
static int worth(const double *energy, int n, double lambda, double c)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (energy[middle] > lambda * (c + 2 * middle)) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* At a price of lambda per value, state i of boundary k is bought when its sigma^2 exceeds lambda
 * (n_{k-1} + m_k + 2 i). The exact price has s_{k-1} + s_{k+1} in place of 2 i, and drives
 * neighbours apart when spectra are flat. */
static void buy(struct sss_plan *plan, const struct sss_spectra *spectra, double lambda)
{
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            plan->states[d][k] = worth(spectra->energy[d] + (size_t)k * (size_t)spectra->cap,
                                       spectra->n[d][k], lambda, state_values(plan, d, k));
}

/* Finds by bisection the lowest price at which the states that it buys fit into the budget, and
 * fills up the rest. */
void sss_plan_spread(struct sss_plan *plan, const struct sss_spectra *spectra, size_t budget)
{
    enum { ROUNDS = 50 };
    double top = 0;
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            if (spectra->n[d][k])
                top = fmax(top, spectra->energy[d][(size_t)k * (size_t)spectra->cap]);
    buy(plan, spectra, 0);
    if (sss_plan_values(plan) > budget) {
        double low = log(top) - 80, high = log(top);
        for (int round = 0; round < ROUNDS; round++) {
            double middle = (low + high) / 2;
            buy(plan, spectra, exp(middle));
            if (sss_plan_values(plan) > budget) low = middle;
            else high = middle;
        }
        buy(plan, spectra, exp(high));
    }
    fill(plan, spectra, budget);
}
