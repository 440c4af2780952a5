#include "psm_round.h"
#include "product.h"
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
        else memcpy(*product, chain->factors[j], rows * columns * sizeof **product);
        free(before);
        before = NULL;
    }
    free(before);
    return *product || first == end;
}

/* Factor j, X (a x b), among the others: What = O X Z. */
struct place {
    size_t m, a, b, n;
    float *o, *z;    /* O (m x a) and Z (b x n); NULL for I */
    float *weighted; /* Z M, b x n; NULL for I */
    float *gram;     /* Z M Z^T, b x b; NULL for I */
    float *coupling; /* O^T O, a x a; NULL for I */
    float *residual; /* O^T (W - What) M Z^T, a x b */
};

static void place_free(struct place *p)
{
    float *const arrays[] = { p->o, p->z, p->weighted, p->gram, p->coupling, p->residual };
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
}

/* Z M and its product with Z^T. */
static int take_gram(struct place *p, const struct sn_weighting *weighting)
{
    const float *moment = weighting ? weighting->moment : NULL;
    if (!moment && !p->z) return 1;
    p->weighted = malloc(p->b * p->n * sizeof *p->weighted);
    p->gram = malloc(p->b * p->b * sizeof *p->gram);
    if (!p->weighted || !p->gram) return 0;
    if (!moment) memcpy(p->weighted, p->z, p->b * p->n * sizeof *p->weighted);
    else if (!p->z) memcpy(p->weighted, moment, p->n * p->n * sizeof *p->weighted);
    else sn_gemm(0, 0, p->b, p->n, p->n, 1, p->z, p->n, moment, p->n, 0, p->weighted, p->n);
    if (p->z) sn_gemm(0, 1, p->b, p->b, p->n, 1, p->weighted, p->n, p->z, p->n, 0, p->gram, p->b);
    else memcpy(p->gram, p->weighted, p->n * p->n * sizeof *p->gram);
    return 1;
}

/* O^T (W - What) M Z^T and, with an O, its Gram matrix. */
static int take_residual(struct place *p, const struct chain *chain)
{
    const float *w = chain->search->w;
    float *difference, *product = malloc(p->m * p->b * sizeof *product);
    int fine = multiply(chain, 0, chain->n_factors, &difference) && product
        && (p->residual = malloc(p->a * p->b * sizeof *p->residual));
    for (size_t i = 0; fine && i < p->m * p->n; i++) difference[i] = w[i] - difference[i];
    if (fine && p->weighted)
        sn_gemm(0, 1, p->m, p->b, p->n, 1, difference, p->n, p->weighted, p->n, 0, product, p->b);
    else if (fine) memcpy(product, difference, p->m * p->b * sizeof *product);
    if (fine && p->o) {
        fine = (p->coupling = malloc(p->a * p->a * sizeof *p->coupling)) != NULL;
        sn_gemm(1, 0, p->a, p->b, p->m, 1, p->o, p->a, product, p->b, 0, p->residual, p->b);
        if (fine) sn_gemm(1, 0, p->a, p->a, p->m, 1, p->o, p->a, p->o, p->a, 0, p->coupling, p->a);
    } else if (fine) memcpy(p->residual, product, p->a * p->b * sizeof *p->residual);
    free(product);
    free(difference);
    return fine;
}

static int place_new(struct place *p, const struct chain *chain, int j)
{
    *p = (struct place){ .m = (size_t)chain->search->m,
                         .a = (size_t)chain->sizes[j],
                         .b = (size_t)chain->sizes[j + 1],
                         .n = (size_t)chain->search->n };
    return multiply(chain, 0, j, &p->o) && multiply(chain, j + 1, chain->n_factors, &p->z)
        && take_gram(p, chain->search->options->weighting) && take_residual(p, chain);
}

/* The steps of a call, by its effort. */
struct steps {
    int rounds, fit, sweeps;
};

static const struct steps efforts[] = {
    [SN_NORMAL] = { 4, 6, 12 }, [SN_QUICK] = { 1, 4, 5 }, [SN_THOROUGH] = { 12, 12, 40 }
};

