/* How far the covariance of few features is to be trusted. The last fifth of the samples is held
 * out, and for each of a few shrinkages and alignments W, or 300 of its rows when it has more, is
 * approximated with the weighting of the others, by the simplest form that the family has within
 * the budget (its low rank, one sparse factor; a type without a budget by itself). Of the
 * shrinkages whose error lies within a hundredth of the least the largest is taken, since it trusts
 * the samples least (as in the one-standard-error rule: Hastie, Tibshirani and Friedman, The
 * Elements of Statistical Learning, 2nd ed., section 7.10). Fewer than ten samples are shrunk
 * entirely. */
#include "entries.h"
#include "fit.h"
#include "moments.h"
#include "product.h"
#include "weighting.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* A way to shrink, and the error of outputs on samples that did not fit. */
struct trial {
    double shrinkage, alignment, energy;
};

/* What the trials have in common: part of W's rows, the samples that fit, and those that judge, as
 * rows or as moments. */
struct search {
    const struct sn_fit_type *type;
    struct sn_fit_options options;
    int rows, n;
    float *part, *target; /* rows x n: of W, and what is approximated */
    struct sn_covariance samples, all_rows;
    float *held, *y; /* n_held x n, changed meanwhile; n_held x rows, scratch */
    int n_held;
    const struct sn_covariance *parts; /* instead of held: of samples that fit, and that judge */
};

static int is_stopped(const struct sn_fit_options *options)
{
    return options->stop && *options->stop;
}

/* sum over the samples of ||(W - What)(x - mean)||^2, what a fit. Negative without memory. */
static double output_energy(struct search *s, const struct sn_fit *what, const float *mean)
{
    size_t n = (size_t)s->n, count = (size_t)s->n_held * n;
    float *states = malloc(((size_t)s->n_held * what->matrix->n_states + 1) * sizeof *states);
    double sum = 0;
    if (!states) return -1;
    for (size_t i = 0; i < count; i++) s->held[i] -= mean[i % n];
    sn_product(0, 1, (size_t)s->n_held, (size_t)s->rows, n, -1, s->held, n, s->part, n, 0, s->y,
               (size_t)s->rows);
    what->matrix->family->forward(what->matrix, what->words, s->n_held, s->held, s->y, states);
    for (size_t i = 0; i < count; i++) s->held[i] += mean[i % n];
    for (size_t i = 0; i < (size_t)s->n_held * (size_t)s->rows; i++)
        sum += (double)s->y[i] * (double)s->y[i];
    free(states);
    return sum;
}

/* The same from moments, divided by the number of samples. */
static double moments_energy(const struct search *s, const struct sn_fit *what,
                             struct sn_error *error)
{
    size_t rows = (size_t)s->rows, n = (size_t)s->n;
    float *dense = malloc(rows * n * sizeof *dense);
    double sum = -1;
    if (dense && !sn_fit_dense(what->matrix, what->words, dense, error))
        sum = sn_moments_error(s->part, dense, rows, n, &s->parts[1], s->parts[0].mean, 1, error);
    free(dense);
    return sum;
}

/* Fills in trial->energy. */
static enum sn_status try_shrinkage(struct search *s, struct trial *trial, struct sn_error *error)
{
    struct sn_weighting weighting;
    struct sn_fit result = { 0 };
    struct sn_fit_options options = s->options;
    enum sn_status status = sn_weighting_mix(&s->samples, &s->all_rows, s->n, trial->shrinkage,
                                             trial->alignment, &weighting, error);
    if (status) return status;
    options.weighting = &weighting;
    if (s->parts)
        status = sn_moments_target(s->part, (size_t)s->rows, (size_t)s->n, &s->parts[0], &weighting,
                                   s->target, error);
    if (!status) status = sn_fit(s->type, s->target, s->rows, s->n, &options, &result, error);
    if (!status)
        trial->energy = s->parts ? moments_energy(s, &result, error)
                                 : output_energy(s, &result, weighting.mean);
    if (!status && trial->energy < 0) status = sn_no_memory(error, "%d inputs", s->n);
    sn_fit_free(&result);
    sn_weighting_free(&weighting);
    return status;
}

/* Part of a budget; one that is no limit stays none. */
static size_t part_of(size_t budget, double part)
{
    double size = ceil(part * (double)budget);
    return size < (double)SIZE_MAX ? (size_t)size : SIZE_MAX;
}

/* As many floats as the budget holds values of few bits, at most half of so many entries, since all
 * of them would leave no error to compare. */
