#include "approx.h"

#include <stdlib.h>
#include <string.h>

sn_fit_function *sn_fit_find(const struct sn_family *family)
{
#define FAMILY(x) \
    if (!strcmp(family->name, #x)) return x##_fit;
#include "families.def"
#undef FAMILY
    return NULL;
}

enum sn_status sn_fit_measure(struct sn_fit *fit, const float *dense,
                              const struct sn_weighting *weighting, struct sn_error *error)
{
    int m = fit->matrix->n_outputs, n = fit->matrix->n_inputs;
    float *what = malloc((size_t)m * (size_t)n * sizeof *what);
    if (!what) return sn_fail(error, SN_NO_MEMORY, "out of memory for a matrix of %d x %d", m, n);
    enum sn_status status = sn_dense(fit->matrix, fit->words, what, error);
    if (!status) {
        fit->error = sn_weighted_error(dense, what, m, n, NULL, error);
        fit->weighted_error = weighting ? sn_weighted_error(dense, what, m, n, weighting, error)
                                        : fit->error;
        if (fit->error < 0 || fit->weighted_error < 0) status = SN_NO_MEMORY;
    }
    free(what);
    return status;
}

void sn_fit_free(struct sn_fit *fit)
{
    free(fit->matrix);
    free(fit->words);
    memset(fit, 0, sizeof *fit);
}
