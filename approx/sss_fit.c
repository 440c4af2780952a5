/* SSS approximation of a dense matrix: balanced truncation of Hankel blocks (sss_sweep.h) at many
 * segmentations, the most promising of them refined (sss_refine.h). Segments are equal, as an exact
 * SSS matrix has them (sss_cuts.h), or moved from equal ones by local search. The choice is this
 * project's.
 *
 * With a weighting the search runs on W diag(M)^1/2, which is exact for the inputs' scales and
 * blind to their correlation, since a scaled column of W is a scaled column of its B, D and F; the
 * refinement sees M whole. The truncated SVD is the optimum itself: W L = U S V^T, What = U_r U_r^T
 * W (Eckart and Young, since What L = U_r U_r^T W L). What is handed back is the candidate of
 * lowest weighted error, so that it never exceeds that of low rank. */
#include "fit.h"
#include "sss.h"
#include "sss_cuts.h"
#include "sss_order.h"
#include "sss_plan.h"
#include "sss_refine.h"
#include "sss_sweep.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One candidate that has been measured by a sweep. */
struct measured {
    struct sss_plan *plan;
    size_t n_values;
    double lost; /* predicted ||W - What||_F^2 */
};

enum { MOST_OTHERS = 5, ROUNDS = 3 /* of spreading states */ };

struct search {
    const float *given; /* the caller's matrix */
    const float *dense; /* the matrix, its rows and columns in order */
    const float *w;     /* what is swept: dense, its columns times scale, or dense times L */
    const float *scale; /* n_inputs, in order; NULL: 1 */
    const struct sn_weighting *weighting; /* the caller's, its moment in order */
    const uint32_t *row_order,
        *column_order; /* position i of dense has row row_order[i] of given; NULL: as they are */
    int n_outputs, n_inputs;
    size_t budget; /* values */
    double energy; /* ||w||_F^2 */
    const struct sn_fit_options *options;
    int n_stages; /* as many equal segments; 0: to be found */
    int low_rank; /* two stages, the rank that the budget allows */
    struct measured best;
    struct measured others[MOST_OTHERS]; /* the next best of other numbers of stages, in order; no
                                            plan ends them */
    double reached; /* the weighted error of the best fit so far; infinite while there is none */
};

static int smaller(int a, int b) { return a < b ? a : b; }
static int larger(int a, int b) { return a > b ? a : b; }

/* ---- Candidates ---- */

static int stopped(const struct search *search)
{
    return search->options->stop && *search->options->stop;
}

/* Takes a plan, which it owns from then on, among the others. Of one number of stages the better
 * stays. */
static void keep_other(struct search *search, struct measured candidate)
{
    struct measured *others = search->others;
    int at = 0, alike = 0;
    while (alike < MOST_OTHERS - 1 && others[alike].plan
           && others[alike].plan->n_stages != candidate.plan->n_stages)
        alike++;
    while (at < MOST_OTHERS && others[at].plan && others[at].lost <= candidate.lost) at++;
    if (at > alike || at == MOST_OTHERS) {
        free(candidate.plan);
        return;
    }
    free(others[alike].plan);
    memmove(others + at + 1, others + at, (size_t)(alike - at) * sizeof *others);
    others[at] = candidate;
}

static void forget(struct search *search)
{
    free(search->best.plan);
    for (int i = 0; i < MOST_OTHERS; i++) free(search->others[i].plan);
}

/* Keeps plan, with the states it has, when it is better than the best so far: a smaller error, or
 * the same error with fewer values. Errors within 2^-22 are the same, which is about what rounding
 * the values to float32 adds. A plan without values cannot be trained and never wins. */
static enum sn_status consider(struct search *search, const struct sss_plan *plan, double lost,
                               struct sn_error *error)
{
    struct measured *best = &search->best;
    size_t n_values = sss_plan_values(plan);
    if (!n_values || n_values > search->budget) return SN_OK;
    struct measured candidate = { .plan = sss_plan_copy(plan, error),
                                  .n_values = n_values,
                                  .lost = lost };
    if (!candidate.plan) return SN_NO_MEMORY;
    double change = best->plan ? sqrt(lost) - sqrt(best->lost) : -INFINITY,
           rounding = 0x1p-22 * sqrt(search->energy);
    if (change > rounding || (change >= -rounding && n_values >= best->n_values)) {
        keep_other(search, candidate);
        return SN_OK;
    }
    if (best->plan && best->plan->n_stages != plan->n_stages) keep_other(search, *best);
    else free(best->plan);
    *best = candidate;
    return SN_OK;
}

/* Sweeps both directions with plan->states as limits and puts the sizes used in their place. */
static enum sn_status measure(const struct search *search, struct sss_plan *plan,
                              struct sss_spectra *spectra, double *lost, struct sn_error *error)
{
    *lost = 0;
    enum sn_status status = SN_OK;
    for (int d = 0; d < 2 && !status; d++)
        status = sss_sweep(search->w, search->n_outputs, search->n_inputs, plan, d, plan->states[d],
                           spectra, lost, NULL, NULL, error);
    return status;
}

/* A state size that no boundary is likely to exceed: four times the s for which s at every boundary
 * costs the budget, sum m_k n_k + 2 (N-1) s (s + (m+n)/N). */
static int likely_limit(const struct search *search, const struct sss_plan *plan)
{
    double n = plan->n_stages, c = ((double)search->n_outputs + search->n_inputs) / n / 2;
    double values = (double)(search->budget - sss_plan_diagonal_values(plan)) / (2 * n - 2);
    double limit = 4 * (sqrt(c * c + values) - c) + 16;
    return (int)fmin(limit, smaller(search->n_outputs, search->n_inputs));
}

