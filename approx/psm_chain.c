#include "psm_chain.h"
#include "dsf.h"
#include "psm_divide.h"
#include "weighting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    int n; /* factors */
    struct psm_sparse factors[PSM_MOST_FACTORS];
    /* The two that each factor can be divided into exactly, and whether they were looked for. */
    struct psm_sparse halves[PSM_MOST_FACTORS][2];
    char tried[PSM_MOST_FACTORS];
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- The list of factors ---- */

static void chain_free(struct chain *chain)
{
    for (int j = 0; j < chain->n; j++) {
        psm_sparse_free(&chain->factors[j]);
        for (int h = 0; h < 2; h++) psm_sparse_free(&chain->halves[j][h]);
    }
    chain->n = 0;
}

/* W alone. */
static int chain_new(struct chain *chain, const struct psm_search *search)
{
    float *values = (float *)search->w; /* They are only read. */
    struct psm_strided w = { values, search->m, search->n, (size_t)search->n, 1 };
    *chain = (struct chain){ .n = 1 };
    return psm_sparse_new(&chain->factors[0], &w, 1);
}

/* Moves the factors behind factor j up by one, and leaves a gap there. */
static void open_gap(struct chain *chain, int j)
{
    size_t behind = (size_t)(chain->n - j - 1);
    memmove(&chain->factors[j + 2], &chain->factors[j + 1], behind * sizeof *chain->factors);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what stood there has moved up. */
    memmove(&chain->halves[j + 2], &chain->halves[j + 1], behind * sizeof *chain->halves);
    memmove(&chain->tried[j + 2], &chain->tried[j + 1], behind);
    memset(&chain->factors[j + 1], 0, sizeof *chain->factors);
    memset(&chain->halves[j + 1], 0, sizeof *chain->halves);
    chain->tried[j + 1] = 0;
    chain->n++;
}

/* Puts two factors, which the chain then owns, in the place of factor j. */
static void replace(struct chain *chain, int j, const struct psm_sparse pair[2])
{
    struct psm_sparse new[2] = { pair[0], pair[1] }; /* pair may be the halves. */
    psm_sparse_free(&chain->factors[j]);
    open_gap(chain, j);
    memcpy(&chain->factors[j], new, sizeof new);
    memset(&chain->halves[j], 0, sizeof chain->halves[j]);
    chain->tried[j] = 0;
}

/* s as a dense matrix, to be freed; NULL when memory runs out. */
static float *sparse_dense(const struct psm_sparse *s)
{
    float *dense = calloc((size_t)s->rows * (size_t)s->columns, sizeof *dense);
    for (size_t i = 0; dense && i < (size_t)s->rows; i++)
        for (uint32_t q = s->start[i]; q < s->start[i + 1]; q++)
            dense[i * (size_t)s->columns + s->column[q]] = s->value[q];
    return dense;
}

/* Bits of an index: where 8 are enough for the width no entries need to be bridged. */
static int bits_of(int columns) { return columns <= 256 ? 8 : columns <= 65536 ? 16 : 32; }

static void set_bits(const struct chain *chain, int bits[PSM_MOST_FACTORS])
{
    for (int j = 0; j < chain->n; j++) bits[j] = bits_of(chain->factors[j].columns);
}

/* ---- Exact division ---- */

/* Divides the factor that takes the fewest values more by it, until there are n_factors or none can
 * be divided. 0 when memory runs out. */
static int divide_all(struct chain *chain, int n_factors, struct psm_budget budget)
{
    while (chain->n < n_factors) {
        int best = -1;
        double least = INFINITY;
        for (int j = 0; j < chain->n; j++) {
            struct psm_sparse *halves = chain->halves[j];
            if (!chain->tried[j] && !psm_divide(&chain->factors[j], budget, halves)) return 0;
            chain->tried[j] = 1;
            if (!halves[0].start) continue;
            double more = (double)psm_sparse_values(&halves[0])
                + (double)psm_sparse_values(&halves[1])
                - (double)psm_sparse_values(&chain->factors[j]);
            if (more < least) least = more, best = j;
        }
        if (best < 0) return 1;
        replace(chain, best, chain->halves[best]);
    }
    return 1;
}

