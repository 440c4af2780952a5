/* The values of a structured matrix, of any family, fitted to a dense one with the structure as it
 * stands:
 *
 *     min f = ||(W - What) L||_F^2,    L L^T = M (struct sn_weighting), or M = I,
 *
 * over the values of What, by L-BFGS with a line search that only ever goes down. f and its
 * gradient come from products with the columns of L, so that any family's kernels will do. The
 * values are too many for second derivatives, and multiplied with each other, so that plain
 * gradient steps crawl along the valleys of f; L-BFGS learns the curvature there from its last
 * steps. Source: Nocedal and Wright, Numerical optimization, 2nd ed., algorithms 7.4 and 3.1. */
#include "family.h"
#include "product.h"
#include "weighting.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, HISTORY = 8 };

/* Where the search stands; products are made for a batch of columns of L at a time. */
struct refit {
    const struct sn_matrix *matrix;
    float *root;        /* L, NULL for I */
    size_t m, n, count; /* outputs, inputs, values */
    float *target;      /* (W L)^T, n x m */
    float *x, *y;       /* BATCH columns of L, and their images less the target's */
    float *states, *dstates;
    float *words[2];    /* the best so far, and a trial; indices included */
    float *gradient[2]; /* there */
    float *direction;
    float *s[HISTORY], *dg[HISTORY]; /* steps and what they changed in the gradient, a ring */
    double rho[HISTORY];             /* 1 / <s, dg> */
    int n_pairs, newest;
};

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += 4096)
        sum += (double)cblas_sdot(n - i < 4096 ? (int)(n - i) : 4096, a + i, 1, b + i, 1);
    return sum;
}

/* y += alpha x, for more entries than an int counts. */
static void add(float *y, double alpha, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += (float)alpha * x[i];
}

/* ---- Memory ---- */

static void refit_free(struct refit *r)
{
    float *all[] = { r->root, r->target, r->x, r->y, r->states, r->dstates, r->direction };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (int i = 0; i < 2; i++) free(r->words[i]), free(r->gradient[i]);
    for (int i = 0; i < HISTORY; i++) free(r->s[i]), free(r->dg[i]);
}

static void set_target(struct refit *r, const float *w)
{
    if (r->root) sn_product(1, 1, r->n, r->m, r->n, 1, r->root, r->n, w, r->n, 0, r->target, r->m);
    else
        for (size_t i = 0; i < r->m; i++)
            for (size_t j = 0; j < r->n; j++) r->target[j * r->m + i] = w[i * r->n + j];
}

static enum sn_status refit_new(struct refit *r, const struct sn_fit *fit, const float *w,
                                const struct sn_weighting *weighting, struct sn_error *error)
{
    const struct sn_matrix *matrix = fit->matrix;
    *r = (struct refit){ .matrix = matrix,
                         .m = (size_t)matrix->n_outputs,
                         .n = (size_t)matrix->n_inputs,
                         .count = matrix->n_values };
    float **blocks[] = {
        &r->target,    &r->x,        &r->y,        &r->states,      &r->dstates,
        &r->direction, &r->words[0], &r->words[1], &r->gradient[0], &r->gradient[1]
    };
    size_t counts[] = { r->n * r->m,
                        BATCH * r->n,
                        BATCH * r->m,
                        BATCH * matrix->n_states,
                        BATCH * matrix->n_states,
                        r->count,
                        matrix->n_words,
                        matrix->n_words,
                        r->count,
                        r->count };
    int fine = 1;
    enum sn_status status = weighting ? sn_weighting_root(weighting, &r->root, error) : SN_OK;
    if (status) return status;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fine &= (*blocks[i] = calloc(counts[i] + 1, sizeof(float))) != NULL;
    for (int i = 0; i < HISTORY; i++) {
        fine &= (r->s[i] = malloc((r->count + 1) * sizeof(float))) != NULL;
        fine &= (r->dg[i] = malloc((r->count + 1) * sizeof(float))) != NULL;
    }
    if (!fine) return sn_no_memory(error, "fitting %zu values", r->count);
    set_target(r, w);
    for (int i = 0; i < 2; i++) memcpy(r->words[i], fit->words, matrix->n_words * sizeof(float));
    return SN_OK;
}

/* ---- The function ---- */

/* x <- columns first .. first+batch-1 of L. */
static void take_columns(struct refit *r, size_t first, int batch)
{
    for (size_t b = 0; b < (size_t)batch; b++)
        for (size_t i = 0; i < r->n; i++)
            r->x[b * r->n + i] = r->root ? r->root[i * r->n + first + b] : (float)(i == first + b);
}

