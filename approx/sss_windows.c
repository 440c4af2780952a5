#include "sss_windows.h"

#include <stdlib.h>

/* W[row .. row+height-1, column .. column+width-1], kept with that rank; dense when rank is 0. */
struct window {
    int row, column, height, width, rank;
    double energy;
};

/* sums[(i, j)] = ||W[first i rows, first j columns]||_F^2, (m+1) x (n+1). */
static double *prefix_sums(const struct sss_problem *problem, struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    double *sums = calloc((m + 1) * (n + 1), sizeof *sums);
    if (!sums) {
        sn_no_memory(error, "an SSS approximation");
        return NULL;
    }
    for (size_t i = 0; i < m; i++) {
        double row = 0;
        for (size_t j = 0; j < n; j++) {
            double w = problem->w[i * n + j];
            row += w * w;
            sums[(i + 1) * (n + 1) + j + 1] = sums[i * (n + 1) + j + 1] + row;
        }
    }
    return sums;
}

/* The position of window, given its size, where W has most energy. */
static void place(const struct sss_problem *problem, const double *sums, struct window *window)
{
    size_t stride = (size_t)problem->n_inputs + 1, width = (size_t)window->width;
    window->energy = -1;
    for (int i = 0; i + window->height <= problem->n_outputs; i++) {
        const double *top = sums + (size_t)i * stride,
                     *bottom = top + (size_t)window->height * stride;
        for (int j = 0; j + window->width <= problem->n_inputs; j++) {
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
static enum sn_status examine_window(const struct sss_problem *problem, struct sss_found *found,
                                     const struct window *window, struct sn_error *error)
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
    append(plan, problem->n_inputs - window->column - window->width, 0);
    append(plan, 0, problem->n_outputs - window->row - window->height);
    double lost;
    enum sn_status status = sss_measure(problem, plan, NULL, &lost, error);
    if (!status) status = sss_consider(problem, found, plan, lost, error);
    free(plan);
    return status;
}

enum sn_status sss_examine_windows(const struct sss_problem *problem, struct sss_found *found,
                                   struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    size_t budget = problem->budget;
    double *sums = prefix_sums(problem, error);
    if (!sums) return SN_NO_MEMORY;
    enum sn_status status = SN_OK;
    struct window best = { .energy = -1 };
    for (int height = 1, next; height <= m && !status && (size_t)height <= budget; height = next) {
        next = height == m ? m + 1 : sss_smaller(m, sss_larger(height + 1, height + height / 5));
        size_t width = budget / (size_t)height, rest = budget - (size_t)height;
        struct window window = { .height = height, .width = width < (size_t)n ? (int)width : n };
        place(problem, sums, &window);
        if (window.energy > best.energy) best = window;
        if (!rest || budget >= (size_t)m + (size_t)n) continue;
        window.width = rest < (size_t)n ? (int)rest : n;
        window.rank = (int)(budget / ((size_t)height + (size_t)window.width));
        if (window.rank > sss_smaller(height, window.width)) continue;
        place(problem, sums, &window);
        status = examine_window(problem, found, &window, error);
    }
    if (!status) status = examine_window(problem, found, &best, error);
    free(sums);
    return status;
}