static void use_floats(struct sn_fit_options *options, size_t n_entries)
{
    size_t n_values = n_entries / 2;
    if (options->budget_bytes < SIZE_MAX / 8)
        n_values = (size_t)fmin((double)n_values,
                                8. * (double)options->budget_bytes / options->bits);
    if (n_values < options->budget_values) options->budget_values = n_values;
    options->budget_bytes = SIZE_MAX;
    options->bits = 32;
}

/* A quick fit within part of the budget; of very many columns without rounding, which would take
 * most of the time. PADDING is for the arrays of a type whose bytes the budget may equal. */
static struct sn_fit_options simplify(const struct sn_fit_type *type,
                                      const struct sn_fit_options *options, int rows, int n,
                                      double part)
{
    enum { PADDING = 16, MANY_COLUMNS = 8192 };
    struct sn_fit_options simple = *options;
    simple.budget_bytes = part_of(options->budget_bytes, part);
    simple.budget_values = part_of(options->budget_values, part);
    if (!type->has_budget && simple.budget_bytes && simple.budget_bytes < SIZE_MAX - PADDING)
        simple.budget_bytes += PADDING;
    simple.effort = SN_QUICK;
    simple.progress = NULL;
    if (type->has_budget && options->bits < 32 && n > MANY_COLUMNS)
        use_floats(&simple, (size_t)rows * (size_t)n);
    return simple;
}

/* Of the trials whose error lies within a hundredth of the least the one with most shrinkage, and
 * of these the one with the least error. */
static const struct trial *most_shrunk(const struct trial *trials, int n, double least)
{
    const struct trial *best = NULL;
    for (int i = 0; i < n; i++)
        if (trials[i].energy <= least * (1 + 2. / 100)) { /* Of squares, hence twice. */
            int less = best && best->shrinkage == trials[i].shrinkage
                && best->energy < trials[i].energy;
            if (!less) best = &trials[i];
        }
    return best;
}

/* Part of W's rows, spread evenly, and what they have in common. */
static enum sn_status search_new(struct search *s, const struct sn_fit_type *type,
                                 const struct sn_fit_options *options, const float *w, int m, int n,
                                 struct sn_error *error)
{
    enum { MOST_ROWS = 300 };
    int rows = m < MOST_ROWS ? m : MOST_ROWS;
    size_t width = (size_t)n, size = (size_t)rows * width;
    *s = (struct search){ .type = type->has_budget ? sn_fit_simplest(type->family) : type,
                          .options = simplify(type, options, rows, n, (double)rows / m),
                          .rows = rows,
                          .n = n,
                          .part = malloc(size * sizeof *s->part) };
    if (!s->part) return sn_no_memory(error, "%d x %d values", rows, n);
    for (size_t i = 0; i < size; i++)
        s->part[i] = w[i / width * (size_t)m / (size_t)rows * width + i % width];
    s->target = s->part;
    return sn_covariance_new(w, (size_t)m, width, &s->all_rows, error);
}

static void search_free(struct search *s)
{
    if (s->target != s->part) free(s->target);
    free(s->part);
    free(s->held);
    free(s->y);
    sn_covariance_free(&s->samples);
    sn_covariance_free(&s->all_rows);
}

/* Tries the n ways, and *best <- the one that is taken. A budget that is too small for the part is
 * for the fit of all rows to refuse: samples are shrunk entirely then, as where outputs are no
 * floats. After a stop none is tried. */
static enum sn_status search_among(struct search *s, struct trial *trials, int n,
                                   struct trial *best, struct sn_error *error)
{
    double least = INFINITY;
    enum sn_status status = SN_OK;
    int tried = 0;
    *best = (struct trial){ .shrinkage = 1 };
    while (!status && tried < n && !is_stopped(&s->options)) {
        status = try_shrinkage(s, &trials[tried], error);
        if (!status) least = fmin(least, trials[tried++].energy);
    }
    if (!status && isfinite(least)) *best = *most_shrunk(trials, tried, least);
    return status == SN_BAD_INPUT ? SN_OK : status;
}

/* Where there are several samples for each input, most is to be trusted, and W tells less. */
static enum sn_status search_run(struct search *s, struct trial *best, struct sn_error *error)
{
    struct trial few[] = { { .3, 0, 0 },  { .3, .5, 0 },  { .5, 0, 0 },
                           { .5, .5, 0 }, { .7, 0, 0 },   { .7, .5, 0 },
                           { .85, 0, 0 }, { .85, .5, 0 }, { 1, 0, 0 } };
    struct trial many[] = { { .01, 0, 0 }, { .03, 0, 0 }, { .1, 0, 0 },
                            { .3, 0, 0 },  { .6, 0, 0 },  { 1, 0, 0 } };
    int has_many = s->samples.count / 4 >= s->samples.n;
    return has_many ? search_among(s, many, sizeof many / sizeof *many, best, error)
                    : search_among(s, few, sizeof few / sizeof *few, best, error);
}