/* f / 2 for words[which]; fills gradient[which]. */
static double evaluate(struct refit *r, int which)
{
    const struct sn_family *family = r->matrix->family;
    double sum = 0;
    memset(r->gradient[which], 0, r->count * sizeof(float));
    for (size_t first = 0; first < r->n; first += BATCH) {
        int batch = r->n - first < BATCH ? (int)(r->n - first) : BATCH;
        size_t size = (size_t)batch * r->m;
        take_columns(r, first, batch);
        for (size_t i = 0; i < size; i++) r->y[i] = -r->target[first * r->m + i];
        family->forward(r->matrix, r->words[which], batch, r->x, r->y, r->states);
        sum += dot(r->y, r->y, size);
        family->backward(r->matrix, r->words[which], batch, r->x, r->states, r->y,
                         r->gradient[which], NULL, r->dstates);
    }
    return sum / 2;
}

/* ---- The search ---- */

/* direction <- -H gradient, H the inverse Hessian that the last steps suggest. Returns the slope
 * along it. */
static double set_direction(struct refit *r)
{
    double alpha[HISTORY] = { 0 };
    for (size_t i = 0; i < r->count; i++) r->direction[i] = -r->gradient[0][i];
    for (int k = 0; k < r->n_pairs; k++) {
        int i = (r->newest - k + HISTORY) % HISTORY;
        alpha[i] = r->rho[i] * dot(r->s[i], r->direction, r->count);
        add(r->direction, -alpha[i], r->dg[i], r->count);
    }
    if (r->n_pairs) {
        double scale = 1 / (r->rho[r->newest] * dot(r->dg[r->newest], r->dg[r->newest], r->count));
        for (size_t i = 0; i < r->count; i++) r->direction[i] *= (float)scale;
    }
    for (int k = r->n_pairs - 1; k >= 0; k--) {
        int i = (r->newest - k + HISTORY) % HISTORY;
        add(r->direction, alpha[i] - r->rho[i] * dot(r->dg[i], r->direction, r->count), r->s[i],
            r->count);
    }
    return dot(r->direction, r->gradient[0], r->count);
}

/* Shortens the step until f falls by a share of what the slope promises; the trial is filled in
 * then. Returns the new f / 2, or a negative number when no step does. */
static double search_line(struct refit *r, double now, double slope)
{
    enum { TRIES = 20 };
    double length = r->n_pairs ? 1 : -now / slope; /* The way to 0 were f linear. */
    for (int k = 0; k < TRIES; k++) {
        for (size_t i = 0; i < r->count; i++)
            r->words[1][i] = r->words[0][i] + (float)length * r->direction[i];
        double next = evaluate(r, 1), bend = 2 * (next - now - length * slope);
        if (next < now && next <= now + 1e-4 * length * slope) return next;
        double least = -slope * length / bend; /* of the parabola, as a share of length */
        length *= isfinite(least) ? fmin(.5, fmax(.1, least)) : .1;
    }
    return -1;
}

/* Steps to the trial, and remembers the step when the curvature along it is positive. */
static void accept_trial(struct refit *r)
{
    int slot = (r->newest + 1) % HISTORY;
    for (size_t i = 0; i < r->count; i++) {
        r->s[slot][i] = r->words[1][i] - r->words[0][i];
        r->dg[slot][i] = r->gradient[1][i] - r->gradient[0][i];
    }
    double curvature = dot(r->s[slot], r->dg[slot], r->count);
    if (curvature > 1e-8
            * sqrt(dot(r->s[slot], r->s[slot], r->count)
                   * dot(r->dg[slot], r->dg[slot], r->count))) {
        r->rho[slot] = 1 / curvature;
        r->newest = slot;
        r->n_pairs += r->n_pairs < HISTORY;
    }
    memcpy(r->words[0], r->words[1], r->count * sizeof(float));
    memcpy(r->gradient[0], r->gradient[1], r->count * sizeof(float));
}

enum sn_status sn_refit(struct sn_fit *fit, const float *w, const struct sn_weighting *weighting,
                        int n_steps, const volatile sig_atomic_t *stop, struct sn_error *error)
{
    static const double least_gain = 1e-5;
    struct refit r;
    enum sn_status status = refit_new(&r, fit, w, weighting, error);
    if (status) {
        refit_free(&r);
        return status;
    }
    double now = evaluate(&r, 0);
    for (int step = 0; step < n_steps && now > 0 && !(stop && *stop); step++) {
        double slope = set_direction(&r), next = slope < 0 ? search_line(&r, now, slope) : -1;
        if (next >= 0) accept_trial(&r);
        else if (!r.n_pairs) break;
        else r.n_pairs = 0; /* Starts again from the gradient. */
        int ended = next >= 0 && now - next < least_gain * now;
        if (next >= 0) now = next;
        if (ended) break;
    }
    memcpy(fit->words, r.words[0], r.count * sizeof(float));
    refit_free(&r);
    return SN_OK;
}
