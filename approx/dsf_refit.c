/* The values of A and B on a fixed pattern, one factor after the other. */
#include "dsf_state.h"
#include "psm_cgls.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* X <- X D^-1, D the scale of W's columns, for X^T in the layout of the residual. */
static void unscale(const struct dsf *dsf, float *x)
{
    size_t n = (size_t)dsf->n, m = (size_t)dsf->m;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) x[i * m + j] /= dsf->scale[dsf->flip ? j : i];
}

/* <X, X M'>, M' = D^-1 M D^-1 the moment of the scaled columns; *slope receives X M', which is X
 * itself without a weighting. X becomes scratch with one. */
static double moment_energy(const struct dsf *dsf, float *x, float *scratch, float **slope)
{
    int n = dsf->n, m = dsf->m;
    size_t size = (size_t)m * (size_t)n;
    *slope = x;
    if (!dsf->weighting) return dsf_energy_of(x, size);
    unscale(dsf, x);
    if (dsf->flip)
        cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, n, m, 1, dsf->weighting->moment, m, x, m,
                    0, scratch, m);
    else
        cblas_ssymm(CblasRowMajor, CblasLeft, CblasLower, n, m, 1, dsf->weighting->moment, n, x, m,
                    0, scratch, m);
    *slope = scratch;
    double sum = 0;
    for (size_t i = 0; i < size; i += 4096)
        sum += (double)cblas_sdot(size - i < 4096 ? (int)(size - i) : 4096, x + i, 1, scratch + i,
                                  1);
    unscale(dsf, scratch);
    return sum;
}

/* ---- One factor ---- */

/* min over the values of factor f of ||(W - A B) L||^2. The residual holds R M', R = A B - W. */
struct fit {
    struct dsf *dsf;
    int f;
    float *image; /* D M' for the last direction, D the change of A B along it */
};

/* All of A's gradient with zeros where A has none, or B's at its entries one by one. */
static double take_gradient(void *context, float *g)
{
    const struct fit *fit = context;
    struct dsf *dsf = fit->dsf;
    if (fit->f == DSF_B) {
        dsf_gradient_at_b(dsf, dsf->residual, g);
        return dsf_energy_of(g, dsf->b.start[dsf->inner]);
    }
    dsf_gradient_a(dsf, dsf->residual, g);
    for (size_t i = 0; i < dsf_size(dsf, DSF_A); i++)
        if (dsf->a[i] == 0) g[i] = 0;
    return dsf_energy_of(g, dsf_size(dsf, DSF_A));
}

static double curvature(void *context, const float *d)
{
    struct fit *fit = context;
    struct dsf *dsf = fit->dsf;
    int is_a = fit->f == DSF_A;
    dsf_multiply(dsf, is_a ? d : dsf->a, is_a ? dsf->b.value : d, NULL, dsf->dense);
    return moment_energy(dsf, dsf->dense, dsf->weighted, &fit->image);
}

static void move(void *context, float alpha)
{
    const struct fit *fit = context;
    struct dsf *dsf = fit->dsf;
    cblas_saxpy(dsf->m * dsf->n, alpha, fit->image, 1, dsf->residual, 1);
}

/* Returns what the squared error fell by. */
static double refit_factor(struct dsf *dsf, int f, int n_steps)
{
    struct fit fit = { dsf, f, NULL };
    struct psm_cgls problem = { .values = f == DSF_A ? dsf->a : dsf->b.value,
                                .count = f == DSF_A ? dsf_size(dsf, DSF_A)
                                                    : dsf->b.start[dsf->inner],
                                .gradient = dsf->dense,
                                .direction = dsf->dual[DSF_A],
                                .stop = dsf->stop,
                                .context = &fit,
                                .take_gradient = take_gradient,
                                .curvature = curvature,
                                .move = move };
    return psm_cgls_run(&problem, n_steps);
}

/* ---- Both ---- */

double dsf_refit(struct dsf *dsf, int n_rounds, int n_steps)
{
    float *slope;
    size_t size = (size_t)dsf->m * (size_t)dsf->n;
    dsf_end_run(dsf);
    dsf_take_w(dsf, dsf->target);
    dsf_multiply(dsf, dsf->a, dsf->b.value, dsf->target, dsf->residual);
    dsf->energy = moment_energy(dsf, dsf->target, dsf->dense, &slope);
    free(dsf->target);
    dsf->target = NULL;
    double error = moment_energy(dsf, dsf->residual, dsf->dense, &slope);
    if (slope != dsf->residual) memcpy(dsf->residual, slope, size * sizeof *slope);
    for (int round = 0; round < n_rounds; round++) {
        dsf_balance(dsf);
        for (int f = 0; f < 2; f++) error -= refit_factor(dsf, f, n_steps);
    }
    return fmax(0, error);
}

double dsf_energy(const struct dsf *dsf) { return dsf->energy; }
