#include "sss_reorder.h"
#include "sss.h"
#include "sss_order.h"
#include "sss_realise.h"
#include "sss_segments.h"

#include <stdlib.h>
#include <string.h>

/* The problem in an order, what was found for it, and the arrays that the problem borrows. */
struct reordered {
    const struct sss_problem *original;
    struct sss_problem problem;
    struct sss_found found;
    uint32_t *rows, *columns;      /* n_outputs, n_inputs */
    uint32_t *now, *spare;         /* of one side, larger of both */
    float *w, *scale;              /* in order; w lies in the caller's memory with a weighting */
    float *dense;                  /* with a weighting, for the refinement: the matrix in order, */
    struct sn_weighting weighting; /* and M */
};

static void reordered_free(struct reordered *to)
{
    sss_found_free(&to->found);
    free(to->rows);
    free(to->columns);
    free(to->now);
    free(to->spare);
    if (!to->original->weighting) free(to->w);
    free(to->dense);
    free(to->scale);
    free(to->weighting.moment);
}

/* The orders are left to be set. scaled holds original->w where that is not the caller's. */
static enum sn_status reordered_new(struct reordered *to, const struct sss_problem *original,
                                    float *scaled, struct sn_error *error)
{
    size_t m = (size_t)original->n_outputs, n = (size_t)original->n_inputs, most = m > n ? m : n;
    *to = (struct reordered){ .original = original,
                              .problem = *original,
                              .rows = calloc(m, sizeof(uint32_t)),
                              .columns = calloc(n, sizeof(uint32_t)),
                              .now = malloc(most * sizeof(uint32_t)),
                              .spare = malloc(most * sizeof(uint32_t)),
                              .w = original->weighting ? scaled : malloc(m * n * sizeof(float)),
                              .scale = malloc(n * sizeof(float)) };
    int fine = to->rows && to->columns && to->now && to->spare && to->w && to->scale;
    return fine ? SN_OK : sn_no_memory(error, "an SSS approximation");
}

/* to_ij = from_rows[i],columns[j]. */
static void reorder(const float *from, size_t m, size_t n, const uint32_t *rows,
                    const uint32_t *columns, float *to)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) to[i * n + j] = from[rows[i] * n + columns[j]];
}

/* Everything that the search on the reordered matrix reads, from the original's; with a weighting
 * in place of original->w. */
static void load_order(struct reordered *to)
{
    const struct sss_problem *original = to->original;
    struct sss_problem *problem = &to->problem;
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    reorder(original->given, m, n, to->rows, to->columns, to->w);
    problem->w = problem->dense = to->w;
    problem->row_order = to->rows;
    problem->column_order = to->columns;
    if (!original->weighting) return;
    for (size_t j = 0; j < n; j++) to->scale[j] = original->scale[to->columns[j]];
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): all of scale is set. */
    for (size_t i = 0; i < m * n; i++) to->w[i] *= to->scale[i % n];
    problem->scale = to->scale;
}

/* What the refinement reads besides. */
static enum sn_status load_weighting(struct reordered *to, struct sn_error *error)
{
    const struct sss_problem *original = to->original;
    size_t m = (size_t)original->n_outputs, n = (size_t)original->n_inputs;
    if (!original->weighting) return SN_OK;
    to->dense = malloc(m * n * sizeof(float));
    to->weighting = (struct sn_weighting){ .n = (int)n, .moment = malloc(n * n * sizeof(float)) };
    if (!to->dense || !to->weighting.moment) return sn_no_memory(error, "an SSS approximation");
    reorder(original->given, m, n, to->rows, to->columns, to->dense);
    reorder(original->weighting->moment, n, n, to->columns, to->columns, to->weighting.moment);
    to->problem.dense = to->dense;
    to->problem.weighting = &to->weighting;
    return SN_OK;
}

/* now gets the columns (rows) in the order that suits the best plan's present approximation. */
static enum sn_status reassign(struct reordered *to, int by_rows, struct sn_error *error)
{
    struct sn_fit fit = { 0 };
    struct sss_problem plain = to->problem;
    plain.scale = NULL; /* The energies are those of w. */
    enum sn_status status = sss_realise(&plain, to->found.best.plan, NULL, &fit, error);
    if (!status)
        status = sss_reassign((struct sss *)fit.matrix, fit.words, plain.w, by_rows, to->now,
                              error);
    sn_fit_free(&fit);
    return status;
}

