/* PSM approximation of a dense matrix W ~ S_1 .. S_J by sparse factors: one (psm_prune.h), two
 * (psm_pair.h), the better of both, or more (psm_chain.h). Entries may come in blocks of rows
 * (psm_order.h). */
#include "psm_chain.h"
#include "psm_dense.h"
#include "psm_index.h"
#include "psm_order.h"
#include "psm_pair.h"
#include "psm_prune.h"
#include "psm_round.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Float values of n_factors factors. */
static enum sn_status fit_floats(const struct psm_search *search, struct sn_fit *fit,
                                 struct sn_error *error)
{
    return search->n_factors > 2 ? psm_chain_fit(search, fit, error)
        : search->n_factors == 2 ? psm_pair_fit(search, fit, error)
                                 : psm_prune(search, fit, error);
}

/* How many values of few bits there is room for, the scales taken off. Two factors and more have
 * the smaller side between them. */
static size_t room_for(const struct psm_search *search)
{
    int inner = search->m < search->n ? search->m : search->n, n = search->n_factors;
    size_t left = search->budget.bytes, scales = 2 * (size_t)search->m, room = 0;
    if (n > 1) scales += 2 * (size_t)(n - 1) * (size_t)inner;
    left = left == SIZE_MAX || left < scales + 8 ? left : left - scales - 8;
    for (int j = 0; j < n && left != SIZE_MAX; j++)
        room += psm_index_room(j ? inner : search->m, j < n - 1 ? inner : search->n, search->block,
                               search->bits, left / (size_t)n);
    return room < search->budget.values && left != SIZE_MAX ? room : search->budget.values;
}

/* n_factors factors. Those of few bits are fitted as floats, as many as there is room for, and
 * rounded. Where the pattern that was found takes much more than was foretold, a second fit has
 * fewer entries; what is a little too much goes when they are rounded. */
static enum sn_status fit_rounded(const struct psm_search *search, struct sn_fit *fit,
                                  struct sn_error *error)
{
    if (search->bits == 32) return fit_floats(search, fit, error);
    struct psm_search floats = *search;
    floats.budget = (struct psm_budget){ SIZE_MAX, room_for(search) };
    enum sn_status status = fit_floats(&floats, fit, error);
    double excess = status ? 0 : psm_round_excess(search, fit);
    if (excess > 1.05) {
        sn_fit_free(fit);
        floats.budget.values = (size_t)((double)floats.budget.values / pow(excess, 1.3));
        status = fit_floats(&floats, fit, error);
    }
    if (!status) status = psm_round(search, fit, error);
    return status ? status : psm_measure(search, fit, error);
}

/* One factor, two, the better of both, or a longer chain. The one is fitted again where it is the
 * better, since two take most of the memory. */
static enum sn_status fit_factors(const struct psm_search *search, struct sn_fit *fit,
                                  struct sn_error *error)
{
    struct psm_search one = *search, two = *search;
    one.n_factors = 1;
    two.n_factors = 2;
    if (search->n_factors) return fit_rounded(search, fit, error);
    enum sn_status status = fit_rounded(&one, fit, error);
    if (status || fit->error == 0) return status;
    double error_of_one = fit->weighted_error;
    sn_fit_free(fit);
    status = fit_rounded(&two, fit, error);
    /* A budget that is too small for two factors leaves the one. */
    if (status == SN_NO_MEMORY || (!status && fit->weighted_error < error_of_one)) return status;
    sn_fit_free(fit);
    return fit_rounded(&one, fit, error);
}

/* The power of two that brings W's largest entry near 1, so that sums of squares can be formed in
 * float32; 0 when they can be as it stands. */
static int exponent_of(const float *dense, size_t size)
{
    float largest = 0;
    int exponent;
    for (size_t i = 0; i < size; i++) largest = fmaxf(largest, fabsf(dense[i]));
    frexpf(largest, &exponent);
    return abs(exponent) < 20 ? 0 : exponent;
}

/* A copy of W times 2^-exponent, which is exact. */
static float *scale_copy(const float *dense, size_t size, int exponent)
{
    float *scaled = malloc(size * sizeof *scaled);
    for (size_t i = 0; scaled && i < size; i++) scaled[i] = ldexpf(dense[i], -exponent);
    return scaled;
}

/* ---- One call ---- */

static enum sn_status check_settings(int n_factors, int block, enum psm_pattern pattern,
                                     struct sn_error *error)
{
    if (block != 1 && block != 4 && block != 8)
        return sn_fail(error, SN_BAD_INPUT, "psm: blocks of %d rows, expected 1, 4 or 8", block);
    if (n_factors > 2 && block > 1)
        return sn_fail(error, SN_BAD_INPUT,
                       "psm: blocks of %d rows with %d factors, expected at most 2 factors", block,
                       n_factors);
    if (psm_pattern_has_groups(pattern) && (n_factors > 2 || block > 1))
        return sn_fail(
            error, SN_BAD_INPUT,
            "psm: a pattern N:M with %d factors in blocks of %d rows, expected at most 2 "
            "factors without blocks",
            n_factors, block);
    return SN_OK;
}

