#include "sss_reorder.h"

#include "sss_order.h"
#include "sss_realise.h"
#include "sss_segments.h"

#include <stdlib.h>
#include <string.h>

/* What an order is found for: the matrix as it is swept, its rows and columns in order. */
struct ordering {
    const struct sss_view *original;
    struct sss_view view;          /* of the matrix in order */
    uint32_t *rows, *columns;      /* n_outputs, n_inputs */
    uint32_t *now, *spare;         /* of one side, larger of both */
    float *w, *scale;              /* in order; w lies in the caller's memory with a weighting */
    float *dense;                  /* with a weighting, for the refinement: the matrix in order, */
    struct sn_weighting weighting; /* and M */
};

static void ordering_free(struct ordering *ordering)
{
    free(ordering->rows);
    free(ordering->columns);
    free(ordering->now);
    free(ordering->spare);
    if (!ordering->original->weighting) free(ordering->w);
    free(ordering->dense);
    free(ordering->scale);
    free(ordering->weighting.moment);
}

/* scaled holds original->w where that is not the caller's. */
static enum sn_status ordering_new(const struct sss_view *original, float *scaled,
                                   struct ordering *ordering, struct sn_error *error)
{
    size_t m = (size_t)original->n_outputs, n = (size_t)original->n_inputs, most = m > n ? m : n;
    *ordering = (struct ordering){ .original = original,
                                   .view = *original,
                                   .rows = malloc(m * sizeof(uint32_t)),
                                   .columns = malloc(n * sizeof(uint32_t)),
                                   .now = malloc(most * sizeof(uint32_t)),
                                   .spare = malloc(most * sizeof(uint32_t)),
                                   .w = original->weighting ? scaled
                                                            : malloc(m * n * sizeof(float)),
                                   .scale = malloc(n * sizeof(float)) };
    int fine = ordering->rows && ordering->columns && ordering->now && ordering->spare
        && ordering->w && ordering->scale;
    return fine ? SN_OK : sn_no_memory(error, "an SSS approximation");
}

/* to_ij = from_rows[i],columns[j]. */
static void reorder(const float *from, size_t m, size_t n, const uint32_t *rows,
                    const uint32_t *columns, float *to)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) to[i * n + j] = from[rows[i] * n + columns[j]];
}

/* Everything that a search on the reordered matrix reads, from the original's; with a weighting in
 * place of original->w. */
static void load_order(struct ordering *ordering)
{
    const struct sss_view *original = ordering->original;
    struct sss_view *view = &ordering->view;
    size_t m = (size_t)view->n_outputs, n = (size_t)view->n_inputs;
    reorder(original->given, m, n, ordering->rows, ordering->columns, ordering->w);
    view->w = view->dense = ordering->w;
    view->row_order = ordering->rows;
    view->column_order = ordering->columns;
    if (!original->weighting) return;
    for (size_t j = 0; j < n; j++) ordering->scale[j] = original->scale[ordering->columns[j]];
    for (size_t i = 0; i < m * n; i++) ordering->w[i] *= ordering->scale[i % n];
    view->scale = ordering->scale;
}

/* What the refinement reads besides. */
static enum sn_status load_weighting(struct ordering *ordering, struct sn_error *error)
{
    const struct sss_view *original = ordering->original;
    size_t m = (size_t)original->n_outputs, n = (size_t)original->n_inputs;
    if (!original->weighting) return SN_OK;
    ordering->dense = malloc(m * n * sizeof(float));
    ordering->weighting = (struct sn_weighting){ .n = (int)n,
                                                 .moment = malloc(n * n * sizeof(float)) };
    if (!ordering->dense || !ordering->weighting.moment)
        return sn_no_memory(error, "an SSS approximation");
    reorder(original->given, m, n, ordering->rows, ordering->columns, ordering->dense);
    reorder(original->weighting->moment, n, n, ordering->columns, ordering->columns,
            ordering->weighting.moment);
    ordering->view.dense = ordering->dense;
    ordering->view.weighting = &ordering->weighting;
    return SN_OK;
}