/* Assigns the columns (rows) anew to the stages of the best plan, and keeps the order where the
 * plan, its states spread anew, loses less with it. *gained says so. */
static enum sn_status improve_order(struct reordered *to, int by_rows, int *gained,
                                    struct sn_error *error)
{
    uint32_t *list = by_rows ? to->rows : to->columns;
    size_t size = (size_t)(by_rows ? to->problem.n_outputs : to->problem.n_inputs);
    struct sss_candidate *best = &to->found.best;
    struct sss_found tried = { 0 };
    double lost;
    *gained = 0;
    enum sn_status status = reassign(to, by_rows, error);
    if (status) return status;
    memcpy(to->spare, list, size * sizeof *list);
    for (size_t i = 0; i < size; i++) list[i] = to->spare[to->now[i]];
    load_order(to);
    status = sss_examine_new(&to->problem, &tried, sss_plan_copy(best->plan, error),
                             SSS_MOST_ROUNDS, &lost, error);
    *gained = !status && tried.best.plan && tried.best.lost < 0.9995 * best->lost;
    if (*gained) {
        struct sss_candidate former = *best;
        *best = tried.best;
        tried.best = former;
    } else {
        memcpy(list, to->spare, size * sizeof *list);
        load_order(to);
    }
    sss_found_free(&tried);
    return status;
}

/* Columns and rows in turn, until neither gains. done of all work is behind it, share is its own
 * part; found is reported. */
static enum sn_status improve_orders(struct reordered *to, int rounds,
                                     const struct sss_found *found, double done, double share,
                                     struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int round = 0, idle = 0; round < rounds && idle < 2 && !status; round++) {
        int gained;
        if (sss_stopped(to->original)) break;
        sss_report(to->original, found, done + share * round / rounds);
        status = improve_order(to, round % 2, &gained, error);
        idle = gained ? 0 : idle + 1;
    }
    return status;
}

/* A spectral order and equal segments for it, then both in turn: the orders are improved for the
 * plan that the first one favours, and in a thorough search that again by the segments that suit
 * the new orders. */
static enum sn_status search_orders(struct reordered *to, const struct sss_found *found,
                                    struct sn_error *error)
{
    enum { MOST_STAGES = 128 };
    const struct sss_problem *original = to->original;
    int thorough = original->options->effort == SN_THOROUGH;
    double share = (1 - SSS_SETTLE_PART) / (1 + thorough);
    enum sn_status status = sss_seriate(original->w, original->n_outputs, original->n_inputs,
                                        to->rows, to->columns, error);
    for (int pass = 0; pass < 1 + thorough && !status && !sss_stopped(original); pass++) {
        load_order(to);
        status = sss_search_equal(&to->problem, &to->found, error);
        if (status || !to->found.best.plan || to->found.best.plan->n_stages > MOST_STAGES) break;
        status = improve_orders(to, thorough ? 40 : 8, found, SSS_SETTLE_PART + share * pass, share,
                                error);
    }
    return status;
}

/* The others that were found were measured in other orders, so the best plan alone is settled. */
enum sn_status sss_fit_reordered(const struct sss_problem *problem, float *scaled,
                                 struct sss_found *found, struct sn_error *error)
{
    size_t words = sss_order_words(problem->n_outputs, problem->n_inputs, SSS_ORDER_BOTH);
    words = words * 32 / (size_t)problem->options->bits; /* in values */
    int rounds = problem->options->effort == SN_THOROUGH ? 40 : 6;
    if (problem->budget <= words || (found->fit.matrix && sss_stopped(problem))) return SN_OK;
    struct reordered to;
    enum sn_status status = reordered_new(&to, problem, scaled, error);
    to.problem.budget -= words;
    if (!status) status = search_orders(&to, found, error);
    const struct sss_candidate *best = &to.found.best;
    if (!status && best->plan && sss_is_promising(found, best->lost)) {
        status = load_weighting(&to, error);
        if (!status) status = sss_settle(&to.problem, best->plan, rounds, found, error);
    }
    reordered_free(&to);
    return status;
}