/* search->w for the matrix of the caller, in *copy when it is to be scaled by 2^-exponent or its
 * rows are to be put in order. */
static enum sn_status prepare(struct psm_search *search, const float *dense, int exponent,
                              float **copy, uint32_t *order, struct sn_error *error)
{
    size_t size = (size_t)search->m * (size_t)search->n, *bytes = &search->budget.bytes;
    size_t order_bytes = psm_order_bytes(search->m);
    const struct sn_weighting *weighting = search->options->weighting;
    enum sn_status status = SN_OK;
    search->w = dense;
    search->order = order;
    if (exponent || order) {
        search->w = *copy = scale_copy(dense, size, exponent);
        if (!*copy) return sn_no_memory(error, "a PSM approximation");
    }
    if (order) {
        if (*bytes != SIZE_MAX) *bytes -= *bytes < order_bytes ? *bytes : order_bytes;
        status = psm_order_rows(*copy, search->m, search->n, search->block, order, error);
    }
    for (size_t i = 0, n = (size_t)search->n; i < size && !status; i++)
        search->energy += (double)search->w[i] * (double)search->w[i]
            * (weighting ? (double)weighting->moment[(i % n) * (n + 1)] : 1);
    return status;
}

static enum sn_status fit_within(const float *dense, int n_outputs, int n_inputs, int n_factors,
                                 const struct sn_fit_options *options, struct sn_fit *fit,
                                 struct sn_error *error)
{
    int block = sn_fit_setting(options, "block"), exponent;
    uint32_t *order = NULL;
    float *copy = NULL;
    struct psm_search search = { .m = n_outputs,
                                 .n = n_inputs,
                                 .n_factors = n_factors,
                                 .block = block ? block : 1,
                                 .pattern = (enum psm_pattern)sn_fit_setting(options, "pattern"),
                                 .bits = options->bits,
                                 .budget = { options->budget_bytes, options->budget_values },
                                 .options = options };
    enum sn_status status = check_settings(n_factors, search.block, search.pattern, error);
    if (status) return status;
    exponent = exponent_of(dense, (size_t)n_outputs * (size_t)n_inputs);
    if (block > 1 && !(order = malloc((size_t)n_outputs * sizeof *order)))
        status = sn_no_memory(error, "a PSM approximation");
    if (!status) status = prepare(&search, dense, exponent, &copy, order, error);
    if (!status) status = fit_factors(&search, fit, error);
    if (!status) {
        size_t leftmost = (size_t)((struct psm *)fit->matrix)->nonzeros[0];
        for (size_t q = 0; q < leftmost; q++) fit->words[q] = ldexpf(fit->words[q], exponent);
    }
    free(copy);
    free(order);
    return status;
}

static enum sn_status fit_any(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, sn_fit_setting(options, "factors"), options, fit,
                      error);
}

static enum sn_status fit_one_factor(const float *dense, int n_outputs, int n_inputs,
                                     const struct sn_fit_options *options, struct sn_fit *fit,
                                     struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, 1, options, fit, error);
}

/* The rows of the leftmost factor. */
static void mark_outputs(const struct sn_matrix *matrix, char *marks)
{
    memset(marks, 1, (size_t)matrix->n_outputs);
}

static const struct sn_fit_type types[] = {
    { "psm", "sparse product", "product of sparse matrices", 1, &psm_family, fit_any },
    { "pruned", "pruned", "one sparse matrix", 1, &psm_family, fit_one_factor },
    { 0 }
};

static const char *const patterns[] = { "entries", "rows", "columns", "1:4",
                                        "2:4",     "1:8",  "1:16",    NULL };

static const struct sn_fit_option fit_options[] = {
    { "factors", "N", 1, PSM_MOST_FACTORS, NULL,
      "psm: so many factors instead of the better of 1 and 2" },
    { "block", "N", 1, 8, NULL,
      "psm: entries in blocks of 4 or 8 rows with one index each, rows reordered" },
    { "pattern", "P", 0, 6, patterns,
      "psm: entries (default): the largest of a factor; rows, columns: as\n"
      "many in each row or column of a factor; 1:4, 2:4, 1:8, 1:16: at most\n"
      "so many of each 4, 8 or 16 entries side by side in a row" },
    { 0 }
};

const struct sn_fitter psm_fitter = {
    .types = types, .options = fit_options, .dense = psm_dense, .mark_outputs = mark_outputs
};
