/* How far the covariance of few features is to be trusted. The last fifth of the samples is held
 * out, and for each of a few shrinkages and alignments W, or 300 of its rows when it has more, is
 * approximated with the weighting of the others, by the simplest form that the family has within
 * the budget (its low rank, one sparse factor; a type without a budget by itself). Of the
 * shrinkages whose error lies within a hundredth of the least the largest is taken, since it trusts
 * the samples least (as in the one-standard-error rule: Hastie, Tibshirani and Friedman, The
 * Elements of Statistical Learning, 2nd ed., section 7.10). Fewer than ten samples are shrunk
 * entirely. */
#include "fit.h"
#include "product.h"
#include "weighting.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* sum over the samples of ||(W - What)(x - mean)||^2, what a fit; x is changed meanwhile, y
 * (n_samples x m) is scratch. Negative when memory runs out. */
static double output_energy(const float *w, const struct sn_fit *what, int m, int n,
                            const float *mean, float *x, int n_samples, float *y)
{
    size_t count = (size_t)n_samples * (size_t)n;
    float *states = malloc(((size_t)n_samples * what->matrix->n_states + 1) * sizeof *states);
    double sum = 0;
    if (!states) return -1;
    for (size_t i = 0; i < count; i++) x[i] -= mean[i % (size_t)n];
    sn_product(0, 1, n_samples, m, n, -1, x, n, w, n, 0, y, m);
    what->matrix->family->forward(what->matrix, what->words, n_samples, x, y, states);
    for (size_t i = 0; i < count; i++) x[i] += mean[i % (size_t)n];
    for (size_t i = 0; i < (size_t)n_samples * (size_t)m; i++) sum += (double)y[i] * (double)y[i];
    free(states);
    return sum;
}

/* A way to shrink, and the error of outputs on samples that did not fit. */
struct trial {
    double shrinkage, alignment, energy;
};

/* Fills in trial->energy, for part of W's rows. */
static enum sn_status try_shrinkage(const struct sn_fit_type *type, struct sn_fit_options *options,
                                    const struct sn_covariance *samples,
                                    const struct sn_covariance *all_rows, const float *part,
                                    int rows, int n, float *held, int n_held, float *y,
                                    struct trial *trial, struct sn_error *error)
{
    struct sn_weighting weighting;
    struct sn_fit result = { 0 };
    enum sn_status status = sn_weighting_mix(samples, all_rows, n, trial->shrinkage,
                                             trial->alignment, &weighting, error);
    if (status) return status;
    options->weighting = &weighting;
    status = sn_fit(type, part, rows, n, options, &result, error);
    if (!status)
        trial->energy = output_energy(part, &result, rows, n, weighting.mean, held, n_held, y);
    if (!status && trial->energy < 0) status = sn_no_memory(error, "%d samples", n_held);
    sn_fit_free(&result);
    sn_weighting_free(&weighting);
    return status;
}

/* Part of a budget; one that is no limit stays none. */
static size_t part_of(size_t budget, double part)
{
    double size = ceil(part * (double)budget);
    return size < (double)SIZE_MAX ? (size_t)size : SIZE_MAX;
}

/* A quick fit within part of the budget. PADDING is for the arrays of a type whose bytes the
 * budget may equal. */
static struct sn_fit_options simplify(const struct sn_fit_type *type,
                                      const struct sn_fit_options *options, double part)
{
    enum { PADDING = 16 };
    struct sn_fit_options simple = *options;
    simple.budget_bytes = part_of(options->budget_bytes, part);
    simple.budget_values = part_of(options->budget_values, part);
    if (!type->has_budget && simple.budget_bytes && simple.budget_bytes < SIZE_MAX - PADDING)
        simple.budget_bytes += PADDING;
    simple.effort = SN_QUICK;
    simple.progress = NULL;
    return simple;
}

/* Of the trials whose error lies within a hundredth of the least the one with most shrinkage, and
 * of these the one with the least error. */
static const struct trial *most_shrunk(const struct trial *trials, int n, double least)
{
    const struct trial *best = NULL;
    for (int i = 0; i < n; i++)
        if (trials[i].energy <= least * (1 + 2. / 100)) { /* Of squares, hence twice. */
            int less = best && best->shrinkage == trials[i].shrinkage
                && best->energy < trials[i].energy;
            if (!less) best = &trials[i];
        }
    return best;
}

enum sn_status sn_weighting_choose(const struct sn_fit_type *type,
                                   const struct sn_fit_options *options, const float *w, int m,
                                   int n, const float *x, int n_samples,
                                   struct sn_weighting *weighting, struct sn_error *error)
{
    enum { LEAST_SAMPLES = 10, MOST_ROWS = 300 };
    struct trial trials[] = { { .3, 0, 0 },  { .3, .5, 0 },  { .5, 0, 0 },
                              { .5, .5, 0 }, { .7, 0, 0 },   { .7, .5, 0 },
                              { .85, 0, 0 }, { .85, .5, 0 }, { 1, 0, 0 } };
    const struct trial *best = NULL;
    double least = INFINITY;
    int n_trials = sizeof trials / sizeof *trials;
    int n_held = n_samples / 5, n_fitting = n_samples - n_held;
    *weighting = (struct sn_weighting){ 0 };
    if (n_samples < LEAST_SAMPLES)
        return sn_weighting_new(NULL, 0, x, n_samples, n, 1, 0, weighting, error);
    int rows = m < MOST_ROWS ? m : MOST_ROWS;
    struct sn_fit_options simple = simplify(type, options, (double)rows / m);
    size_t size = (size_t)rows * (size_t)n, count = (size_t)n_held * (size_t)n;
    float *held = malloc(count * sizeof *held), *part = malloc(size * sizeof *part);
    float *y = malloc((size_t)n_held * (size_t)rows * sizeof *y);
    struct sn_covariance samples = { 0 }, all_rows = { 0 };
    enum sn_status status = held && part && y ? SN_OK : sn_no_memory(error, "%d samples", n_held);
    if (!status) status = sn_features_check(x, (size_t)n_samples, (size_t)n, error);
    if (!status) status = sn_covariance_new(x, (size_t)n_fitting, (size_t)n, &samples, error);
    if (!status) status = sn_covariance_new(w, (size_t)m, (size_t)n, &all_rows, error);
    for (size_t i = 0; !status && i < count; i++) held[i] = x[(size_t)n_fitting * (size_t)n + i];
    for (size_t i = 0; !status && i < size; i++)
        part[i] = w[i / (size_t)n * (size_t)m / (size_t)rows * (size_t)n + i % (size_t)n];
    for (int i = 0; !status && i < n_trials; i++) {
        status = try_shrinkage(type->has_budget ? sn_fit_simplest(type->family) : type, &simple,
                               &samples, &all_rows, part, rows, n, held, n_held, y, &trials[i],
                               error);
        if (!status) least = fmin(least, trials[i].energy);
    }
    if (!status) best = most_shrunk(trials, n_trials, least);
    sn_covariance_free(&samples);
    sn_covariance_free(&all_rows);
    free(held);
    free(part);
    free(y);
    /* A budget that is too small for the part is for the fit of all rows to refuse. */
    if (status == SN_BAD_INPUT)
        return sn_weighting_new(NULL, 0, x, n_samples, n, 1, 0, weighting, error);
    return status ? status
                  : sn_weighting_new(w, m, x, n_samples, n, best->shrinkage, best->alignment,
                                     weighting, error);
}