/* Singular values of all Hankel blocks, and states spread by them. The limit of likely_limit saves
 * most of the time; when the spread runs into it, it is doubled. */
static enum sn_status first_spread(const struct search *search, struct sss_plan *plan,
                                   struct sss_spectra *spectra, struct sn_error *error)
{
    int most = smaller(search->n_outputs, search->n_inputs), limit = likely_limit(search, plan),
        hit;
    double lost;
    do {
        sss_spectra_free(spectra);
        enum sn_status status = sss_spectra_new(spectra, plan->n_stages, limit, error);
        if (status) return status;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) plan->states[d][k] = limit;
        status = measure(search, plan, spectra, &lost, error);
        if (status) return status;
        sss_plan_spread(plan, spectra, search->budget);
        hit = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) hit |= plan->states[d][k] >= limit;
        limit = limit > most / 2 ? most : 2 * limit;
    } while (hit && spectra->cap < most);
    return SN_OK;
}

/* Spreads states over plan's boundaries and measures. The Hankel blocks overlap, so the first
 * spread counts what is lost at one boundary again at the next; the sweep that measures it sees
 * every loss once, and a spread by its singular values may do better. Candidates far behind the
 * best are not refined. *lost gets the squared error of the first spread, and is left alone where
 * the diagonal blocks exceed the budget. */
static enum sn_status examine(struct search *search, struct sss_plan *plan, int rounds,
                              double *lost, struct sn_error *error)
{
    if (sss_plan_diagonal_values(plan) > search->budget) return SN_OK;
    *lost = 0;
    if (plan->n_stages == 1) return consider(search, plan, 0, error);
    struct sss_spectra spectra = { 0 };
    enum sn_status status = first_spread(search, plan, &spectra, error);
    double before = INFINITY;
    for (int round = 0; round < rounds && !status; round++) {
        double now;
        status = measure(search, plan, &spectra, &now, error);
        if (!status) status = consider(search, plan, now, error);
        if (!round) *lost = now;
        if (status || now >= 0.999 * before || now > 1.1 * search->best.lost) break;
        before = now;
        sss_plan_spread(plan, &spectra, search->budget);
    }
    sss_spectra_free(&spectra);
    return status;
}

/* examine() for a plan that may be NULL because memory ran out, and that is freed. */
static enum sn_status examine_new(struct search *search, struct sss_plan *plan, double *lost,
                                  struct sn_error *error)
{
    *lost = INFINITY;
    if (!plan) return SN_NO_MEMORY;
    enum sn_status status = examine(search, plan, ROUNDS, lost, error);
    free(plan);
    return status;
}

/* Widths (n, 0), heights (0, m): the only Hankel block is W, the state size is the rank, so this is
 * the truncated SVD. */
static enum sn_status examine_low_rank(struct search *search, struct sn_error *error)
{
    double lost;
    struct sss_plan *plan = sss_plan_new(2, error);
    if (plan) {
        plan->inputs[0] = search->n_inputs;
        plan->outputs[1] = search->n_outputs;
    }
    return examine_new(search, plan, &lost, error);
}

/* ---- Windows: everything outside one rectangle of W is zero, for budgets that hold little else
 * ---- */

/* W[row .. row+height-1, column .. column+width-1], kept with that rank; dense when rank is 0. */
struct window {
    int row, column, height, width, rank;
    double energy;
};

/* sums[(i, j)] = ||W[first i rows, first j columns]||_F^2, (m+1) x (n+1). */
static double *prefix_sums(const struct search *search, struct sn_error *error)
{
    size_t m = (size_t)search->n_outputs, n = (size_t)search->n_inputs;
    double *sums = calloc((m + 1) * (n + 1), sizeof *sums);
    if (!sums) {
        sn_no_memory(error, "an SSS approximation");
        return NULL;
    }
    for (size_t i = 0; i < m; i++) {
        double row = 0;
        for (size_t j = 0; j < n; j++) {
            double w = search->w[i * n + j];
            row += w * w;
            sums[(i + 1) * (n + 1) + j + 1] = sums[i * (n + 1) + j + 1] + row;
        }
    }
    return sums;
}

/* The position of window, given its size, where W has most energy. */
static void place(const struct search *search, const double *sums, struct window *window)
{
    size_t stride = (size_t)search->n_inputs + 1, width = (size_t)window->width;
    window->energy = -1;
    for (int i = 0; i + window->height <= search->n_outputs; i++) {
        const double *top = sums + (size_t)i * stride,
                     *bottom = top + (size_t)window->height * stride;
        for (int j = 0; j + window->width <= search->n_inputs; j++) {
            double energy = bottom[(size_t)j + width] - bottom[j] - top[(size_t)j + width] + top[j];
            if (energy > window->energy)
                window->energy = energy, window->row = i, window->column = j;
        }
    }
}

static void append(struct sss_plan *plan, int width, int height)
{
    if (!width && !height) return;
    plan->inputs[plan->n_stages] = width;
    plan->outputs[plan->n_stages++] = height;
}

/* Stages (columns before, 0), (0, rows before), the window, (columns behind, 0), (0, rows behind);
 * the window is one stage when it is dense, else (width, 0), (0, height) with a causal state. No
 * other boundary carries a state. */
