#include "sss_realise.h"

#include "sss_refine.h"
#include "sss_sweep.h"

#include <stdlib.h>
#include <string.h>

/* D_k = W[stage k, stage k]. */
static void store_diagonal(const struct sss_view *view, const struct sss *shape, float *values)
{
    size_t row = 0, column = 0, n_all = (size_t)view->n_inputs;
    for (int k = 0; k < shape->n_stages; k++) {
        size_t m = (size_t)shape->outputs[k], n = (size_t)shape->inputs[k];
        float *d = sss_stage_at(shape, values, k).d;
        for (size_t i = 0; i < m; i++)
            if (n) memcpy(d + i * n, view->w + (row + i) * n_all + column, n * sizeof *d);
        row += m;
        column += n;
    }
}

/* Takes the scale out of the columns of B, D and F: they are those of W times scale, as the sweep
 * saw it. */
static void unscale(const struct sss_view *view, const struct sss *shape, float *values)
{
    size_t column = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, values, k);
        float *blocks[] = { at.d, at.b, at.f };
        int heights[] = { shape->outputs[k], shape->causal[k + 1], shape->anticausal[k] };
        size_t width = (size_t)shape->inputs[k];
        for (int i = 0; i < 3; i++)
            for (int row = 0; row < heights[i]; row++)
                for (size_t j = 0; j < width; j++)
                    blocks[i][(size_t)row * width + j] /= view->scale[column + j];
        column += width;
    }
}

enum sn_status sss_realise(const struct sss_view *view, const struct sss_plan *plan,
                           struct sn_fit *fit, struct sn_error *error)
{
    double lost = 0;
    struct sss *shape = sss_new(plan->n_stages, plan->inputs, plan->outputs,
                                plan->states[SSS_CAUSAL] + 1, plan->states[SSS_ANTICAUSAL] + 1,
                                error);
    if (!shape) return error && error->code ? error->code : SN_NO_MEMORY;
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    enum sn_status status = words ? SN_OK : sn_no_memory(error, "an SSS approximation");
    if (!status) store_diagonal(view, shape, words);
    for (int d = 0; d < 2 && !status; d++)
        status = sss_sweep(view->w, view->n_outputs, view->n_inputs, plan, d, NULL, NULL, &lost,
                           shape, words, error);
    if (!status && view->scale) unscale(view, shape, words);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    if (status) sn_fit_free(fit);
    return status;
}

enum sn_status sss_offer(struct sss_search *search, struct sn_fit *candidate, struct sn_fit *best,
                         struct sn_error *error)
{
    enum sn_status status = sn_fit_measure(candidate, search->view->given,
                                           search->view->options->weighting, error);
    if (status || (best->matrix && !(candidate->weighted_error < best->weighted_error)))
        sn_fit_free(candidate);
    else {
        sn_fit_free(best);
        *best = *candidate;
        search->reached = best->weighted_error;
    }
    return status;
}

/* Wraps a fit of dense into the orders that make it one of the given matrix. */
static enum sn_status wrap(const struct sss_view *view, struct sn_fit *fit, struct sn_error *error)
{
    if (!view->row_order) return SN_OK;
    const struct sss *plain = (const struct sss *)fit->matrix;
    struct sss *shape = sss_new_ordered(plain->n_stages, plain->inputs, plain->outputs,
                                        plain->causal + 1, plain->anticausal + 1, SSS_ORDER_BOTH,
                                        error);
    float *words = shape ? realloc(fit->words, shape->matrix.n_words * sizeof *words) : NULL;
    if (!words) {
        free(shape);
        return sn_no_memory(error, "an SSS approximation");
    }
    memcpy(shape->input_order, view->column_order, (size_t)view->n_inputs * sizeof(uint32_t));
    memcpy(shape->output_order, view->row_order, (size_t)view->n_outputs * sizeof(uint32_t));
    sss_pack(shape, words);
    free(fit->matrix);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    return SN_OK;
}

enum sn_status sss_settle(struct sss_search *search, const struct sss_plan *plan, int rounds,
                          struct sn_fit *best, struct sn_error *error)
{
    struct sn_fit fit = { 0 };
    enum sn_status status = SN_OK;
    if (sss_plan_is_low_rank(plan)) rounds = 0;
    for (int refined = 0; refined <= (rounds > 0) && !status; refined++) {
        if (refined && (sss_stopped(search) || search->reached < 1e-6)) break;
        status = sss_realise(search->view, plan, &fit, error);
        if (!status && refined)
            status = sss_refine((struct sss *)fit.matrix, fit.words, search->view->dense,
                                search->view->weighting, rounds, search->view->options->stop,
                                error);
        if (!status) status = wrap(search->view, &fit, error);
        if (status) sn_fit_free(&fit);
        else status = sss_offer(search, &fit, best, error);
    }
    return status;
}

enum sn_status sss_settle_all(struct sss_search *search, struct sn_fit *best,
                              struct sn_error *error)
{
    static const struct {
        int others, rounds;
    } efforts[] = {
        [SN_NORMAL] = { 3, 6 }, [SN_QUICK] = { 0, 0 }, [SN_THOROUGH] = { SSS_MOST_OTHERS, 40 }
    };
    int others = efforts[search->view->options->effort].others,
        rounds = efforts[search->view->options->effort].rounds;
    if (!search->best.plan) return SN_OK;
    sss_report(search, sss_search_part);
    enum sn_status status = sss_settle(search, search->best.plan, rounds, best, error);
    for (int i = 0; i < others && !status && !sss_stopped(search); i++) {
        const struct sss_measured *other = &search->others[i];
        sss_report(search,
                   sss_search_part + (sss_settle_part - sss_search_part) * (i + 1) / (others + 1));
        if (other->plan && other->lost <= 1.3 * search->best.lost && search->reached >= 1e-6)
            status = sss_settle(search, other->plan, rounds, best, error);
    }
    return status;
}