/* ordering->now becomes the columns (rows) as they suit the stages of plan best. */
static enum sn_status reassign(struct ordering *ordering, const struct sss_plan *plan, int by_rows,
                               struct sn_error *error)
{
    struct sn_fit fit = { 0 };
    struct sss_view plain = ordering->view;
    plain.scale = NULL; /* The energies are those of w. */
    enum sn_status status = sss_realise(&plain, plan, &fit, error);
    if (!status)
        status = sss_reassign((struct sss *)fit.matrix, fit.words, plain.w, by_rows, ordering->now,
                              error);
    sn_fit_free(&fit);
    return status;
}

/* Assigns the columns (rows) anew to the stages of the search's best plan, and keeps the order
 * where the plan, its states spread anew, loses less with it. *gained says so. */
static enum sn_status improve_order(struct sss_search *search, struct ordering *ordering,
                                    int by_rows, int *gained, struct sn_error *error)
{
    uint32_t *list = by_rows ? ordering->rows : ordering->columns;
    size_t size = (size_t)(by_rows ? ordering->view.n_outputs : ordering->view.n_inputs);
    *gained = 0;
    enum sn_status status = reassign(ordering, search->best.plan, by_rows, error);
    if (status) return status;
    memcpy(ordering->spare, list, size * sizeof *list);
    for (size_t i = 0; i < size; i++) list[i] = ordering->spare[ordering->now[i]];
    load_order(ordering);
    struct sss_search tried = sss_search_new(&ordering->view, search->reached);
    double lost;
    status = sss_examine_new(&tried, sss_plan_copy(search->best.plan, error), &lost, error);
    *gained = !status && tried.best.plan && tried.best.lost < 0.9995 * search->best.lost;
    if (*gained) {
        free(search->best.plan);
        search->best = tried.best;
        tried.best.plan = NULL;
    } else {
        memcpy(list, ordering->spare, size * sizeof *list);
        load_order(ordering);
    }
    sss_search_free(&tried);
    return status;
}

/* Columns and rows in turn, until neither gains. done of all work is behind it, share is its own
 * part. */
static enum sn_status improve_orders(const struct sss_search *original, struct sss_search *search,
                                     struct ordering *ordering, int rounds, double done,
                                     double share, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int round = 0, idle = 0; round < rounds && idle < 2 && !status && !sss_stopped(search);
         round++) {
        int gained;
        sss_report(original, done + share * round / rounds);
        status = improve_order(search, ordering, round % 2, &gained, error);
        idle = gained ? 0 : idle + 1;
    }
    return status;
}

enum sn_status sss_fit_ordered(struct sss_search *original, float *scaled, struct sn_fit *best,
                               struct sn_error *error)
{
    enum { MOST_STAGES = 128 };
    const struct sss_view *view = original->view;
    int thorough = view->options->effort == SN_THOROUGH;
    size_t words = sss_order_words(view->n_outputs, view->n_inputs, SSS_ORDER_BOTH);
    if (view->budget <= words) return SN_OK;
    struct ordering ordering;
    enum sn_status status = ordering_new(view, scaled, &ordering, error);
    struct sss_search search = sss_search_new(&ordering.view, original->reached);
    ordering.view.budget -= words;
    if (!status)
        status = sss_seriate(view->w, view->n_outputs, view->n_inputs, ordering.rows,
                             ordering.columns, error);
    double share = (1 - sss_settle_part) / (1 + thorough);
    for (int pass = 0; pass < 1 + thorough && !status && !sss_stopped(original); pass++) {
        load_order(&ordering);
        status = sss_search_stages(&search, error);
        if (status || !search.best.plan || search.best.plan->n_stages > MOST_STAGES) break;
        double done = sss_settle_part + share * pass;
        status = improve_orders(original, &search, &ordering, thorough ? 40 : 8, done, share,
                                error);
    }
    /* The others were measured in other orders. */
    int promising = search.best.plan
        && (!original->best.plan || search.best.lost <= 1.3 * original->best.lost);
    if (!status && promising) status = load_weighting(&ordering, error);
    if (!status && promising)
        status = sss_settle(&search, search.best.plan, thorough ? 40 : 6, best, error);
    original->reached = search.reached;
    sss_search_free(&search);
    ordering_free(&ordering);
    return status;
}