static enum sn_status examine_window(struct search *search, const struct window *window,
                                     struct sn_error *error)
{
    enum { MOST = 6 };
    struct sss_plan *plan = sss_plan_new(MOST, error);
    if (!plan) return SN_NO_MEMORY;
    plan->n_stages = 0;
    append(plan, window->column, 0);
    append(plan, 0, window->row);
    append(plan, window->width, window->rank ? 0 : window->height);
    plan->states[SSS_CAUSAL][plan->n_stages] = window->rank;
    if (window->rank) append(plan, 0, window->height);
    append(plan, search->n_inputs - window->column - window->width, 0);
    append(plan, 0, search->n_outputs - window->row - window->height);
    double lost;
    enum sn_status status = measure(search, plan, NULL, &lost, error);
    if (!status) status = consider(search, plan, lost, error);
    free(plan);
    return status;
}

/* The windows that use up the budget, with heights from 1 to m in steps of a fifth: the dense one
 * with most energy, and when a rank one for all of W is too dear, one of low rank for each height.
 */
static enum sn_status examine_windows(struct search *search, struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs;
    size_t budget = search->budget;
    double *sums = prefix_sums(search, error);
    if (!sums) return SN_NO_MEMORY;
    enum sn_status status = SN_OK;
    struct window best = { .energy = -1 };
    for (int height = 1, next; height <= m && !status && (size_t)height <= budget; height = next) {
        next = height == m ? m + 1 : smaller(m, larger(height + 1, height + height / 5));
        size_t width = budget / (size_t)height, rest = budget - (size_t)height;
        struct window window = { .height = height, .width = width < (size_t)n ? (int)width : n };
        place(search, sums, &window);
        if (window.energy > best.energy) best = window;
        if (!rest || budget >= (size_t)m + (size_t)n) continue;
        window.width = rest < (size_t)n ? (int)rest : n;
        window.rank = (int)(budget / ((size_t)height + (size_t)window.width));
        if (window.rank > smaller(height, window.width)) continue;
        place(search, sums, &window);
        status = examine_window(search, &window, error);
    }
    if (!status) status = examine_window(search, &best, error);
    free(sums);
    return status;
}

/* ---- The search ---- */

/* The parts of all work after which the search for plans ends, and their refinement; the rest is
 * spent on orders. */
static const double search_part = 0.5, settle_part = 0.8;

/* Of a plan without a weighting the error is foretold; with one it is known only of what was
 * realised. */
static void report(const struct search *search, double done)
{
    if (search->row_order) return; /* fit_ordered() reports on what it improves. */
    double error = search->reached;
    if (search->best.plan && !search->options->weighting)
        error = fmin(error, search->energy > 0 ? sqrt(search->best.lost / search->energy) : 0);
    if (search->options->progress && isfinite(error))
        search->options->progress(search->options->context, done, error);
}

/* The fewest equal stages whose diagonal blocks fit into the budget, at most limit+1. */
static int fewest_stages(const struct search *search, int limit)
{
    long long m = search->n_outputs, n = search->n_inputs, stages = 1;
    for (; stages <= limit; stages++) {
        size_t values = 0;
        for (long long k = 0; k < stages && values <= search->budget; k++)
            values += (size_t)(((k + 1) * m / stages - k * m / stages)
                               * ((k + 1) * n / stages - k * n / stages));
        if (values <= search->budget) break;
    }
    return (int)stages;
}

/* Whether a search tries n_stages equal stages after first, the fewest. A small matrix has all
 * numbers up to 64 tried, a larger one those next to 2^(i/2). Common divisors of both sizes, which
 * give stages that are all alike, are tried up to any number. */
static int tries(const struct search *search, int first, int n_stages)
{
    enum { SMALL = 64 * 64, MOST = 64 };
    int m = search->n_outputs, n = search->n_inputs;
    if (n_stages == first || (m % n_stages == 0 && n % n_stages == 0)) return 1;
    if ((size_t)m * (size_t)n <= SMALL && n_stages <= MOST) return 1;
    return n_stages == (int)lrint(exp2(rint(2 * log2(n_stages)) / 2));
}

/* Steps away from stages, the best number of equal stages so far, by an eighth of it, a sixteenth,
 * ... 1 either way. */
static enum sn_status refine_stages(struct search *search, int first, int stages, double lowest,
                                    struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs;
    enum sn_status status = SN_OK;
    for (int step = larger(1, stages / 8); step && !status && !stopped(search); step /= 2) {
        int middle = stages;
        for (int sign = -1; sign <= 1 && !status; sign += 2) {
            int other = middle + sign * step;
            double lost;
            if (other < first || other > larger(m, n)) continue;
            status = examine_new(search, sss_plan_equal(other, m, n, error), &lost, error);
            int won = search->best.plan && search->best.plan->n_stages == other;
            if (lost < lowest || won) lowest = lost, stages = other;
        }
    }
    return status;
}

/* Equal stages, more and more of them. The search ends when the error has not come down for a
 * while, since it falls and then rises with the number of stages, apart from wiggles. The best
 * number is refined where it is a match for the other candidates. */
