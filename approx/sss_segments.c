#include "sss_segments.h"
#include "fit.h"
#include "sss_cuts.h"

#include <math.h>
#include <stdlib.h>

/* ---- Equal segments ---- */

/* The fewest equal stages whose diagonal blocks fit into the budget, at most limit+1. */
static int fewest_stages(const struct sss_problem *problem, int limit)
{
    long long m = problem->n_outputs, n = problem->n_inputs, stages = 1;
    for (; stages <= limit; stages++) {
        size_t values = 0;
        for (long long k = 0; k < stages && values <= problem->budget; k++)
            values += (size_t)(((k + 1) * m / stages - k * m / stages)
                               * ((k + 1) * n / stages - k * n / stages));
        if (values <= problem->budget) break;
    }
    return (int)stages;
}

/* Whether plans are to be few, at powers of 2, and each measured once. */
static int is_coarse(const struct sss_problem *problem)
{
    return sn_fit_is_coarse(problem->options, problem->n_outputs, problem->n_inputs);
}

/* Whether a search tries n_stages equal stages after first, the fewest. A small matrix has all
 * numbers up to 64 tried, a larger one those next to 2^(i/2). Common divisors of both sizes, which
 * give stages that are all alike, are tried up to any number. */
static int tries(const struct sss_problem *problem, int first, int n_stages)
{
    enum { SMALL = 64 * 64, MOST = 64 };
    int m = problem->n_outputs, n = problem->n_inputs;
    if (is_coarse(problem)) return n_stages == first || (n_stages & (n_stages - 1)) == 0;
    if (n_stages == first || (m % n_stages == 0 && n % n_stages == 0)) return 1;
    if ((size_t)m * (size_t)n <= SMALL && n_stages <= MOST) return 1;
    return n_stages == (int)lrint(exp2(rint(2 * log2(n_stages)) / 2));
}

/* Steps away from stages, the best number of equal stages so far, by an eighth of it, a sixteenth,
 * ... 1 either way. */
static enum sn_status refine_stages(const struct sss_problem *problem, struct sss_found *found,
                                    int first, int stages, double lowest, struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    enum sn_status status = SN_OK;
    for (int step = sss_larger(1, stages / 8); step && !status && !sss_stopped(problem);
         step /= 2) {
        int middle = stages;
        for (int sign = -1; sign <= 1 && !status; sign += 2) {
            int other = middle + sign * step;
            double lost;
            if (other < first || other > sss_larger(m, n)) continue;
            status = sss_examine_new(problem, found, sss_plan_equal(other, m, n, error),
                                     SSS_MOST_ROUNDS, &lost, error);
            int won = found->best.plan && found->best.plan->n_stages == other;
            if (lost < lowest || won) lowest = lost, stages = other;
        }
    }
    return status;
}

enum sn_status sss_search_equal(const struct sss_problem *problem, struct sss_found *found,
                                struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs, most = sss_smaller(m, n), worse = 0,
        best = 0, patience = is_coarse(problem) ? 2 : 5;
    int first = sss_larger(2, fewest_stages(problem, sss_larger(m, n)));
    enum sn_status status = SN_OK;
    double lowest = INFINITY;
    for (int stages = first; !status && (stages == first || stages <= most) && worse < patience;
         stages++) {
        if (stages > sss_larger(m, n) || sss_stopped(problem)) break;
        if (!tries(problem, first, stages)) continue;
        double lost;
        status = sss_examine_new(problem, found, sss_plan_equal(stages, m, n, error),
                                 is_coarse(problem) ? 1 : SSS_MOST_ROUNDS, &lost, error);
        worse++;
        int won = found->best.plan
            && found->best.plan->n_stages == stages; /* Perhaps with fewer values. */
        if (lost < lowest || won) lowest = lost, best = stages, worse = 0;
        sss_report(problem, found,
                   SSS_SEARCH_PART * fmin(1, log(stages) / log(sss_larger(3, most + 1))));
    }
    if (!status && best && !is_coarse(problem) && lowest <= 1.1 * found->best.lost)
        status = refine_stages(problem, found, first, best, lowest, error);
    return status;
}

/* ---- The segments of an exact SSS matrix ---- */