/* Fits the float values of factor j to the others and rounds them; when it is rounded already,
 * improves its codes. count as in sn_round. */
static enum sn_status round_factor(struct chain *chain, int j, size_t count, struct sn_error *error)
{
    const struct steps *steps = &efforts[chain->search->options->effort];
    struct place place;
    enum sn_status status = SN_OK;
    if (!place_new(&place, chain, j)) {
        status = sn_no_memory(error, "rounding a PSM approximation");
        goto done;
    }
    struct sn_rounding rounding = { .rows = chain->sizes[j],
                                    .columns = chain->sizes[j + 1],
                                    .bits = 32,
                                    .is_sparse = 1,
                                    .block = place.coupling ? 1 : chain->search->block,
                                    .values = chain->factors[j],
                                    .residual = place.residual,
                                    .gram = place.gram,
                                    .coupling = place.coupling,
                                    .scales = chain->scales[j],
                                    .stop = chain->search->options->stop };
    if (!chain->is_rounded && chain->n_factors > 1)
        status = sn_round(&rounding, 0, steps->fit, error);
    rounding.bits = chain->bits;
    rounding.is_rounded = chain->is_rounded;
    if (!status) status = sn_round(&rounding, count, steps->sweeps, error);
done:
    place_free(&place);
    return status;
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
    double before = INFINITY, found = 0;
    for (int round = 0; round <= efforts[chain->search->options->effort].rounds; round++) {
        for (int j = chain->n_factors - 1; j >= 0; j--) {
            enum sn_status status = round_factor(chain, j, 0, error);
            if (status) return status;
        }
        chain->is_rounded = 1;
        if ((found = error_of(chain, error)) < 0) return SN_NO_MEMORY;
        if (!(found < .999 * before) || (stop && *stop)) break;
        before = found;
    }
    return SN_OK;
}

/* ---- One factor */

/* Bytes of one factor of count values in the narrowest form. */
static size_t bytes_of(const struct psm_search *search, const struct psm_sparse *factor)
{
    size_t values = psm_sparse_values(factor), bits = (size_t)search->bits;
    return ((values * bits + 7) / 8 + 3) / 4 * 4 + (2 * (size_t)factor->rows + 3) / 4 * 4
        + psm_index_narrowest(factor).bytes;
}

/* A count of values that may fit where so many take too many bytes. */
static size_t fewer(const struct psm_search *search, size_t values, size_t bytes)
{
    size_t block = (size_t)search->block;
    double part = fmin(.995, .999 * (double)search->budget.bytes / (double)bytes);
    double count = fmin(part * (double)values, (double)search->budget.values);
    return (size_t)count / block * block;
}

/* Rounds the one factor, its pattern chosen with the codes, and lets entries go until it is within
 * the budget. The first count is that of the float matrix. */
static enum sn_status round_one(struct chain *chain, struct sn_error *error)
{
    const struct psm_search *search = chain->search;
    struct psm_strided dense = { chain->factors[0], search->m, search->n, (size_t)search->n, 1 };
    struct psm_sparse factor;
    for (;;) {
        if (!psm_sparse_new(&factor, &dense, search->block))
            return sn_no_memory(error, "rounding a PSM approximation");
        size_t bytes = bytes_of(search, &factor), values = psm_sparse_values(&factor);
        int fits = bytes <= search->budget.bytes && values <= search->budget.values;
        psm_sparse_free(&factor);
        if (chain->is_rounded && fits) return SN_OK;
        size_t count = fits || !chain->is_rounded ? values : fewer(search, values, bytes);
        if (!count)
            return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold one nonzero",
                           search->budget.bytes);
        int is_free = search->pattern == PSM_ENTRIES || chain->is_rounded;
        enum sn_status status = round_factor(chain, 0, is_free ? count : 0, error);
        if (status) return status;
        chain->is_rounded = 1;
    }
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
    float *scales = status ? NULL : sn_scales(fit->matrix, fit->words);
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
