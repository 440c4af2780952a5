#include "candidates.h"

#include <sn_error.h>

#include <math.h>
#include <stdlib.h>

enum { N_PARTS = 3 }; /* of the budget: all of it, half and a quarter, with a target */

struct progress {
    const char *name;
    int bits, index, n;
};

static void show_progress(void *context, double done, double error)
{
    const struct progress *progress = context;
    double all = (progress->index + done) / progress->n;
    command_progress(all < 1 ? all : 0.999, "%s, %d bits, error %.4f", progress->name,
                     progress->bits, error);
}

/* ---- The choice */

static double cost(const struct approximation *a, enum target target)
{
    return target == TARGET_MADDS ? (double)a->n_values
        : target == TARGET_BYTES  ? (double)a->bytes
                                  : a->choice;
}

/* The largest error that may be chosen. */
static double error_limit(const struct report *report)
{
    double least = INFINITY;
    for (int i = 0; i < report->n; i++) least = fmin(least, report->rows[i].choice);
    return report->target == TARGET_ERROR ? least : REPORT_TOLERANCE * least;
}

/* Whether row j is as good as row i in error and cost, and better in one or before it. */
static int precedes(const struct report *report, int j, int i)
{
    const struct approximation *a = &report->rows[j], *b = &report->rows[i];
    double cost_a = cost(a, report->target), cost_b = cost(b, report->target);
    if (a->choice > b->choice || cost_a > cost_b) return 0;
    return a->choice < b->choice || cost_a < cost_b || j < i;
}

/* Forgets what cannot become the chosen one: more rows only lower the limit, and what is preceded
 * stays so. */
static void forget(struct report *report)
{
    double limit = error_limit(report);
    for (int i = 0; i < report->n; i++) {
        int is_out = report->rows[i].choice > limit;
        for (int j = 0; j < report->n && !is_out; j++) is_out = j != i && precedes(report, j, i);
        if (is_out) approximation_forget(&report->rows[i]);
    }
}

static void choose(struct report *report)
{
    double limit = error_limit(report), least = INFINITY;
    for (int i = 0; i < report->n; i++) {
        double found = cost(&report->rows[i], report->target);
        if (!report->rows[i].fit.matrix || report->rows[i].choice > limit || found >= least)
            continue;
        least = found;
        report->chosen = i;
    }
}

/* ---- The fits */

/* Half of the budget, part times; 0 is none. */
static size_t part_of(size_t budget, int part)
{
    size_t left = budget >> part;
    return budget && !left ? 1 : left;
}

static int n_parts(const struct candidates *candidates, const struct sn_fit_type *type)
{
    return candidates->target != TARGET_ERROR && type->has_budget ? N_PARTS : 1;
}

static int count(const struct candidates *candidates)
{
    const struct sn_fit_type *type;
    int n = 0;
    for (int i = 0; (type = sn_fit_type_at(i)); i++)
        if (!candidates->type || type == candidates->type)
            n += candidates->n_bits * n_parts(candidates, type);
    return n;
}

static int has_stopped(const struct candidates *candidates, const struct report *report)
{
    return report->n && *candidates->options.stop;
}

/* Adds a row for each number of bits and each part of the budget that holds a matrix. */
static enum sn_status run_type(const struct candidates *candidates, const struct problem *problem,
                               const struct sn_fit_type *type, struct progress *progress,
                               struct report *report, struct sn_error *error)
{
    int parts = n_parts(candidates, type);
    struct sn_fit_options options = candidates->options;
    options.progress = show_progress;
    options.context = progress;
    progress->name = type->name;
    int n = candidates->n_bits * parts;
    for (int i = 0; i < n && !has_stopped(candidates, report); i++, progress->index++) {
        progress->bits = options.bits = candidates->bits[i / parts];
        options.budget_bytes = part_of(candidates->options.budget_bytes, i % parts);
        options.budget_values = part_of(candidates->options.budget_values, i % parts);
        enum sn_status status = approximation_run(problem, type, &options, &report->rows[report->n],
                                                  error);
        if (status && status != SN_BAD_INPUT) return status;
        report->n += !status;
        forget(report);
    }
    return SN_OK;
}

enum sn_status candidates_run(const struct candidates *candidates, const struct problem *problem,
                              struct report *report, struct sn_error *error)
{
    struct progress progress = { .n = count(candidates) };
    const struct sn_fit_type *type;
    enum sn_status status = SN_OK;
    report->target = candidates->target;
    report->rows = calloc((size_t)progress.n + 1, sizeof *report->rows);
    if (!report->rows) return sn_no_memory(error, "%d approximations", progress.n);
    for (int i = 0; (type = sn_fit_type_at(i)) && !status; i++)
        if (!candidates->type || type == candidates->type)
            status = run_type(candidates, problem, type, &progress, report, error);
    command_progress(1, " ");
    if (status) return status;
    if (!report->n) return error->code;
    choose(report);
    report->dense_top1 = approximation_dense_top1(problem, error);
    return report->dense_top1 < 0 ? SN_NO_MEMORY : SN_OK;
}
