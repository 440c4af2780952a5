#include "sss_realise.h"
#include "fit.h"
#include "sss.h"
#include "sss_refine.h"
#include "sss_sweep.h"

#include <stdlib.h>
#include <string.h>

/* D_k = W[stage k, stage k]. */
static void store_diagonal(const struct sss_problem *problem, const struct sss *shape,
                           float *values)
{
    size_t row = 0, column = 0, n_all = (size_t)problem->n_inputs;
    for (int k = 0; k < shape->n_stages; k++) {
        size_t m = (size_t)shape->outputs[k], n = (size_t)shape->inputs[k];
        float *d = sss_stage_at(shape, values, k).d;
        for (size_t i = 0; i < m; i++)
            if (n) memcpy(d + i * n, problem->w + (row + i) * n_all + column, n * sizeof *d);
        row += m;
        column += n;
    }
}

/* Takes the scale out of the columns of B, D and F: they are those of W times scale, as the sweep
 * saw it. */
static void unscale(const float *scale, const struct sss *shape, float *values)
{
    size_t column = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, values, k);
        float *blocks[] = { at.d, at.b, at.f };
        const int heights[] = { shape->outputs[k], shape->causal[k + 1], shape->anticausal[k] };
        size_t width = (size_t)shape->inputs[k];
        for (int i = 0; i < 3; i++)
            for (int row = 0; row < heights[i]; row++)
                for (size_t j = 0; j < width; j++)
                    blocks[i][(size_t)row * width + j] /= scale[column + j];
        column += width;
    }
}

enum sn_status sss_realise(const struct sss_problem *problem, const struct sss_plan *plan,
                           int *reached, struct sn_fit *fit, struct sn_error *error)
{
    struct sss *shape = sss_new(plan->n_stages, plan->inputs, plan->outputs,
                                plan->states[SSS_CAUSAL] + 1, plan->states[SSS_ANTICAUSAL] + 1,
                                error);
    if (!shape) return error && error->code ? error->code : SN_NO_MEMORY;
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    enum sn_status status = words ? SN_OK : sn_no_memory(error, "an SSS approximation");
    if (!status) store_diagonal(problem, shape, words);
    for (int d = 0; d < 2 && !status; d++)
        status = sss_sweep(problem->w, problem->n_outputs, problem->n_inputs, plan, d,
                           d == SSS_CAUSAL ? reached : NULL, NULL, NULL, shape, words, error);
    if (!status && problem->scale) unscale(problem->scale, shape, words);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    if (status) sn_fit_free(fit);
    return status;
}

enum sn_status sss_offer(const struct sss_problem *problem, struct sn_fit *candidate,
                         struct sss_found *found, struct sn_error *error)
{
    struct sn_fit *best = &found->fit;
    enum sn_status status = sn_fit_measure(candidate, problem->given, problem->options->weighting,
                                           error);
    if (status || (best->matrix && !(candidate->weighted_error < best->weighted_error)))
        sn_fit_free(candidate);
    else {
        sn_fit_free(best);
        *best = *candidate;
        *candidate = (struct sn_fit){ 0 };
    }
    return status;
}

/* Wraps a fit of dense into the orders that make it one of the given matrix. */
static enum sn_status wrap(const struct sss_problem *problem, struct sn_fit *fit,
                           struct sn_error *error)
{
    if (!problem->row_order) return SN_OK;
    const struct sss *plain = (const struct sss *)fit->matrix;
    struct sss *shape = sss_new_ordered(plain->n_stages, plain->inputs, plain->outputs,
                                        plain->causal + 1, plain->anticausal + 1, SSS_ORDER_BOTH,
                                        error);
    float *words = shape ? realloc(fit->words, shape->matrix.n_words * sizeof *words) : NULL;
    if (!words) {
        free(shape);
        return sn_no_memory(error, "an SSS approximation");
    }
    memcpy(shape->input_order, problem->column_order, (size_t)problem->n_inputs * sizeof(uint32_t));
    memcpy(shape->output_order, problem->row_order, (size_t)problem->n_outputs * sizeof(uint32_t));
    sss_pack(shape, words);
    free(fit->matrix);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    return SN_OK;
}

enum sn_status sss_settle(const struct sss_problem *problem, const struct sss_plan *plan,
                          int rounds, struct sss_found *found, struct sn_error *error)
{
    struct sn_fit fit = { 0 };
    enum sn_status status = SN_OK;
    if (sss_plan_is_low_rank(plan)) rounds = 0;
    for (int refined = 0; refined < (rounds > 0 ? 2 : 1) && !status; refined++) {
        if (refined && (sss_stopped(problem) || !sss_improvable(found))) break;
        status = sss_realise(problem, plan, NULL, &fit, error);
        if (!status && refined)
            status = sss_refine((struct sss *)fit.matrix, fit.words, problem->dense,
                                problem->weighting, rounds, problem->options->stop, error);
        if (!status) status = wrap(problem, &fit, error);
        if (status) sn_fit_free(&fit);
        else status = sss_offer(problem, &fit, found, error);
    }
    return status;
}