/* Lengthens the chain by identities, where it is thinnest, if that fits. 0 when memory runs out. */
static int pad(struct chain *chain, int n_factors, struct psm_budget budget)
{
    int bits[PSM_MOST_FACTORS], thin = 0, missing = n_factors - chain->n;
    for (int j = 1; j < chain->n; j++)
        if (chain->factors[j].columns < chain->factors[thin].columns) thin = j;
    int width = chain->factors[thin].columns;
    set_bits(chain, bits);
    struct psm_budget size = psm_size(chain->factors, bits, chain->n);
    size.bytes += (size_t)missing
        * psm_factor_bytes(width, width, (size_t)width, bits_of(width), 1);
    size.values += (size_t)missing * (size_t)width;
    if (!psm_is_within(size, budget)) return 1;
    for (; missing; missing--) {
        struct psm_sparse unit = { .rows = width, .columns = width, .block = 1, .n_groups = width };
        unit.start = malloc(((size_t)width + 1) * sizeof *unit.start);
        unit.column = malloc((size_t)width * sizeof *unit.column);
        unit.value = malloc((size_t)width * sizeof *unit.value);
        open_gap(chain, thin);
        chain->factors[thin + 1] = unit;
        if (!unit.start || !unit.column || !unit.value) return 0;
        for (int i = 0; i < width; i++) {
            unit.start[i] = unit.column[i] = (uint32_t)i;
            unit.value[i] = 1;
        }
        unit.start[width] = (uint32_t)width;
    }
    return 1;
}

/* ---- Peeling ---- */

/* How the largest factor T is divided, again and again: T ~ S T' with flip 1, T ~ T' S with flip 0.
 */
struct peeling {
    int at; /* T's number in the chain */
    int flip, n_peels;
    size_t first, last; /* T's values at the start and at the end */
    size_t thin;        /* values of each S */
};

/* Values that the peeled factors together may have, with S of inner x inner and T' of rows x
 * columns; 0 when the budget does not hold the group lengths. The other factors take at most half
 * of the budget. */
static double peeled_values(const struct psm_search *search, const struct chain *chain,
                            const struct peeling *peeling)
{
    const struct psm_sparse *t = &chain->factors[peeling->at];
    int bits[PSM_MOST_FACTORS], inner = peeling->flip ? t->rows : t->columns;
    set_bits(chain, bits);
    struct psm_budget others = psm_size(chain->factors, bits, chain->n), limit = search->budget;
    others.values -= psm_sparse_values(t);
    others.bytes -= psm_factor_bytes(t->rows, t->columns, psm_sparse_values(t), bits[peeling->at],
                                     1);
    size_t thin = psm_factor_bytes(inner, inner, 0, bits_of(inner), 1),
           n_peels = (size_t)peeling->n_peels;
    size_t fixed = n_peels * thin + psm_factor_bytes(t->rows, t->columns, 0, bits[peeling->at], 1)
        + 4 * (n_peels + 1); /* The padding. */
    size_t values = limit.values - smaller(others.values, limit.values / 2);
    size_t bytes = limit.bytes - smaller(others.bytes, limit.bytes / 2);
    double each = .25 * (4 + bits_of(inner) / 8.) + .75 * (4 + bits[peeling->at] / 8.);
    return bytes > fixed ? fmin(fmin((double)values, (double)(bytes - fixed) / each), INT32_MAX / 8)
                         : 0;
}

/* A quarter for all S together, or as much more, up to half, as lets each S have an entry in every
 * row. 0 when the budget does not hold one value in each factor. */
static int plan(const struct psm_search *search, const struct chain *chain, struct peeling *peeling)
{
    *peeling = (struct peeling){ .n_peels = search->n_factors - chain->n };
    for (int j = 1; j < chain->n; j++)
        if (psm_sparse_values(&chain->factors[j]) > psm_sparse_values(&chain->factors[peeling->at]))
            peeling->at = j;
    const struct psm_sparse *t = &chain->factors[peeling->at];
    double size = (double)t->rows * t->columns;
    /* S should not be much larger than T. */
    peeling->flip = t->rows <= 256 || t->rows <= 4. * t->columns;
    double inner = peeling->flip ? t->rows : t->columns,
           values = peeled_values(search, chain, peeling);
    double thin = fmax(values / 4, fmin(inner * peeling->n_peels, values / 2)) / peeling->n_peels;
    thin = fmin(thin, inner * inner);
    peeling->thin = (size_t)thin;
    peeling->last = (size_t)fmin(values - (double)peeling->thin * peeling->n_peels, size);
    peeling->first = psm_sparse_values(t);
    return peeling->thin && peeling->last;
}

/* T's values after so many peels: they fall geometrically. */
static size_t values_after(const struct peeling *peeling, int step)
{
    double fall = pow((double)peeling->last / (double)peeling->first,
                      (double)step / peeling->n_peels);
    return fall < 1 ? (size_t)((double)peeling->first * fall + .5) : peeling->last;
}

