#include "sss_diagonal.h"

#include "sss_plan.h"
#include "sss_round.h"
#include "stored.h"

#include <stdlib.h>
#include <string.h>

/* *bytes <- those of a float matrix with values of so many bits. */
static enum sn_status bytes_with(struct sn_matrix *matrix, int bits, size_t *bytes,
                                 struct sn_error *error)
{
    enum sn_status status = sn_matrix_set_bits(matrix, bits, 0, error);
    if (status) return status;
    *bytes = matrix->n_bytes;
    return sn_matrix_set_bits(matrix, 32, 0, error);
}

/* A float matrix of the blocks on the diagonal of a plan without states, within the budget. */
static enum sn_status take_blocks(const float *dense, const struct sss_plan *plan, int n_inputs,
                                  const struct sn_fit_options *options, struct sn_fit *fit,
                                  struct sn_error *error)
{
    size_t bytes = 0;
    struct sss *shape = sss_new(plan->n_stages, plan->inputs, plan->outputs,
                                plan->states[SSS_CAUSAL] + 1, plan->states[SSS_ANTICAUSAL] + 1,
                                error);
    if (!shape) return error->code;
    size_t size = shape->matrix.n_values;
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = malloc(size * sizeof(float)) };
    enum sn_status status = fit->words ? bytes_with(fit->matrix, options->bits, &bytes, error)
                                       : sn_no_memory(error, "%zu values", size);
    if (!status && (bytes > options->budget_bytes || size > options->budget_values))
        status = sn_fail(error, SN_BAD_INPUT,
                         "all %zu entries take %zu bytes, the budget is too small", size, bytes);
    float *value = fit->words;
    for (int k = 0; k < plan->n_stages && !status; k++) {
        size_t width = (size_t)plan->inputs[k];
        for (int i = 0; i < plan->outputs[k]; i++, value += width, dense += n_inputs)
            memcpy(value, dense, width * sizeof *value);
        dense += width;
    }
    return status;
}

/* Few bits for the values of each block alone, since no row sees another block's inputs. */
static enum sn_status round_blocks(const struct sss_plan *plan,
                                   const struct sn_fit_options *options, struct sn_fit *fit,
                                   struct sn_error *error)
{
    struct sn_fit_options own = *options;
    size_t n_done = 0, n_rows_done = 0;
    enum sn_status status = sn_fit_set_bits(fit, options->bits, error);
    own.weighting = NULL;
    for (int k = 0; k < plan->n_stages && !status; k++) {
        int n = plan->inputs[k], m = plan->outputs[k];
        size_t size = (size_t)n * (size_t)m;
        float *values = fit->words + n_done, *scales = fit->words + fit->matrix->n_values;
        struct sss *shape = sss_new(1, &n, &m, NULL, NULL, error);
        struct sn_fit block = { shape ? &shape->matrix : NULL, malloc(size * sizeof(float)), 0, 0 };
        status = shape && block.words ? SN_OK : sn_no_memory(error, "%zu values", size);
        if (!status) {
            memcpy(block.words, values, size * sizeof *values);
            status = sss_round(values, &own, &block, error);
        }
        if (!status) {
            memcpy(values, block.words, size * sizeof *values);
            memcpy(scales + n_rows_done, block.words + size, (size_t)m * sizeof *scales);
        }
        sn_fit_free(&block);
        n_done += size;
        n_rows_done += (size_t)m;
    }
    return status;
}

enum sn_status sss_fit_diagonal(const float *dense, int n_outputs, int n_inputs,
                                const struct sn_fit_options *options, struct sn_fit *fit,
                                struct sn_error *error)
{
    int n_blocks = sss_larger(1, sn_fit_setting(options, "stages")),
        most = sss_smaller(n_outputs, n_inputs);
    if (n_blocks > most)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at most %d, found %d", most,
                       n_blocks);
    struct sss_plan *plan = sss_plan_equal(n_blocks, n_outputs, n_inputs, error);
    if (!plan) return error->code;
    enum sn_status status = take_blocks(dense, plan, n_inputs, options, fit, error);
    if (!status && options->bits < 32)
        status = n_blocks > 1 ? round_blocks(plan, options, fit, error)
                              : sss_round(dense, options, fit, error);
    if (!status) status = sn_fit_measure(fit, dense, options->weighting, error);
    if (status) sn_fit_free(fit);
    free(plan);
    return status;
}