static enum sn_status search_stages(struct search *search, struct sn_error *error)
{
    enum { PATIENCE = 5 };
    int m = search->n_outputs, n = search->n_inputs, most = smaller(m, n), worse = 0, best = 0;
    int first = larger(2, fewest_stages(search, larger(m, n)));
    enum sn_status status = SN_OK;
    double lowest = INFINITY;
    for (int stages = first; !status && (stages == first || stages <= most) && worse < PATIENCE;
         stages++) {
        if (stages > larger(m, n) || stopped(search)) break;
        if (!tries(search, first, stages)) continue;
        double lost;
        status = examine_new(search, sss_plan_equal(stages, m, n, error), &lost, error);
        worse++;
        int won = search->best.plan
            && search->best.plan->n_stages == stages; /* Perhaps with fewer values. */
        if (lost < lowest || won) lowest = lost, best = stages, worse = 0;
        report(search, search_part * fmin(1, log(stages) / log(larger(3, most + 1))));
    }
    if (!status && best && lowest <= 1.1 * search->best.lost)
        status = refine_stages(search, first, best, lowest, error);
    return status;
}

static void cut_plan(const struct search *search, struct sss_plan *plan, const struct sss_cut *cuts,
                     int n_cuts)
{
    struct sss_cut from = { 0 }, end = { .row = search->n_outputs, .column = search->n_inputs };
    for (int k = 0; k <= n_cuts; k++) {
        struct sss_cut to = k < n_cuts ? cuts[k] : end;
        plan->outputs[k] = to.row - from.row;
        plan->inputs[k] = to.column - from.column;
        plan->states[SSS_CAUSAL][k + 1] = to.causal;
        plan->states[SSS_ANTICAUSAL][k + 1] = to.anticausal;
        from = to;
    }
}

/* The segments of W when it is exactly SSS. What counts as a rounding error is tried: a low bound
 * takes errors for structure, a high one misses structure in the small entries of a matrix with
 * large ones. */
static enum sn_status examine_exact(struct search *search, struct sn_error *error)
{
    static const double bounds[] = { 1e-6, 3e-7, 3e-6, 1e-7, 1e-5 };
    enum sn_status status = SN_OK;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !status && !stopped(search); i++) {
        struct sss_cut *cuts;
        int n_cuts = sss_cuts(search->w, search->n_outputs, search->n_inputs, bounds[i], &cuts);
        if (n_cuts < 0) return sn_no_memory(error, "an SSS approximation");
        if (!n_cuts) break;
        struct sss_plan *plan = sss_plan_new(n_cuts + 1, error);
        if (plan) cut_plan(search, plan, cuts, n_cuts);
        free(cuts);
        if (!plan) return SN_NO_MEMORY;
        double lost;
        if (sss_plan_values(plan) <= search->budget) {
            status = measure(search, plan, NULL, &lost, error);
            if (!status) status = consider(search, plan, lost, error);
        }
        if (!status) status = examine(search, plan, ROUNDS, &lost, error);
        free(plan);
        if (search->best.plan && search->best.lost < 1e-12 * search->energy) break;
    }
    return status;
}

/* Whether a plan is low rank alone, which no refinement improves: its truncated SVD, weighted or
 * not, is a candidate. */
static int is_low_rank(const struct sss_plan *plan)
{
    return plan->n_stages == 2 && !plan->outputs[0] && !plan->inputs[1];
}

/* ---- Unequal segments ---- */

/* A plan whose cuts move as long as that takes off its error. */
struct recut {
    struct search *search;
    struct sss_plan *plan;
    double lost; /* of the first spread */
    int left;    /* plans that may still be examined */
};

/* Takes other, which may be NULL because memory ran out, in place of the plan when it is better. */
static enum sn_status try_cuts(struct recut *recut, struct sss_plan *other, int *won,
                               struct sn_error *error)
{
    double lost = INFINITY;
    *won = 0;
    if (!other) return SN_NO_MEMORY;
    recut->left--;
    enum sn_status status = examine(recut->search, other, 1, &lost, error);
    *won = !status && lost < 0.99 * recut->lost;
    free(*won ? recut->plan : other);
    if (*won) recut->plan = other, recut->lost = lost;
    return status;
}

static int goes_on(const struct recut *recut) { return recut->left > 0 && !stopped(recut->search); }

/* Fewer cuts, then more. */
static enum sn_status merge_and_split(struct recut *recut, int *gained, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    int won;
    for (int k = 1; k < recut->plan->n_stages && goes_on(recut) && !status; k += !won) {
        status = try_cuts(recut, sss_plan_merged(recut->plan, k, error), &won, error);
        *gained |= won;
    }
    for (int k = 0; k < recut->plan->n_stages && goes_on(recut) && !status; k += !won) {
        status = try_cuts(recut, sss_plan_split(recut->plan, k, error), &won, error);
        *gained |= won;
    }
    return status;
}

/* Every cut by a part of the mean segment: both its row and its column, which moves it along a
 * diagonal of blocks, then one of them; as often as that gains. */
static enum sn_status shift_cuts(struct recut *recut, int part, int *gained, struct sn_error *error)
{
    static const int directions[][2] = { { 1, 1 },  { -1, -1 }, { 1, 0 },
                                         { -1, 0 }, { 0, 1 },   { 0, -1 } };
    int rows = larger(1, recut->search->n_outputs / recut->plan->n_stages / part);
    int columns = larger(1, recut->search->n_inputs / recut->plan->n_stages / part);
    enum sn_status status = SN_OK;
    for (int k = 1; k < recut->plan->n_stages; k++)
        for (int i = 0, won; i < 6 && goes_on(recut) && !status; i += !won) {
            int down = directions[i][0] * rows, right = directions[i][1] * columns;
            status = try_cuts(recut, sss_plan_shifted(recut->plan, k, down, right, error), &won,
                              error);
            *gained |= won;
        }
    return status;
}

