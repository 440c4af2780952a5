/* SSS approximation of a dense matrix:
 *
 *     min ||(W - What) L||_F^2,    L L^T = M (struct sn_weighting), or M = I,
 *
 * over SSS matrices What within the budget: their segments, state sizes, values, and orders of rows
 * and columns. Segments and state sizes are discrete, and no method is known that finds the best
 * ones; given them, balanced truncation leads to good values at once (sss_sweep.h). Hence many
 * plans are measured by sweeps alone (sss_search.h): one dense stage, windows (sss_windows.h), low
 * rank, and segments that are equal, as an exact SSS matrix has them, or moved from equal ones
 * (sss_segments.h). The most promising are realised and refined (sss_realise.h), and the search is
 * made once more in an order of rows and columns of our own (sss_reorder.h). The choice is this
 * project's.
 *
 * With a weighting the search runs on W diag(M)^1/2, which is exact for the inputs' scales and
 * blind to their correlation, since a scaled column of W is a scaled column of its B, D and F; the
 * refinement sees M whole. The truncated SVD is the optimum itself:
 *
 *     W L = U S V^T,    What = U_r U_r^T W
 *
 * (Eckart and Young, since What L = U_r U_r^T W L). What is handed back is the candidate of lowest
 * weighted error, so that it never exceeds that of low rank. */
#include "fit.h"
#include "product.h"
#include "sss.h"
#include "sss_diagonal.h"
#include "sss_realise.h"
#include "sss_reorder.h"
#include "sss_round.h"
#include "sss_segments.h"
#include "sss_windows.h"
#include "stored.h"
#include "weighting.h"

#include <cblas.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Plans ---- */

/* Widths (n, 0), heights (0, m): the only Hankel block is W, the state size is the rank, so this is
 * the truncated SVD. As many states as the budget holds. */
static struct sss_plan *low_rank_plan(const struct sss_problem *problem, struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    size_t rank = problem->budget / ((size_t)m + (size_t)n);
    struct sss_plan *plan = sss_plan_new(2, error);
    if (!plan) return NULL;
    plan->inputs[0] = n;
    plan->outputs[1] = m;
    plan->states[SSS_CAUSAL][1] = sss_smaller(m, n);
    if (rank < (size_t)sss_smaller(m, n)) plan->states[SSS_CAUSAL][1] = (int)rank;
    return plan;
}

static enum sn_status examine_low_rank(const struct sss_problem *problem, struct sss_found *found,
                                       struct sn_error *error)
{
    double lost;
    struct sss_plan *plan = low_rank_plan(problem, error);
    if (!plan) return SN_NO_MEMORY;
    enum sn_status status = sss_measure(problem, plan, NULL, &lost, error);
    if (!status) status = sss_consider(problem, found, plan, lost, error);
    free(plan);
    return status;
}

/* Low rank that was not measured before, at least rank one: a matrix of less rank than the budget
 * holds is realised again. */
static enum sn_status realise_low_rank(const struct sss_problem *problem, struct sn_fit *fit,
                                       struct sn_error *error)
{
    struct sss_plan *plan = low_rank_plan(problem, error);
    enum sn_status status = SN_NO_MEMORY;
    for (int fits = 0; plan && !fits;) {
        int *rank = &plan->states[SSS_CAUSAL][1], reached[3] = { 0 };
        status = sss_realise(problem, plan, reached, fit, error);
        reached[1] = sss_larger(1, reached[1]);
        fits = status || reached[1] == *rank;
        *rank = reached[1];
        if (!fits) sn_fit_free(fit);
    }
    free(plan);
    return status;
}

/* Low rank alone, and windows where the budget is below rank one. */
static enum sn_status search_low_rank(const struct sss_problem *problem, struct sss_found *found,
                                      struct sn_error *error)
{
    size_t rank_one = (size_t)problem->n_outputs + (size_t)problem->n_inputs;
    if (problem->budget < rank_one) return sss_examine_windows(problem, found, error);
    struct sn_fit fit = { 0 };
    enum sn_status status = realise_low_rank(problem, &fit, error);
    return status ? status : sss_offer(problem, &fit, found, error);
}

/* All candidates, the one dense stage first. */
static enum sn_status search_all(const struct sss_problem *problem, struct sss_found *found,
                                 struct sn_error *error)
{
    double lost;
    struct sss_plan *dense = sss_plan_equal(1, problem->n_outputs, problem->n_inputs, error);
    enum sn_status status = sss_examine_new(problem, found, dense, SSS_MOST_ROUNDS, &lost, error);
    if (!status) status = sss_examine_windows(problem, found, error);
    if (!status) status = examine_low_rank(problem, found, error);
    if (!status) status = sss_examine_exact(problem, found, error);
    sss_report(problem, found, 0);
    if (!status) status = sss_search_equal(problem, found, error);
    if (!status && problem->options->effort != SN_QUICK)
        status = sss_search_cuts(problem, found, error);
    return status;
}