/* The last fifth of the samples is held out. */
static enum sn_status hold_out(struct search *s, const float *x, int n_samples,
                               struct sn_error *error)
{
    size_t n = (size_t)s->n, n_fitting = (size_t)(n_samples - n_samples / 5);
    s->n_held = n_samples / 5;
    size_t count = (size_t)s->n_held * n;
    s->held = malloc(count * sizeof *s->held);
    s->y = malloc((size_t)s->n_held * (size_t)s->rows * sizeof *s->y);
    if (!s->held || !s->y) return sn_no_memory(error, "%d samples", s->n_held);
    for (size_t i = 0; i < count; i++) s->held[i] = x[n_fitting * n + i];
    return sn_covariance_new(x, n_fitting, n, &s->samples, error);
}

enum sn_status sn_weighting_choose(const struct sn_fit_type *type,
                                   const struct sn_fit_options *options, const float *w, int m,
                                   int n, const float *x, int n_samples,
                                   struct sn_weighting *weighting, struct sn_error *error)
{
    enum { LEAST_SAMPLES = 10 };
    struct search search;
    struct trial best;
    *weighting = (struct sn_weighting){ 0 };
    if (n_samples < LEAST_SAMPLES || is_stopped(options))
        return sn_weighting_new(NULL, 0, x, n_samples, n, 1, 0, weighting, error);
    enum sn_status status = sn_entries_check("features", x, (size_t)n_samples, (size_t)n, error);
    if (status) return status;
    status = search_new(&search, type, options, w, m, n, error);
    if (!status) status = hold_out(&search, x, n_samples, error);
    if (!status) status = search_run(&search, &best, error);
    search_free(&search);
    return status
        ? status
        : sn_weighting_new(w, m, x, n_samples, n, best.shrinkage, best.alignment, weighting, error);
}

/* The way to shrink that the moments of the parts show to be best. */
static enum sn_status choose_by_moments(const struct sn_fit_type *type,
                                        const struct sn_fit_options *options, const float *w, int m,
                                        int n, const struct sn_covariance parts[2],
                                        struct trial *best, struct sn_error *error)
{
    struct search search;
    *best = (struct trial){ .shrinkage = 1 };
    if (!parts[0].count || !parts[1].count || is_stopped(options)) return SN_OK;
    enum sn_status status = search_new(&search, type, options, w, m, n, error);
    search.parts = parts;
    if (!status) status = sn_covariance_inputs(&parts[0], (size_t)n, &search.samples, error);
    if (!status
        && !(search.target = malloc((size_t)search.rows * (size_t)n * sizeof *search.target)))
        status = sn_no_memory(error, "%d x %d values", search.rows, n);
    if (!status) status = search_run(&search, best, error);
    search_free(&search);
    return status;
}

enum sn_status sn_moments_choose(const struct sn_fit_type *type,
                                 const struct sn_fit_options *options, const float *dense, int m,
                                 int n, const struct sn_covariance *parts, double shrinkage,
                                 struct sn_weighting *weighting, float *target,
                                 struct sn_error *error)
{
    struct sn_covariance joined = { 0 }, inputs = { 0 }, rows = { 0 };
    struct trial best = { .shrinkage = shrinkage };
    *weighting = (struct sn_weighting){ 0 };
    enum sn_status status = shrinkage > 0
        ? SN_OK
        : choose_by_moments(type, options, dense, m, n, parts, &best, error);
    if (!status) status = sn_covariance_join(&parts[0], &parts[1], &joined, error);
    if (!status) status = sn_covariance_inputs(&joined, (size_t)n, &inputs, error);
    if (!status && best.alignment > 0)
        status = sn_covariance_new(dense, (size_t)m, (size_t)n, &rows, error);
    if (!status)
        status = sn_weighting_mix(&inputs, &rows, n, best.shrinkage, best.alignment, weighting,
                                  error);
    if (!status)
        status = sn_moments_target(dense, (size_t)m, (size_t)n, &joined, weighting, target, error);
    sn_covariance_free(&joined);
    sn_covariance_free(&inputs);
    sn_covariance_free(&rows);
    if (status) sn_weighting_free(weighting);
    return status;
}