/* A local search from the cuts of plan: stages merged and split, cuts shifted by a half, a quarter,
 * ... of a segment; at most so many plans are examined. */
static enum sn_status move_cuts(struct search *search, const struct sss_plan *plan, int most,
                                struct sn_error *error)
{
    struct recut recut = {
        .search = search, .plan = sss_plan_copy(plan, error), .lost = INFINITY, .left = most
    };
    if (!recut.plan) return SN_NO_MEMORY;
    enum sn_status status = examine(search, recut.plan, 1, &recut.lost, error);
    int m = search->n_outputs, n = search->n_inputs;
    for (int gained = 1; gained && goes_on(&recut) && !status;) {
        gained = 0;
        status = merge_and_split(&recut, &gained, error);
        for (int part = 2; part <= 2 * larger(m, n) / recut.plan->n_stages && !status; part *= 2)
            status = shift_cuts(&recut, part, &gained, error);
    }
    double lost;
    if (!status) status = examine(search, recut.plan, ROUNDS, &lost, error);
    free(recut.plan);
    return status;
}

/* Moves the cuts of the best plan that has any, unless it is far behind, or exact up to rounding.
 * Examining a plan takes a time of about (m n)^3/2; so many are examined that a matrix of a million
 * entries takes twice as long as the search for equal segments, and a small one no more than 120.
 */
static enum sn_status search_cuts(struct search *search, struct sn_error *error)
{
    const struct measured *start = &search->best;
    double most = fmin(120, 1.5e11 / pow((double)search->n_outputs * search->n_inputs, 1.5));
    if (search->options->effort == SN_THOROUGH) most *= 10;
    for (int i = 0; i < MOST_OTHERS && start->plan && is_low_rank(start->plan); i++)
        start = &search->others[i];
    if (!start->plan || start->plan->n_stages < 2 || start->lost > 1.3 * search->best.lost)
        return SN_OK;
    if (most < start->plan->n_stages || search->best.lost < 1e-12 * search->energy) return SN_OK;
    return move_cuts(search, start->plan, (int)most, error);
}

/* All candidates, the one dense stage first; for low rank alone, windows where the budget is below
 * rank one. */
static enum sn_status search_all(struct search *search, struct sn_error *error)
{
    double lost;
    size_t rank_one = (size_t)search->n_outputs + (size_t)search->n_inputs;
    enum sn_status status = SN_OK;
    if (!search->low_rank) {
        struct sss_plan *dense = sss_plan_equal(1, search->n_outputs, search->n_inputs, error);
        status = examine_new(search, dense, &lost, error);
    }
    if (!status && (!search->low_rank || search->budget < rank_one))
        status = examine_windows(search, error);
    if (!status) status = examine_low_rank(search, error);
    if (!status && search->low_rank) return SN_OK;
    if (!status) status = examine_exact(search, error);
    report(search, 0);
    if (!status) status = search_stages(search, error);
    if (!status && search->options->effort != SN_QUICK) status = search_cuts(search, error);
    return status;
}

/* The segmentation that the caller asks for. */
static enum sn_status search_given(struct search *search, struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs, stages = search->n_stages;
    size_t bytes = search->options->budget_bytes;
    if (bytes == SIZE_MAX) bytes = sizeof(float) * search->budget;
    if (stages > (long long)m + n)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at most %lld, found %d",
                       (long long)m + n, stages);
    double lost;
    struct sss_plan *plan = sss_plan_equal(stages, m, n, error);
    if (!plan) return SN_NO_MEMORY;
    size_t diagonal = sss_plan_diagonal_values(plan);
    enum sn_status status = examine_new(search, plan, &lost, error);
    if (status || search->best.plan) return status;
    if (diagonal > search->budget)
        return sn_fail(error, SN_BAD_INPUT,
                       "the diagonal blocks of %d stages take %zu bytes, the budget is %zu", stages,
                       4 * diagonal, bytes);
    return sn_fail(error, SN_BAD_INPUT,
                   "budget of %zu bytes cannot hold a single state of %d stages", bytes, stages);
}

/* ---- Result ---- */

/* D_k = W[stage k, stage k]. */
static void store_diagonal(const struct search *search, const struct sss *shape, float *values)
{
    size_t row = 0, column = 0, n_all = (size_t)search->n_inputs;
    for (int k = 0; k < shape->n_stages; k++) {
        size_t m = (size_t)shape->outputs[k], n = (size_t)shape->inputs[k];
        float *d = sss_stage_at(shape, values, k).d;
        for (size_t i = 0; i < m; i++)
            if (n) memcpy(d + i * n, search->w + (row + i) * n_all + column, n * sizeof *d);
        row += m;
        column += n;
    }
}

/* Takes the scale out of the columns of B, D and F: they are those of W times scale, as the sweep
 * saw it. */
static void unscale(const struct search *search, const struct sss *shape, float *values)
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
                    blocks[i][(size_t)row * width + j] /= search->scale[column + j];
        column += width;
    }
}