/* The segmentation that the caller asks for. */
static enum sn_status search_given(const struct sss_problem *problem, int stages,
                                   struct sss_found *found, struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    size_t bytes = problem->options->budget_bytes;
    if (bytes == SIZE_MAX) bytes = sizeof(float) * problem->budget;
    if (stages > (long long)m + n)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at most %lld, found %d",
                       (long long)m + n, stages);
    double lost;
    struct sss_plan *plan = sss_plan_equal(stages, m, n, error);
    if (!plan) return SN_NO_MEMORY;
    size_t diagonal = sss_plan_diagonal_values(plan);
    enum sn_status status = sss_examine_new(problem, found, plan, SSS_MOST_ROUNDS, &lost, error);
    if (status || found->best.plan) return status;
    if (diagonal > problem->budget)
        return sn_fail(error, SN_BAD_INPUT,
                       "the diagonal blocks of %d stages take %zu bytes, the budget is %zu", stages,
                       4 * diagonal, bytes);
    return sn_fail(error, SN_BAD_INPUT,
                   "budget of %zu bytes cannot hold a single state of %d stages", bytes, stages);
}

/* Makes matrices of the plans that were found, the more of them and the longer the greater the
 * effort. A plan foretold to be far behind is left out. */
static enum sn_status settle_all(const struct sss_problem *problem, struct sss_found *found,
                                 struct sn_error *error)
{
    static const struct {
        int others, rounds;
    } efforts[] = {
        [SN_NORMAL] = { 3, 6 }, [SN_QUICK] = { 0, 0 }, [SN_THOROUGH] = { SSS_MOST_OTHERS, 40 }
    };
    int others = efforts[problem->options->effort].others,
        rounds = efforts[problem->options->effort].rounds;
    if (!found->best.plan) return SN_OK;
    if (sss_plan_is_low_rank(found->best.plan)) others--; /* Others hardly overtake it. */
    sss_report(problem, found, SSS_SEARCH_PART);
    enum sn_status status = sss_settle(problem, found->best.plan, rounds, found, error);
    for (int i = 0; i < others && !status && !sss_stopped(problem); i++) {
        const struct sss_candidate *other = &found->others[i];
        sss_report(problem, found,
                   SSS_SEARCH_PART + (SSS_SETTLE_PART - SSS_SEARCH_PART) * (i + 1) / (others + 1));
        if (other->plan && sss_is_promising(found, other->lost) && sss_improvable(found))
            status = sss_settle(problem, other->plan, rounds, found, error);
    }
    return status;
}

/* ---- With a weighting ---- */

/* C = U T^-1 and B = T V^T, of W L = U S V^T, become those of U U^T W:
 *     B = T^2 C^T W,    1/T the norms of C's columns. */
static void project_rows(const struct sss_problem *problem, struct sn_fit *fit)
{
    const struct sss *shape = (const struct sss *)fit->matrix;
    int m = problem->n_outputs, n = problem->n_inputs, r = shape->causal[1];
    float *b = sss_stage_at(shape, fit->words, 0).b, *c = sss_stage_at(shape, fit->words, 1).c;
    sn_product(1, 0, (size_t)r, (size_t)n, (size_t)m, 1, c, (size_t)r, problem->dense, (size_t)n, 0,
               b, (size_t)n);
    for (int s = 0; s < r; s++) {
        double norm = cblas_dsdot(m, c + s, r, c + s, r);
        if (norm > 0) cblas_sscal(n, (float)(1 / norm), b + (size_t)s * (size_t)n, 1);
    }
}

enum { BLOCK = 256 }; /* rows of M in double */

/* a = W, gram = W M W^T; image is scratch of W's size, block of BLOCK rows of M. */
static void set_gram(const struct sss_problem *problem, double *a, double *image, double *block,
                     double *gram)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    const float *moment = problem->options->weighting->moment;
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++) a[i] = (double)problem->dense[i];
    for (int first = 0; first < n; first += BLOCK) {
        int rows = n - first < BLOCK ? n - first : BLOCK;
        for (size_t i = 0; i < (size_t)rows * (size_t)n; i++)
            block[i] = (double)moment[(size_t)first * (size_t)n + i];
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, rows, 1, a + first, n, block,
                    n, first > 0, image, n);
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, n, 1, image, n, a, n, 0, gram, m);
}

