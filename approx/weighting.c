#include "weighting.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* centred = x - mean, in double. SN_BAD_INPUT for a value that is not finite. */
static enum sn_status centre(const float *x, size_t n_samples, size_t n, double *centred, float *mean,
                             struct sn_error *error)
{
    for (size_t i = 0; i < n_samples * n; i++)
        if (!isfinite(x[i]))
            return sn_fail(error, SN_BAD_INPUT, "features: row %zu, column %zu: found %g, expected a finite number", i / n,
                           i % n, (double)x[i]);
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < n_samples; i++) sum += (double)x[i * n + j];
        mean[j] = (float)(sum / (double)n_samples);
        for (size_t i = 0; i < n_samples; i++) centred[i * n + j] = (double)x[i * n + j] - sum / (double)n_samples;
    }
    return SN_OK;
}

/* moment = (1-s) C + s trace(C)/n I, lower triangle, in double. */
static void shrink(double *moment, size_t n, double shrinkage)
{
    double trace = 0;
    for (size_t j = 0; j < n; j++) trace += moment[j * n + j];
    double level = trace > 0 ? trace / (double)n : 1;
    double s = trace > 0 ? shrinkage : 1;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) moment[i * n + j] *= 1 - s;
        moment[i * n + i] += s * level;
    }
}

/* The float32 copies: M whole, L with zeros above its diagonal. */
static void keep(const double *moment, float *out, size_t n, int symmetric)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            out[i * n + j] = j <= i ? (float)moment[i * n + j] : symmetric ? (float)moment[j * n + i] : 0;
}

enum sn_status sn_weighting_new(const float *x, int n_samples, int n, double shrinkage, struct sn_weighting *weighting,
                                struct sn_error *error)
{
    size_t count = (size_t)n, samples = (size_t)n_samples;
    *weighting = (struct sn_weighting){ .n = n, .shrinkage = shrinkage };
    double *centred = calloc(samples * count, sizeof *centred), *moment = calloc(count * count, sizeof *moment);
    weighting->mean = malloc(count * sizeof(float));
    weighting->moment = malloc(count * count * sizeof(float));
    weighting->root = malloc(count * count * sizeof(float));
    enum sn_status status = SN_OK;
    if (!centred || !moment || !weighting->mean || !weighting->moment || !weighting->root) {
        status = sn_fail(error, SN_NO_MEMORY, "out of memory for the covariance of %d inputs", n);
        goto done;
    }
    if ((status = centre(x, samples, count, centred, weighting->mean, error))) goto done;
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, n, n_samples, 1. / n_samples, centred, n, 0, moment, n);
    shrink(moment, count, shrinkage);
    keep(moment, weighting->moment, count, 1);
    /* Lower in row-major is upper in column-major. */
    if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', n, moment, n))
        status = sn_fail(error, SN_BAD_INPUT, "features: the shrunk covariance is not positive definite");
    else keep(moment, weighting->root, count, 0);
done:
    free(centred);
    free(moment);
    if (status) sn_weighting_free(weighting);
    return status;
}

void sn_weighting_free(struct sn_weighting *weighting)
{
    free(weighting->mean);
    free(weighting->moment);
    free(weighting->root);
    memset(weighting, 0, sizeof *weighting);
}

/* ||(W - What) L||_F^2 with what, or ||W L||_F^2 without; a (m x n) is scratch, and not touched without a weighting. */
static double weighted_energy(const float *w, const float *what, int m, int n, const struct sn_weighting *weighting, float *a)
{
    size_t count = (size_t)m * (size_t)n;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = what ? (double)w[i] - (double)what[i] : (double)w[i];
        if (weighting) a[i] = (float)difference;
        else sum += difference * difference;
    }
    if (!weighting) return sum;
    cblas_strmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, m, n, 1, weighting->root, n, a, n);
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * (double)a[i];
    return sum;
}

double sn_weighted_error(const float *w, const float *what, int m, int n, const struct sn_weighting *weighting,
                         struct sn_error *error)
{
    size_t count = weighting ? (size_t)m * (size_t)n : 1;
    float *a = malloc(count * sizeof *a);
    if (!a) {
        sn_fail(error, SN_NO_MEMORY, "out of memory for %zu entries", count);
        return -1;
    }
    double norm = weighted_energy(w, NULL, m, n, weighting, a), left = weighted_energy(w, what, m, n, weighting, a);
    free(a);
    return norm > 0 ? sqrt(left / norm) : left > 0;
}