/* A plan as a matrix. The sweeps repeat those that measured it, so they lead to the same states. */
static enum sn_status realise(const struct search *search, const struct sss_plan *plan,
                              struct sn_fit *fit, struct sn_error *error)
{
    double lost = 0;
    struct sss *shape = sss_new(plan->n_stages, plan->inputs, plan->outputs,
                                plan->states[SSS_CAUSAL] + 1, plan->states[SSS_ANTICAUSAL] + 1,
                                error);
    if (!shape) return error && error->code ? error->code : SN_NO_MEMORY;
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    enum sn_status status = words ? SN_OK : sn_no_memory(error, "an SSS approximation");
    if (!status) store_diagonal(search, shape, words);
    for (int d = 0; d < 2 && !status; d++)
        status = sss_sweep(search->w, search->n_outputs, search->n_inputs, plan, d, NULL, NULL,
                           &lost, shape, words, error);
    if (!status && search->scale) unscale(search, shape, words);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    if (status) sn_fit_free(fit);
    return status;
}

/* Measures a fit, which becomes the best where it is better, and is freed otherwise. */
static enum sn_status offer(struct search *search, struct sn_fit *candidate, struct sn_fit *best,
                            struct sn_error *error)
{
    enum sn_status status = sn_fit_measure(candidate, search->given, search->options->weighting,
                                           error);
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
static enum sn_status wrap(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    if (!search->row_order) return SN_OK;
    const struct sss *plain = (const struct sss *)fit->matrix;
    struct sss *shape = sss_new_ordered(plain->n_stages, plain->inputs, plain->outputs,
                                        plain->causal + 1, plain->anticausal + 1, SSS_ORDER_BOTH,
                                        error);
    float *words = shape ? realloc(fit->words, shape->matrix.n_words * sizeof *words) : NULL;
    if (!words) {
        free(shape);
        return sn_no_memory(error, "an SSS approximation");
    }
    memcpy(shape->input_order, search->column_order, (size_t)search->n_inputs * sizeof(uint32_t));
    memcpy(shape->output_order, search->row_order, (size_t)search->n_outputs * sizeof(uint32_t));
    sss_pack(shape, words);
    free(fit->matrix);
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    return SN_OK;
}

/* A candidate as the sweeps leave it, then refined in so many rounds. An error of rounding,
 * float32's with a margin, is not refined. */
static enum sn_status settle(struct search *search, const struct sss_plan *plan, int rounds,
                             struct sn_fit *best, struct sn_error *error)
{
    struct sn_fit fit = { 0 };
    enum sn_status status = SN_OK;
    if (is_low_rank(plan)) rounds = 0;
    for (int refined = 0; refined <= (rounds > 0) && !status; refined++) {
        if (refined && (stopped(search) || search->reached < 1e-6)) break;
        status = realise(search, plan, &fit, error);
        if (!status && refined)
            status = sss_refine((struct sss *)fit.matrix, fit.words, search->dense,
                                search->weighting, rounds, search->options->stop, error);
        if (!status) status = wrap(search, &fit, error);
        if (status) sn_fit_free(&fit);
        else status = offer(search, &fit, best, error);
    }
    return status;
}

/* The plans of the search, the more of them and the longer the greater the effort. A plan foretold
 * to be far behind is left out: refinement gains less than that. */
static enum sn_status settle_all(struct search *search, struct sn_fit *best, struct sn_error *error)
{
    static const struct {
        int others, rounds;
    } efforts[] = {
        [SN_NORMAL] = { 3, 6 }, [SN_QUICK] = { 0, 0 }, [SN_THOROUGH] = { MOST_OTHERS, 40 }
    };
    int others = efforts[search->options->effort].others,
        rounds = efforts[search->options->effort].rounds;
    if (!search->best.plan) return SN_OK;
    report(search, search_part);
    enum sn_status status = settle(search, search->best.plan, rounds, best, error);
    for (int i = 0; i < others && !status && !stopped(search); i++) {
        const struct measured *other = &search->others[i];
        report(search, search_part + (settle_part - search_part) * (i + 1) / (others + 1));
        if (other->plan && other->lost <= 1.3 * search->best.lost && search->reached >= 1e-6)
            status = settle(search, other->plan, rounds, best, error);
    }
    return status;
}

/* ---- With a weighting ---- */

/* C = U T^-1 and B = T V^T, of W L = U S V^T, become those of U U^T W: B = T^2 C^T W, 1/T the norms
 * of C's columns. */
static void project_rows(const struct search *search, struct sn_fit *fit)
{
    const struct sss *shape = (const struct sss *)fit->matrix;
    int m = search->n_outputs, n = search->n_inputs, r = shape->causal[1];
    float *b = sss_stage_at(shape, fit->words, 0).b, *c = sss_stage_at(shape, fit->words, 1).c;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r, n, m, 1, c, r, search->dense, n, 0, b,
                n);
    for (int s = 0; s < r; s++) {
        double norm = cblas_dsdot(m, c + s, r, c + s, r);
        if (norm > 0) cblas_sscal(n, (float)(1 / norm), b + (size_t)s * (size_t)n, 1);
    }
}

/* The weighted truncated SVD. */
static enum sn_status fit_low_rank(struct search *search, struct sn_fit *best,
                                   struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs;
    size_t count = (size_t)m * (size_t)n;
    if (search->budget < (size_t)m + (size_t)n) return SN_OK;
    struct search low = *search;
    float *root, *w;
    enum sn_status status = sn_weighting_root(search->options->weighting, &root, error);
    if (status) return status;
    if (!(w = malloc(count * sizeof *w))) {
        free(root);
        return sn_no_memory(error, "an SSS approximation");
    }
    memcpy(w, search->dense, count * sizeof *w);
    cblas_strmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, m, n, 1, root, n,
                w, n);
    free(root);
    low.w = w;
    low.scale = NULL;
    low.energy = cblas_dsdot((int)count, w, 1, w, 1);
    struct sn_fit fit = { 0 };
    status = examine_low_rank(&low, error);
    if (!status && low.best.plan) status = realise(&low, low.best.plan, &fit, error);
    if (!status && fit.matrix) {
        project_rows(search, &fit);
        status = offer(search, &fit, best, error);
    }
    forget(&low);
    free(w);
    return status;
}

