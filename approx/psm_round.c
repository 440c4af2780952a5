#include "psm_round.h"
#include "product.h"
#include "psm_chain.h"
#include "psm_index.h"
#include "psm_shape.h"
#include "rounding.h"
#include "stored.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A product whose factors are dense matrices while they are rounded, row-major. */
struct chain {
    const struct psm_search *search;
    int n_factors, bits;
    const int *sizes; /* n_factors+1 */
    float **factors;  /* sizes[j] x sizes[j+1] */
    float **scales;   /* sizes[j] */
    int is_rounded;   /* all factors are */
};

static void chain_free(struct chain *chain)
{
    for (int j = 0; j < chain->n_factors; j++) {
        if (chain->factors) free(chain->factors[j]);
        if (chain->scales) free(chain->scales[j]);
    }
    free(chain->factors);
    free(chain->scales);
}

/* Factor j of the fit as a dense matrix, its rows as search has them. */
static void expand(const struct psm *shape, const float *words, int j, float *dense)
{
    struct psm_factor f = psm_factor_at(shape, j);
    size_t rows = (size_t)f.rows, width = (size_t)f.width, block = (size_t)f.block;
    const float *value = words + f.first;
    memset(dense, 0, rows * width * sizeof *dense);
    for (size_t g = 0; g < f.n_groups; g++)
        for (size_t p = f.row_starts[g]; p < f.row_starts[g + 1]; p++, value += block)
            for (size_t k = 0; k < block && g * block + k < rows; k++)
                dense[(g * block + k) * width + f.columns[p]] = value[k];
}

static int chain_new(struct chain *chain, const struct psm_search *search, const struct psm *shape,
                     const float *words)
{
    size_t n = (size_t)shape->n_factors;
    *chain = (struct chain){ .search = search,
                             .n_factors = shape->n_factors,
                             .bits = search->bits,
                             .sizes = shape->sizes,
                             .factors = calloc(n, sizeof *chain->factors),
                             .scales = calloc(n, sizeof *chain->scales) };
    if (!chain->factors || !chain->scales) return 0;
    for (size_t j = 0; j < n; j++) {
        size_t rows = (size_t)shape->sizes[j], columns = (size_t)shape->sizes[j + 1];
        chain->factors[j] = malloc(rows * columns * sizeof(float));
        chain->scales[j] = calloc(rows, sizeof(float));
        if (!chain->factors[j] || !chain->scales[j]) return 0;
        expand(shape, words, (int)j, chain->factors[j]);
    }
    return 1;
}

/* *product (free()) <- the factors first .. end - 1, one behind the other; NULL for none. 0 without
 * memory. */
static int multiply(const struct chain *chain, int first, int end, float **product)
{
    float *before = NULL;
    *product = NULL;
    for (int j = first; j < end; j++) {
        size_t rows = (size_t)chain->sizes[first], inner = (size_t)chain->sizes[j],
               columns = (size_t)chain->sizes[j + 1];
        before = *product;
        if (!(*product = malloc(rows * columns * sizeof **product))) break;
        if (before)
            sn_gemm(0, 0, rows, columns, inner, 1, before, inner, chain->factors[j], columns, 0,
                    *product, columns);
        else /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): all factors are there. */
            memcpy(*product, chain->factors[j], rows * columns * sizeof **product);
        free(before);
        before = NULL;
    }
    free(before);
    return *product || first == end;
}

/* The steps of a call, by its effort. */
struct steps {
    int rounds, fit, sweeps;
};

/* Those of the search's effort, fewer where each takes long. */
static const struct steps *steps_of(const struct psm_search *search)
{
    static const struct steps
        coarse = { 0, 2, 2 },
        efforts[] = {
            [SN_NORMAL] = { 4, 6, 12 }, [SN_QUICK] = { 1, 4, 5 }, [SN_THOROUGH] = { 12, 12, 40 }
        };
    return sn_fit_is_coarse(search->options, search->m, search->n)
        ? &coarse
        : &efforts[search->options->effort];
}

/* Fits the float values of factor j to the others and rounds them to bits; when it is rounded
 * already, improves its codes. count and sweeps as in sn_round_rows. */
