/* SSS approximation of a dense matrix: balanced truncation of Hankel blocks (sss_sweep.h) at many
 * segmentations, the most promising of them refined (sss_refine.h). Segments are equal, as an exact
 * SSS matrix has them (sss_cuts.h), or moved from equal ones by local search. The choice is this
 * project's.
 *
 * With a weighting the search runs on W diag(M)^1/2, which is exact for the inputs' scales and
 * blind to their correlation, since a scaled column of W is a scaled column of its B, D and F; the
 * refinement sees M whole. The truncated SVD is the optimum itself: W L = U S V^T, What = U_r U_r^T
 * W (Eckart and Young, since What L = U_r U_r^T W L). What is handed back is the candidate of
 * lowest weighted error, so that it never exceeds that of low rank. */
#include "fit.h"
#include "sss_realise.h"
#include "sss_reorder.h"
#include "sss_search.h"
#include "sss_segments.h"
#include "sss_windows.h"
#include "weighting.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- With a weighting */

/* C = U T^-1 and B = T V^T, of W L = U S V^T, become those of U U^T W: B = T^2 C^T W, 1/T the norms
 * of C's columns. */
static void project_rows(const struct sss_view *view, struct sn_fit *fit)
{
    const struct sss *shape = (const struct sss *)fit->matrix;
    int m = view->n_outputs, n = view->n_inputs, r = shape->causal[1];
    float *b = sss_stage_at(shape, fit->words, 0).b, *c = sss_stage_at(shape, fit->words, 1).c;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r, n, m, 1, c, r, view->dense, n, 0, b, n);
    for (int s = 0; s < r; s++) {
        double norm = cblas_dsdot(m, c + s, r, c + s, r);
        if (norm > 0) cblas_sscal(n, (float)(1 / norm), b + (size_t)s * (size_t)n, 1);
    }
}

/* w <- W L. */
static enum sn_status multiply_by_root(const struct sss_view *view, float *w,
                                       struct sn_error *error)
{
    int m = view->n_outputs, n = view->n_inputs;
    float *root;
    enum sn_status status = sn_weighting_root(view->options->weighting, &root, error);
    if (status) return status;
    memcpy(w, view->dense, (size_t)m * (size_t)n * sizeof *w);
    cblas_strmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, m, n, 1, root, n,
                w, n);
    free(root);
    return SN_OK;
}

/* Offers the weighted truncated SVD. */
static enum sn_status fit_low_rank(struct sss_search *search, struct sn_fit *best,
                                   struct sn_error *error)
{
    const struct sss_view *view = search->view;
    size_t count = (size_t)view->n_outputs * (size_t)view->n_inputs;
    if (view->budget < (size_t)view->n_outputs + (size_t)view->n_inputs) return SN_OK;
    float *w = malloc(count * sizeof *w);
    if (!w) return sn_no_memory(error, "an SSS approximation");
    struct sss_view weighted = *view;
    struct sss_search low = sss_search_new(&weighted, search->reached);
    struct sn_fit fit = { 0 };
    enum sn_status status = multiply_by_root(view, w, error);
    weighted.w = w;
    weighted.scale = NULL;
    if (!status) weighted.energy = cblas_dsdot((int)count, w, 1, w, 1);
    if (!status) status = sss_examine_low_rank(&low, error);
    if (!status && low.best.plan) status = sss_realise(&weighted, low.best.plan, &fit, error);
    if (!status && fit.matrix) {
        project_rows(view, &fit);
        status = sss_offer(search, &fit, best, error);
    }
    sss_search_free(&low);
    free(w);
    return status;
}

/* w and scale: the matrix with its columns times the standard deviations of the inputs, which the
 * view shows from then on. */
static enum sn_status scale_columns(struct sss_view *view, float **w, float **scale,
                                    struct sn_error *error)
{
    size_t m = (size_t)view->n_outputs, n = (size_t)view->n_inputs;
    *w = malloc(m * n * sizeof **w);
    *scale = malloc(n * sizeof **scale);
    if (!*w || !*scale) return sn_no_memory(error, "an SSS approximation");
    for (size_t j = 0; j < n; j++) (*scale)[j] = sqrtf(view->options->weighting->moment[j * n + j]);
    view->energy = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float scaled = view->dense[i * n + j] * (*scale)[j];
            (*w)[i * n + j] = scaled;
            view->energy += (double)scaled * (double)scaled;
        }
    view->w = *w;
    view->scale = *scale;
    return SN_OK;
}

/* ---- The candidates */

/* All of them, the one dense stage first. */
static enum sn_status search_all(struct sss_search *search, struct sn_error *error)
{
    const struct sss_view *view = search->view;
    double lost;
    struct sss_plan *dense = sss_plan_equal(1, view->n_outputs, view->n_inputs, error);
    enum sn_status status = sss_examine_new(search, dense, &lost, error);
    if (!status) status = sss_examine_windows(search, error);
    if (!status) status = sss_examine_low_rank(search, error);
    if (!status) status = sss_examine_exact(search, error);
    sss_report(search, 0);
    if (!status) status = sss_search_stages(search, error);
    if (!status && view->options->effort != SN_QUICK) status = sss_search_cuts(search, error);
    return status;
}