/* w and scale: the matrix with its columns times the standard deviations of the inputs. */
static enum sn_status scale_columns(struct search *search, float **w, float **scale,
                                    struct sn_error *error)
{
    size_t m = (size_t)search->n_outputs, n = (size_t)search->n_inputs;
    *w = malloc(m * n * sizeof **w);
    *scale = malloc(n * sizeof **scale);
    if (!*w || !*scale) return sn_no_memory(error, "an SSS approximation");
    for (size_t j = 0; j < n; j++)
        (*scale)[j] = sqrtf(search->options->weighting->moment[j * n + j]);
    search->energy = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float scaled = search->dense[i * n + j] * (*scale)[j];
            (*w)[i * n + j] = scaled;
            search->energy += (double)scaled * scaled;
        }
    search->w = *w;
    search->scale = *scale;
    return SN_OK;
}

/* ---- Reordered ---- */

/* What an order is found for: the matrix as it is swept, its rows and columns in order. */
struct ordering {
    uint32_t *rows, *columns;      /* n_outputs, n_inputs */
    uint32_t *now, *spare;         /* of one side, larger of both */
    float *w, *scale;              /* in order; w lies in the caller's memory with a weighting */
    float *dense;                  /* with a weighting, for the refinement: the matrix in order, */
    struct sn_weighting weighting; /* and M */
};

static void ordering_free(struct ordering *ordering, const struct search *original)
{
    free(ordering->rows);
    free(ordering->columns);
    free(ordering->now);
    free(ordering->spare);
    if (!original->weighting) free(ordering->w);
    free(ordering->dense);
    free(ordering->scale);
    free(ordering->weighting.moment);
}