static enum sn_status round_factor(struct chain *chain, int j, int bits, size_t count, int sweeps,
                                   struct sn_error *error)
{
    const struct psm_search *search = chain->search;
    int fit = chain->n_factors > 1 && bits < 32 ? steps_of(search)->fit : 0;
    size_t m = (size_t)search->m, n = (size_t)search->n;
    float *o = NULL, *z = NULL, *difference = NULL;
    struct sn_rounding rounding = { .bits = bits,
                                    .is_sparse = 1,
                                    .is_rounded = chain->is_rounded,
                                    .block = search->block,
                                    .values = chain->factors[j],
                                    .scales = chain->scales[j],
                                    .stop = search->options->stop };
    enum sn_status status = SN_OK;
    if (!multiply(chain, 0, j, &o) || !multiply(chain, j + 1, chain->n_factors, &z)
        || !multiply(chain, 0, chain->n_factors, &difference))
        status = sn_no_memory(error, "rounding a PSM approximation");
    for (size_t i = 0; !status && i < m * n; i++) difference[i] = search->w[i] - difference[i];
    struct sn_part part = {
        m, (size_t)chain->sizes[j], (size_t)chain->sizes[j + 1], n, o, z, difference, 0, 0, 0
    };
    if (!status)
        status = sn_round_part(&part, search->options->weighting, &rounding, count, fit, sweeps,
                               error);
    free(o);
    free(z);
    free(difference);
    return status;
}

/* ---- Sizes */

/* What the factors take in their narrowest forms, and how many values each has. 0 without memory.
 */
static size_t measure(const struct chain *chain, size_t *counts)
{
    size_t values = 0, scales = 0, structure = 0;
    for (int j = 0; j < chain->n_factors; j++) {
        struct psm_strided dense = { chain->factors[j], chain->sizes[j], chain->sizes[j + 1],
                                     (size_t)chain->sizes[j + 1], 1 };
        struct psm_sparse factor;
        if (!psm_sparse_new(&factor, &dense, chain->search->block)) return 0;
        counts[j] = psm_sparse_values(&factor);
        values += counts[j];
        scales += (size_t)factor.rows;
        structure += psm_index_narrowest(&factor).bytes;
        psm_sparse_free(&factor);
    }
    return ((values * (size_t)chain->bits + 7) / 8 + 3) / 4 * 4 + (2 * scales + 3) / 4 * 4
        + structure;
}

/* How far the factors are above the budget; 0 without memory. */
static double excess_of(const struct chain *chain, size_t *counts)
{
    const struct psm_budget *budget = &chain->search->budget;
    size_t bytes = measure(chain, counts), values = 0;
    for (int j = 0; bytes && j < chain->n_factors; j++) values += counts[j];
    return bytes
        ? fmax((double)bytes / (double)budget->bytes, (double)values / (double)budget->values)
        : 0;
}

/* A count of values that may fit where so many are too many. */
static size_t fewer(const struct psm_search *search, size_t count, double excess)
{
    size_t block = (size_t)search->block;
    return (size_t)(fmin(.995, .999 / excess) * (double)count) / block * block;
}

/* Takes entries of least gain from the float factors until they fit. */
static enum sn_status trim(struct chain *chain, struct sn_error *error)
{
    size_t counts[PSM_MOST_FACTORS] = { 0 };
    double excess;
    while ((excess = excess_of(chain, counts)) > 1)
        for (int j = 0; j < chain->n_factors; j++) {
            size_t count = fewer(chain->search, counts[j], excess);
            if (!count)
                return sn_fail(error, SN_BAD_INPUT,
                               "budget of %zu bytes cannot hold %d sparse factors",
                               chain->search->budget.bytes, chain->n_factors);
            enum sn_status status = round_factor(chain, j, 32, count, 0, error);
            if (status) return status;
        }
    return excess > 0 ? SN_OK : sn_no_memory(error, "rounding a PSM approximation");
}

double psm_round_excess(const struct psm_search *search, const struct sn_fit *fit)
{
    struct chain chain;
    double excess = 0;
    if (chain_new(&chain, search, (const struct psm *)fit->matrix, fit->words)) {
        size_t counts[PSM_MOST_FACTORS] = { 0 };
        excess = excess_of(&chain, counts);
    }
    chain_free(&chain);
    return excess;
}

