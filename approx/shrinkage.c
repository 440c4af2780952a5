#include "shrinkage.h"

#include <cblas.h>
#include <stdlib.h>

/* sum over the samples of ||(W - What)(x - mean)||^2. difference (m x n) and y (n_samples x m) are scratch; x is changed. */
static double output_energy(const float *w, const float *what, int m, int n, const float *mean, float *x, int n_samples,
                            float *difference, float *y)
{
    size_t size = (size_t)m * (size_t)n, count = (size_t)n_samples * (size_t)n;
    double sum = 0;
    for (size_t i = 0; i < size; i++) difference[i] = w[i] - what[i];
    for (size_t i = 0; i < count; i++) x[i] -= mean[i % (size_t)n];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_samples, m, n, 1, x, n, difference, n, 0, y, m);
    for (size_t i = 0; i < count; i++) x[i] += mean[i % (size_t)n];
    for (size_t i = 0; i < (size_t)n_samples * (size_t)m; i++) sum += (double)y[i] * (double)y[i];
    return sum;
}

/* The held-out error of one shrinkage. */
static enum sn_status try_shrinkage(sn_fit_function *fit, struct sn_fit_options *options, const float *w, int m, int n,
                                    const float *x, int n_fitting, float *held, int n_held, double shrinkage, float *scratch,
                                    double *energy, struct sn_error *error)
{
    struct sn_weighting weighting;
    struct sn_fit result = { 0 };
    size_t size = (size_t)m * (size_t)n;
    enum sn_status status = sn_weighting_new(x, n_fitting, n, shrinkage, &weighting, error);
    if (status) return status;
    options->weighting = &weighting;
    status = fit(w, m, n, options, &result, error);
    if (!status) status = sn_dense(result.matrix, result.words, scratch, error);
    if (!status)
        *energy = output_energy(w, scratch, m, n, weighting.mean, held, n_held, scratch + size, scratch + 2 * size);
    sn_fit_free(&result);
    sn_weighting_free(&weighting);
    return status;
}

enum sn_status sn_weighting_choose(sn_fit_function *fit, const struct sn_fit_options *options, const float *w, int m, int n,
                                   const float *x, int n_samples, struct sn_weighting *weighting, struct sn_error *error)
{
    enum { N_SHRINKAGES = 6, LEAST_SAMPLES = 10 };
    static const double shrinkages[N_SHRINKAGES] = { .1, .3, .5, .7, .85, 1 };
    double energies[N_SHRINKAGES], least = 0, best = 1;
    int n_held = n_samples / 5, n_fitting = n_samples - n_held;
    if (n_samples < LEAST_SAMPLES) return sn_weighting_new(x, n_samples, n, 1, weighting, error);
    struct sn_fit_options simple = *options;
    simple.low_rank = simple.n_factors = 1;
    simple.n_stages = 0;
    simple.effort = SN_QUICK;
    simple.progress = NULL;
    size_t size = (size_t)m * (size_t)n, count = (size_t)n_held * (size_t)n;
    float *held = malloc(count * sizeof *held), *scratch = malloc((2 * size + (size_t)n_held * (size_t)m) * sizeof *scratch);
    enum sn_status status = held && scratch ? SN_OK : sn_fail(error, SN_NO_MEMORY, "out of memory for %d samples", n_held);
    for (size_t i = 0; !status && i < count; i++) held[i] = x[(size_t)n_fitting * (size_t)n + i];
    for (int i = 0; !status && i < N_SHRINKAGES; i++) {
        status = try_shrinkage(fit, &simple, w, m, n, x, n_fitting, held, n_held, shrinkages[i], scratch, &energies[i], error);
        if (!status && (!i || energies[i] < least)) least = energies[i];
    }
    for (int i = 0; !status && i < N_SHRINKAGES; i++)
        if (energies[i] <= least * (1 + 2. / 30)) best = shrinkages[i];  /* Of squares, hence twice. */
    free(held);
    free(scratch);
    return status ? status : sn_weighting_new(x, n_samples, n, best, weighting, error);
}