/* scaled holds original->w where that is not the caller's. */
static enum sn_status ordering_new(const struct search *original, float *scaled,
                                   struct ordering *ordering, struct sn_error *error)
{
    size_t m = (size_t)original->n_outputs, n = (size_t)original->n_inputs, most = m > n ? m : n;
    *ordering = (struct ordering){ .rows = malloc(m * sizeof(uint32_t)),
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

/* Everything that the search on the reordered matrix reads, from the original's; with a weighting
 * in place of original->w. */
static void load_order(const struct search *original, struct ordering *ordering,
                       struct search *search)
{
    size_t m = (size_t)search->n_outputs, n = (size_t)search->n_inputs;
    reorder(original->given, m, n, ordering->rows, ordering->columns, ordering->w);
    search->w = search->dense = ordering->w;
    search->row_order = ordering->rows;
    search->column_order = ordering->columns;
    if (!original->weighting) return;
    for (size_t j = 0; j < n; j++) ordering->scale[j] = original->scale[ordering->columns[j]];
    for (size_t i = 0; i < m * n; i++) ordering->w[i] *= ordering->scale[i % n];
    search->scale = ordering->scale;
}

/* What the refinement reads besides. */
static enum sn_status load_weighting(const struct search *original, struct ordering *ordering,
                                     struct search *search, struct sn_error *error)
{
    size_t m = (size_t)search->n_outputs, n = (size_t)search->n_inputs;
    if (!original->weighting) return SN_OK;
    ordering->dense = malloc(m * n * sizeof(float));
    ordering->weighting = (struct sn_weighting){ .n = (int)n,
                                                 .moment = malloc(n * n * sizeof(float)) };
    if (!ordering->dense || !ordering->weighting.moment)
        return sn_no_memory(error, "an SSS approximation");
    reorder(original->given, m, n, ordering->rows, ordering->columns, ordering->dense);
    reorder(original->weighting->moment, n, n, ordering->columns, ordering->columns,
            ordering->weighting.moment);
    search->dense = ordering->dense;
    search->weighting = &ordering->weighting;
    return SN_OK;
}

/* Assigns the columns (rows) anew to the stages of the search's best plan, and keeps the order
 * where the plan, its states spread anew, loses less with it. *gained says so. */
static enum sn_status improve_order(const struct search *original, struct search *search,
                                    struct ordering *ordering, int by_rows, int *gained,
                                    struct sn_error *error)
{
    uint32_t *list = by_rows ? ordering->rows : ordering->columns;
    size_t size = (size_t)(by_rows ? search->n_outputs : search->n_inputs);
    struct sn_fit fit = { 0 };
    struct search plain = *search;
    plain.scale = NULL; /* The energies are those of w. */
    *gained = 0;
    enum sn_status status = realise(&plain, search->best.plan, &fit, error);
    if (!status)
        status = sss_reassign((struct sss *)fit.matrix, fit.words, search->w, by_rows,
                              ordering->now, error);
    sn_fit_free(&fit);
    if (status) return status;
    memcpy(ordering->spare, list, size * sizeof *list);
    for (size_t i = 0; i < size; i++) list[i] = ordering->spare[ordering->now[i]];
    load_order(original, ordering, search);
    struct search tried = *search;
    double lost;
    tried.best = (struct measured){ 0 };
    memset(tried.others, 0, sizeof tried.others);
    status = examine_new(&tried, sss_plan_copy(search->best.plan, error), &lost, error);
    *gained = !status && tried.best.plan && tried.best.lost < 0.9995 * search->best.lost;
    if (*gained) {
        free(search->best.plan);
        search->best = tried.best;
        tried.best.plan = NULL;
    } else {
        memcpy(list, ordering->spare, size * sizeof *list);
        load_order(original, ordering, search);
    }
    forget(&tried);
    return status;
}

/* Columns and rows in turn, until neither gains. done of all work is behind it, share is its own
 * part. */
static enum sn_status improve_orders(const struct search *original, struct search *search,
                                     struct ordering *ordering, int rounds, double done,
                                     double share, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int round = 0, idle = 0; round < rounds && idle < 2 && !status && !stopped(search);
         round++) {
        int gained;
        report(original, done + share * round / rounds);
        status = improve_order(original, search, ordering, round % 2, &gained, error);
        idle = gained ? 0 : idle + 1;
    }
    return status;
}

/* The search for segments once more, on the matrix in an order of our own, which counts as bytes.
 * The orders are improved for the plan that the first one favours, and that again by the segments
 * that suit the new orders. scaled holds original->w where that is not the caller's, and is
 * overwritten. */
static enum sn_status fit_ordered(struct search *original, float *scaled, struct sn_fit *best,
                                  struct sn_error *error)
{
    enum { MOST_STAGES = 128 };
    int m = original->n_outputs, n = original->n_inputs,
        thorough = original->options->effort == SN_THOROUGH;
    size_t words = sss_order_words(m, n, SSS_ORDER_BOTH);
    if (original->budget <= words) return SN_OK;
    struct search search = *original;
    struct ordering ordering;
    search.best = (struct measured){ 0 };
    memset(search.others, 0, sizeof search.others);
    search.budget -= words;
    enum sn_status status = ordering_new(original, scaled, &ordering, error);
    if (!status) status = sss_seriate(original->w, m, n, ordering.rows, ordering.columns, error);
    double share = (1 - settle_part) / (1 + thorough);
    for (int pass = 0; pass < 1 + thorough && !status && !stopped(original); pass++) {
        load_order(original, &ordering, &search);
        status = search_stages(&search, error);
        if (status || !search.best.plan || search.best.plan->n_stages > MOST_STAGES) break;
        double done = settle_part + share * pass;
        status = improve_orders(original, &search, &ordering, thorough ? 40 : 8, done, share,
                                error);
    }
    /* The others were measured in other orders. */
    int promising = search.best.plan
        && (!original->best.plan || search.best.lost <= 1.3 * original->best.lost);
    if (!status && promising) status = load_weighting(original, &ordering, &search, error);
    if (!status && promising)
        status = settle(&search, search.best.plan, thorough ? 40 : 6, best, error);
    original->reached = search.reached;
    forget(&search);
    ordering_free(&ordering, original);
    return status;
}

/* ---- The whole ---- */

/* ||W||_F^2. */
static double energy_of(const float *dense, size_t size)
{
    double energy = 0;
    for (size_t i = 0; i < size; i++) energy += (double)dense[i] * dense[i];
    return energy;
}

static enum sn_status fit_within(const float *dense, int n_outputs, int n_inputs, int n_stages,
                                 int low_rank, const struct sn_fit_options *options,
                                 struct sn_fit *fit, struct sn_error *error)
{
    struct search search = { .given = dense,
                             .dense = dense,
                             .w = dense,
                             .n_outputs = n_outputs,
                             .n_inputs = n_inputs,
                             .weighting = options->weighting,
                             .options = options,
                             .n_stages = n_stages,
                             .low_rank = low_rank,
                             .energy = energy_of(dense, (size_t)n_outputs * (size_t)n_inputs),
                             .reached = INFINITY };
    struct sn_fit best = { 0 };
    float *w = NULL, *scale = NULL;
    enum sn_status status = SN_OK;
    search.budget = options->budget_bytes / sizeof(float);
    if (options->budget_values < search.budget) search.budget = options->budget_values;
    if (search.budget > INT_MAX) search.budget = INT_MAX; /* sss_new() allows no more. */
    if (options->weighting && !n_stages) status = fit_low_rank(&search, &best, error);
    if (!status && options->weighting) status = scale_columns(&search, &w, &scale, error);
    if (!status && !(low_rank && best.matrix))
        status = n_stages ? search_given(&search, error) : search_all(&search, error);
    if (!status) status = settle_all(&search, &best, error);
    if (!status && !n_stages && !low_rank && options->effort != SN_QUICK && search.reached >= 1e-6)
        status = fit_ordered(&search, w, &best, error);
    if (!status) report(&search, 1);
    if (status) sn_fit_free(&best);
    else *fit = best;
    forget(&search);
    free(w);
    free(scale);
    return status;
}

static enum sn_status fit_any(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, sn_fit_setting(options, "stages"), 0, options,
                      fit, error);
}

static enum sn_status fit_two_stages(const float *dense, int n_outputs, int n_inputs,
                                     const struct sn_fit_options *options, struct sn_fit *fit,
                                     struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, 0, 1, options, fit, error);
}

static const struct sn_fit_type types[] = {
    { "sss", "SSS", "sequentially semiseparable", &sss_family, fit_any },
    { "lowrank", "low rank", "written as [sss] with two stages", &sss_family, fit_two_stages },
    { 0 }
};

static const struct sn_fit_option fit_options[] = {
    { "stages", "N", 1, 1000000, NULL, "sss: N equal segments instead of a search" }, { 0 }
};

const struct sn_fitter sss_fitter = { types, fit_options };