/* Low rank alone, and windows where the budget is below rank one. */
static enum sn_status search_low_rank(struct sss_search *search, struct sn_error *error)
{
    size_t rank_one = (size_t)search->view->n_outputs + (size_t)search->view->n_inputs;
    enum sn_status status = SN_OK;
    if (search->view->budget < rank_one) status = sss_examine_windows(search, error);
    return status ? status : sss_examine_low_rank(search, error);
}

/* The segmentation that the caller asks for. */
static enum sn_status search_given(struct sss_search *search, int n_stages, struct sn_error *error)
{
    const struct sss_view *view = search->view;
    int m = view->n_outputs, n = view->n_inputs;
    size_t bytes = view->options->budget_bytes;
    if (bytes == SIZE_MAX) bytes = sizeof(float) * view->budget;
    if (n_stages > (long long)m + n)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at most %lld, found %d",
                       (long long)m + n, n_stages);
    double lost;
    struct sss_plan *plan = sss_plan_equal(n_stages, m, n, error);
    if (!plan) return SN_NO_MEMORY;
    size_t diagonal = sss_plan_diagonal_values(plan);
    enum sn_status status = sss_examine_new(search, plan, &lost, error);
    if (status || search->best.plan) return status;
    if (diagonal > view->budget)
        return sn_fail(error, SN_BAD_INPUT,
                       "the diagonal blocks of %d stages take %zu bytes, the budget is %zu",
                       n_stages, 4 * diagonal, bytes);
    return sn_fail(error, SN_BAD_INPUT,
                   "budget of %zu bytes cannot hold a single state of %d stages", bytes, n_stages);
}

/* ---- The whole */

/* ||W||_F^2. */
static double energy_of(const float *dense, size_t size)
{
    double energy = 0;
    for (size_t i = 0; i < size; i++) energy += (double)dense[i] * (double)dense[i];
    return energy;
}

static struct sss_view view_of(const float *dense, int n_outputs, int n_inputs,
                               const struct sn_fit_options *options)
{
    size_t budget = options->budget_bytes / sizeof(float);
    if (options->budget_values < budget) budget = options->budget_values;
    if (budget > INT_MAX) budget = INT_MAX; /* sss_new() allows no more. */
    return (struct sss_view){ .given = dense,
                              .dense = dense,
                              .w = dense,
                              .weighting = options->weighting,
                              .n_outputs = n_outputs,
                              .n_inputs = n_inputs,
                              .budget = budget,
                              .energy = energy_of(dense, (size_t)n_outputs * (size_t)n_inputs),
                              .options = options };
}

/* The best of all candidates, refined, and of those in another order. */
static enum sn_status fit_any(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    int n_stages = sn_fit_setting(options, "stages");
    struct sss_view view = view_of(dense, n_outputs, n_inputs, options);
    struct sss_search search = sss_search_new(&view, INFINITY);
    float *w = NULL, *scale = NULL;
    enum sn_status status = SN_OK;
    if (options->weighting && !n_stages) status = fit_low_rank(&search, fit, error);
    if (!status && options->weighting) status = scale_columns(&view, &w, &scale, error);
    if (!status)
        status = n_stages ? search_given(&search, n_stages, error) : search_all(&search, error);
    if (!status) status = sss_settle_all(&search, fit, error);
    if (!status && !n_stages && options->effort != SN_QUICK && search.reached >= 1e-6)
        status = sss_fit_ordered(&search, w, fit, error);
    if (!status) sss_report(&search, 1);
    if (status) sn_fit_free(fit);
    sss_search_free(&search);
    free(w);
    free(scale);
    return status;
}

static enum sn_status fit_two_stages(const float *dense, int n_outputs, int n_inputs,
                                     const struct sn_fit_options *options, struct sn_fit *fit,
                                     struct sn_error *error)
{
    struct sss_view view = view_of(dense, n_outputs, n_inputs, options);
    struct sss_search search = sss_search_new(&view, INFINITY);
    float *w = NULL, *scale = NULL;
    enum sn_status status = SN_OK;
    if (options->weighting) status = fit_low_rank(&search, fit, error);
    if (!status && options->weighting) status = scale_columns(&view, &w, &scale, error);
    if (!status && !fit->matrix) status = search_low_rank(&search, error);
    if (!status) status = sss_settle_all(&search, fit, error);
    if (!status) sss_report(&search, 1);
    if (status) sn_fit_free(fit);
    sss_search_free(&search);
    free(w);
    free(scale);
    return status;
}

static const struct sn_fit_type types[] = {
    { "sss", "SSS", "sequentially semiseparable", &sss_family, fit_any },
    { "lowrank", "low rank", "written as [sss] with two stages", &sss_family, fit_two_stages },
    { 0 }
};

static const struct sn_fit_option fit_options[] = {
    { "stages", "N", 1, 1000000, NULL, "sss: N equal segments instead of a search" }, { 0 }
};

const struct sn_fitter sss_fitter = { types, fit_options };