/* *w = V S^(1/2) with columns of 0 behind it, m x n, of W M W^T = V S V^T: the left singular
 * vectors and values of W L without a factor of M. The squares cost half of the digits, for which
 * double makes up. */
static enum sn_status weigh_few_rows(const struct sss_problem *problem, float **w,
                                     struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    double *a = malloc((2 * m * n + BLOCK * n) * sizeof *a), *work = malloc(64 * m * sizeof *work);
    double *gram = malloc((m * m + m) * sizeof *gram), *squares = gram + m * m;
    *w = calloc(m * n + 1, sizeof **w);
    enum sn_status status = a && gram && work && *w ? SN_OK
                                                    : sn_no_memory(error, "an SSS approximation");
    if (!status) {
        set_gram(problem, a, a + m * n, a + 2 * m * n, gram);
        /* Eigenvectors become rows, values ascend. */
        if (LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'V', 'L', (int)m, gram, (int)m, squares, work,
                               64 * (int)m))
            status = sn_fail(error, SN_BAD_INPUT, "LAPACK found no eigenvalues of W M W^T");
    }
    for (size_t s = 0; !status && s < m; s++)
        for (size_t i = 0; i < m; i++)
            (*w)[i * n + s] = (float)(sqrt(fmax(0, squares[s])) * gram[s * m + i]);
    free(a);
    free(work);
    free(gram);
    return status;
}

/* *w, m x n, with the left singular vectors and values of W L; the caller frees it, also on
 * failure. */
static enum sn_status weigh(const struct sss_problem *problem, float **w, struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    size_t count = (size_t)m * (size_t)n;
    float *root;
    *w = NULL;
    if (m <= n / 4) return weigh_few_rows(problem, w, error);
    enum sn_status status = sn_weighting_root(problem->options->weighting, &root, error);
    if (status) return status;
    *w = malloc(count * sizeof **w);
    if (*w) {
        memcpy(*w, problem->dense, count * sizeof **w);
        cblas_strmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, m, n, 1,
                    root, n, *w, n);
    } else status = sn_no_memory(error, "an SSS approximation");
    free(root);
    return status;
}

/* The weighted truncated SVD. */
static enum sn_status fit_low_rank(const struct sss_problem *problem, struct sss_found *found,
                                   struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    struct sss_problem weighted = *problem;
    struct sn_fit fit = { 0 };
    float *w;
    if (problem->budget < m + n) return SN_OK;
    enum sn_status status = weigh(problem, &w, error);
    weighted.w = w;
    weighted.scale = NULL;
    if (!status) status = realise_low_rank(&weighted, &fit, error);
    free(w);
    if (status) return status;
    project_rows(problem, &fit);
    return sss_offer(problem, &fit, found, error);
}

/* w and scale: the matrix with its columns times the standard deviations of the inputs, and these.
 * The caller frees them, also on failure. */
static enum sn_status scale_columns(struct sss_problem *problem, float **w, float **scale,
                                    struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    *w = malloc(m * n * sizeof **w);
    *scale = malloc(n * sizeof **scale);
    if (!*w || !*scale) return sn_no_memory(error, "an SSS approximation");
    const float *moment = problem->options->weighting->moment;
    for (size_t j = 0; j < n; j++) (*scale)[j] = sqrtf(moment[j * n + j]);
    problem->energy = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float scaled = problem->dense[i * n + j] * (*scale)[j];
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): n is at least 1. */
            (*w)[i * n + j] = scaled;
            problem->energy += (double)scaled * scaled;
        }
    problem->w = *w;
    problem->scale = *scale;
    return SN_OK;
}

/* ---- The whole ---- */

/* ||W||_F^2. */
static double energy_of(const float *dense, size_t size)
{
    double energy = 0;
    for (size_t i = 0; i < size; i++) energy += (double)dense[i] * dense[i];
    return energy;
}

/* In values: the smaller of the two limits, and what sss_new() allows. */
static size_t budget_of(const struct sn_fit_options *options)
{
    size_t budget = options->budget_bytes / sizeof(float);
    if (options->budget_values < budget) budget = options->budget_values;
    return budget < INT_MAX ? budget : INT_MAX;
}

enum restriction { ANY_SSS, LOW_RANK };