/* One peel, the step-th. */
static enum sn_status peel(const struct psm_search *search, struct chain *chain,
                           const struct peeling *peeling, int step, struct sn_error *error)
{
    enum { REFIT_ROUNDS = 3, REFIT_STEPS = 6 };
    const struct sn_fit_options *options = search->options;
    const struct psm_sparse *t = &chain->factors[peeling->at];
    struct psm_sparse pair[2] = { { 0 } };
    struct dsf *dsf = NULL;
    float *dense = sparse_dense(t);
    struct dsf_task task = { .w = dense,
                             .rows = t->rows,
                             .columns = t->columns,
                             .flip = peeling->flip,
                             .block = 1,
                             .most_b = peeling->thin,
                             .pattern = search->pattern,
                             .weighting = peeling->at == chain->n - 1 ? options->weighting : NULL };
    size_t k[2] = { [DSF_A] = values_after(peeling, step), [DSF_B] = peeling->thin };
    enum sn_status status = SN_OK;
    if (!dense || !(dsf = dsf_new(&task))) {
        status = sn_no_memory(error, "a PSM approximation");
        goto done;
    }
    dsf_start(dsf);
    dsf_run(dsf, k, dsf_rounds(&task, options->effort), options->stop);
    double left = dsf_refit(dsf, REFIT_ROUNDS, REFIT_STEPS);
    psm_report(search, .9 * step / peeling->n_peels, left, dsf_energy(dsf));
    if (dsf_take_factors(dsf, pair)) replace(chain, peeling->at, pair);
    else {
        status = sn_no_memory(error, "a PSM approximation");
        for (int h = 0; h < 2; h++) psm_sparse_free(&pair[h]);
    }
done:
    dsf_free(dsf);
    free(dense);
    return status;
}

/* Peels until no factor is missing. The chain stays as it is when the budget is too small for that.
 */
static enum sn_status peel_all(const struct psm_search *search, struct chain *chain,
                               struct sn_error *error)
{
    struct peeling peeling;
    enum sn_status status = SN_OK;
    int missing = search->n_factors - chain->n;
    if (!missing || !plan(search, chain, &peeling)) return SN_OK;
    for (int step = 1; step <= missing && !status; step++) {
        status = peel(search, chain, &peeling, step, error);
        peeling.at += peeling.flip;
    }
    return status;
}

/* ---- Down to the budget ---- */

/* How much each value of factor j counts: with the norms of the row and the column that it is
 * multiplied with. norms is scratch for the sizes of the factor. */
static void weigh(const struct chain *chain, int j, float *weight, float *norms)
{
    const struct psm_sparse *s = &chain->factors[j];
    const struct psm_sparse *before = j ? s - 1 : NULL, *behind = j < chain->n - 1 ? s + 1 : NULL;
    float *row = norms, *column = norms + s->rows;
    for (int i = 0; i < s->rows; i++) row[i] = before ? 0 : 1;
    for (int i = 0; i < s->columns; i++) column[i] = behind ? 0 : 1;
    for (size_t q = 0; before && q < psm_sparse_values(before); q++)
        row[before->column[q]] += before->value[q] * before->value[q];
    for (int i = 0; behind && i < behind->rows; i++)
        for (uint32_t q = behind->start[i]; q < behind->start[i + 1]; q++)
            column[i] += behind->value[q] * behind->value[q];
    for (int i = 0; i < s->rows; i++)
        for (uint32_t q = s->start[i]; q < s->start[i + 1]; q++)
            weight[q] = fabsf(s->value[q]) * sqrtf(row[i] * column[s->column[q]]);
}

/* Takes out the entries whose weight is 0. */
static void thin_out(struct psm_sparse *s, const float *weight)
{
    uint32_t count = 0, q = 0;
    for (int i = 0; i < s->rows; i++) {
        for (; q < s->start[i + 1]; q++) {
            if (weight[q] == 0) continue;
            s->column[count] = s->column[q];
            s->value[count++] = s->value[q];
        }
        s->start[i + 1] = count;
    }
}

/* The share of its values that every factor can keep; at most 0 when there is no room for any. */
static double share_left(const struct chain *chain, const int *bits, struct psm_budget budget)
{
    struct psm_budget size = psm_size(chain->factors, bits, chain->n);
    if (psm_is_within(size, budget)) return 1;
    size_t fixed = 4 * (size_t)chain->n; /* The padding. */
    for (int j = 0; j < chain->n; j++)
        fixed += psm_factor_bytes(chain->factors[j].rows, chain->factors[j].columns, 0, bits[j], 1);
    double bytes = ((double)budget.bytes - (double)fixed) / ((double)size.bytes - (double)fixed);
    return fmin(1,
                fmin(size.bytes > fixed ? bytes : 1, (double)budget.values / (double)size.values));
}

