#include "psm_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Budgets ---- */

double psm_value_bytes(const struct psm_search *search, int bits)
{
    return 4 + bits / 8. / search->block;
}

/* ---- From factors to the result ---- */

enum sn_status psm_build(const struct psm_search *search, const struct psm_sparse *factors,
                         const int *bits, const int *escapes, int n_factors, struct sn_fit *fit,
                         struct sn_error *error)
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
                                 .escapes = escapes,
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