/* The plan, with as many stages, that has these cuts and the states they need. */
static void cut_plan(const struct sss_problem *problem, struct sss_plan *plan,
                     const struct sss_cut *cuts, int n_cuts)
{
    struct sss_cut from = { 0 }, end = { .row = problem->n_outputs, .column = problem->n_inputs };
    for (int k = 0; k <= n_cuts; k++) {
        struct sss_cut to = k < n_cuts ? cuts[k] : end;
        plan->outputs[k] = to.row - from.row;
        plan->inputs[k] = to.column - from.column;
        plan->states[SSS_CAUSAL][k + 1] = to.causal;
        plan->states[SSS_ANTICAUSAL][k + 1] = to.anticausal;
        from = to;
    }
}

enum sn_status sss_examine_exact(const struct sss_problem *problem, struct sss_found *found,
                                 struct sn_error *error)
{
    static const double bounds[] = { 1e-6, 3e-7, 3e-6, 1e-7, 1e-5 };
    enum sn_status status = SN_OK;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !status && !sss_stopped(problem);
         i++) {
        struct sss_cut *cuts;
        int n_cuts = sss_cuts(problem->w, problem->n_outputs, problem->n_inputs, bounds[i], &cuts);
        if (n_cuts < 0) return sn_no_memory(error, "an SSS approximation");
        if (!n_cuts) break;
        struct sss_plan *plan = sss_plan_new(n_cuts + 1, error);
        if (plan) cut_plan(problem, plan, cuts, n_cuts);
        free(cuts);
        if (!plan) return SN_NO_MEMORY;
        double lost;
        if (sss_plan_values(plan) <= problem->budget) {
            status = sss_measure(problem, plan, NULL, &lost, error);
            if (!status) status = sss_consider(problem, found, plan, lost, error);
        }
        if (!status) status = sss_examine(problem, found, plan, SSS_MOST_ROUNDS, &lost, error);
        free(plan);
        if (sss_is_exact(problem, found)) break;
    }
    return status;
}

/* ---- Unequal segments ---- */

/* A plan whose cuts move as long as that takes off its error. */
struct recut {
    const struct sss_problem *problem;
    struct sss_found *found;
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
    enum sn_status status = sss_examine(recut->problem, recut->found, other, 1, &lost, error);
    *won = !status && lost < 0.99 * recut->lost;
    free(*won ? recut->plan : other);
    if (*won) recut->plan = other, recut->lost = lost;
    return status;
}

static int goes_on(const struct recut *recut)
{
    return recut->left > 0 && !sss_stopped(recut->problem);
}

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
    int rows = sss_larger(1, recut->problem->n_outputs / recut->plan->n_stages / part);
    int columns = sss_larger(1, recut->problem->n_inputs / recut->plan->n_stages / part);
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
static enum sn_status move_cuts(const struct sss_problem *problem, struct sss_found *found,
                                const struct sss_plan *plan, int most, struct sn_error *error)
{
    struct recut recut = { .problem = problem,
                           .found = found,
                           .plan = sss_plan_copy(plan, error),
                           .lost = INFINITY,
                           .left = most };
    if (!recut.plan) return SN_NO_MEMORY;
    enum sn_status status = sss_examine(problem, found, recut.plan, 1, &recut.lost, error);
    int m = problem->n_outputs, n = problem->n_inputs;
    for (int gained = 1; gained && goes_on(&recut) && !status;) {
        gained = 0;
        status = merge_and_split(&recut, &gained, error);
        for (int part = 2; part <= 2 * sss_larger(m, n) / recut.plan->n_stages && !status;
             part *= 2)
            status = shift_cuts(&recut, part, &gained, error);
    }
    double lost;
    if (!status) status = sss_examine(problem, found, recut.plan, SSS_MOST_ROUNDS, &lost, error);
    free(recut.plan);
    return status;
}

enum sn_status sss_search_cuts(const struct sss_problem *problem, struct sss_found *found,
                               struct sn_error *error)
{
    const struct sss_candidate *start = &found->best;
    double most = fmin(120, 1.5e11 / pow((double)problem->n_outputs * problem->n_inputs, 1.5));
    if (problem->options->effort == SN_THOROUGH) most *= 10;
    for (int i = 0; i < SSS_MOST_OTHERS && start->plan && sss_plan_is_low_rank(start->plan); i++)
        start = &found->others[i];
    if (!start->plan || start->plan->n_stages < 2 || !sss_is_promising(found, start->lost))
        return SN_OK;
    if (most < start->plan->n_stages || sss_is_exact(problem, found)) return SN_OK;
    return move_cuts(problem, found, start->plan, (int)most, error);
}
