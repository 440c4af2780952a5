#include "psm_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sparse factors as PALM holds them ---- */

struct psm_strided psm_factor_of(struct palm *palm, int number)
{
    int f = (number == 0) == palm->flip ? PALM_B : PALM_A, length = f == PALM_A ? palm->m : palm->n;
    float *values = palm_dense(palm, f);
    if (number == 0) return (struct psm_strided){ values, length, palm->inner, 1, (size_t)length };
    return (struct psm_strided){ values, palm->inner, length, (size_t)length, 1 };
}

int psm_take_factors(struct palm *palm, struct psm_sparse factors[2])
{
    memset(factors, 0, 2 * sizeof *factors);
    palm_balance(palm);
    palm_end(palm);
    for (int j = 0; j < 2; j++) {
        struct psm_strided dense = psm_factor_of(palm, j);
        if (!psm_sparse_new(&factors[j], &dense, palm->block)) return 0;
    }
    for (size_t q = 0; q < psm_sparse_values(&factors[1]); q++)
        factors[1].value[q] /= palm->scale[factors[1].column[q / (size_t)palm->block]];
    return 1;
}

/* ---- Budgets ---- */

double psm_value_bytes(const struct psm_search *search, int bits)
{
    return 4 + bits / 8. / search->block;
}

/* ---- From factors to the result ---- */

enum sn_status psm_build(const struct psm_search *search, const struct psm_sparse *factors,
                         const int *bits, int n_factors, struct sn_fit *fit, struct sn_error *error)
{
    int *sizes = calloc(2 * (size_t)n_factors + 1, sizeof *sizes),
        *nonzeros = sizes ? sizes + n_factors + 1 : NULL;
    if (!sizes) return sn_no_memory(error, "a PSM approximation");
    sizes[0] = factors[0].rows;
    for (int j = 0; j < n_factors; j++) {
        sizes[j + 1] = factors[j].columns;
        nonzeros[j] = (int)psm_sparse_values(&factors[j]);
    }
    struct psm_layout layout = { .n_factors = n_factors,
                                 .sizes = sizes,
                                 .nonzeros = nonzeros,
                                 .index_bits = bits,
                                 .block = search->block,
                                 .has_order = search->order != NULL };
    struct psm *shape = psm_new(&layout, error);
    free(sizes);
    if (!shape) return error->code;
    fit->matrix = &shape->matrix;
    fit->words = calloc(shape->matrix.n_words + 1, sizeof *fit->words);
    if (!fit->words) {
        sn_fit_free(fit);
        return sn_no_memory(error, "a PSM approximation");
    }
    uint32_t *starts = shape->row_starts, *columns = shape->columns;
    float *values = fit->words;
    for (int j = 0; j < n_factors; j++) {
        size_t n_groups = (size_t)factors[j].n_groups, n_blocks = factors[j].start[n_groups];
        memcpy(starts, factors[j].start, (n_groups + 1) * sizeof *starts);
        memcpy(columns, factors[j].column, n_blocks * sizeof *columns);
        memcpy(values, factors[j].value, psm_sparse_values(&factors[j]) * sizeof *values);
        starts += n_groups + 1;
        columns += n_blocks;
        values += psm_sparse_values(&factors[j]);
    }
    if (search->order)
        memcpy(shape->order, search->order, (size_t)search->m * sizeof *shape->order);
    psm_pack(shape, fit->words);
    return SN_OK;
}

enum sn_status psm_measure(const struct psm_search *search, struct sn_fit *fit,
                           struct sn_error *error)
{
    size_t n = (size_t)search->n;
    const float *w = search->w;
    float *sorted = NULL;
    if (search->order) {
        if (!(sorted = malloc((size_t)search->m * n * sizeof *sorted))) {
            sn_fit_free(fit);
            return sn_no_memory(error, "a PSM approximation");
        }
        for (size_t i = 0; i < (size_t)search->m; i++)
            memcpy(sorted + search->order[i] * n, w + i * n, n * sizeof *sorted);
        w = sorted;
    }
    enum sn_status status = sn_fit_measure(fit, w, search->options->weighting, error);
    if (status) sn_fit_free(fit);
    free(sorted);
    return status;
}

void psm_keep_better(struct sn_fit *fit, struct sn_fit *other)
{
    if (other->matrix && (!fit->matrix || other->weighted_error < fit->weighted_error)) {
        struct sn_fit worse = *fit;
        *fit = *other;
        *other = worse;
    }
    sn_fit_free(other);
}

/* ---- Searching ---- */

void psm_report(const struct psm_search *search, double done, double squared_error, double energy)
{
    if (search->options->progress && squared_error < INFINITY)
        search->options->progress(search->options->context, done,
                                  energy > 0 ? sqrt(squared_error / energy) : 0);
}

/* A round of 1000 x 1280 sets the time. B's entries count when they are many: each costs about as
 * much as 18 multiply-adds of the dense product for every row of A, since a sparse product reaches
 * a part of that one's speed. Below half of the bytes that changes nothing for 1000 x 1280. */
int psm_rounds(enum sn_effort effort, const struct palm *palm, size_t most_b)
{
    static const double usual[] = { [SN_QUICK] = 40, [SN_NORMAL] = 160, [SN_THOROUGH] = 1000 };
    double dense = (double)palm->m * palm->n * palm->inner, sparse = 18. * palm->m * (double)most_b;
    double work = fmax(dense / (1000. * 1280 * 1280), (dense + sparse) / 4e9),
           rounds = usual[effort];
    return (int)fmin(fmax(rounds / work, rounds / 8), 1.25 * rounds);
}