/* Leaves every factor the same share of its values, those that weigh most. 0 when memory runs out.
 */
static int shrink(struct chain *chain, const int *bits, struct psm_budget budget)
{
    double share = share_left(chain, bits, budget);
    if (share <= 0 || share >= 1) return 1;
    for (int j = 0; j < chain->n; j++) {
        struct psm_sparse *s = &chain->factors[j];
        size_t count = psm_sparse_values(s);
        float *weight = malloc((2 * count + (size_t)s->rows + (size_t)s->columns + 1)
                               * sizeof *weight);
        if (!weight) return 0;
        weigh(chain, j, weight, weight + 2 * count);
        psm_keep(weight, 1, count, PSM_ENTRIES, 1, 1, (size_t)(share * (double)count),
                 weight + count);
        thin_out(s, weight);
        free(weight);
    }
    return 1;
}

/* ---- From the chain to the result ---- */

/* Makes all factors equally long, which the last fit starts better from. */
static void balance(struct chain *chain)
{
    double norms[PSM_MOST_FACTORS], mean = 1;
    for (int j = 0; j < chain->n; j++) {
        norms[j] = 0;
        for (size_t q = 0; q < psm_sparse_values(&chain->factors[j]); q++)
            norms[j] += (double)chain->factors[j].value[q] * (double)chain->factors[j].value[q];
        norms[j] = sqrt(norms[j]);
        mean *= pow(norms[j], 1. / chain->n);
    }
    for (int j = 0; mean > 0 && j < chain->n; j++)
        for (size_t q = 0; q < psm_sparse_values(&chain->factors[j]); q++)
            chain->factors[j].value[q] *= (float)(mean / norms[j]);
}

/* The chain as a matrix; fit->matrix stays NULL when it is too short or too large. */
static enum sn_status finish(const struct psm_search *search, const struct chain *chain,
                             struct sn_fit *fit, struct sn_error *error)
{
    int bits[PSM_MOST_FACTORS];
    set_bits(chain, bits);
    if (chain->n < search->n_factors
        || !psm_is_within(psm_size(chain->factors, bits, chain->n), search->budget))
        return SN_OK;
    enum sn_status status = psm_build(search, chain->factors, bits, NULL, chain->n, fit, error);
    return status ? status : psm_measure(search, fit, error);
}

/* Completes the chain, shrinks it and fits its values. fit->matrix stays NULL when the budget is
 * too small. */
static enum sn_status approximate(const struct psm_search *search, struct chain *chain,
                                  struct sn_fit *fit, struct sn_error *error)
{
    static const int steps[] = { [SN_QUICK] = 20, [SN_NORMAL] = 80, [SN_THOROUGH] = 400 };
    const struct sn_fit_options *options = search->options;
    int bits[PSM_MOST_FACTORS];
    enum sn_status status = peel_all(search, chain, error);
    if (status || chain->n < search->n_factors) return status;
    set_bits(chain, bits);
    if (!shrink(chain, bits, search->budget)) return sn_no_memory(error, "a PSM approximation");
    balance(chain);
    status = finish(search, chain, fit, error);
    if (status || !fit->matrix) return status;
    status = sn_refit(fit, search->w, options->weighting, steps[options->effort], options->stop,
                      error);
    if (!status) status = psm_measure(search, fit, error);
    if (status) sn_fit_free(fit);
    return status;
}

/* The exact chain if it fits, else the better of what becomes of it and of W by itself. */
enum sn_status psm_chain_fit(const struct psm_search *search, struct sn_fit *fit,
                             struct sn_error *error)
{
    struct chain chain, whole = { 0 };
    struct sn_fit other = { 0 };
    int n_factors = search->n_factors;
    enum sn_status status = SN_OK;
    if (!chain_new(&chain, search) || !chain_new(&whole, search)
        || !divide_all(&chain, n_factors, search->budget)
        || !pad(&chain, n_factors, search->budget))
        status = sn_no_memory(error, "a PSM approximation");
    else status = finish(search, &chain, fit, error);
    if (!status && !(fit->matrix && fit->error < 1e-5)) {
        int divided = chain.n > 1;
        sn_fit_free(fit);
        status = approximate(search, &whole, fit, error);
        if (!status && divided) status = approximate(search, &chain, &other, error);
        psm_keep_better(fit, &other);
    }
    if (!status && !fit->matrix)
        status = sn_fail(error, SN_BAD_INPUT,
                         "budget of %zu bytes cannot hold %d sparse factors of %d x %d",
                         search->budget.bytes, n_factors, search->m, search->n);
    if (status) sn_fit_free(fit);
    chain_free(&chain);
    chain_free(&whole);
    return status;
}