/* The weighted error; negative without memory. */
static double error_of(const struct chain *chain, struct sn_error *error)
{
    const struct psm_search *search = chain->search;
    float *what;
    double found = -1;
    if (multiply(chain, 0, chain->n_factors, &what))
        found = sn_weighted_error(search->w, what, search->m, search->n, search->options->weighting,
                                  error);
    else sn_no_memory(error, "rounding a PSM approximation");
    free(what);
    return found;
}

/* Rounds all factors, then improves the codes of each in turn while that gains a thousandth. */
static enum sn_status round_chain(struct chain *chain, struct sn_error *error)
{
    const volatile sig_atomic_t *stop = chain->search->options->stop;
    double before = INFINITY;
    int sweeps = steps_of(chain->search)->sweeps;
    enum sn_status fits = trim(chain, error);
    if (fits) return fits;
    for (int round = 0; round <= steps_of(chain->search)->rounds; round++) {
        for (int j = chain->n_factors - 1; j >= 0; j--) {
            enum sn_status status = round_factor(chain, j, chain->bits, 0, sweeps, error);
            if (status) return status;
        }
        chain->is_rounded = 1;
        double found = error_of(chain, error);
        if (found < 0) return SN_NO_MEMORY;
        if (!(found < .999 * before) || (stop && *stop)) break;
        before = found;
    }
    return SN_OK;
}

/* Rounds the one factor, its pattern chosen with the codes, and lets entries go until it is within
 * the budget. The first count is that of the float matrix. */
static enum sn_status round_one(struct chain *chain, struct sn_error *error)
{
    const struct psm_search *search = chain->search;
    int sweeps = steps_of(search)->sweeps;
    size_t count = 0;
    double excess;
    while ((excess = excess_of(chain, &count)) > 1 || (excess > 0 && !chain->is_rounded)) {
        int is_free = search->pattern == PSM_ENTRIES || chain->is_rounded;
        if (chain->is_rounded) count = fewer(search, count, excess);
        if (!count)
            return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold one nonzero",
                           search->budget.bytes);
        enum sn_status status = round_factor(chain, 0, chain->bits, is_free ? count : 0, sweeps,
                                             error);
        if (status) return status;
        chain->is_rounded = 1;
    }
    return excess > 0 ? SN_OK : sn_no_memory(error, "rounding a PSM approximation");
}

/* ---- The result */

/* The factors of a chain as a matrix of few bits. *fit is empty on failure. */
static enum sn_status build(const struct chain *chain, struct sn_fit *fit, struct sn_error *error)
{
    int n = chain->n_factors;
    struct psm_sparse *factors = calloc((size_t)n, sizeof *factors);
    int *bits = calloc(2 * (size_t)n, sizeof *bits), *escapes = bits ? bits + n : NULL, fine = 1;
    enum sn_status status = SN_OK;
    for (int j = 0; factors && bits && fine && j < n; j++) {
        struct psm_strided dense = { chain->factors[j], chain->sizes[j], chain->sizes[j + 1],
                                     (size_t)chain->sizes[j + 1], 1 };
        fine = psm_sparse_new(&factors[j], &dense, chain->search->block);
        if (!fine) break;
        struct psm_index index = psm_index_narrowest(&factors[j]);
        bits[j] = index.bits;
        escapes[j] = index.escapes;
    }
    if (!factors || !bits || !fine) status = sn_no_memory(error, "rounding a PSM approximation");
    if (!status) status = psm_build(chain->search, factors, bits, escapes, n, fit, error);
    if (!status) status = sn_fit_set_bits(fit, chain->bits, error);
    float *scales = status ? NULL : fit->words + fit->matrix->n_values;
    for (int j = 0; scales && j < n; scales += chain->sizes[j++])
        memcpy(scales, chain->scales[j], (size_t)chain->sizes[j] * sizeof *scales);
    for (int j = 0; factors && j < n; j++) psm_sparse_free(&factors[j]);
    free(factors);
    free(bits);
    return status;
}

enum sn_status psm_round(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error)
{
    struct chain chain;
    struct sn_fit rounded = { 0 };
    enum sn_status status = SN_OK;
    if (!chain_new(&chain, search, (const struct psm *)fit->matrix, fit->words))
        status = sn_no_memory(error, "rounding a PSM approximation");
    if (!status)
        status = chain.n_factors == 1 ? round_one(&chain, error) : round_chain(&chain, error);
    if (!status) status = build(&chain, &rounded, error);
    chain_free(&chain);
    sn_fit_free(fit);
    *fit = rounded;
    return status;
}
