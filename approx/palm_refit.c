/* The values of A and B on a fixed pattern, one factor after the other. */
#include "palm_state.h"
#include "psm_cgls.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* X <- X D^-1, D the scale of W's columns, for X^T in the layout of the residual. */
static void unscale(const struct palm *palm, float *x)
{
    size_t n = (size_t)palm->n, m = (size_t)palm->m;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) x[i * m + j] /= palm->scale[palm->flip ? j : i];
}

/* <X, X M'>, M' = D^-1 M D^-1 the moment of the scaled columns; *slope receives X M', which is X
 * itself without a weighting. X becomes scratch with one. */
static double moment_energy(const struct palm *palm, float *x, float *scratch, float **slope)
{
    int n = palm->n, m = palm->m;
    size_t size = (size_t)m * (size_t)n;
    *slope = x;
    if (!palm->weighting) return palm_energy_of(x, size);
    unscale(palm, x);
    if (palm->flip)
        cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, n, m, 1, palm->weighting->moment, m, x,
                    m, 0, scratch, m);
    else
        cblas_ssymm(CblasRowMajor, CblasLeft, CblasLower, n, m, 1, palm->weighting->moment, n, x, m,
                    0, scratch, m);
    *slope = scratch;
    double sum = 0;
    for (size_t i = 0; i < size; i += 4096)
        sum += (double)cblas_sdot(size - i < 4096 ? (int)(size - i) : 4096, x + i, 1, scratch + i,
                                  1);
    unscale(palm, scratch);
    return sum;
}

/* ---- One factor ---- */

/* min over the values of factor f of ||(W - A B) L||^2. The residual holds R M', R = A B - W. */
struct fit {
    struct palm *palm;
    int f;
    float *image; /* D M' for the last direction, D the change of A B along it */
};

/* All of A's gradient with zeros where A has none, or B's at its entries one by one. */
static double take_gradient(void *context, float *g)
{
    const struct fit *fit = context;
    const struct palm *palm = fit->palm;
    if (fit->f == PALM_B) {
        palm_gradient_at_b(palm, palm->residual, g);
        return palm_energy_of(g, palm->b.start[palm->inner]);
    }
    palm_gradient_a(palm, palm->residual, g);
    for (size_t i = 0; i < palm_size(palm, PALM_A); i++)
        if (palm->a[i] == 0) g[i] = 0;
    return palm_energy_of(g, palm_size(palm, PALM_A));
}

static double curvature(void *context, const float *d)
{
    struct fit *fit = context;
    struct palm *palm = fit->palm;
    int is_a = fit->f == PALM_A;
    palm_multiply(palm, is_a ? d : palm->a, &palm->b, is_a ? palm->b.value : d, NULL, palm->dense);
    return moment_energy(palm, palm->dense, palm->weighted, &fit->image);
}

static void move(void *context, float alpha)
{
    const struct fit *fit = context;
    struct palm *palm = fit->palm;
    cblas_saxpy(palm->m * palm->n, alpha, fit->image, 1, palm->residual, 1);
}

/* Returns what the squared error fell by. */
static double refit_factor(struct palm *palm, int f, int n_steps)
{
    struct fit fit = { palm, f, NULL };
    struct psm_cgls problem = { .values = f == PALM_A ? palm->a : palm->b.value,
                                .count = f == PALM_A ? palm_size(palm, PALM_A)
                                                     : palm->b.start[palm->inner],
                                .gradient = palm->dense,
                                .direction = palm->dual[PALM_A],
                                .context = &fit,
                                .take_gradient = take_gradient,
                                .curvature = curvature,
                                .move = move };
    return psm_cgls_run(&problem, n_steps);
}

/* ---- Both ---- */

double palm_refit(struct palm *palm, int n_rounds, int n_steps)
{
    float *slope;
    size_t size = (size_t)palm->m * (size_t)palm->n;
    free(palm->dual[PALM_B]);
    palm->dual[PALM_B] = NULL;
    free(palm->gram);
    palm->gram = NULL;
    palm_take_w(palm, palm->target);
    palm_multiply(palm, palm->a, &palm->b, palm->b.value, palm->target, palm->residual);
    palm->energy = moment_energy(palm, palm->target, palm->dense, &slope);
    free(palm->target);
    palm->target = NULL;
    double error = moment_energy(palm, palm->residual, palm->dense, &slope);
    if (slope != palm->residual) memcpy(palm->residual, slope, size * sizeof *slope);
    for (int round = 0; round < n_rounds; round++) {
        palm_balance(palm);
        for (int f = 0; f < 2; f++) error -= refit_factor(palm, f, n_steps);
    }
    return fmax(0, error);
}

double palm_energy(const struct palm *palm) { return palm->energy; }