/* Of n_stages equal stages, or as many as are best when that is 0. */
static enum sn_status fit_within(const float *dense, int n_outputs, int n_inputs, int n_stages,
                                 enum restriction restriction, const struct sn_fit_options *options,
                                 struct sn_fit *fit, struct sn_error *error)
{
    struct sss_problem problem = { .given = dense,
                                   .dense = dense,
                                   .w = dense,
                                   .n_outputs = n_outputs,
                                   .n_inputs = n_inputs,
                                   .weighting = options->weighting,
                                   .options = options,
                                   .budget = budget_of(options),
                                   .energy = energy_of(dense,
                                                       (size_t)n_outputs * (size_t)n_inputs) };
    struct sss_found found = { 0 };
    float *w = NULL, *scale = NULL;
    enum sn_status status = SN_OK;
    if (options->weighting && !n_stages) status = fit_low_rank(&problem, &found, error);
    if (!status && options->weighting) status = scale_columns(&problem, &w, &scale, error);
    if (!status && n_stages) status = search_given(&problem, n_stages, &found, error);
    else if (!status && restriction == ANY_SSS) status = search_all(&problem, &found, error);
    else if (!status && !found.fit.matrix) status = search_low_rank(&problem, &found, error);
    if (!status) status = settle_all(&problem, &found, error);
    if (!status && !n_stages && restriction == ANY_SSS && options->effort != SN_QUICK
        && sss_improvable(&found))
        status = sss_fit_reordered(&problem, w, &found, error);
    if (!status) {
        sss_report(&problem, &found, 1);
        *fit = found.fit;
        found.fit = (struct sn_fit){ 0 };
    }
    sss_found_free(&found);
    free(w);
    free(scale);
    return status;
}

/* The same with values of few bits: fitted as floats, as many as there is room for, and rounded;
 * where that takes too many bytes after all, from fewer floats. */
static enum sn_status fit_rounded(const float *dense, int n_outputs, int n_inputs, int n_stages,
                                  enum restriction restriction,
                                  const struct sn_fit_options *options, struct sn_fit *fit,
                                  struct sn_error *error)
{
    struct sn_fit_options floats = *options;
    size_t bytes = options->budget_bytes, scales = 2 * ((size_t)n_outputs + (size_t)n_inputs);
    if (options->bits == 32)
        return fit_within(dense, n_outputs, n_inputs, n_stages, restriction, options, fit, error);
    floats.budget_bytes = SIZE_MAX;
    if (bytes != SIZE_MAX) {
        size_t left = bytes > 2 * scales ? bytes - scales : bytes / 2;
        size_t values = (size_t)(8. * (double)left / options->bits);
        if (values < floats.budget_values) floats.budget_values = values;
    }
    while (floats.budget_values) {
        enum sn_status status = fit_within(dense, n_outputs, n_inputs, n_stages, restriction,
                                           &floats, fit, error);
        if (!status) status = sss_round(dense, options, fit, error);
        if (!status) status = sn_fit_measure(fit, dense, options->weighting, error);
        size_t found = status ? 0 : fit->matrix->n_bytes;
        if (status) sn_fit_free(fit);
        if (found <= bytes) return status;
        double part = .99 * (double)bytes / (double)found;
        floats.budget_values = (size_t)(part * (double)fit->matrix->n_values);
        sn_fit_free(fit);
    }
    return sn_fail(error, SN_BAD_INPUT, "a budget of %zu bytes is too small for values of %d bits",
                   bytes, options->bits);
}

static enum sn_status fit_any(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    return fit_rounded(dense, n_outputs, n_inputs, sn_fit_setting(options, "stages"), ANY_SSS,
                       options, fit, error);
}

static enum sn_status fit_two_stages(const float *dense, int n_outputs, int n_inputs,
                                     const struct sn_fit_options *options, struct sn_fit *fit,
                                     struct sn_error *error)
{
    return fit_rounded(dense, n_outputs, n_inputs, 0, LOW_RANK, options, fit, error);
}

/* Rows of [D C G]; those of [B A] and [F E], which give states, are between them. */
static void mark_outputs(const struct sn_matrix *matrix, char *marks)
{
    const struct sss *shape = (const struct sss *)matrix;
    for (int k = 0; k < shape->n_stages; k++) {
        memset(marks, 1, (size_t)shape->outputs[k]);
        marks += shape->outputs[k] + shape->causal[k + 1] + shape->anticausal[k];
    }
}

static const struct sn_fit_type types[] = {
    { "sss", "SSS", "sequentially semiseparable", 1, &sss_family, fit_any },
    { "dense", "dense", "all entries in few bits, written as [sss] without states", 0, &sss_family,
      sss_fit_diagonal },
    { "lowrank", "low rank", "written as [sss] with two stages", 1, &sss_family, fit_two_stages },
    { 0 }
};

static const struct sn_fit_option fit_options[] = {
    { "stages", "N", 1, 1000000, NULL,
      "sss: N equal segments instead of a search; dense: only the\n"
      "entries of N equal blocks on the diagonal" },
    { 0 }
};

const struct sn_fitter sss_fitter = { .types = types,
                                      .options = fit_options,
                                      .mark_outputs = mark_outputs };
