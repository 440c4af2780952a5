/* W ~ diag(d) + u v^T: u and v from W's largest singular value by power iteration, d the rest of
 * the diagonal, then all values fitted together. */
#include "toy_fit.h"

#include "toy.h"

#include <math.h>
#include <stdlib.h>

/* y = W x or, transposed, y = W^T x; then y is scaled to norm 1. Returns the norm that it had. */
static double step(const float *w, size_t m, size_t n, int transposed, const float *x, float *y)
{
    double squares = 0;
    for (size_t k = 0; k < (transposed ? n : m); k++) {
        double sum = 0;
        for (size_t l = 0; l < (transposed ? m : n); l++)
            sum += (double)(transposed ? w[l * n + k] : w[k * n + l]) * (double)x[l];
        y[k] = (float)sum;
        squares += sum * sum;
    }
    for (size_t k = 0; k < (transposed ? n : m); k++)
        if (squares > 0) y[k] /= (float)sqrt(squares);
    return sqrt(squares);
}

static void start(const float *w, size_t m, size_t n, float *d, float *u, float *v)
{
    enum { ROUNDS = 30 };
    for (size_t j = 0; j < n; j++) v[j] = 1 / sqrtf((float)n);
    for (int round = 0; round < ROUNDS; round++) {
        step(w, m, n, 0, v, u);
        step(w, m, n, 1, u, v);
    }
    float sigma = (float)step(w, m, n, 0, v, u);
    for (size_t i = 0; i < m; i++) u[i] *= sigma;
    for (size_t i = 0; i < m && i < n; i++) d[i] = w[i * n + i] - u[i] * v[i];
}

static enum sn_status fit_toy(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    int steps = sn_fit_setting(options, "steps");
    struct toy *toy = toy_new(n_outputs, n_inputs, 1, error);
    if (!toy) return SN_NO_MEMORY;
    enum sn_status status = SN_OK;
    struct sn_matrix *matrix = fit->matrix = &toy->matrix;
    if (matrix->n_bytes > options->budget_bytes || matrix->n_values > options->budget_values)
        status = sn_fail(error, SN_BAD_INPUT,
                         "budget cannot hold a diagonal and rank one of %d x %d, %zu values",
                         n_outputs, n_inputs, matrix->n_values);
    if (!status && !(fit->words = malloc(matrix->n_words * sizeof(float))))
        status = sn_no_memory(error, "%zu values", matrix->n_words);
    if (!status) {
        float *u = fit->words + (toy_values_at(matrix, fit->words).u - fit->words);
        start(dense, (size_t)n_outputs, (size_t)n_inputs, fit->words, u, u + n_outputs);
        status = sn_refit(fit, dense, options->weighting, steps ? steps : 50, options->stop, error);
    }
    if (!status) status = sn_fit_measure(fit, dense, options->weighting, error);
    if (!status && options->progress) options->progress(options->context, 1, fit->weighted_error);
    if (status) sn_fit_free(fit);
    return status;
}

/* Rows d and u; v gives the state. */
static void mark_outputs(const struct sn_matrix *matrix, char *marks)
{
    (void)matrix;
    marks[0] = marks[1] = 1;
}

static const struct sn_fit_type types[] = {
    { "toy", "diagonal + rank 1", "a diagonal plus rank one", 1, &toy_family, fit_toy }, { 0 }
};

static const struct sn_fit_option fit_options[] = {
    { "steps", "N", 1, 1000, NULL, "toy: at most N steps of the fit of all values" }, { 0 }
};

const struct sn_fitter toy_fitter = { .types = types,
                                      .options = fit_options,
                                      .mark_outputs = mark_outputs };
